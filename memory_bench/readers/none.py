"""No reader: it counts tokens as the bundled one does, and answers nothing. What is retrieved is judged even so."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

from memory_bench.errors import NoAnswer
from memory_bench.task_tokens import BUNDLED_TOKENIZER, count_tokens, read_tokenizer
from memory_bench.types import Completion

WHY = "reader=none answers nothing"


class NoReader:
    """No model is loaded. A memory that works inside one, or asks it, cannot run with this.

    `window_tokens` and `max_new_tokens` decide which prompts would fit, as for any reader.
    """

    style: Literal["cloze", "chat"] = "chat"
    frame_tokens = 0

    def __init__(self, *, window_tokens: int, max_new_tokens: int) -> None:  # noqa: ARG002 (read by the run)
        self.window_tokens = window_tokens
        self._tokenizer = read_tokenizer(BUNDLED_TOKENIZER)

    def begin(self, *, carry: bool) -> None:
        pass

    def generate(self, prompts: Sequence[str]) -> list[Completion]:  # noqa: ARG002
        raise NoAnswer(WHY)

    def score(self, prompt: str, continuations: Sequence[str]) -> list[float]:  # noqa: ARG002
        raise NoAnswer(WHY)

    def cached_tokens(self) -> int | None:
        return None

    def count_tokens(self, text: str) -> int:
        return count_tokens(self._tokenizer, text)

    def mark(self) -> object | None:
        return None

    def seconds_between(self, start: object | None, end: object | None) -> float | None:  # noqa: ARG002
        return None

    def peak_device_bytes(self) -> int | None:
        return None

    def identity(self) -> Mapping[str, str]:
        return {"tokenizer": hashlib.sha256(BUNDLED_TOKENIZER.read_bytes()).hexdigest()}

"""The task: a frozen file, held to its digest, and played back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from memory_bench.episode_file import read_episodes, read_header
from memory_bench.errors import BadInput
from memory_bench.metrics import begins_with, exact_match
from memory_bench.task_options import check_one, check_seed
from memory_bench.types import Episode, Question

FOLDER: Final = Path(__file__).parent


class Reference:
    """One split of tasks.reference; every seed plays the same file.

    Raises BadInput for a split that is not there, and for a file that is not the one that was frozen.
    """

    version = "1"

    def __init__(self, *, split: str) -> None:
        digests: dict[str, str] = json.loads((FOLDER / "sha256.json").read_text(encoding="utf-8"))
        check_one("split", split, tuple(digests))
        self.path = FOLDER / f"{split}.jsonl"
        self.sha256 = hashlib.sha256(self.path.read_bytes()).hexdigest()
        if self.sha256 != digests[split]:
            raise BadInput(f"{self.path} is not what was frozen: sha256 {self.sha256}, expected {digests[split]}")
        self.header = read_header(self.path)

    def identity(self) -> Mapping[str, str]:
        return {"file": self.sha256, **vars(self.header)}

    def episodes(self, seed: int) -> Iterator[Episode]:
        """Yield the episodes of the file; the seed changes nothing."""
        check_seed(seed)
        return read_episodes(self.path)

    def score(self, question: Question, answer: str) -> dict[str, float]:
        """Return exact_match, and begins_with where nothing is offered to choose from: see tasks.qa."""
        scores = {"exact_match": exact_match(answer, question.answers)}
        return scores if question.choices else scores | {"begins_with": begins_with(answer, question.answers)}

"""What a kernel changes of what is said: next tokens and answers of the bundled reader, beside the plain formula's, and
those of a prompt in a padded batch beside those of the prompt alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from memory_bench import config, prompt
from memory_bench.errors import Unavailable
from memory_bench.readers.attention_costs.bench import OFF
from memory_bench.readers.tiny import TinyReader
from memory_bench.types import Episode, Event, Passage, Question

PLACES = 64
"""How many next tokens are compared of each prompt, up to its last."""


def compare(kernels: Sequence[str], device: torch.device, questions: int, context_tokens: int) -> dict[str, Any]:
    """Return what each kernel changed of so many questions of the task `needle`, all of the context in the prompt."""
    readers: dict[str, TinyReader | str] = {}
    for name in kernels:
        try:
            readers[name] = _reader(name, device)
        except Unavailable as error:
            readers[name] = str(error)
    off = readers[OFF]
    assert isinstance(off, TinyReader)
    asked = list(islice(_prompts(off, context_tokens), questions))
    plain = _said(off, asked)
    arms: dict[str, dict[str, Any]] = {}
    for name, reader in readers.items():
        if isinstance(reader, str):
            arms[name] = {"why": reader}
        else:
            arms[name] = _changed(_said(reader, asked), plain) | _padded(reader, asked)
    return {"arms": arms, "prompt_tokens": [off.count_tokens(text) for text in asked]}


def _reader(name: str, device: torch.device) -> TinyReader:
    cell = config.compose(["+task=needle", "+memory=none", f"attention={name}", f"reader.device={device.type}"])
    reader: TinyReader = config.build(cell, "reader")
    return reader


def _prompts(reader: TinyReader, context_tokens: int) -> Iterator[str]:
    cell = config.compose(["+task=needle", "+memory=none", f"task.length_tokens={context_tokens}"])
    for episode in config.build(cell, "task").episodes(seed=0):
        yield from _of(episode, reader)


def _of(episode: Episode, reader: TinyReader) -> Iterator[str]:
    told = [Passage(step.text, (step.id,)) for step in episode.steps if isinstance(step, Event)]
    room = reader.window_tokens - 2 * reader.max_new_tokens
    for step in episode.steps:
        if isinstance(step, Question):
            yield prompt.build(told[::-1], step.cloze, budget_tokens=room, count=reader.count_tokens).text


@torch.inference_mode()
def _said(reader: TinyReader, asked: Sequence[str]) -> list[tuple[Tensor, str]]:
    """Return log_probs_QV of the last next tokens of each prompt, and its answer."""
    found = []
    for text, completion in zip(asked, reader.generate(asked), strict=True):
        found.append((_last(reader, [reader.encode(text)])[0], completion.text))
    return found


def _last(reader: TinyReader, rows: Sequence[Sequence[int]]) -> Tensor:
    """Return log_probs_BQV of what follows the last tokens of each row, padded to one batch."""
    tokens_BT = reader.batch(rows)
    ends_B1 = torch.tensor([[len(row)] for row in rows], device=reader.device)
    back_Q = torch.arange(min(PLACES, *map(len, rows), PLACES), 0, -1, device=reader.device)
    places_BQ = ends_B1 - back_Q
    return reader.model.next_log_probs(reader.model(tokens_BT), tokens_BT, places_BQ)


def _changed(ours: Sequence[tuple[Tensor, str]], plain: Sequence[tuple[Tensor, str]]) -> dict[str, Any]:
    pairs = list(zip(ours, plain, strict=True))
    return {
        "tokens": sum(len(one) for one, _ in plain),
        "tokens_changed": sum(int((one.argmax(-1) != other.argmax(-1)).sum()) for (one, _), (other, _) in pairs),
        "largest_logprob_change": max(_apart(one, other) for (one, _), (other, _) in pairs),
        "answers": len(plain),
        "answers_changed": sum(one != other for (_, one), (_, other) in pairs),
    }


@torch.inference_mode()
def _padded(reader: TinyReader, asked: Sequence[str]) -> dict[str, Any]:
    """Return what a batch, in which shorter prompts are padded, changes of the prompts alone."""
    rows = [reader.encode(text)[-length:] for text, length in zip(asked, _lengths(len(asked)), strict=True)]
    together_BQV, alone = _last(reader, rows), [_last(reader, [row])[0] for row in rows]
    pairs = [(one[-len(other) :], other[-len(one) :]) for one, other in zip(together_BQV, alone, strict=True)]
    return {
        "padded_tokens_changed": sum(int((one.argmax(-1) != other.argmax(-1)).sum()) for one, other in pairs),
        "padded_tokens": sum(len(one) for one, _ in pairs),
        "largest_padded_logprob_change": max(_apart(one, other) for one, other in pairs),
    }


def _lengths(count: int) -> list[int]:
    """Return ever shorter ends of prompts, so that each but the first is padded."""
    return [PLACES * (2 + 2 * (count - number)) for number in range(count)]


def _apart(one: Tensor, other: Tensor) -> float:
    """Return how far log-probabilities are apart at most, among next tokens that either holds likely."""
    likely = torch.maximum(one, other) > -10
    return float((one - other).abs()[likely].max())

"""The lesson of text alone: docstrings of installed packages, and bits per byte of a package that was not trained on.

Nothing is asked but the next token. Windows of the training text come in shuffled rounds, the same for every arm.

Shape legend: B batch, T tokens of a window, N windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from adapters.engram.twins.arms import arm
from adapters.engram.twins.names import order, order_digest
from adapters.engram.twins.probes import gates
from adapters.engram.twins.sweep import SweptPlan
from adapters.engram.twins.train import Course, learned, mean_loss
from adapters.engram.twins.twin import Twin
from memory_bench.readers.checkpoint import TOKENIZER
from memory_bench.readers.training.corpus import Document, load_corpus, repeated

CORPUS = Path("results/twins/corpus.jsonl")
HELD_OUT = Path("results/twins/held_out.jsonl")
SNIPPET = 40
"""Tokens of held-out text whose gates are kept."""


@dataclass(frozen=True, eq=False)
class Prose:
    """Token ids of both parts, cut into windows of T + 1, and how many tokens of the held-out part a byte takes."""

    training_NT: Tensor
    held_out_NT: Tensor
    tokens_per_byte: float

    def repeated(self, asked: int) -> float:
        """Return what share of the held-out text, of its first windows, was trained on (`corpus.repeated`)."""
        return repeated([self.training_NT.ravel().tolist()], self.held_out_NT[:asked].tolist())


def cut(training: Sequence[Document], held_out: Sequence[Document], tokenizer: Tokenizer, *, window: int) -> Prose:
    """Encode both parts and cut them into windows; what does not fill one is left out.

    They are of different packages: files of one package repeat each other word for word.
    """
    parts = []
    for documents in (training, held_out):
        encoded = tokenizer.encode_batch([document.text for document in documents])
        ids = [number for encoding in encoded for number in encoding.ids]
        whole = len(ids) // (window + 1) * (window + 1)
        parts.append(torch.tensor(ids[:whole]).view(-1, window + 1))
    size = sum(len(document.text.encode()) for document in held_out)
    return Prose(parts[0], parts[1], len(ids) / size)


class Reading:
    """Windows of the training text, and bits per byte over the first `asked` windows of the held-out text."""

    def __init__(self, prose: Prose, *, steps: int, batch: int, asked: int, seed: int) -> None:
        order_SB = order(len(prose.training_NT), steps=steps, batch=batch, seed=seed)
        self.digest = order_digest(order_SB)
        self.order_SB = torch.from_numpy(order_SB)
        self.prose = prose
        self.asked_NT = prose.held_out_NT[:asked]
        self.batch_size = batch

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        windows_BT = self.prose.training_NT[self.order_SB[step]]
        return windows_BT[:, :-1], windows_BT[:, 1:]

    @torch.no_grad()
    def scores(self, twin: Twin) -> dict[str, float]:
        nats = [
            mean_loss(twin, part_BT[:, :-1], part_BT[:, 1:]).item() * len(part_BT)
            for part_BT in torch.split(self.asked_NT, self.batch_size)
        ]
        return {"bits_per_byte": sum(nats) / len(self.asked_NT) / math.log(2) * self.prose.tokens_per_byte}


@dataclass(frozen=True, kw_only=True)
class TextPlan(SweptPlan):
    """As a plan of entity recall, with windows of `window` tokens of the docstrings of `packages` for names.

    Bits per byte are those of the packages that are `held_out`."""

    packages: Sequence[str]
    held_out: Sequence[str]
    window: int = 64
    batch: int = 32
    every: int = 25
    asked: int = 256

    def trained(self, name: str, *, seed: int, rate: float, steps: int) -> dict[str, Any]:
        tokenizer = Tokenizer.from_file(str(TOKENIZER))
        read = load_corpus(self.packages, CORPUS), load_corpus(self.held_out, HELD_OUT)
        prose = cut(*read, tokenizer, window=self.window)
        lesson = Reading(prose, steps=steps, batch=self.batch, asked=self.asked, seed=seed)
        twin = arm(name, tokenizer.get_vocab_size()).twin(seed=seed)
        measured = learned(twin, lesson, Course(steps=steps, rate=rate, every=self.every))
        snippet_BT = prose.held_out_NT[:1, :SNIPPET]
        return {
            **measured,
            "repeated": prose.repeated(self.asked),
            "snippet": [tokenizer.decode([number]) for number in snippet_BT[0].tolist()],
            "gates": {layer: gate_BT[0].tolist() for layer, gate_BT in gates(twin, snippet_BT).items()},
        }

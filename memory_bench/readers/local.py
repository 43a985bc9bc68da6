"""A reader whose model can be reached: what memories that work inside a model are handed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, Self

import torch
from tokenizers import Tokenizer

from memory_bench.contracts import Reader
from memory_bench.readers.model import LookUp, TinyModel

Bias = Callable[[Sequence[int]], Mapping[int, float]]
"""tokens so far -> token -> what is added to its logit, where it may come next (see `adapters/ngram_logits.py`)."""


class LocalReader(Reader, Protocol):
    """`Reader` and the model inside it."""

    model: TinyModel
    tokenizer: Tokenizer
    device: torch.device
    dtype: torch.dtype

    def with_look_up(self, look_up: LookUp) -> Self:
        """Return a reader with the same weights whose Engram slot reads from `look_up`."""
        ...

    def with_bias(self, bias: Bias) -> Self:
        """Return a reader with the same weights whose logits `bias` is added to, besides what was added before."""
        ...

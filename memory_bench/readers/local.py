"""A reader whose model can be reached: what memories that work inside a model are handed."""

from __future__ import annotations

from typing import Protocol, Self

import torch
from tokenizers import Tokenizer

from memory_bench.contracts import Reader
from memory_bench.readers.model import LookUp, TinyModel


class LocalReader(Reader, Protocol):
    """`Reader` and the model inside it."""

    model: TinyModel
    tokenizer: Tokenizer
    device: torch.device
    dtype: torch.dtype

    def with_look_up(self, look_up: LookUp) -> Self:
        """Return a reader with the same weights whose Engram slot reads from `look_up`."""
        ...

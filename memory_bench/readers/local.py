"""A reader whose model can be reached: what memories that work inside a model are handed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from memory_bench.contracts import Reader
from memory_bench.readers.model import LookUp

Bias = Callable[[Sequence[int]], Mapping[int, float]]
"""tokens so far -> token -> what is added to its logit, where it may come next (see `adapters/ngram_logits.py`)."""


class Slotted(Protocol):
    """A network with a slot, through which rows are written."""

    @property
    def slot(self) -> nn.Module | None: ...

    def __call__(self, tokens_BT: Tensor, look_up: LookUp | None = None) -> Tensor:
        """Return what `target_log_probs` reads. Tokens may be padded on the right."""
        ...

    def target_log_probs(self, read: Tensor, tokens_BT: Tensor, positions_BQ: Tensor, targets_BQ: Tensor, /) -> Tensor:
        """Return log p(target) at each position, fp32 [B, Q]."""
        ...


class LocalReader(Reader, Protocol):
    """`Reader` and the model inside it."""

    model: Any
    tokenizer: Any
    device: torch.device
    dtype: torch.dtype

    @property
    def slotted(self) -> Slotted | None:
        """The model with the slot that tables are made for; None where it has none."""
        ...

    def encode(self, prompt: str) -> list[int]:
        """Return all tokens that the model is given of a prompt. Raises BadInput if there are none, or too many."""
        ...

    def tokens(self, text: str) -> list[int]:
        """Return the tokens of a text that stands alone, as the model is given them."""
        ...

    def with_look_up(self, look_up: LookUp) -> Self:
        """Return a reader with the same weights whose Engram slot reads from `look_up`."""
        ...


class BiasedReader(LocalReader, Protocol):
    """A reader whose logits can be reached as well."""

    def with_bias(self, bias: Bias) -> Self:
        """Return a reader with the same weights whose logits `bias` is added to, besides what was added before."""
        ...

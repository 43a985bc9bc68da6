"""Kernels that come as packages of their own: `flash_attn_func` in the place of torch's attention.

Two things differ from `scaled_dot_product_attention`. The layout: a package wants the heads behind the tokens. And the
alignment of a causal mask where queries are fewer than keys: a package aligns at the lower right, where the last query
sees all keys, torch's `is_causal` at the upper left. Nothing is padded, cut or computed elsewhere to get around that:
what a package cannot compute is refused.

FlashAttention-2 and -4 share the name of their module, so the distribution's name says which one is there.

Source: the packages `flash-attn` (2.8) and `flash-attn-4` (4.0.0b36), https://github.com/Dao-AILab/flash-attention.

Shape legend: B batch, H heads, Q queries, T keys, C head width.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor
from torch.torch_version import TorchVersion  # compares as PEP 440 does, on a machine that has torch alone


@dataclass(frozen=True)
class Package:
    """`flash_attn_func` of a module that a distribution brings, from a version on. `install` is the line that does."""

    distribution: str
    least: str
    module: str
    install: str

    def __call__(
        self,
        query_BHQC: Tensor,
        key_BHTC: Tensor,
        value_BHTC: Tensor,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Raises ValueError for a mask that the package has not: any but the causal one, aligned at the lower right."""
        causal = _causal(query_BHQC.shape[2], key_BHTC.shape[2], attn_mask, is_causal=is_causal)
        inputs = (tensor.transpose(1, 2) for tensor in (query_BHQC, key_BHTC, value_BHTC))
        mixed = _function(self.module)(*inputs, causal=causal)
        # version 4 may hand out the logarithm of each row's sum as well
        mixed_BQHC: Tensor = mixed[0] if isinstance(mixed, tuple) else mixed
        return mixed_BQHC.transpose(1, 2)

    def missing(self) -> str | None:
        """Return what is wrong with the installation, with the line that mends it; None where it can be called."""
        try:
            found = version(self.distribution)
        except PackageNotFoundError:
            return f"{self.distribution} is not installed: {self.install}"
        if TorchVersion(found) < self.least:
            return f"{self.distribution} {found} is older than {self.least}: {self.install}"
        try:
            _function(self.module)
        except (ImportError, AttributeError, OSError) as error:
            said = " ".join(str(error).split())
            return (
                f"{self.distribution} {found} does not load with torch {torch.__version__}, most likely since it was "
                f"made for another one ({said}): {self.install} --force-reinstall --no-deps"
            )
        return None

    def alone(self) -> AbstractContextManager[object]:
        return nullcontext()


@cache
def _function(module: str) -> Callable[..., Any]:
    function: Callable[..., Any] = import_module(module).flash_attn_func
    return function


def _causal(queries: int, keys: int, attn_mask: Tensor | None, *, is_causal: bool) -> bool:
    """Return whether a package is to be asked for its causal mask."""
    if attn_mask is None:
        if is_causal and queries != keys:
            raise ValueError(
                f"is_causal aligns {queries} queries and {keys} keys at the upper left, the package at the lower right"
            )
        return is_causal
    from torch.nn.attention.bias import CausalBias, CausalVariant  # with torch's compiler: a second, and few need it

    if isinstance(attn_mask, CausalBias) and (attn_mask.variant == CausalVariant.LOWER_RIGHT or queries == keys):
        return True
    raise ValueError("the package takes no mask but the causal one, aligned at the lower right")

"""Whether a kernel computes attention: its error against float64, in every alignment that a reader asks for.

Timings of a kernel that fails this mean nothing. Long contexts are compared at some of their queries, each of which is
a sum over all the keys that it sees.

Shape legend: B batch, H heads, Q queries, T keys, C head width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from memory_bench.readers.attention import Attend, choose, example, lower_right

BOUNDS = {torch.float32: 2e-6, torch.bfloat16: 5e-3, torch.float16: 5e-3}
LONG_KEYS, LONG_BOUND = 16_384, 1e-5
"""Sums over so many keys round more: the bound in float32 from there on."""
WORSE_THAN_MATH = 2.0
MOST_QUERIES = 256
"""How many queries are compared at most: float64 over all pairs of a long context takes longer than what is timed."""


@dataclass(frozen=True)
class Equivalence:
    """Relative errors against float64, by the Euclidean norm: of a kernel, and of the plain formula in its dtype.

    `alignment` is where the kernel is farthest from passing.
    """

    error: float
    error_of_math: float
    bound: float
    alignment: str = "causal"

    @property
    def passes(self) -> bool:
        return self.error <= self.bound and self.error <= WORSE_THAN_MATH * self.error_of_math


def equivalence(
    attend: Attend, device: torch.device, dtype: torch.dtype, *, keys: int, head_width: int = 64
) -> Equivalence:
    """Compare a kernel and the plain formula with attention in float64, all over the same rounded inputs."""
    query_BHTC, key_BHTC, value_BHTC = example(device, dtype, keys=keys, head_width=head_width)
    bound = LONG_BOUND if dtype == torch.float32 and keys >= LONG_KEYS else BOUNDS[dtype]
    exactly = torch.device("cpu") if device.type == "mps" else device  # which has no float64
    found = []
    for alignment, queries, options in alignments(keys):
        asked_BHQC = query_BHTC[:, :, keys - queries :]
        at_Q = torch.linspace(0, queries - 1, min(queries, MOST_QUERIES), device=device).long()
        some_BHQC = asked_BHQC[:, :, at_Q]
        seen_QT = torch.arange(keys, device=device) <= keys - queries + at_Q[:, None]
        exact_BHQC = _exact(*(tensor.to(exactly) for tensor in (some_BHQC, key_BHTC, value_BHTC, seen_QT)))
        ours_BHQC = attend(asked_BHQC, key_BHTC, value_BHTC, **options)[:, :, at_Q]
        # of these queries alone: the plain formula has no room for all pairs of a long context
        plain_BHQC = choose("off_math")(some_BHQC, key_BHTC, value_BHTC, attn_mask=seen_QT)
        errors = _relative(ours_BHQC, exact_BHQC), _relative(plain_BHQC, exact_BHQC)
        found.append(Equivalence(*errors, bound, alignment))
    return max(found, key=lambda one: (not one.passes, one.error))


def alignments(keys: int) -> list[tuple[str, int, dict[str, Any]]]:
    """Return what a reader asks for, with how many queries: a prompt, the rest of one, and one token after it."""
    rest = max(1, keys // 3)
    return [
        ("causal", keys, {"is_causal": True}),
        ("causal, lower right", rest, {"attn_mask": lower_right(rest, keys)}),
        ("one query", 1, {}),
    ]


def _exact(query_BHQC: Tensor, key_BHTC: Tensor, value_BHTC: Tensor, seen_QT: Tensor) -> Tensor:
    """Return attention of queries to the keys that each sees, in float64."""
    query_BHQC, key_BHTC, value_BHTC = query_BHQC.double(), key_BHTC.double(), value_BHTC.double()
    scores_BHQT = query_BHQC @ key_BHTC.transpose(-1, -2) / math.sqrt(query_BHQC.shape[-1])
    return scores_BHQT.masked_fill(~seen_QT, -math.inf).softmax(-1) @ value_BHTC


def _relative(found: Tensor, exact: Tensor) -> float:
    return float((found.to(exact.device).double() - exact).norm() / exact.norm())

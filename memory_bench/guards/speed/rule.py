"""From pairs of seconds to a verdict: the paired bootstrap of the median log ratio, with a floor.

    fail           the whole interval lies above the floor: slower, and by more than machines differ by themselves
    pass           the whole interval lies below what would matter: a slowdown of that size is excluded
    inconclusive   neither: the machine is too noisy, or the change too small for so few pairs

Ratios of pairs that were timed right after each other keep what the machine does to both out of the verdict, their
logarithm makes twice as slow and twice as fast equally far from equal, and the median lets single disturbed pairs go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

RESAMPLES = 9_999
LEAST_PAIRS = 6
"""Of fewer pairs a bootstrap interval of 99 % is the range of the pairs, and holds the truth in fewer cases."""

Word = Literal["pass", "fail", "inconclusive", "no data"]


@dataclass(frozen=True)
class Ratio:
    """Head's seconds over base's: the median of the pairs, with its interval."""

    median: float
    low: float
    high: float
    pairs: int


@dataclass(frozen=True)
class Limits:
    """What decides. `floor` and `matters` are shares: 0.03 is a slowdown of 3 %. Raises ValueError for no such limits.

    `confidence` is that of the interval. A slowdown below `floor` is never called one, and one of `matters` or more has
    to be excluded for a pass.
    """

    confidence: float
    floor: float
    matters: float

    def __post_init__(self) -> None:
        if not (0 < self.confidence < 1 and 0 <= self.floor < self.matters):
            raise ValueError(f"expected 0 < confidence < 1 and 0 <= floor < matters, got {self}")


@dataclass(frozen=True)
class Timing:
    """The verdict on one subject. `ratio` is None where there were too few pairs."""

    word: Word
    reason: str
    ratio: Ratio | None = None


def ratio(head: Sequence[float], base: Sequence[float], *, confidence: float) -> Ratio | None:
    """Return head / base, paired by place; None of fewer than `LEAST_PAIRS`. Raises ValueError for unequal lengths."""
    if len(head) != len(base):
        raise ValueError(f"pairs need as many seconds on both sides, got {len(head)} and {len(base)}")
    if len(head) < LEAST_PAIRS:
        return None
    logs = np.log(np.asarray(head) / np.asarray(base))
    # percentile, not BCa: a median has no smooth jackknife
    found = stats.bootstrap(
        (logs,), np.median, confidence_level=confidence, n_resamples=RESAMPLES, method="percentile",
        rng=np.random.default_rng(0),
    )  # fmt: skip
    low, high = found.confidence_interval
    return Ratio(math.exp(np.median(logs)), math.exp(low), math.exp(high), len(logs))


def judge(head: Sequence[float], base: Sequence[float], limits: Limits) -> Timing:
    """Return the verdict on a subject from its seconds on both sides, paired by place."""
    found = ratio(head, base, confidence=limits.confidence)
    if found is None:
        return Timing("no data", f"{len(head)} pairs: an interval needs {LEAST_PAIRS}")
    told = f"{_change(found.median)} [{_change(found.low)}, {_change(found.high)}] in {found.pairs} pairs"
    if found.low > 1 + limits.floor:
        return Timing("fail", f"{told}: slower, by more than the floor of {limits.floor:.0%}", found)
    if found.high < 1 + limits.matters:
        return Timing("pass", f"{told}: not slower by {limits.matters:.0%}", found)
    return Timing("inconclusive", f"{told}: {limits.matters:.0%} slower is not excluded, nor is it shown", found)


def _change(factor: float) -> str:
    return f"{factor - 1:+.1%}"

"""Ratios of times that were measured side by side, round by round. NumPy alone: a bare GPU machine has no SciPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
LEAST_ROUNDS = 5


@dataclass(frozen=True)
class Ratio:
    """The median of the rounds' ratios, and its bootstrap interval of 95 %."""

    median: float
    low: float
    high: float


def ratio(above: Sequence[float], below: Sequence[float]) -> Ratio | None:
    """Return above / below, paired by round; None from fewer rounds than an interval can be had from."""
    if len(above) < LEAST_ROUNDS:
        return None
    logs = np.log(np.asarray(above) / np.asarray(below))
    draws = np.random.default_rng(0).integers(0, len(logs), (RESAMPLES, len(logs)))
    low, high = np.quantile(np.median(logs[draws], axis=1), [0.025, 0.975])
    return Ratio(*(float(np.exp(value)) for value in (np.median(logs), low, high)))


def penalty(slower: Sequence[float], faster: Sequence[float]) -> Ratio | None:
    """Return the share of throughput that is lost: 1 - throughput(slower) / throughput(faster)."""
    found = ratio(faster, slower)
    return found and Ratio(1 - found.median, 1 - found.high, 1 - found.low)


def shown(lost: Ratio | None, null: Ratio | None) -> str | None:
    """Return a penalty as a person reads it: what two runs of the same arm differ by as well is `< x %`, never 0."""
    if lost is None or null is None:
        return None
    noise = max(abs(1 - null.low), abs(null.high - 1))
    if lost.high <= noise:
        return f"< {max(noise, lost.high):.1%}"
    return f"{lost.median:.1%} [{lost.low:.1%}, {lost.high:.1%}]"

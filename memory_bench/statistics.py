"""Intervals that know that questions of one episode are not independent.

Resampling draws whole clusters (episodes), never single questions: four questions about one stream share its hay, its
names and its luck. The work is SciPy's (`scipy.stats.bootstrap`, `binomtest`); this file only says what is resampled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Method = Literal["bootstrap", "no spread"]

RESAMPLES = 9_999  # with n + 1 a round number, the 2.5 % and 97.5 % points are resampled values


@dataclass(frozen=True)
class Interval:
    """A mean over `n` values in `clusters` clusters, and where the mean of new clusters is expected to lie.

    `method` is "bootstrap", or "no spread" where all clusters agree and resampling would claim a width of 0.
    """

    mean: float
    low: float
    high: float
    n: int
    clusters: int
    method: Method = "bootstrap"


@dataclass(frozen=True)
class Difference:
    """A mean difference over the same questions. A `tie` when the interval holds 0: ties are not ranked."""

    interval: Interval

    @property
    def tie(self) -> bool:
        return self.interval.low <= 0.0 <= self.interval.high


def clustered_interval(
    values: Sequence[float],
    clusters: Sequence[str],
    *,
    confidence: float = 0.95,
    seed: int = 0,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """Return the mean of the values with a bootstrap interval (BCa) over clusters.

    The statistic is the ratio of resampled sums to resampled counts, so clusters may differ in size. `bounds` is the
    range that a value can take: (0, 1) for a score, (0, inf) for seconds. It matters where every cluster has the same
    mean c (all right, all wrong, or a single cluster). Then the share p of clusters that would differ is bounded by
    Clopper-Pearson (0 of n), and the interval is how far such a share could pull the mean: for n episodes all right
    it is the Clopper-Pearson interval of n out of n, and for one episode it is nearly the whole range.

    Raises:
        ValueError: no values, a value that is not a number or outside `bounds`, or unequal lengths.
    """
    column = _checked(values, clusters, bounds=bounds)
    sums, counts = _per_cluster([column, np.ones_like(column)], clusters)
    mean = float(column.mean())
    if np.allclose(sums, mean * counts, rtol=0.0, atol=1e-9):
        return _without_spread(mean, len(column), len(sums), confidence=confidence, bounds=bounds)
    low, high = _bootstrap(_ratio, (sums, counts), confidence=confidence, seed=seed)
    return Interval(mean, low, high, len(column), len(sums))


def paired_difference(
    first: Sequence[float], second: Sequence[float], clusters: Sequence[str], *, confidence: float = 0.95, seed: int = 0
) -> Difference:
    """Return mean(first - second): both are scores in [0, 1] of the same questions, in the same order.

    Raises:
        ValueError: as `clustered_interval`, for either column.
    """
    left, right = (_checked(column, clusters, bounds=(0.0, 1.0)) for column in (first, second))
    differences: list[float] = (left - right).tolist()
    return Difference(clustered_interval(differences, clusters, confidence=confidence, seed=seed, bounds=(-1.0, 1.0)))


def _checked(values: Sequence[float], clusters: Sequence[str], *, bounds: tuple[float, float]) -> Floats:
    if len(values) != len(clusters):
        raise ValueError(f"expected one cluster name a value, got {len(values)} values and {len(clusters)} names")
    if not len(values):
        raise ValueError("expected at least one value, got none: an empty slice has no mean")
    column = np.asarray(values, dtype=np.float64)
    if np.isnan(column).any():
        raise ValueError(f"expected numbers, got nan at position {int(np.isnan(column).argmax())}")
    low, high = bounds
    if column.min() < low or column.max() > high:
        raise ValueError(f"expected values in [{low:g}, {high:g}], got [{column.min():g}, {column.max():g}]")
    return column


def _per_cluster(columns: Sequence[Floats], clusters: Sequence[str]) -> list[Floats]:
    """Return the sum of each column per cluster, clusters in the order of their names."""
    _, member = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    return [np.bincount(member, weights=column).astype(np.float64) for column in columns]


def _ratio(sums: Floats, counts: Floats, axis: int = -1) -> Floats:
    return np.asarray(sums.sum(axis=axis) / counts.sum(axis=axis))


def _bootstrap(
    statistic: Callable[..., Floats], sums: Sequence[Floats], *, confidence: float, seed: int
) -> tuple[float, float]:
    # BCa, not percentile: with 10 clusters and a score near 0 or 1 percentile intervals hold the truth in .90 of cases.
    result = stats.bootstrap(
        tuple(sums), statistic, paired=True, vectorized=True, method="BCa",
        confidence_level=confidence, n_resamples=RESAMPLES, rng=np.random.default_rng(seed),
    )  # fmt: skip
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _without_spread(mean: float, n: int, clusters: int, *, confidence: float, bounds: tuple[float, float]) -> Interval:
    differing = float(stats.binomtest(0, clusters).proportion_ci(confidence, method="exact").high)
    low, high = bounds
    # 0 * inf would be nan: a mean that stands on a bound cannot be pulled past it
    down = differing * (mean - low) if mean > low else 0.0
    up = differing * (high - mean) if mean < high else 0.0
    return Interval(mean, mean - down, mean + up, n, clusters, "no spread")

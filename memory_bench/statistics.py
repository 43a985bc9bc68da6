"""Intervals that know that questions of one episode are not independent.

Resampling draws whole clusters (episodes), never single questions: four questions about one stream share its hay, its
names and its luck. `resampling` does it, as SciPy's bootstrap does; this file only says what is resampled.

A mean over kinds of questions (`macro_mean`, `macro_difference`) is not resampled: a draw of ten episodes can miss a
kind altogether, and has no mean of it. Its error is that of its linearisation over episodes.

Two memories are compared on the same questions: `paired_difference` says how far apart they are and whether that is a
tie, `mcnemar` whether right and wrong changed sides by chance, `holm` corrects a family of such tests, and
`smallest_detectable_difference` says what this many questions could have shown at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainccinv, betaincinv, ndtri, stdtrit

from memory_bench.resampling import ratio_interval

Floats = NDArray[np.float64]
Method = Literal["bootstrap", "no spread", "linearised"]

RESAMPLES = 9_999  # with n + 1 a round number, the 2.5 % and 97.5 % points are resampled values


@dataclass(frozen=True)
class Interval:
    """A mean over `n` values in `clusters` clusters, and where the mean of new clusters is expected to lie.

    `method` is "bootstrap", "linearised" for a mean over kinds, or "no spread" where all clusters agree and either
    would claim a width of 0.
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
    # BCa, not percentile: with 10 clusters and a score near 0 or 1 percentile intervals hold the truth in .90 of cases
    low, high = ratio_interval(sums, counts, resamples=RESAMPLES, confidence=confidence, seed=seed)
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


def macro_mean(
    values: Sequence[float], kinds: Sequence[str], clusters: Sequence[str], *, confidence: float = 0.95
) -> Interval:
    """Return the mean of the means of the kinds, each counting the same, with an interval over clusters.

    With K kinds of n_k values and mean m_k each, m = sum of m_k / K. Its error is that of its linearisation: cluster c
    contributes r_c = sum over its values of (value - m_k) / (K n_k), and with C clusters

        error ^ 2 = C / (C - 1) x sum of r_c ^ 2

    The interval is Clopper and Pearson's of m x size right out of size, where size is that of an independent sample
    with this error: m (1 - m) / error ^ 2 x (z / t) ^ 2, at most the number of values; z and t are the points of the
    normal distribution and of Student's with C - 1 degrees of freedom. It stays in [0, 1] and holds the truth near the
    ends too, where m +- t error does not (.80 of intervals for ten episodes and a mean of .95).

    Values are scores in [0, 1]. Where every kind has the same mean in all clusters: as `clustered_interval`.

    Source: Woodruff 1971 (JASA 66) for the linearisation, Korn and Graubard 1998 (Survey Methodology 24) for the
    interval.

    Raises:
        ValueError: as `clustered_interval`, or where there is not one kind a value.
    """
    column = _checked(values, clusters, bounds=(0.0, 1.0))
    mean, error, count = _linearised(column, kinds, clusters)
    if error is None:
        return _without_spread(mean, len(column), count, confidence=confidence, bounds=(0.0, 1.0))
    tail = (1 - confidence) / 2
    student = float(ndtri(tail) / stdtrit(count - 1, tail))
    size = min(mean * (1 - mean) / error**2 * student**2, float(len(column)))
    right, wrong = mean * size, (1 - mean) * size
    low, high = betaincinv(right, wrong + 1, tail), betainccinv(right + 1, wrong, tail)
    return Interval(mean, float(low), float(high), len(column), count, "linearised")


def macro_difference(
    first: Sequence[float],
    second: Sequence[float],
    kinds: Sequence[str],
    clusters: Sequence[str],
    *,
    confidence: float = 0.95,
) -> Difference:
    """Return `macro_mean` of first - second: both are scores in [0, 1] of the same questions, in the same order.

    The interval is m +- t x error, with the error of `macro_mean` and C - 1 degrees of freedom, within [-1, 1].

    Raises:
        ValueError: as `macro_mean`, for either column.
    """
    left, right = (_checked(column, clusters, bounds=(0.0, 1.0)) for column in (first, second))
    mean, error, count = _linearised(left - right, kinds, clusters)
    if error is None:
        return Difference(_without_spread(mean, len(left), count, confidence=confidence, bounds=(-1.0, 1.0)))
    reach = -float(stdtrit(count - 1, (1 - confidence) / 2)) * error
    return Difference(Interval(mean, max(-1.0, mean - reach), min(1.0, mean + reach), len(left), count, "linearised"))


def mcnemar(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the exact two-sided p of McNemar's test that both are right equally often; both are 0 or 1, in one order.

    Only questions that one got right and the other wrong count: if neither is better, each of these is a fair coin.
    Without any of them p is 1. Questions count as independent here; where those of an episode are not, p is too small,
    and `paired_difference` is what decides about a tie.

    Source: McNemar 1947 (Psychometrika 12), in its exact binomial form.

    Raises:
        ValueError: a score between right and wrong, no scores, or unequal lengths.
    """
    from scipy.stats import binomtest  # most of a second, which a run that compares nothing does not wait for

    if len(ours) != len(theirs):
        raise ValueError(f"expected two scores a question, got {len(ours)} of ours and {len(theirs)} of theirs")
    every = [""] * len(ours)  # no clusters: a test of single questions
    left, right = (_checked(column, every, bounds=(0.0, 1.0)) for column in (ours, theirs))
    if graded := sorted({*left.tolist(), *right.tolist()} - {0.0, 1.0}):
        raise ValueError(f"expected right (1) or wrong (0), got {graded[0]:g}: graded scores have paired_difference")
    better, worse = int((left > right).sum()), int((left < right).sum())
    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted for their family, in the given order: one below .05 keeps the family's error below .05.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none gets smaller than one before it.
    Four lines rather than statsmodels, which would come along for nothing else.

    Source: Holm 1979 (Scandinavian Journal of Statistics 6).

    Raises:
        ValueError: a p outside [0, 1] or not a number.
    """
    given = np.asarray(p_values, dtype=np.float64)
    if not ((given >= 0.0) & (given <= 1.0)).all():
        raise ValueError(f"expected p values in [0, 1], got {list(p_values)}")
    order = np.argsort(given, kind="stable")
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1)))
    return [float(p) for p in adjusted]


def smallest_detectable_difference(
    first: Sequence[float], second: Sequence[float], clusters: Sequence[str], *, power: float = 0.8, level: float = 0.05
) -> float | None:
    """Return the true difference that a comparison of this size and spread finds with this power.

    (t[1 - level / 2] + t[power]) x standard error, t with k - 1 degrees of freedom for k clusters. The error is that
    of the mean paired difference d over clusters: sqrt(k / (k - 1) x sum over clusters c of (sum_c - d n_c) ^ 2) / n.
    A difference below it that was not found says little. Scores are in [0, 1], of the same questions in one order.

    None where the sample cannot tell: a single cluster, or all clusters with the same mean difference.

    Source: Bloom 1995 (Evaluation Review 19), minimum detectable effects; Cochran 1977, section 2.11, for the ratio.

    Raises:
        ValueError: as `clustered_interval`, for either column.
    """
    left, right = (_checked(column, clusters, bounds=(0.0, 1.0)) for column in (first, second))
    sums, counts = _per_cluster([left - right, np.ones_like(left)], clusters)
    residuals = sums - sums.sum() / counts.sum() * counts
    k = len(sums)
    if k == 1 or np.allclose(residuals, 0.0, rtol=0.0, atol=1e-9):
        return None
    error = math.sqrt(k / (k - 1) * float(residuals @ residuals)) / float(counts.sum())
    return float(stdtrit(k - 1, 1 - level / 2) + stdtrit(k - 1, power)) * error


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
    member = _members(tuple(clusters))
    return [np.bincount(member, weights=column).astype(np.float64) for column in columns]


@lru_cache(maxsize=1024)  # names are sorted once for all columns of the same questions
def _members(clusters: tuple[str, ...]) -> NDArray[np.intp]:
    return np.unique(np.asarray(clusters, dtype=str), return_inverse=True)[1]


def _linearised(values: Floats, kinds: Sequence[str], clusters: Sequence[str]) -> tuple[float, float | None, int]:
    """Return the mean over kinds, its error (None where clusters do not tell one), and how many clusters there are."""
    if len(kinds) != len(values):
        raise ValueError(f"expected one kind a value, got {len(values)} values and {len(kinds)} kinds")
    _, kind = np.unique(np.asarray(kinds, dtype=str), return_inverse=True)
    counts = np.bincount(kind)
    means = np.bincount(kind, weights=values) / counts
    (residuals,) = _per_cluster([(values - means[kind]) / (len(counts) * counts[kind])], clusters)
    mean, count = float(means.mean()), len(residuals)
    if np.allclose(residuals, 0.0, rtol=0.0, atol=1e-9):
        return mean, None, count
    return mean, math.sqrt(count / (count - 1) * float(residuals @ residuals)), count


def _without_spread(mean: float, n: int, clusters: int, *, confidence: float, bounds: tuple[float, float]) -> Interval:
    differing = 1 - ((1 - confidence) / 2) ** (1 / clusters)  # Clopper and Pearson's, of none
    low, high = bounds
    # 0 * inf would be nan: a mean that stands on a bound cannot be pulled past it
    down = differing * (mean - low) if mean > low else 0.0
    up = differing * (high - mean) if mean < high else 0.0
    return Interval(mean, mean - down, mean + up, n, clusters, "no spread")

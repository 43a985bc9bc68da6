"""Intervals: exact values, laws, and how often they hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_bench import statistics
from memory_bench.statistics import clustered_interval, paired_difference

EPISODES = [f"e{number // 4}" for number in range(40)]  # ten episodes of four questions


def test_the_mean_weighs_questions_and_not_episodes() -> None:
    interval = clustered_interval([1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b"])
    assert (interval.mean, interval.n, interval.clusters) == (0.75, 4, 2)


def test_the_interval_is_as_wide_as_the_spread_between_episodes() -> None:
    """Forty answers that agree within their episode carry the information of ten."""
    together = clustered_interval([1.0] * 20 + [0.0] * 20, EPISODES)
    apart = clustered_interval([1.0] * 20 + [0.0] * 20, [f"q{number}" for number in range(40)])
    assert together.low < apart.low < 0.5 < apart.high < together.high
    assert together.high - together.low == pytest.approx(2 * (apart.high - apart.low), rel=0.15)


def test_known_spread_gives_the_textbook_interval() -> None:
    """With many equal clusters the bootstrap agrees with the mean +- 1.96 standard errors of the cluster means."""
    means = np.linspace(0.0, 1.0, 401)
    interval = clustered_interval(means.tolist(), [str(number) for number in range(401)])
    error = 1.96 * means.std() / math.sqrt(401)
    assert interval.low == pytest.approx(0.5 - error, abs=0.004)
    assert interval.high == pytest.approx(0.5 + error, abs=0.004)


@pytest.mark.parametrize(("value", "low", "high"), [(1.0, 0.6915, 1.0), (0.0, 0.0, 0.3085)])
def test_a_cell_without_spread_gets_clopper_pearson_over_its_episodes(value: float, low: float, high: float) -> None:
    """Ten of ten and none of ten, as in any printed table of exact binomial intervals."""
    interval = clustered_interval([value] * 40, EPISODES)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)
    assert (interval.mean, interval.method) == (value, "no spread")


def test_one_episode_proves_next_to_nothing() -> None:
    interval = clustered_interval([1.0, 0.0], ["only", "only"])
    assert (interval.low, interval.high) == pytest.approx((0.0125, 0.9875))


def test_equal_seconds_have_no_upper_bound() -> None:
    interval = clustered_interval([0.5] * 4, list("abcd"), bounds=(0.0, math.inf))
    assert 0.0 < interval.low < interval.mean == 0.5
    assert interval.high == math.inf


def test_the_same_seed_gives_the_same_interval() -> None:
    values = [float(number % 3 == 0) for number in range(40)]
    assert clustered_interval(values, EPISODES, seed=1) == clustered_interval(values, EPISODES, seed=1)


def test_a_memory_that_is_always_better_is_no_tie() -> None:
    difference = paired_difference([1.0] * 40, [0.0] * 40, EPISODES)
    assert not difference.tie
    assert difference.interval.mean == 1.0
    assert paired_difference([0.0] * 40, [1.0] * 40, EPISODES).interval.mean == -1.0


def test_the_same_answers_are_a_tie() -> None:
    answers = [float(number % 2) for number in range(40)]
    assert paired_difference(answers, answers, EPISODES).tie


def test_pairing_sees_a_difference_that_two_intervals_hide() -> None:
    """Episodes differ far more than the two memories do; only the paired view is narrow enough."""
    hard = [float(number >= 20) for number in range(40)]
    better = [1.0 if number % 4 == 0 else value for number, value in enumerate(hard)]
    assert clustered_interval(better, EPISODES).low < clustered_interval(hard, EPISODES).high
    assert not paired_difference(better, hard, EPISODES).tie


@pytest.mark.parametrize(
    ("values", "clusters", "message"),
    [
        ([], [], "got none"),
        ([0.5, math.nan], ["a", "b"], "nan at position 1"),
        ([0.5], ["a", "b"], "got 1 values and 2 names"),
        ([1.5], ["a"], r"in \[0, 1\], got \[1.5, 1.5\]"),
    ],
)
def test_what_is_not_a_sample_is_refused(values: list[float], clusters: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        clustered_interval(values, clusters)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from([0.0, 0.25, 1.0])), min_size=1, max_size=24))
def test_every_sample_has_an_ordered_interval_within_the_bounds(rows: list[tuple[str, float]]) -> None:
    interval = clustered_interval([value for _, value in rows], [name for name, _ in rows])
    assert 0.0 <= interval.low <= interval.mean <= interval.high <= 1.0
    assert interval.low < interval.high


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans(), st.booleans()), min_size=1, max_size=20))
def test_a_difference_does_not_depend_on_who_is_first(rows: list[tuple[str, bool, bool]]) -> None:
    names = [name for name, _, _ in rows]
    first, second = [float(left) for _, left, _ in rows], [float(right) for _, _, right in rows]
    forward, backward = paired_difference(first, second, names), paired_difference(second, first, names)
    assert forward.interval.mean == -backward.interval.mean


def test_about_95_of_100_intervals_hold_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty episodes whose difficulty varies: the truth is .7. Treating questions as independent holds it less often.

    The bound is .90 of 200 simulations: below it an interval that covers .95 falls once in a thousand times.
    """
    monkeypatch.setattr(statistics, "RESAMPLES", 499)
    generator = np.random.default_rng(0)
    clusters = [f"e{number // 4}" for number in range(120)]
    clustered = independent = 0
    for seed in range(200):
        difficulty = np.repeat(generator.beta(1.4, 0.6, size=30), 4)  # mean .7, wide
        values = (generator.random(120) < difficulty).astype(float).tolist()
        clustered += _holds(clustered_interval(values, clusters, seed=seed), 0.7)
        independent += _holds(clustered_interval(values, [str(n) for n in range(120)], seed=seed), 0.7)
    assert clustered >= 180
    assert independent < clustered - 10


def _holds(interval: statistics.Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high

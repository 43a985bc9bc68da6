"""Effective length, and the area under score against token budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_bench.curves import budget_area, effective_length

SCORES = st.floats(0, 1)


@pytest.mark.parametrize(
    ("scores", "base", "expected"),
    [
        ({1024: 0.90, 2048: 0.80, 4096: 0.60}, None, 2048),
        ({1024: 1.0, 2048: 0.85, 4096: 0.85}, None, 4096),  # exactly the bar is enough
        ({1024: 0.2, 2048: 0.17}, None, 2048),  # 0.85 * 0.2 is not 0.17 in binary
        ({1024: 1.0, 2048: 0.84, 4096: 1.0}, None, 1024),  # what recovers does not count
        ({4096: 0.1, 1024: 1.0, 2048: 0.9}, None, 2048),  # in any order
        ({1024: 0.8, 2048: 0.7}, 1.0, None),  # less than 0.85 of the base at once
        ({1024: 0.9, 2048: 0.8}, 1.0, 1024),
        ({1024: 0.0, 2048: 0.0}, None, None),  # nothing to keep
        ({512: 0.5}, None, 512),
    ],
)
def test_an_effective_length_keeps_85_percent_of_the_base_score(
    scores: dict[int, float], base: float | None, expected: int | None
) -> None:
    assert effective_length(scores, base=base) == expected


def test_what_has_to_be_kept_can_be_chosen() -> None:
    assert effective_length({1024: 1.0, 2048: 0.6}, kept=0.5) == 2048
    assert effective_length({1024: 1.0, 2048: 0.6}, kept=1.0) == 1024


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({256: 0.0, 512: 1.0, 1024: 1.0}, 0.75),
        ({256: 1.0, 4096: 1.0}, 1.0),
        ({256: 0.0, 4096: 0.0}, 0.0),
        ({4096: 1.0, 256: 0.0}, 0.5),
        ({256: 0.0, 512: 0.0, 4096: 1.0}, 0.375),  # three doublings of four weigh three times one
    ],
)
def test_the_area_weighs_each_doubling_of_the_budget_alike(scores: dict[int, float], expected: float) -> None:
    assert budget_area(scores) == expected


@given(scores=st.dictionaries(st.integers(1, 10**6), SCORES, min_size=2))
def test_an_area_lies_between_the_worst_and_the_best_score(scores: dict[int, float]) -> None:
    assert min(scores.values()) - 1e-9 <= budget_area(scores) <= max(scores.values()) + 1e-9


@given(scores=st.dictionaries(st.integers(1, 10**6), SCORES, min_size=2), gain=st.floats(0, 1))
def test_a_better_score_at_one_budget_never_makes_the_area_smaller(scores: dict[int, float], gain: float) -> None:
    best = max(scores)
    assert budget_area({**scores, best: min(1.0, scores[best] + gain)}) >= budget_area(scores) - 1e-9


def test_what_is_no_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one length"):
        effective_length({})
    with pytest.raises(ValueError, match=r"kept must be in \(0, 1\], got 85"):
        effective_length({1024: 1.0}, kept=85)
    with pytest.raises(ValueError, match=r"two budgets of at least 1 token, got \[256\]"):
        budget_area({256: 1.0})
    with pytest.raises(ValueError, match="two budgets of at least 1 token"):
        budget_area({0: 1.0, 256: 1.0})

"""What a curve says in one number: how long a haystack may become, and how well few tokens of context are used.

Pure functions of plain numbers; a value that cannot be said is None, and who reports it says why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

KEPT = 0.85
"""Share of the base score that a length must keep to count as effective. Source: NoLiMa (arXiv 2502.05167)."""


def effective_length(scores: Mapping[int, float], *, base: float | None = None, kept: float = KEPT) -> int | None:
    """Return the longest length up to which every score is at least `kept` times the base score.

    `scores` maps length in tokens to score; `base` is the score without a haystack to speak of, by default that of the
    shortest length. A length that recovers after one that failed does not count: nobody can rely on it. None where
    already the shortest fails, and where the base is 0: there is nothing to keep.

    Raises ValueError where there are no lengths, or `kept` is not in (0, 1].

        effective_length({1024: 0.90, 2048: 0.80, 4096: 0.60}) -> 2048      0.80 >= 0.85 * 0.90 > 0.60
    """
    if not scores:
        raise ValueError("an effective length needs the score of at least one length, got none")
    if not 0 < kept <= 1:
        raise ValueError(f"kept must be in (0, 1], got {kept}")
    lengths = sorted(scores)
    bar = kept * (scores[lengths[0]] if base is None else base)
    effective = None
    for length in lengths:
        # a tolerance of the last digits: 0.85 times a score and a score of that size are rounded differently
        if bar <= 0 or (scores[length] < bar and not math.isclose(scores[length], bar, rel_tol=1e-12)):
            break
        effective = length
    return effective


def budget_area(scores: Mapping[int, float]) -> float:
    """Return the area under score against log2 of the token budget, as a share of the most that it can be.

    `scores` maps budget in tokens to a score in [0, 1]. By the trapezoidal rule, so that each doubling of the budget
    weighs the same: 1.0 is right at the smallest budget already, and of two memories that are equal at the largest
    budget the one that needs fewer tokens has more.

    Raises ValueError where there are fewer than two budgets, or one below 1 token.

        budget_area({256: 0.0, 512: 1.0, 1024: 1.0}) -> 0.75
    """
    if len(scores) < 2 or min(scores) < 1:
        raise ValueError(f"an area needs two budgets of at least 1 token, got {sorted(scores)}")
    budgets = sorted(scores)
    places = [math.log2(budget) for budget in budgets]
    pairs = zip(budgets, budgets[1:], places, places[1:], strict=False)
    area = sum((right - left) * (scores[low] + scores[high]) / 2 for low, high, left, right in pairs)
    return area / (places[-1] - places[0])

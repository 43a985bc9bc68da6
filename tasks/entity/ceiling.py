"""The n-gram ceiling: how often the best possible predictor is right that sees only a part of a name.

    name                value   last token   last two    all of it
    small letter a         97   a            letter a    small letter a
    capital letter a       65   a            letter a    capital letter a

By the last token, or the last two, one of the two values is said for both names: .5. A memory whose addresses are made
of the last n tokens of a name cannot be better, however it is trained. What it has beyond that comes from composition.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

LONGEST = 4


@dataclass(frozen=True)
class Ceiling:
    """What a predictor sees, and the share of names of which it can say the right value."""

    seen: str
    accuracy: float


def ceiling(seen: Sequence[Hashable], values: Sequence[Hashable]) -> float:
    """Return the best accuracy of a function from what is seen to a value: for each sight, its most frequent value.

    Raises ValueError where there is nothing to predict, or not one value for each sight.
    """
    if not values:
        raise ValueError("a ceiling needs at least one value")
    told: dict[Hashable, Counter[Hashable]] = defaultdict(Counter)
    for sight, value in zip(seen, values, strict=True):
        told[sight][value] += 1
    return sum(max(counts.values()) for counts in told.values()) / len(values)


def majority(values: Sequence[Hashable]) -> float:
    """Return how often one value is right that is said of every name: what seeing nothing is worth."""
    return ceiling([()] * len(values), values)


def last(tokens: Sequence[int], number: int) -> tuple[int, ...]:
    """Return the last tokens; of a shorter name all of it, which then also says how short it is."""
    return tuple(tokens[-number:])


def bag(tokens: Sequence[int]) -> frozenset[tuple[int, ...]]:
    """Return all runs of two and of three tokens, without their order and number."""
    return frozenset(tuple(tokens[start : start + size]) for size in (2, 3) for start in range(len(tokens) - size + 1))


def ceilings(names: Sequence[Sequence[int]], values: Sequence[Hashable]) -> Iterator[Ceiling]:
    """Yield the ceiling of the last 1 to 4 tokens, and that of the bag; `names` are their tokens."""
    for number in range(1, LONGEST + 1):
        sights = [last(tokens, number) for tokens in names]
        yield Ceiling("last token" if number == 1 else f"last {number} tokens", ceiling(sights, values))
    yield Ceiling("bag of 2+3-grams", ceiling([bag(tokens) for tokens in names], values))

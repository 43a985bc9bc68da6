"""Balance: which rules are asked, and which values are offered beside an answer, so that no value is usually right.

    answers of the rules    _typing 9, common 2, errors 1, cast 1, base 1, missing 1
    that are asked for      _typing 2, common 2, errors 1, cast 1, base 1, missing 1
    offered together        any four, as often as each of them is asked for: whichever is right, it is so once in four

The answers lie on a circle, each as long as its share, in an order that is drawn for every question; where the answer
is, and one, two and three quarters of the circle further, stands what is offered. No answer is longer than a quarter,
so these are four; and the circle looks the same from each of them, so nothing tells which one was asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, Protocol, TypeVar

from numpy.random import Generator

from tasks.conventions.rules import Rule, unquoted

CHOICES: Final = 4


class Circle:
    """The answers that there are to the questions of one kind, one for each rule; as they are spelled first.

    Where there are fewer than four different ones, all of them are offered together.
    """

    def __init__(self, answers: Iterable[str]) -> None:
        self.spelled: dict[str, str] = {}
        self.rules: Counter[str] = Counter()
        for answer in answers:
            self.spelled.setdefault(unquoted(answer), answer)
            self.rules[unquoted(answer)] += 1
        self.sectors = min(CHOICES, len(self.rules))
        numbers = sorted(self.rules.values(), reverse=True)
        capped = 0  # so many of the commonest answers would be longer than a sector: each becomes one
        while numbers[capped] * (self.sectors - capped) > sum(numbers[capped:]):
            capped += 1
        self.parts = self.sectors - capped  # of a rule, so that all lengths are whole numbers
        self.longest = sum(numbers[capped:])  # the length of a sector: the others fill those that are left
        self.lengths = {one: min(number * self.parts, self.longest) for one, number in self.rules.items()}

    def asked(self, answer: str, rng: Generator) -> int:
        """Return how many of the rules with an answer are to be asked for; what is no whole number is so on average."""
        whole, rest = divmod(self.lengths[unquoted(answer)], self.parts)
        return whole + int(rng.integers(self.parts) < rest)

    @property
    def most(self) -> int:
        """How many rules of the kind can be asked for in a lap, at most."""
        return sum(-(-length // self.parts) for length in self.lengths.values())

    def beside(self, answer: str, rng: Generator) -> list[str]:
        """Return the other answers that are offered where this one is right, in random order."""
        names = list(self.lengths)
        order = [names[at] for at in rng.permutation(len(names))]
        ends = list(accumulate(self.lengths[one] for one in order))
        own = unquoted(answer)
        place = ends[order.index(own)] - 1 - int(rng.integers(self.lengths[own]))
        steps = rng.permutation(self.sectors - 1) + 1
        places = ((place + int(step) * self.longest) % ends[-1] for step in steps)
        return [self.spelled[order[bisect_right(ends, one)]] for one in places]


class Asking(Protocol):
    """A rule that can be asked for, and the circle of its kind."""

    @property
    def rule(self) -> Rule: ...

    @property
    def circle(self) -> Circle: ...


A = TypeVar("A", bound=Asking)


def circles(rules: Sequence[Rule]) -> dict[str, Circle]:
    """Return the circle of every kind that there is among the rules."""
    kinds = dict.fromkeys(rule.kind for rule in rules)
    return {kind: Circle(rule.value for rule in rules if rule.kind == kind) for kind in kinds}


def most(pool: Sequence[Asking]) -> int:
    """Return how many are ever asked for in one lap, where no answer may be usually right."""
    return sum({one.rule.kind: one.circle.most for one in pool}.values())


def balanced(pool: Sequence[A], rng: Generator) -> list[A]:
    """Return what is asked for in random order, of every answer no more than its share."""
    left: dict[tuple[str, str], int] = {}
    kept: list[A] = []
    for at in rng.permutation(len(pool)):
        one = pool[at]
        name = one.rule.kind, unquoted(one.rule.value)
        if name not in left:
            left[name] = one.circle.asked(one.rule.value, rng)
        left[name] -= 1
        if left[name] >= 0:
            kept.append(one)
    return [kept[at] for at in rng.permutation(len(kept))]  # again: of many rules with one answer the first come early

"""Hands: what each episode asks for, such that every rule of a hand can be told without telling another of it.

A lap deals all rules of a pool, of those with one answer no more than its share (see `balance`). Rules that share their
lines with others of the hand wait for the next one; what is left at the end of a lap is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from numpy.random import PCG64, Generator, SeedSequence

from memory_bench.errors import BadInput
from tasks.conventions.balance import balanced, most
from tasks.conventions.chunks import can_show
from tasks.conventions.rules import Rule
from tasks.conventions.splits import CHANGING, SPLITS, Known, Told

LAPS = 3  # that may be without a hand, one after the other: each has another order, and other rules of one answer


class Dealer:
    """Deals hands of so many `questions`. `package` is named where that cannot be done.

    `by_cards` says that cards alone tell of a rule: these stand in nobody's way, but no name may be told of twice.
    """

    def __init__(self, package: str, *, questions: int, by_cards: bool) -> None:
        self.package = package
        self.questions = questions
        self.by_cards = by_cards

    def hands(self, split: str, pool: Sequence[Known], seed: int) -> Iterator[list[Known]]:
        """Yield hands without end. Raises BadInput where a pool has too few, or laps have none."""
        if len(pool) < self.questions:
            raise BadInput(
                f"task.splits=[{split}]: {self.package} has {len(pool)} that can be shown and asked for, "
                f"task.questions={self.questions} are needed; lower that or name a larger package"
            )
        if most(pool) < self.questions:
            raise BadInput(
                f"task.questions={self.questions}: {most(pool)} of the {len(pool)} rules of {self.package} can be "
                "asked for, or one answer would be usually right; lower it or name a larger package"
            )
        number = [] if split == "rules" else [SPLITS.index(split)]
        barren = 0
        for lap in count():
            hands = self.lap(pool, Generator(PCG64(SeedSequence([seed, lap, 1, *number]))))
            barren = 0 if hands else barren + 1
            if barren == LAPS:
                raise BadInput(
                    f"task.questions={self.questions}: the rules of {self.package} cannot be shown so often apart from "
                    "each other; lower it"
                )
            yield from hands

    def lap(self, pool: Sequence[Known], rng: Generator) -> list[list[Known]]:
        left = balanced(pool, rng)
        hands: list[list[Known]] = []
        while len(hand := self.hand(left)) == self.questions:
            hands.append(hand)
            left = [known for known in left if known not in hand]
        return hands

    def hand(self, left: Sequence[Known]) -> list[Known]:
        """Return the first rules that can each be shown without showing another; fewer than asked for at the end."""
        hand: list[Known] = []
        for start in range(len(left) - self.questions + 1):
            hand = []
            for known in left[start:]:
                if self.are_apart([*hand, known]):
                    hand.append(known)
                if len(hand) == self.questions:
                    return hand
        return hand

    def are_apart(self, hand: Sequence[Known]) -> bool:
        if self.by_cards:
            return len({known.name for known in hand}) == len(hand)
        return all(
            can_show(told.places, told.times, hidden_from(told, hand))
            for known in hand
            for told in (known, known.against)
            if told
        )


def hidden_from(told: Told, asked: Sequence[Known]) -> list[Rule]:
    """Return what the chunks of a rule may not show: what else is asked, and what says otherwise.

    A rule and what supersedes it stand in the same lines of two versions of a file: they need not be kept apart.
    """
    hidden: list[Rule] = []
    for known in asked:
        own = told is known or told is known.against
        if not own:
            hidden += known.rules
        elif known.split not in CHANGING:
            hidden += [rule for rule in known.rules if rule is not told.rule]
    return hidden

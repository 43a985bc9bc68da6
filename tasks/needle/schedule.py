"""Who is asked what, and when: dealt, not drawn, so that every slice of the questions is balanced by construction.

`multi` fills whole episodes, since its needles must share one haystack and one template. The other kinds rotate through
the remaining slots: each then meets many haystacks (intervals are clustered by episode), and kinds are compared within
the same haystacks. With 6 kinds, 100 episodes of 4 questions: multi 68, the others 66 or 67.

    episode   0            1            2            3            4      5
    slot 0    lexical      absent       updated      boilerplate  multi  paraphrase
    slot 1    paraphrase   lexical      absent       updated      multi  boilerplate
    slot 2    boilerplate  paraphrase   lexical      absent       multi  updated
    slot 3    updated      boilerplate  paraphrase   lexical      multi  absent        ...

Within a kind, wordings alternate (lexical is never reworded, paraphrase and latent always), and depths and value types
are dealt like cards: all of them once, in an order drawn from the seed, then again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

# the place of a kind decides what it is dealt: new ones are added at the end
KINDS = ("lexical", "paraphrase", "boilerplate", "multi", "updated", "absent", "scoped", "latent", "forgotten")
REWORDED = {"lexical": False, "paraphrase": True, "latent": True}  # the kinds that leave no choice


@dataclass(frozen=True)
class Plan:
    """One question to be: what it asks, in which wording, how deep its needle lies, what the value looks like."""

    kind: str
    reworded: bool
    depth: int
    value_type: str


@dataclass(frozen=True)
class Schedule:
    """The plans of every episode. `reworded`, in [0, 1], is the share in the kinds that leave the wording open.

    `shares` are those of kinds that shall not come as often as the others: kind -> share of all questions.
    """

    episodes: int
    questions: int
    kinds: Sequence[str]
    reworded: float
    depths: int
    value_types: Sequence[str]
    shares: Mapping[str, float] = field(default_factory=dict)

    def plans(self, seed: int, episode: int) -> list[Plan]:
        """Return the plans of one episode, in the order of its questions."""
        before = self.multi_before(episode)
        if self.multi_before(episode + 1) > before:
            turns = [("multi", before * self.questions + slot, before) for slot in range(self.questions)]
        else:
            first = (episode - before) * self.questions
            mixed = [self.turn(slot) for slot in range(first, first + self.questions)]
            turns = [(kind, turn, turn) for kind, turn in mixed]
        return [self.plan(seed, kind, turn, value_turn) for kind, turn, value_turn in turns]

    def turn(self, slot: int) -> tuple[str, int]:
        """Return whose turn a slot is, counted through all mixed episodes, and how often that kind had its turn."""
        equal = [kind for kind in self.kinds if kind != "multi" and kind not in self.shares]
        left = 1 - self.multi_before(self.episodes) / self.episodes
        for kind, share in self.shares.items():
            part = share / left if share < left else 1.0
            before = math.floor(slot * part)
            if math.floor((slot + 1) * part) > before:
                return kind, before
            slot, left = slot - before, left - share
        rest = equal or list(self.shares)[-1:]  # what is rounded away where shares leave nothing to the others
        return rest[slot % len(rest)], slot // len(rest)

    def multi_before(self, episode: int) -> int:
        """Return how many of the episodes before this one are multi: spread evenly, for the sake of `limit`."""
        if "multi" not in self.kinds:
            return 0
        equal = len(self.kinds) - len(self.shares)
        share = round(self.episodes * (1 - sum(self.shares.values())) / equal)
        total = share if len(self.kinds) == 1 else min(self.episodes - 1, max(1, share))
        return episode * total // self.episodes

    def plan(self, seed: int, kind: str, turn: int, value_turn: int) -> Plan:
        """Return the plan of the turn-th question of a kind; a multi episode has one type of value."""
        key = (seed, KINDS.index(kind))
        reworded = math.floor((turn + 1) * self.reworded) > math.floor(turn * self.reworded)
        return Plan(
            kind,
            reworded=REWORDED.get(kind, reworded),
            depth=deal(self.depths, turn, (*key, 0)),
            value_type=self.value_types[deal(len(self.value_types), value_turn, (*key, 1))],
        )


def deal(cards: int, turn: int, key: tuple[int, ...]) -> int:
    """Return the card of this turn: each lap deals all cards in [0, cards) once, in an order of its own."""
    lap, place = divmod(turn, cards)
    shuffle = np.random.Generator(np.random.PCG64(np.random.SeedSequence([*key, lap])))
    return int(shuffle.permutation(cards)[place])

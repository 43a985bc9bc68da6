"""Who is asked what: dealt in turn, not drawn, so that every slice of the questions is balanced by construction.

    episode   0                          1                         2
    slot 0    suffix     code point      forgotten  code point     updated    successor
    slot 1    neighbour  successor   r   suffix     code point r   forgotten  code point  r
    slot 2    attribute  successor       neighbour  code point     suffix     successor
    slot 3    updated    code point  r   attribute  successor  r   neighbour  code point  r    (r: reworded)

Kinds come in turn through all questions of all episodes. Within a kind wordings alternate, and the attributes alternate
within each wording.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.entity.templates import RELATIONS, Relation

KINDS = ("suffix", "neighbour", "attribute", "updated", "forgotten")  # the default
FAMILY_KINDS = ("suffix", "neighbour", "prefix", "anagram", "near", "collision")  # a question's family is its kind
ALL_KINDS = (*KINDS, *FAMILY_KINDS[2:], "alias", "case", "scoped", "readded")


@dataclass(frozen=True)
class Plan:
    """One question to be: what it asks, and whether in other words than the event's."""

    kind: str
    reworded: bool
    relation: Relation


@dataclass(frozen=True)
class Schedule:
    """The plans of every episode. `reworded`, in [0, 1], is the share of questions in other words; `relations` are
    what can be asked of a name."""

    episodes: int
    questions: int
    kinds: Sequence[str]
    reworded: float
    relations: Sequence[Relation] = RELATIONS

    def plans(self, episode: int) -> list[Plan]:
        """Return the plans of one episode, in the order of its slots."""
        first = episode * self.questions
        return [self.plan(slot) for slot in range(first, first + self.questions)]

    def plan(self, slot: int) -> Plan:
        """Return the plan of a slot; slots are counted through all episodes."""
        number = slot % len(self.kinds)
        turn = slot // len(self.kinds) + number  # kinds are out of step: no episode asks all of them in one wording
        reworded = math.floor((turn + 1) * self.reworded) > math.floor(turn * self.reworded)
        return Plan(self.kinds[number], reworded, self.relations[(turn // 2 + number) % len(self.relations)])

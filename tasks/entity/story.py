"""What is told and asked: questions with their families of facts, before anything has its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from numpy.random import Generator

from tasks.entity.names import SUFFIX_TOKENS, Families, Name
from tasks.entity.schedule import Plan
from tasks.entity.templates import RELATIONS, Relation, Wording
from tasks.entity.values import World

Item = TypeVar("Item")
FAMILIES = ("suffix", "neighbour")
FAMILY_DRAWS = 300


class TakenError(Exception):
    """A family has no names left that this episode has not used; another draw may have."""


@dataclass(eq=False)
class Fact:
    """One event: what is said of a name. `after` is the fact that it supersedes; `place` its number in the stream."""

    name: Name
    relation: Relation
    wording: Wording
    value: str
    after: Fact | None = None
    place: int = -1

    @property
    def text(self) -> str:
        return f"{self.wording.cloze.format(name=self.name.text)} {self.value}."


@dataclass
class Asked:
    """A question with everything that is told because of it. `fact` answers it, unless it is forgotten.

    `pair` is that fact and another of its family, to which the same happens: two attributes, two values, or being
    forgotten betray nothing.
    """

    plan: Plan
    family: str
    wording: Wording
    fact: Fact
    pair: tuple[Fact, Fact]
    facts: list[Fact] = field(default_factory=list)

    @property
    def cloze(self) -> str:
        return self.wording.cloze.format(name=self.fact.name.text)

    @property
    def text(self) -> str:
        return self.wording.text.format(name=self.fact.name.text)


def facts_needed(plans: Sequence[Plan], distractors: int) -> int:
    """Return how many facts the plans tell: families, and what two names of some of them are told beside that."""
    return sum(1 + distractors + 2 * (plan.kind in ("attribute", "updated")) for plan in plans)


class Storyteller:
    """Draws what one episode tells and asks. `rng` decides; names do not come twice."""

    def __init__(self, families: Families, world: World, distractors: int, rng: Generator) -> None:
        self.families = families
        self.world = world
        self.distractors = distractors
        self.rng = rng
        self.taken: set[str] = set()

    def draw(self, plans: Sequence[Plan], facts: int) -> tuple[list[Asked], list[Fact]]:
        """Return what is asked, and all facts that are told; those beside the families fill up to `facts`."""
        asked = [self.draw_asked(plan) for plan in plans]
        told = [fact for one in asked for fact in one.facts]
        return asked, told + [self.draw_filler() for _ in range(facts - len(told))]

    def draw_asked(self, plan: Plan) -> Asked:
        family = plan.kind if plan.kind in FAMILIES else self.pick(FAMILIES)
        names = self.draw_names([family], 1 + self.distractors)
        wording = self.pick(plan.relation.events)
        facts = [self.state(name, plan.relation, wording) for name in names]
        pair = (facts[0], facts[1])
        question = self.pick(plan.relation.questions) if plan.reworded else wording
        return Asked(plan, family, question, facts[0], pair, [*facts, *self.beside(plan, pair)])

    def beside(self, plan: Plan, pair: tuple[Fact, Fact]) -> list[Fact]:
        """Return what else is told of the two names: another attribute, or what held before."""
        if plan.kind == "attribute":
            other = self.pick([relation for relation in RELATIONS if relation is not plan.relation])
            wording = self.pick(other.events)
            return [self.state(fact.name, other, wording) for fact in pair]
        if plan.kind == "updated":
            news = self.pick([wording for wording in plan.relation.events if wording is not pair[0].wording])
            return [self.supersede(fact, news) for fact in pair]
        return []

    def supersede(self, fact: Fact, news: Wording) -> Fact:
        """Put a fact into the words of `news`, and return what held before, which keeps the old ones."""
        value = self.world.value(fact.name, fact.relation.name, version=1)
        fact.after = Fact(fact.name, fact.relation, fact.wording, value)
        fact.wording = news
        return fact.after

    def draw_filler(self) -> Fact:
        """Return a fact about a name that comes from where families come from, so that its length says nothing."""
        (name,) = self.draw_names(FAMILIES, 1)
        relation = self.pick(RELATIONS)
        return self.state(name, relation, self.pick(relation.events))

    def draw_names(self, families: Sequence[str], size: int) -> list[Name]:
        for _ in range(FAMILY_DRAWS):
            names = self.families.draw(self.pick(families), size, self.taken, self.rng)
            if len(names) == size:
                self.taken |= {name.text for name in names}
                return names
        raise TakenError

    def state(self, name: Name, relation: Relation, wording: Wording) -> Fact:
        return Fact(name, relation, wording, self.world.value(name, relation.name))

    def pick(self, options: Sequence[Item]) -> Item:
        return options[int(self.rng.integers(len(options)))]


def rivals(asked: Asked, facts: Sequence[Fact]) -> int:
    """Return of how many other names the same attribute is told that share the last three tokens of the asked name."""
    suffix = asked.fact.name.tokens[-SUFFIX_TOKENS:]
    sharing = {
        fact.name.text
        for fact in facts
        if fact.relation is asked.plan.relation and fact.name.tokens[-SUFFIX_TOKENS:] == suffix
    }
    return len(sharing - {asked.fact.name.text})


def is_clean(asked: Sequence[Asked], facts: Sequence[Fact]) -> bool:
    """Return whether every value that is asked for, or was, stands in its own event only."""
    own = [fact for one in asked for fact in (one.fact, one.fact.after) if fact]
    return not any(fact.value in other.text for fact in own for other in facts if other is not fact)

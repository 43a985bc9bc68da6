"""What is told and asked: questions with their families of facts, before anything has its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from numpy.random import Generator

from memory_bench.metrics import holds
from tasks.entity.families import SUFFIX_TOKENS, Families
from tasks.entity.names import Name
from tasks.entity.schedule import FAMILY_KINDS, Plan
from tasks.entity.templates import ALIAS, Relation, Wording
from tasks.entity.values import VERSIONS, World

Item = TypeVar("Item")
FAMILY_DRAWS = 300
MOST_VERSIONS = 40  # each is a permutation of all names


IN_ORDER = ("updated", "readded", "forgotten")  # kinds whose facts come in an order, and are told once


class TakenError(Exception):
    """A family has no names left that this episode has not used; another draw may have."""


@dataclass(eq=False)
class Fact:
    """One event: what is said of a name. `after` is the fact that it supersedes; `place` its number in the stream.

    `scope` is the user for whom it holds; `again` the fact that it tells once more.
    """

    name: Name
    relation: Relation
    wording: Wording
    value: str
    after: Fact | None = None
    place: int = -1
    scope: str = ""
    again: Fact | None = None

    @property
    def text(self) -> str:
        return f"{self.wording.cloze.format(name=self.name.text)} {self.value}."


@dataclass
class Asked:
    """A question with everything that is told because of it. `fact` answers it, unless it is forgotten.

    `pair` is that fact and another of its family, to which the same happens: two attributes, two values, or being
    forgotten betray nothing. `called` is how the question calls the name; `bridge` the event that says so.
    """

    plan: Plan
    family: str
    wording: Wording
    fact: Fact
    pair: tuple[Fact, Fact]
    facts: list[Fact] = field(default_factory=list)
    called: str = ""
    bridge: Fact | None = None

    @property
    def cloze(self) -> str:
        return self.wording.cloze.format(name=self.called)

    @property
    def text(self) -> str:
        return self.wording.text.format(name=self.called)


def facts_needed(plans: Sequence[Plan], distractors: int, users: int) -> int:
    """Return how many facts the plans tell: families, and what two names of some of them are told beside that."""
    beside = dict.fromkeys(("attribute", "updated", "readded", "alias"), 1) | {"scoped": users - 1}
    return sum(1 + distractors + 2 * beside.get(plan.kind, 0) for plan in plans)


class Storyteller:
    """Draws what one episode tells and asks. `rng` decides; names do not come twice.

    `relations` are the two attributes of the names; `exposure` is the exponent of Zipf's law by which facts are told
    again, or None where every fact is told once and other names fill up the stream. `crowded`: see tasks.entity.sets.
    """

    def __init__(
        self,
        families: Families,
        world: World,
        relations: Sequence[Relation],
        *,
        distractors: int,
        users: int,
        exposure: float | None,
        crowded: bool,
        rng: Generator,
    ) -> None:
        self.families = families
        self.world = world
        self.relations = relations
        self.distractors = distractors
        self.users = [f"user-{number}" for number in range(users)]
        self.exposure = exposure
        self.crowded = crowded
        self.rng = rng
        self.taken: set[str] = set()

    def draw(self, plans: Sequence[Plan], facts: int) -> tuple[list[Asked], list[Fact]]:
        """Return what is asked, and all facts that are told; those beside the families fill up to `facts`."""
        asked = [self.draw_asked(plan) for plan in plans]
        told = [fact for one in asked for fact in one.facts]
        if self.exposure is None:
            told += [self.draw_filler() for _ in range(facts - len(told))]
        if self.crowded:
            self.tell_apart(asked, told)
        return asked, told + self.tell_again(told, asked, facts - len(told))

    def tell_apart(self, asked: Sequence[Asked], told: Sequence[Fact]) -> None:
        """Give what is not asked for another value where it has an asked one: what yet another user would hear.

        Where half of the names are of a few modules, drawing anew would take hundreds of draws.
        """
        own = [fact for one in asked for fact in (one.fact, one.fact.after) if fact]
        for fact in (fact for fact in told if fact not in own and fact.relation is not ALIAS):
            for version in range(VERSIONS + len(self.users), MOST_VERSIONS):
                if not any(stands_in(one.value, fact.text) for one in own):
                    break
                fact.value = self.heard(fact, version)

    def tell_again(self, told: Sequence[Fact], asked: Sequence[Asked], number: int) -> list[Fact]:
        """Return facts once more, in any of their wordings: the one of rank r as often as r ** -exposure says.

        Ranks are drawn, so that being told often does not betray what is asked. What happens in an order, old values
        and what is forgotten, is told once.
        """
        if self.exposure is None:
            return []
        ordered = {id(fact) for one in asked if one.plan.kind in IN_ORDER for fact in one.facts}
        free = [fact for fact in told if id(fact) not in ordered]
        if not free:
            return [self.draw_filler() for _ in range(number)]
        weights = [rank**-self.exposure for rank in range(1, len(free) + 1)] if self.exposure else [1.0] * len(free)
        ranked = [free[at] for at in self.rng.permutation(len(free))]
        shares = [weight / sum(weights) for weight in weights]
        again = [ranked[at] for at in self.rng.choice(len(ranked), size=number, p=shares)]
        return [
            Fact(fact.name, fact.relation, self.pick(fact.relation.events), fact.value, scope=fact.scope, again=fact)
            for fact in again
        ]

    def draw_asked(self, plan: Plan) -> Asked:
        family = plan.kind if plan.kind in FAMILY_KINDS else self.pick(self.families.base)
        names = self.draw_names([family], 1 + self.distractors)
        wording = self.pick(plan.relation.events)
        facts = [self.state(name, plan.relation, wording) for name in names]
        pair = (facts[0], facts[1])
        question = self.pick(plan.relation.questions) if plan.reworded else wording
        asked = Asked(plan, family, question, facts[0], pair, facts, called=names[0].text)
        asked.facts = [*facts, *self.beside(asked)]
        return asked

    def beside(self, asked: Asked) -> list[Fact]:
        """Return what else is told of the two names: another attribute, what held before, what holds for other users,
        or another name of theirs."""
        plan, pair = asked.plan, asked.pair
        if plan.kind == "attribute":
            other = self.pick([relation for relation in self.relations if relation is not plan.relation])
            wording = self.pick(other.events)
            return [self.state(fact.name, other, wording) for fact in pair]
        if plan.kind in ("updated", "readded"):
            news = self.pick([wording for wording in plan.relation.events if wording is not pair[0].wording])
            return [self.supersede(fact, news) for fact in pair]
        if plan.kind == "scoped":
            return self.share_out(asked.facts, pair)
        if plan.kind == "alias":
            return self.rename(asked)
        if plan.kind == "case":
            asked.called = asked.called.upper()
        return []

    def share_out(self, facts: Sequence[Fact], pair: Sequence[Fact]) -> list[Fact]:
        """Give every fact to a user, and return what the other users hear of the pair: other values, the same words."""
        for fact in facts:
            fact.scope = self.pick(self.users)
        return [
            Fact(fact.name, fact.relation, fact.wording, self.heard(fact, version), scope=user)
            for fact in pair
            for version, user in enumerate((user for user in self.users if user != fact.scope), start=VERSIONS)
        ]

    def heard(self, fact: Fact, version: int) -> str:
        return self.world.value(fact.name, fact.relation.name, version=version)

    def rename(self, asked: Asked) -> list[Fact]:
        """Return another name for each of the pair, and let the question call the asked one by it."""
        wording = self.pick(ALIAS.events)
        aliases = [self.draw_names(self.families.base, 1)[0].text for _ in asked.pair]
        facts = [Fact(one.name, ALIAS, wording, alias) for one, alias in zip(asked.pair, aliases, strict=True)]
        asked.called, asked.bridge = aliases[0], facts[0]
        return facts

    def supersede(self, fact: Fact, news: Wording) -> Fact:
        """Put a fact into the words of `news`, and return what held before, which keeps the old ones."""
        value = self.world.value(fact.name, fact.relation.name, version=1)
        fact.after = Fact(fact.name, fact.relation, fact.wording, value)
        fact.wording = news
        return fact.after

    def draw_filler(self) -> Fact:
        """Return a fact about a name that comes from where families come from, so that its length says nothing."""
        (name,) = self.draw_names(self.families.base, 1)
        relation = self.pick(self.relations)
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


def tellings(fact: Fact, facts: Sequence[Fact]) -> list[Fact]:
    """Return the fact and where it is told again."""
    return [fact, *(other for other in facts if other.again is fact)]


def is_clean(asked: Sequence[Asked], facts: Sequence[Fact]) -> bool:
    """Return whether every value that is asked for, or was, stands in its own events only, and in no question."""
    own = [(one, fact) for one in asked for fact in (one.fact, one.fact.after) if fact]
    return not any(
        stands_in(fact.value, text)
        for one, fact in own
        for text in (
            *(other.text for other in facts if other is not fact and other.again is not fact),
            one.cloze,
            one.text,
        )
    )


def stands_in(value: str, text: str) -> bool:
    """Return whether a value stands in a text: a number also as a part of another one, a word as a word."""
    return value in text if value.isdigit() else holds(text, value)

"""What is told and asked: questions with their needles, distractors and remarks, before anything has its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from math import ceil
from typing import TypeVar

from numpy.random import Generator
from tokenizers import Tokenizer

from memory_bench.task_tokens import count_tokens
from tasks.needle.links import Link, draw_link
from tasks.needle.names import SECOND_WORDS, VALUES, Entity, adjective, draw_entity, draw_neighbour
from tasks.needle.schedule import Plan
from tasks.needle.templates import REMARKS, Relation, Wording

DISTRACTORS = ("neighbour", "attribute", "format", "block", "negated")
FEWEST_REPEATS = 2  # of a block: one that does not repeat is no boilerplate
LEAST_HAY_TOKENS = 8  # beside the facts of a chunk: they stand in text
NAME_TOKENS = range(2, 9)
Picked = TypeVar("Picked")


class LayoutError(Exception):
    """This draw does not fit; another may. Says what to change if none does."""


@dataclass(frozen=True)
class Sizes:
    """Everything that is counted. A chunk holds `smallest` .. `chunk_tokens` tokens, each size equally often.

    `types` are those of the distractors, dealt in turn to each needle; `updates` how many older values an updated
    needle has, `slots` the share of boilerplate chunks without a fact that get one more distractor.
    """

    length_tokens: int
    chunk_tokens: int
    depths: int
    distractors: int
    boilerplate: float
    types: Sequence[str]
    updates: int
    slots: float = 0.0

    @property
    def smallest(self) -> int:
        return ceil(self.chunk_tokens * 7 / 8)

    @property
    def chunks(self) -> int:
        return max(1, round(2 * self.length_tokens / (self.smallest + self.chunk_tokens)))

    def depth_of(self, chunk: int) -> int:
        return chunk * self.depths // self.chunks


@dataclass
class Fact:
    """A sentence with its value, and the chunk where it comes to stand."""

    sentence: str
    value: str
    chunk: int = -1


@dataclass
class Asked:
    """A question with everything that is told because of it.

    `gold` holds the answer and `gone` what is forgotten before it is asked for: there is one of the two, or nothing to
    find. `olds` are what `gold` supersedes, and `rival` is the same fact in another section. Those of `block` among the
    distractors stand in the text of the needle. The value of the remark belongs to nothing, so that the look of a value
    does not betray the needle.
    """

    plan: Plan
    entity: Entity | Link
    relation: Relation
    event: Wording
    wording: Wording
    gold: Fact | None
    gone: Fact | None
    olds: list[Fact]
    rival: Fact | None
    distractors: list[Fact]
    block: list[Fact]
    remark: Fact

    @property
    def needle(self) -> Fact | None:
        return self.gold or self.gone

    @property
    def cloze(self) -> str:
        return self.wording.cloze.format(entity=self.name)

    @property
    def text(self) -> str:
        return self.wording.text.format(entity=self.name)

    @property
    def name(self) -> str:
        """How the question calls the entity."""
        return self.entity.asked if isinstance(self.entity, Link) else str(self.entity)

    def stated(self) -> list[Fact]:
        """Return what is said of the entity in the words of the needle: every value that was or could be the answer."""
        return [fact for fact in (self.gold, self.gone, *self.olds, self.rival) if fact]

    def facts(self) -> list[Fact]:
        return [*self.stated(), *self.distractors, self.remark]


class Storyteller:
    """Draws what is told and asked. `tokenizer` measures, `rng` decides."""

    def __init__(self, templates: Sequence[Relation], sizes: Sizes, tokenizer: Tokenizer, rng: Generator) -> None:
        self.templates = templates
        self.sizes = sizes
        self.tokenizer = tokenizer
        self.rng = rng
        self.sections = ("", "")
        self.entities: set[str] = set()  # that were named since `draw` began

    def draw(self, plans: Sequence[Plan]) -> list[Asked]:
        """Return what each plan asks for; the needles of a multi episode share a template."""
        entities = self.entities = set()
        if any(plan.kind == "scoped" for plan in plans):
            self.sections = self.draw_sections()
        shared = self.draw_template(plans[0])
        return [
            self.draw_asked(plan, *(shared if plan.kind == "multi" else self.draw_template(plan)), entities)
            for plan in plans
        ]

    def draw_template(self, plan: Plan) -> tuple[Relation, Wording]:
        relations = [relation for relation in self.templates if plan.value_type in relation.values]
        relation = relations[self.rng.integers(len(relations))]
        return relation, relation.events[self.rng.integers(len(relation.events))]

    def draw_asked(self, plan: Plan, relation: Relation, event: Wording, entities: set[str]) -> Asked:
        entity = self.new_link(entities) if plan.kind == "latent" else self.new_entity(entities)
        wording = relation.questions[self.rng.integers(len(relation.questions))] if plan.reworded else event
        rival = None
        if plan.kind == "scoped":
            turn = int(self.rng.integers(2))
            ours, theirs = self.sections[turn], self.sections[1 - turn]
            rival = self.state(within(theirs, event), entity, plan)
            event, wording = within(ours, event), within(ours, wording)
        needle = None if plan.kind == "absent" else self.state(event, entity, plan)
        gold, gone = (None, needle) if plan.kind == "forgotten" else (needle, None)
        olds = [self.state(event, entity, plan) for _ in range(self.sizes.updates * (plan.kind == "updated"))]
        told = self.draw_distractors(plan, relation, event, entity, entities)
        distractors = [fact for facts in told.values() for fact in facts]
        block = distractors if plan.kind == "boilerplate" else told["block"]
        remark = self.draw_remark(plan)
        return Asked(plan, entity, relation, event, wording, gold, gone, olds, rival, distractors, block, remark)

    def draw_distractors(
        self, plan: Plan, relation: Relation, event: Wording, entity: Entity | Link, entities: set[str]
    ) -> dict[str, list[Fact]]:
        """Return type -> what leads astray. See tasks.needle for the types."""
        count = max(self.sizes.distractors, FEWEST_REPEATS if plan.kind == "boilerplate" else 0)
        types = Counter(self.sizes.types[turn % len(self.sizes.types)] for turn in range(count))
        return self.tell(types, plan, relation, event, entity, entities)

    def draw_slots(self, asked: Sequence[Asked], number: int) -> list[Fact]:
        """Return so many more distractors: of every question in turn, of every type in turn."""
        facts: list[Fact] = []
        for turn in range(number):
            lap, at = divmod(turn, len(asked))
            one, types = asked[at], Counter([self.sizes.types[lap % len(self.sizes.types)]])
            told = self.tell(types, one.plan, one.relation, one.event, one.entity, self.entities)
            facts += chain.from_iterable(told.values())
        return facts

    def tell(
        self,
        types: Counter[str],
        plan: Plan,
        relation: Relation,
        event: Wording,
        entity: Entity | Link,
        entities: set[str],
    ) -> dict[str, list[Fact]]:
        others = [one for one in self.templates if one is not relation and plan.value_type in one.values]
        if not others:  # templates of one relation: an entity then has neighbours only
            types["neighbour"] += types.pop("attribute", 0)
        told = {
            "neighbour": [self.state(event, self.neighbour(entities, entity), plan) for _ in range(types["neighbour"])]
        }
        order = self.rng.permutation(len(others))
        # more attributes than relations: an entity then has several values of one, as it does after an update
        related = [others[order[turn % len(others)]] for turn in range(types["attribute"])]
        told["attribute"] = [self.state(self.somewhere(plan, self.pick(one.events)), entity, plan) for one in related]
        alike = [self.pick(tuple(others) or (relation,)) for _ in range(types["format"])]
        told["format"] = [
            self.state(self.somewhere(plan, self.pick(one.events)), self.new_entity(entities), plan) for one in alike
        ]
        told["block"] = [self.state(event, self.new_entity(entities), plan) for _ in range(types["block"])]
        told["negated"] = [self.state(denied(event), entity, plan) for _ in range(types["negated"])]
        return told

    def pick(self, options: tuple[Picked, ...]) -> Picked:
        return options[self.rng.integers(len(options))]

    def neighbour(self, entities: set[str], entity: Entity | Link) -> Entity | Link:
        """Return an entity with all words of this one but one."""
        return self.new_link(entities, near=entity) if isinstance(entity, Link) else self.new_entity(entities, entity)

    def draw_sections(self) -> tuple[str, str]:
        """Return the two sections of a haystack. Their names differ in one word, as neighbours do."""
        first, (one, other) = adjective(self.rng), self.rng.choice(SECOND_WORDS, 2, replace=False)
        return f"the section {first} {one.capitalize()}", f"the section {first} {other.capitalize()}"

    def somewhere(self, plan: Plan, wording: Wording) -> Wording:
        """Return the wording in either section where sections are asked for."""
        return within(self.sections[self.rng.integers(2)], wording) if plan.kind == "scoped" else wording

    def new_link(self, entities: set[str], *, near: Link | None = None) -> Link:
        """Return a link of which neither end was named in this episode."""
        for _ in range(1000):
            link = draw_link(self.rng, near=near)
            if not {link.told, link.asked} & entities:
                entities |= {link.told, link.asked}
                return link
        raise LayoutError("no free city or language for kind latent; lower task.distractors or task.questions")

    def new_entity(self, entities: set[str], near: Entity | None = None) -> Entity:
        """Return an entity that this episode has not named yet, with a name of 2 to 8 tokens."""
        for _ in range(1000):
            entity = draw_neighbour(near, self.rng) if near else draw_entity(self.rng)
            if str(entity) not in entities and count_tokens(self.tokenizer, f" {entity.name}") in NAME_TOKENS:
                entities.add(str(entity))
                return entity
        raise LayoutError(f"no free name of {NAME_TOKENS[0]} to {NAME_TOKENS[-1]} tokens; use another task.tokenizer")

    def state(self, wording: Wording, entity: Entity | Link, plan: Plan) -> Fact:
        value = VALUES[plan.value_type](self.rng)
        fact = Fact(f"{wording.cloze.format(entity=entity)} {value}.", value)
        room = self.sizes.smallest - LEAST_HAY_TOKENS
        if count_tokens(self.tokenizer, fact.sentence) > room:
            raise LayoutError(f"a chunk can have room for {room} tokens, a fact has more; raise task.chunk_tokens")
        return fact

    def draw_remark(self, plan: Plan) -> Fact:
        value = VALUES[plan.value_type](self.rng)
        return Fact(REMARKS[self.rng.integers(len(REMARKS))].format(value=value), value)


def within(section: str, wording: Wording) -> Wording:
    """Return the wording as it reads in a section."""
    return Wording(f"In {section}, {continued(wording.cloze)}", f"In {section}, {continued(wording.text)}")


def denied(wording: Wording) -> Wording:
    """Return the wording of an event that says of a value that it is not the one."""
    return Wording(f"It is wrong that {continued(wording.cloze)}", wording.text)


def continued(sentence: str) -> str:
    """Return a sentence as it goes on after other words."""
    return sentence[:1].lower() + sentence[1:]

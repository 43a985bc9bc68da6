"""What is told and asked: questions with their needles, distractors and remarks, before anything has its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from numpy.random import Generator
from tokenizers import Tokenizer

from memory_bench.task_tokens import count_tokens
from tasks.needle.names import VALUES, Entity, draw_entity, draw_neighbour
from tasks.needle.schedule import Plan
from tasks.needle.templates import REMARKS, Relation, Wording

FEWEST_REPEATS = 2  # of a block: one that does not repeat is no boilerplate
LEAST_HAY_TOKENS = 8  # beside the facts of a chunk: they stand in text
NAME_TOKENS = range(2, 9)


class LayoutError(Exception):
    """This draw does not fit; another may. Says what to change if none does."""


@dataclass(frozen=True)
class Sizes:
    """Everything that is counted. A chunk holds `smallest` .. `chunk_tokens` tokens, each size equally often."""

    length_tokens: int
    chunk_tokens: int
    depths: int
    distractors: int
    boilerplate: float

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

    `gold` is None where there is nothing to find; `old` is what `gold` supersedes. A distractor has the template of the
    needle and all words of its entity but one, or is another attribute of that entity. The value of the remark belongs
    to nothing, so that the look of a value does not betray the needle.
    """

    plan: Plan
    entity: Entity
    wording: Wording
    gold: Fact | None
    old: Fact | None
    distractors: list[Fact]
    remark: Fact

    @property
    def cloze(self) -> str:
        return self.wording.cloze.format(entity=self.entity)

    @property
    def text(self) -> str:
        return self.wording.text.format(entity=self.entity)

    def facts(self) -> list[Fact]:
        return [fact for fact in (self.gold, self.old, *self.distractors, self.remark) if fact]


class Storyteller:
    """Draws what is told and asked. `tokenizer` measures, `rng` decides."""

    def __init__(self, templates: Sequence[Relation], sizes: Sizes, tokenizer: Tokenizer, rng: Generator) -> None:
        self.templates = templates
        self.sizes = sizes
        self.tokenizer = tokenizer
        self.rng = rng

    def draw(self, plans: Sequence[Plan]) -> list[Asked]:
        """Return what each plan asks for; the needles of a multi episode share a template."""
        entities: set[str] = set()
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
        entity = self.new_entity(entities)
        wording = relation.questions[self.rng.integers(len(relation.questions))] if plan.reworded else event
        gold = None if plan.kind == "absent" else self.state(event, entity, plan)
        old = self.state(event, entity, plan) if plan.kind == "updated" else None
        distractors = self.draw_distractors(plan, relation, event, entity, entities)
        return Asked(plan, entity, wording, gold, old, distractors, self.draw_remark(plan))

    def draw_distractors(
        self, plan: Plan, relation: Relation, event: Wording, entity: Entity, entities: set[str]
    ) -> list[Fact]:
        """Return neighbours of the entity with the same fact (a third), and other attributes of the entity itself."""
        count = max(self.sizes.distractors, FEWEST_REPEATS if plan.kind == "boilerplate" else 0)
        others = [one for one in self.templates if one is not relation and plan.value_type in one.values]
        # attributes are the more: only when they fill the budget must a memory tell one attribute from another
        attributes = count - ceil(count / 3) if others else 0
        near = [self.state(event, self.new_entity(entities, near=entity), plan) for _ in range(count - attributes)]
        order = self.rng.permutation(len(others))
        # more attributes than relations: an entity then has several values of one, as it does after an update
        told = [others[order[turn % len(others)]] for turn in range(attributes)]
        return near + [self.state(one.events[self.rng.integers(len(one.events))], entity, plan) for one in told]

    def new_entity(self, entities: set[str], *, near: Entity | None = None) -> Entity:
        """Return an entity that this episode has not named yet, with a name of 2 to 8 tokens."""
        for _ in range(1000):
            entity = draw_neighbour(near, self.rng) if near else draw_entity(self.rng)
            if str(entity) not in entities and count_tokens(self.tokenizer, f" {entity.name}") in NAME_TOKENS:
                entities.add(str(entity))
                return entity
        raise LayoutError(f"no free name of {NAME_TOKENS[0]} to {NAME_TOKENS[-1]} tokens; use another task.tokenizer")

    def state(self, wording: Wording, entity: Entity, plan: Plan) -> Fact:
        value = VALUES[plan.value_type](self.rng)
        fact = Fact(f"{wording.cloze.format(entity=entity)} {value}.", value)
        room = self.sizes.smallest - LEAST_HAY_TOKENS
        if count_tokens(self.tokenizer, fact.sentence) > room:
            raise LayoutError(f"a chunk can have room for {room} tokens, a fact has more; raise task.chunk_tokens")
        return fact

    def draw_remark(self, plan: Plan) -> Fact:
        value = VALUES[plan.value_type](self.rng)
        return Fact(REMARKS[self.rng.integers(len(REMARKS))].format(value=value), value)

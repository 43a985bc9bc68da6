"""One episode: facts are drawn, laid out over chunks, buried in hay, and asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

from numpy.random import Generator
from tokenizers import Tokenizer

from memory_bench.types import UNKNOWN, Episode, Event, Query, Question
from tasks.needle.hay import ExhaustedError, Words, count_tokens, draw_place, fit, slip_in
from tasks.needle.names import VALUES, Entity, draw_entity, draw_neighbour
from tasks.needle.schedule import Plan
from tasks.needle.templates import REMARKS, Relation, Wording

FEWEST_BLOCKS = 3  # a block that does not repeat is no boilerplate
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

    `gold` is None where there is nothing to find; `old` is what `gold` supersedes; `neighbours` share the template and
    all words of the entity but one; `others` are other facts of the entity, and values that belong to nothing.
    """

    plan: Plan
    entity: Entity
    wording: Wording
    gold: Fact | None
    old: Fact | None = None
    neighbours: list[Fact] = field(default_factory=list)
    others: list[Fact] = field(default_factory=list)

    def facts(self) -> list[Fact]:
        return [fact for fact in (self.gold, self.old, *self.neighbours, *self.others) if fact]


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
        asked = Asked(plan, entity, wording, None if plan.kind == "absent" else self.state(event, entity, plan))
        if plan.kind == "updated":
            asked.old = self.state(event, entity, plan)
        self.add_distractors(asked, relation, event, entities)
        asked.others.append(self.remark(plan))
        return asked

    def add_distractors(self, asked: Asked, relation: Relation, event: Wording, entities: set[str]) -> None:
        """Add, in turn, a neighbour of the entity and another attribute of it; in boilerplate, blocks only."""
        plan, count = asked.plan, self.sizes.distractors
        neighbours = max(count, FEWEST_BLOCKS - 1) if plan.kind == "boilerplate" else ceil(count / 2)
        for _ in range(neighbours):
            entity = self.new_entity(entities, near=asked.entity)
            asked.neighbours.append(self.state(event, entity, plan))
        others = [one for one in self.templates if one is not relation and plan.value_type in one.values]
        order = self.rng.permutation(len(others))
        for turn in range(count - neighbours):
            # more attributes than relations: an entity then has several values of one, as it does after an update
            other = others[order[turn % len(others)]]
            wording = other.events[self.rng.integers(len(other.events))]
            asked.others.append(self.state(wording, asked.entity, plan))

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
        if count_tokens(self.tokenizer, fact.sentence) > self.sizes.smallest:
            raise LayoutError(
                f"a chunk can have {self.sizes.smallest} tokens, a fact has more; raise task.chunk_tokens"
            )
        return fact

    def remark(self, plan: Plan) -> Fact:
        value = VALUES[plan.value_type](self.rng)
        return Fact(REMARKS[self.rng.integers(len(REMARKS))].format(value=value), value)


class Layout:
    """Chunks with their limits and what stands in each. A block has its chunk for itself."""

    def __init__(self, sizes: Sizes, tokenizer: Tokenizer, rng: Generator) -> None:
        self.sizes = sizes
        self.tokenizer = tokenizer
        self.rng = rng
        self.limits = [int(limit) for limit in rng.integers(sizes.smallest, sizes.chunk_tokens + 1, sizes.chunks)]
        self.facts: list[list[Fact]] = [[] for _ in range(sizes.chunks)]
        self.blocks: list[list[int]] = []

    def lay_out(self, asked: Sequence[Asked]) -> None:
        """Give every fact its chunk: needles first, each in one of its own at its depth. Raises LayoutError."""
        needles = [one for one in asked if one.gold]
        for one in needles:
            self.place_needle(one)
        for one in needles:
            if one.plan.kind == "boilerplate":
                self.place_block(one)
        for one in needles:
            if one.old and one.gold:
                self.put(one.old, self.roomy(one.old, before=one.gold.chunk))
        rest = [fact for one in asked for fact in one.facts() if fact.chunk < 0]
        for at in self.rng.permutation(len(rest)):
            self.put(rest[at], self.roomy(rest[at]))

    def place_needle(self, asked: Asked) -> None:
        # the first chunk has nothing before it, where a superseded fact could stand
        free = [chunk for chunk in self.free() if chunk > 0 or not asked.old]
        if not free or not asked.gold:
            raise LayoutError("more needles than chunks; raise task.length_tokens or lower task.questions")
        self.put(asked.gold, min(free, key=lambda chunk: abs(self.sizes.depth_of(chunk) - asked.plan.depth)))

    def place_block(self, asked: Asked) -> None:
        """Give the neighbours of a needle chunks of their own with the limit of its chunk: one block, other slots."""
        free = self.free()
        if len(free) < len(asked.neighbours) or not asked.gold:
            raise LayoutError("more blocks than chunks; raise task.length_tokens or lower task.distractors")
        for fact, chunk in zip(asked.neighbours, free, strict=False):
            self.put(fact, chunk)
            self.limits[chunk] = self.limits[asked.gold.chunk]
        self.blocks.append([fact.chunk for fact in (asked.gold, *asked.neighbours)])

    def free(self) -> list[int]:
        """Return the chunks with nothing in them, in random order."""
        return [int(chunk) for chunk in self.rng.permutation(self.sizes.chunks) if not self.facts[chunk]]

    def roomy(self, fact: Fact, *, before: int | None = None) -> int:
        """Return a random chunk among those that hold the fewest facts and have room for this one."""
        blocks = {chunk for block in self.blocks for chunk in block}
        order = [int(chunk) for chunk in self.rng.permutation(self.sizes.chunks if before is None else before)]
        for chunk in sorted(order, key=lambda chunk: len(self.facts[chunk])):
            sentences = " ".join(one.sentence for one in (*self.facts[chunk], fact))
            if chunk not in blocks and count_tokens(self.tokenizer, sentences) <= self.limits[chunk]:
                return chunk
        raise LayoutError("more facts than the chunks can hold; raise task.length_tokens or lower task.distractors")

    def put(self, fact: Fact, chunk: int) -> None:
        fact.chunk = chunk
        self.facts[chunk].append(fact)

    def fill(self, prose: Words, licences: Words) -> list[str]:
        """Return the text of every chunk; raises hay.ExhaustedError."""
        texts = [""] * self.sizes.chunks
        for block in self.blocks:
            self.fill_together(texts, block, licences)
        ordinary = [chunk for chunk in range(self.sizes.chunks) if not texts[chunk]]
        boilerplate = round(self.sizes.boilerplate * len(ordinary))
        chosen = {int(chunk) for chunk in self.rng.permutation(ordinary)[:boilerplate]}
        for chunk in ordinary:
            self.fill_together(texts, [chunk], licences if chunk in chosen else prose)
        return texts

    def fill_together(self, texts: list[str], chunks: Sequence[int], source: Words) -> None:
        """Fill chunks with the same words, the n-th sentence of each in the same place."""
        limit = self.limits[chunks[0]]
        words = source.peek(limit)
        while fit(self.tokenizer, words[:1], (), limit=limit) < 1:  # a word too long for any chunk
            source.take(1)
            words = source.peek(limit)
        sentences = [[fact.sentence for fact in self.facts[chunk]] for chunk in chunks]
        counts = [fit(self.tokenizer, words, told, limit=limit) for told in sentences]
        if max(counts) == len(words) < limit:
            raise ExhaustedError  # a short chunk would be the only one
        places = [draw_place(words[: min(counts)], self.rng) for _ in sentences[0]]
        for chunk, told, count in zip(chunks, sentences, counts, strict=True):
            pairs = list(zip(places, told, strict=True))
            texts[chunk] = slip_in(self.tokenizer, words[:count], pairs, limit=limit)
        source.take(max(counts))


def is_clean(asked: Sequence[Asked], texts: Sequence[str]) -> bool:
    """Return whether every value that is asked for, or was, stands in its own chunk only, once, and in no question."""
    everything = [*texts, *(one.wording.cloze.format(entity=one.entity) for one in asked)]
    everything += [one.wording.text.format(entity=one.entity) for one in asked]
    folded = [text.casefold() for text in everything]
    facts = [fact for one in asked for fact in (one.gold, one.old) if fact]
    return all(
        [text.count(fact.value.casefold()) for text in folded] == [int(at == fact.chunk) for at in range(len(folded))]
        for fact in facts
    )


def to_episode(
    name: str, asked: Sequence[Asked], texts: Sequence[str], sizes: Sizes, tokenizer: Tokenizer, rng: Generator
) -> Episode:
    """Return the events in the order of the chunks, then the questions in random order. Ids are random bytes."""
    ids = [rng.bytes(8).hex() for _ in texts]
    events = [Event(id, text, time=float(at)) for at, (id, text) in enumerate(zip(ids, texts, strict=True))]
    order = rng.permutation(len(asked))
    questions = [
        to_question(f"{name}-q{number}", asked[at], events, sizes, tokenizer) for number, at in enumerate(order)
    ]
    return Episode(name, (*events, *questions))


def to_question(id: str, asked: Asked, events: Sequence[Event], sizes: Sizes, tokenizer: Tokenizer) -> Question:
    gold, old, plan = asked.gold, asked.old, asked.plan
    cloze = asked.wording.cloze.format(entity=asked.entity)
    answer = gold.value if gold else UNKNOWN
    covered = gold is not None and covers(events[gold.chunk].text, cloze, answer, tokenizer)
    depth = f"{sizes.depth_of(gold.chunk) / max(1, sizes.depths - 1):.2f}" if gold else "none"
    return Question(
        id,
        Query(asked.wording.text.format(entity=asked.entity), time=float(len(events))),
        cloze,
        answers=(answer,),
        evidence=frozenset({events[gold.chunk].id} if gold else ()),
        stale=frozenset({events[old.chunk].id} if old else ()),
        tags={
            "kind": plan.kind,
            "wording": "reworded" if plan.reworded else "event",
            "ngram_covered": str(covered).lower(),
            "depth": depth,
            "length_tokens": str(sizes.length_tokens),
            "distractors": str(sizes.distractors),
            "value_type": plan.value_type,
        },
    )


def covers(event: str, cloze: str, answer: str, tokenizer: Tokenizer) -> bool:
    """Return whether the last four tokens of the cloze, followed by those of the answer, stand in the event."""
    needle = ids(tokenizer, cloze)[-4:] + ids(tokenizer, f" {answer}")
    hay = ids(tokenizer, event)
    return any(hay[at : at + len(needle)] == needle for at in range(len(hay) - len(needle) + 1))


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)

"""Facts get places in the stream, and become events and questions with the gold that only the runner sees."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import Generator
from tokenizers import Tokenizer

from memory_bench.task_tokens import covers
from memory_bench.types import UNKNOWN, Episode, Event, Forget, Query, Question, Step
from tasks.entity.story import Asked, Fact, rivals

DEPTHS = 10


def place(facts: Sequence[Fact], rng: Generator) -> list[Fact]:
    """Return the facts in the order of the stream: any order is as likely, but that old values stand before new ones.

    A new value is placed first, as any other fact is, and its old value anywhere before it: drawn as a pair, new
    values would stand late, and their place would say what they are.
    """
    free = [int(at) for at in rng.permutation(len(facts))]
    for fact in facts:
        if fact.after:
            fact.place = next(at for at in free if any(other < at for other in free))
            fact.after.place = next(at for at in free if at < fact.place)
            free = [at for at in free if at not in (fact.place, fact.after.place)]
    old = {id(fact.after) for fact in facts if fact.after}
    for fact in facts:
        if not fact.after and id(fact) not in old:
            fact.place = free.pop()
    return sorted(facts, key=lambda fact: fact.place)


def to_episode(
    name: str, asked: Sequence[Asked], facts: Sequence[Fact], tokenizer: Tokenizer, rng: Generator
) -> Episode:
    """Return events in the order of their places, with what is to be forgotten between them; then the questions, in
    random order. Ids are random bytes."""
    ids = [rng.bytes(8).hex() for _ in facts]
    events = [Event(id, fact.text, time=float(fact.place)) for id, fact in zip(ids, facts, strict=True)]
    orders = [order(one, events, rng) for one in asked if one.plan.kind == "forgotten"]
    steps: list[Step] = []
    for at, event in enumerate(events):
        steps += [event, *(forget for place, forget in orders if place == at)]
    questions = [
        to_question(f"{name}-q{number}", asked[at], facts, events, tokenizer)
        for number, at in enumerate(rng.permutation(len(asked)))
    ]
    return Episode(name, (*steps, *questions))


def order(asked: Asked, events: Sequence[Event], rng: Generator) -> tuple[int, Forget]:
    """Return the order to forget both facts of a pair, and after which event it comes: any from the later one on."""
    places = [fact.place for fact in asked.pair]
    return int(rng.integers(max(places), len(events))), Forget(tuple(events[place].id for place in places))


def to_question(
    id: str, asked: Asked, facts: Sequence[Fact], events: Sequence[Event], tokenizer: Tokenizer
) -> Question:
    fact, plan = asked.fact, asked.plan
    event, forgotten = events[fact.place], plan.kind == "forgotten"
    answer = UNKNOWN if forgotten else fact.value
    covered = not forgotten and covers(event.text, asked.cloze, answer, tokenizer)
    return Question(
        id,
        Query(asked.text, time=float(len(events))),
        asked.cloze,
        answers=(answer,),
        evidence=frozenset() if forgotten else frozenset({event.id}),
        stale=frozenset({events[fact.after.place].id} if fact.after else ()),
        forgotten=frozenset({event.id} if forgotten else ()),
        tags={
            "kind": plan.kind,
            "wording": "reworded" if plan.reworded else "event",
            "ngram_covered": "yes" if covered else "no",
            "attribute": plan.relation.name,
            "family": asked.family,
            "depth": f"{fact.place * DEPTHS // len(events) / DEPTHS:.1f}",
            "name_tokens": str(len(fact.name.tokens)),
            "rivals": str(rivals(asked, facts)),
            "facts": str(len(facts)),
        },
    )

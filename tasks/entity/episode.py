"""Facts get places in the stream, and become events and questions with the gold that only the runner sees."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import Generator
from tokenizers import Tokenizer

from memory_bench.task_tokens import covers
from memory_bench.types import UNKNOWN, Episode, Event, Forget, Query, Question, Step
from tasks.entity.story import Asked, Fact, rivals, tellings
from tasks.entity.synthetic import ADVERSARIAL

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
    events = [Event(id, fact.text, fact.scope, float(fact.place)) for id, fact in zip(ids, facts, strict=True)]
    orders = [one for question in asked for one in orders_of(question, events, rng)]
    steps: list[Step] = []
    for at, event in enumerate(events):
        steps += [event, *(forget for place, forget in orders if place == at)]
    questions = [
        to_question(f"{name}-q{number}", asked[at], facts, events, tokenizer)
        for number, at in enumerate(rng.permutation(len(asked)))
    ]
    return Episode(name, (*steps, *questions))


def orders_of(asked: Asked, events: Sequence[Event], rng: Generator) -> list[tuple[int, Forget]]:
    """Return what is to be forgotten because of a question, and after which event each order comes.

    Both facts of a pair: forgotten, together, after the later one; or, to be told anew, each before it is.
    """
    if asked.plan.kind == "forgotten":
        places = [fact.place for fact in asked.pair]
        return [(int(rng.integers(max(places), len(events))), Forget(tuple(events[place].id for place in places)))]
    if asked.plan.kind == "readded":
        moves = [(fact.after.place, fact.place) for fact in asked.pair if fact.after]
        return [(int(rng.integers(old, new)), Forget((events[old].id,))) for old, new in moves]
    return []


def to_question(
    id: str, asked: Asked, facts: Sequence[Fact], events: Sequence[Event], tokenizer: Tokenizer
) -> Question:
    fact, kind = asked.fact, asked.plan.kind
    answer = UNKNOWN if kind == "forgotten" else fact.value
    told = [events[one.place] for one in tellings(fact, facts)]
    before = frozenset({events[fact.after.place].id} if fact.after else ())
    evidence = frozenset() if kind == "forgotten" else frozenset(event.id for event in told)
    if asked.bridge:
        evidence |= {events[one.place].id for one in tellings(asked.bridge, facts)}
    covered = bool(evidence) and any(covers(event.text, asked.cloze, answer, tokenizer) for event in told)
    return Question(
        id,
        Query(asked.text, scope=fact.scope, time=float(len(events))),
        asked.cloze,
        answers=(answer,),
        evidence=evidence,
        stale=frozenset() if kind == "readded" else before,
        forgotten=before if kind == "readded" else frozenset({told[0].id} if kind == "forgotten" else ()),
        tags=tags(asked, facts, covered=covered),
    )


def tags(asked: Asked, facts: Sequence[Fact], *, covered: bool) -> dict[str, str]:
    fact, plan, times = asked.fact, asked.plan, len(tellings(asked.fact, facts))
    return {
        "kind": plan.kind,
        "wording": "reworded" if plan.reworded else "event",
        "ngram_covered": "yes" if covered else "no",
        "attribute": plan.relation.name,
        "family": asked.family,
        "depth": f"{fact.place * DEPTHS // len(facts) / DEPTHS:.1f}",
        "name_tokens": str(len(fact.name.tokens)),
        "rivals": str(rivals(asked, facts)),
        "facts": str(len(facts)),
        **({"told": str(times)} if any(one.again for one in facts) else {}),
        **({"adversarial": "hash collision"} if plan.kind in ADVERSARIAL else {}),
    }

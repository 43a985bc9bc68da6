"""Facts in their places become events and questions, with the gold that only the runner sees."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import Generator
from tokenizers import Tokenizer

from memory_bench.task_tokens import covers
from memory_bench.types import UNKNOWN, Episode, Event, Forget, Query, Question
from tasks.needle.facts import Asked, Sizes

OTHER_SECTION = "other_section"  # the tag with the value that the same fact has in the wrong section


def is_clean(asked: Sequence[Asked], texts: Sequence[str]) -> bool:
    """Return whether every value that is asked for, or was, stands in its own chunk only, once, and in no question."""
    questions = [text for one in asked for text in (one.cloze, one.text)]
    folded = [text.casefold() for text in (*texts, *questions)]
    facts = [fact for one in asked for fact in one.stated()]
    return all(
        [text.count(fact.value.casefold()) for text in folded] == [int(at == fact.chunk) for at in range(len(folded))]
        for fact in facts
    )


def to_episode(
    name: str, asked: Sequence[Asked], texts: Sequence[str], sizes: Sizes, tokenizer: Tokenizer, rng: Generator
) -> Episode:
    """Return the events in the order of the chunks, what is to be forgotten, and the questions in random order.

    Ids are random bytes.
    """
    ids = [rng.bytes(8).hex() for _ in texts]
    events = [Event(id, text, time=float(at)) for at, (id, text) in enumerate(zip(ids, texts, strict=True))]
    order = rng.permutation(len(asked))
    questions = [
        to_question(f"{name}-q{number}", asked[at], events, sizes, tokenizer) for number, at in enumerate(order)
    ]
    gone = tuple(events[one.gone.chunk].id for one in asked if one.gone)
    return Episode(name, (*events, *([Forget(gone)] if gone else []), *questions))


def to_question(id: str, asked: Asked, events: Sequence[Event], sizes: Sizes, tokenizer: Tokenizer) -> Question:
    gold, plan = asked.gold, asked.plan
    answer = gold.value if gold else UNKNOWN
    covered = gold is not None and covers(events[gold.chunk].text, asked.cloze, answer, tokenizer)
    depth = f"{sizes.depth_of(asked.needle.chunk) / max(1, sizes.depths - 1):.2f}" if asked.needle else "none"
    return Question(
        id,
        Query(asked.text, time=float(len(events))),
        asked.cloze,
        answers=(answer,),
        evidence=frozenset({events[gold.chunk].id} if gold else ()),
        stale=frozenset(events[old.chunk].id for old in asked.olds),
        forgotten=frozenset({events[asked.gone.chunk].id} if asked.gone else ()),
        tags={
            "kind": plan.kind,
            "wording": "reworded" if plan.reworded else "event",
            "ngram_covered": "yes" if covered else "no",
            "depth": depth,
            "length_tokens": str(sizes.length_tokens),
            "distractors": str(len(asked.distractors)),
            "value_type": plan.value_type,
            **({OTHER_SECTION: asked.rival.value} if asked.rival else {}),
        },
    )

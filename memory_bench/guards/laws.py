"""The laws of an episode: what is wrong with its steps, its gold and its wordings. Nothing where it is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from memory_bench.metrics import holds
from memory_bench.types import UNKNOWN, Episode, Event, Forget, Question


def questions(episode: Episode) -> list[Question]:
    return [step for step in episode.steps if isinstance(step, Question)]


def events(episode: Episode) -> list[Event]:
    return [step for step in episode.steps if isinstance(step, Event)]


def asked(episode: Episode) -> Iterator[tuple[Question, Mapping[str, Event], frozenset[str]]]:
    """Yield every question with the events that were told before it, and the ids that were to be forgotten."""
    told: dict[str, Event] = {}
    gone: set[str] = set()
    for step in episode.steps:
        if isinstance(step, Event):
            told[step.id] = step
        elif isinstance(step, Forget):
            gone |= set(step.event_ids)
        else:
            yield step, dict(told), frozenset(gone)


def faults_of_steps(episode: Episode) -> Iterator[str]:
    """Yield what is wrong with ids, times and orders to forget."""
    told: dict[str, Event] = {}
    gone: set[str] = set()
    for step in episode.steps:
        if isinstance(step, Event):
            if step.id in told:
                yield "an event id comes twice"
            told[step.id] = step
        elif isinstance(step, Forget):
            if not step.event_ids or not set(step.event_ids) <= told.keys() - gone:
                yield "what was not told is to be forgotten"
            gone |= set(step.event_ids)
    if not questions(episode):
        yield "nothing is asked"
    times = [event.time for event in told.values() if event.time is not None]
    if len(times) != len(told) or times != sorted(times):
        yield "events do not come in the order of their times"


def faults_of_ids(episode: Episode) -> Iterator[str]:
    """Yield how ids say something: by their lengths, their order, or by standing in a text."""
    told = {event.id: event for event in events(episode)}
    if len({len(id) for id in told}) > 1 or (len(told) > 9 and list(told) == sorted(told)):
        yield "the ids of events say something"
    if any(id in event.text for id in told for event in told.values()):
        yield "an id stands in a text"


def faults_of_gold(episode: Episode) -> Iterator[str]:
    """Yield what is wrong with evidence, stale and forgotten events, and with what the answer is."""
    for question, told, gone in asked(episode):
        if not question.evidence | question.stale <= told.keys() - gone:
            yield "evidence or a stale event was not told, or is forgotten"
        if not question.forgotten <= gone:
            yield "a forgotten event was not to be forgotten"
        if question.evidence & question.stale:
            yield "evidence is stale"
        order = list(told)
        late = [order.index(old) for old in question.stale & told.keys()]
        first = min((order.index(new) for new in question.evidence & told.keys()), default=len(order))
        if late and max(late) > first:
            yield "a stale event comes after the evidence"
        if not question.answers or (UNKNOWN in question.answers) != (not question.evidence):
            yield "unknown is the answer where there is evidence, or is not where there is none"


def faults_of_wording(episode: Episode) -> Iterator[str]:
    """Yield what is wrong with the two wordings of a question."""
    for question in questions(episode):
        answers = [answer for answer in question.answers if answer != UNKNOWN]
        if any(holds(text, answer) for answer in answers for text in (question.cloze, question.query.text)):
            yield "the answer stands in the question"
        if question.cloze != question.cloze.rstrip() or not question.query.text.strip():
            yield "the cloze ends in a blank, or a wording is missing"
        if question.query.budget_tokens:
            yield "the task sets the budget, which is the run's"


def faults_of_tags(episode: Episode) -> Iterator[str]:
    """Yield what is wrong with what a question says of itself."""
    for question in questions(episode):
        tags = question.tags
        if not tags.get("kind") or tags.get("ngram_covered") not in ("yes", "no"):
            yield "no kind, or not said whether n-grams cover it"
        if tags.get("wording", "event") not in ("event", "reworded"):
            yield "a wording that is neither the event's nor another"
        if tags.get("ngram_covered") == "yes" and (not question.evidence or tags.get("wording") == "reworded"):
            yield "n-grams cover what they cannot"

"""What every task of `conf/task` obeys, and faults that each break one of the laws."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

import pytest
import yaml

from memory_bench import config
from memory_bench.contracts import Task
from memory_bench.errors import BadInput, Unavailable
from memory_bench.metrics import holds
from memory_bench.types import UNKNOWN, Episode, Event, Forget, Query, Question

CONF = Path(__file__).parent.parent / "conf" / "task"
TASKS = sorted(path.stem for path in CONF.glob("*.yaml"))
EPISODES = 5


@cache
def task(name: str) -> Task:
    try:
        made: Task = config.build(config.compose([f"+task={name}", "+memory=none"]), "task")
    except Unavailable as error:  # the user's file is not here: the reason names the path
        pytest.skip(str(error))
    return made


def claims(name: str) -> dict[str, bool]:
    """What a task's YAML says of it; a played file has one life for every seed."""
    options = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    return {"seeded": True, **options.get("claims", {})}


def first(name: str, seed: int = 0, number: int = EPISODES) -> list[Episode]:
    return list(islice(task(name).episodes(seed), number))


def questions(episodes: Iterable[Episode]) -> list[Question]:
    return [step for episode in episodes for step in episode.steps if isinstance(step, Question)]


def faults(episode: Episode) -> Iterator[str]:
    """Yield what is wrong with one episode; nothing where it is right."""
    events: dict[str, Event] = {}
    gone: set[str] = set()
    for step in episode.steps:
        if isinstance(step, Event):
            if step.id in events:
                yield "an event id comes twice"
            events[step.id] = step
        elif isinstance(step, Forget):
            if not step.event_ids or not set(step.event_ids) <= events.keys() - gone:
                yield "what was not told is to be forgotten"
            gone |= set(step.event_ids)
        else:
            yield from faults_of_gold(step, events, gone)
            yield from faults_of_wording(step)
    if not questions([episode]):
        yield "nothing is asked"
    if len({len(id) for id in events}) > 1 or (len(events) > 9 and list(events) == sorted(events)):
        yield "the ids of events say something"
    if any(id in event.text for id in events for event in events.values()):
        yield "an id stands in a text"
    times = [event.time for event in events.values() if event.time is not None]
    if len(times) != len(events) or times != sorted(times):
        yield "events do not come in the order of their times"


def faults_of_gold(question: Question, events: dict[str, Event], gone: set[str]) -> Iterator[str]:
    if not question.evidence | question.stale <= events.keys() - gone:
        yield "evidence or a stale event was not told, or is forgotten"
    if not question.forgotten <= gone:
        yield "a forgotten event was not to be forgotten"
    if question.evidence & question.stale:
        yield "evidence is stale"
    order = list(events)
    late = {order.index(old) for old in question.stale & events.keys()}
    if late and max(late) > min((order.index(new) for new in question.evidence & events.keys()), default=len(order)):
        yield "a stale event comes after the evidence"
    if not question.answers or (UNKNOWN in question.answers) != (not question.evidence):
        yield "unknown is the answer where there is evidence, or is not where there is none"


def faults_of_wording(question: Question) -> Iterator[str]:
    answers = [answer for answer in question.answers if answer != UNKNOWN]
    if any(holds(text, answer) for answer in answers for text in (question.cloze, question.query.text)):
        yield "the answer stands in the question"
    if question.cloze != question.cloze.rstrip() or not question.query.text.strip():
        yield "the cloze ends in a blank, or a wording is missing"
    if not question.tags.get("kind") or question.tags.get("ngram_covered") not in ("yes", "no"):
        yield "no kind, or not said whether n-grams cover it"
    if question.tags.get("wording", "event") not in ("event", "reworded"):
        yield "a wording that is neither the event's nor another"
    if question.tags.get("ngram_covered") == "yes" and (
        not question.evidence or question.tags.get("wording") == "reworded"
    ):
        yield "n-grams cover what they cannot"
    if question.query.budget_tokens:
        yield "the task sets the budget, which is the run's"


@pytest.mark.parametrize("name", TASKS)
def test_every_episode_obeys_the_laws(name: str) -> None:
    found = {episode.id: list(faults(episode)) for episode in first(name)}
    assert len(found) == EPISODES
    assert all(not wrong for wrong in found.values()), found


@pytest.mark.parametrize("name", TASKS)
def test_everything_follows_from_the_seed(name: str) -> None:
    task(name)
    made: Task = config.build(config.compose([f"+task={name}", "+memory=none"]), "task")
    assert list(islice(made.episodes(1), 2)) == first(name, 1, 2)
    assert (first(name, 1, 2) != first(name, 0, 2)) is claims(name)["seeded"]


@pytest.mark.parametrize("name", TASKS)
def test_a_right_answer_scores_one_and_a_wrong_one_zero(name: str) -> None:
    for question in questions(first(name)):
        for answer in question.answers:
            assert task(name).score(question, f" {answer}")["exact_match"] == 1.0
        assert set(task(name).score(question, "something else").values()) == {0.0}


@pytest.mark.parametrize("name", TASKS)
def test_questions_have_evidence_and_half_of_them_other_words(name: str) -> None:
    asked = questions(islice(task(name).episodes(0), 10))
    assert len([question for question in asked if question.evidence]) > len(asked) / 2
    assert len({question.id for question in asked}) == len(asked)
    wordings = [question.tags["wording"] for question in asked if "wording" in question.tags]
    if wordings:  # where a task's questions have no other words, it says so by leaving the tag out
        assert len(wordings) == len(asked)
        assert abs(wordings.count("reworded") / len(wordings) - 0.5) <= 0.1


@pytest.mark.parametrize("name", TASKS)
def test_what_was_read_is_named_and_the_version_can_be_bumped(name: str) -> None:
    assert task(name).version
    identity = task(name).identity()
    assert all(isinstance(value, str) and value for value in identity.values())
    assert [value for value in identity.values() if len(value) == 64]  # a sha256


@pytest.mark.parametrize("name", TASKS)
def test_a_negative_seed_is_the_users_to_mend(name: str) -> None:
    with pytest.raises(BadInput, match="seed=-1: expected a whole number >= 0"):
        next(iter(task(name).episodes(-1)))


TAGS = {"kind": "small", "ngram_covered": "no", "wording": "reworded"}
GOOD = Episode(
    "e",
    (
        Event("6c", "The code is 1.", time=0.0),
        Event("1f", "The code is 2.", time=1.0),
        Event("a0", "The word is ox.", time=2.0),
        Forget(("a0",)),
        Question("q0", Query("What opens it?"), "It opens by", ("2",), frozenset({"1f"}), frozenset({"6c"}), tags=TAGS),
        Question(
            "q1", Query("Which word?"), "The word is", (UNKNOWN,), frozenset(), forgotten=frozenset({"a0"}), tags=TAGS
        ),
    ),
)


def asking(**changes: object) -> Callable[[Episode], Episode]:
    """Return a change of the first question."""

    def changed(episode: Episode) -> Episode:
        steps = list(episode.steps)
        question = steps[4]
        assert isinstance(question, Question)
        steps[4] = replace(question, **changes)  # type: ignore[arg-type]
        return replace(episode, steps=tuple(steps))

    return changed


def without(at: int) -> Callable[[Episode], Episode]:
    return lambda episode: replace(episode, steps=episode.steps[:at] + episode.steps[at + 1 :])


def instead(at: int, step: Event | Forget) -> Callable[[Episode], Episode]:
    return lambda episode: replace(episode, steps=(*episode.steps[:at], step, *episode.steps[at + 1 :]))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (instead(1, Event("6c", "Again.", time=1.0)), "an event id comes twice"),
        (instead(3, Forget(("ff",))), "what was not told is to be forgotten"),
        (instead(3, Forget(("a0", "1f"))), "evidence or a stale event was not told, or is forgotten"),
        (without(3), "a forgotten event was not to be forgotten"),
        (without(1), "evidence or a stale event was not told, or is forgotten"),
        (asking(stale=frozenset({"1f"})), "evidence is stale"),
        (asking(evidence=frozenset({"6c"}), stale=frozenset({"1f"})), "a stale event comes after the evidence"),
        (asking(answers=(UNKNOWN,)), "unknown is the answer where there is evidence"),
        (asking(evidence=frozenset()), "unknown is the answer where there is evidence, or is not where there is none"),
        (asking(cloze="2 or"), "the answer stands in the question"),
        (asking(query=Query("Is it 2?")), "the answer stands in the question"),
        (asking(cloze="It is "), "the cloze ends in a blank"),
        (asking(tags={}), "no kind, or not said"),
        (asking(tags=TAGS | {"wording": "other"}), "a wording that is neither"),
        (asking(tags=TAGS | {"ngram_covered": "yes"}), "n-grams cover what they cannot"),
        (asking(query=Query("What opens it?", budget_tokens=9)), "the task sets the budget"),
        (instead(0, Event("6c0", "The code is 1.", time=0.0)), "the ids of events say something"),
        (instead(0, Event("6c", "The code of a0 is 1.", time=0.0)), "an id stands in a text"),
        (instead(0, Event("6c", "The code is 1.", time=7.0)), "events do not come in the order of their times"),
        (lambda episode: replace(episode, steps=episode.steps[:4]), "nothing is asked"),
    ],
)
def test_a_planted_fault_is_found(change: Callable[[Episode], Episode], fault: str) -> None:
    assert list(faults(GOOD)) == []
    assert any(found.startswith(fault) for found in faults(change(GOOD)))

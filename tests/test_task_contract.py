"""What every task of `conf/task` does.

The promises themselves are `memory_bench/guards/task_properties.py`, which `check` asks too. Here they are asked of
every file of `conf/task`, and of tasks and episodes that each break one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore

from memory_bench.__main__ import main
from memory_bench.errors import BadInput, Unavailable
from memory_bench.guards import laws
from memory_bench.guards.check import judge, task_findings
from memory_bench.guards.promise import expectation
from memory_bench.guards.stream import digest
from memory_bench.guards.task_properties import (
    PROMISES,
    Promise,
    closed_book_is_at_chance,
    each_kind_tells_memories_apart,
    lengths_say_nothing,
)
from memory_bench.guards.task_subject import TaskSubject
from memory_bench.types import UNKNOWN, Episode, Event, Forget, Query, Question
from tests import faulty_tasks

TASKS = sorted(path.stem for path in (Path(__file__).parent.parent / "conf" / "task").glob("*.yaml"))
QUESTIONS = 160  # of a sample: less than `check` looks at, enough for every bound
LAWS = (
    laws.faults_of_steps,
    laws.faults_of_ids,
    laws.faults_of_gold,
    laws.faults_of_wording,
    laws.faults_of_tags,
)


@cache
def subject(name: str) -> TaskSubject:
    return TaskSubject([f"+task={name}"], questions=QUESTIONS)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("name", TASKS)
def test_every_task_keeps_its_promises(name: str, promise: Promise) -> None:
    try:
        finding = judge(promise, subject(name))
    except Unavailable as why:
        pytest.skip(str(why))
    assert finding.verdict != "fail", finding.detail


def test_every_promise_says_in_a_line_what_is_expected() -> None:
    lines = [expectation(promise) for promise in PROMISES]
    assert len(set(lines)) == len(lines)
    assert all(10 < len(line) <= 120 for line in lines)


@contextmanager
def planted(task: type[faulty_tasks.Right], claims: Mapping[str, Any] = faulty_tasks.CLAIMS) -> Iterator[TaskSubject]:
    """A task of the tests under a name of its own, as a YAML would make it one."""
    name = f"planted_{task.__name__}_{'_'.join(claims)}"
    node = {"_target_": f"tests.faulty_tasks.{task.__name__}", "hidden": 0.0, "claims": dict(claims)}
    ConfigStore.instance().store(group="task", name=name, node=node)
    try:
        yield TaskSubject([f"+task={name}"], questions=QUESTIONS)
    finally:
        del ConfigStore.instance().repo["task"][f"{name}.yaml"]


def test_a_right_task_keeps_every_promise() -> None:
    with planted(faulty_tasks.Right) as made:
        assert [finding for finding in task_findings(made) if finding.verdict != "pass"] == []


def test_there_is_a_fault_for_every_promise() -> None:
    assert faulty_tasks.names() == sorted(promise.__name__ for promise in PROMISES)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_a_broken_promise_is_found(promise: Promise) -> None:
    with planted(faulty_tasks.BREAKING[promise.__name__]) as made:
        finding = judge(promise, made)
    assert finding.verdict == "fail"
    assert finding.detail


def test_choices_are_held_to_chance_by_their_places_and_their_lengths() -> None:
    with planted(faulty_tasks.Offering) as made:
        assert judge(closed_book_is_at_chance, made).verdict == "pass"
    with planted(faulty_tasks.OffersTheRightOneFirst) as made:
        finding = judge(closed_book_is_at_chance, made)
        assert finding.verdict == "fail"
        assert "one place among the choices is right in 1.00 of 80, chance 0.25" in finding.detail
    with planted(faulty_tasks.OffersTheRightOneAtLength) as made:
        assert "the longest choice is right in 1.00 of 80" in judge(closed_book_is_at_chance, made).detail


def test_what_was_measured_stands_beside_a_promise_that_is_kept() -> None:
    with planted(faulty_tasks.Right) as made:
        assert "random 0.0" in judge(each_kind_tells_memories_apart, made).detail
        assert judge(lengths_say_nothing, made).detail.startswith("area 0.")


def test_a_task_that_claims_less_is_held_to_less() -> None:
    claims = {"drawn": False, "verbatim": False, "unique": False, "balanced": False, "seeded": False}
    with planted(faulty_tasks.IgnoresTheSeed, claims) as made:
        assert len(made.sample) == 10  # a file is read once, and not again for every seed
        found = [finding.detail for finding in task_findings(made) if finding.verdict == "not applicable"]
    assert {tuple(detail.split(": ")[:2]) for detail in found} == {
        *(("it does not claim it", f"claims.{claim} is false") for claim in ("drawn", "verbatim", "unique", "seeded")),
        ("it does not claim it", "claims.dials is empty"),
    }


def test_real_questions_may_be_too_hard_for_every_memory() -> None:
    with planted(faulty_tasks.NeverSaysWhichGate, {"drawn": False}) as made:
        finding = judge(each_kind_tells_memories_apart, made)
    assert finding.verdict == "not applicable"
    assert finding.detail.startswith(
        "it does not claim it: claims.drawn is false: no memory finds more than random passages hold of "
    )


def test_check_prints_a_line_a_promise_and_exits_with_1_where_one_is_broken(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with planted(faulty_tasks.TellsTheAnswerTwice, {}) as made:
        name = made.cell.config["choices"]["task"]
        assert main(["check", f"+task={name}"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"task {name}"
    assert len(lines) == len(PROMISES) + 2
    assert "pass            Another process with another hash seed gives the same bytes" in lines
    assert any(line.startswith("fail            No event beside the evidence holds an answer: ") for line in lines)
    assert lines[-1] == f"{len(PROMISES) - 2} pass, 1 fail, 1 not applicable"


def test_a_slip_of_check_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "+task=needel"]) == 2
    assert capsys.readouterr().err.startswith("there is no task 'needel'; choose one of: ")


def test_a_claim_that_nobody_knows_is_one_line() -> None:
    with (
        pytest.raises(BadInput, match=r"claims \['sorted'\]; a task can claim seeded, drawn, verbatim, unique, "),
        planted(faulty_tasks.Right, {"sorted": True}),
    ):
        pass


def test_a_digest_changes_with_whatever_an_episode_holds() -> None:
    changes: list[Callable[[Episode], Episode]] = [
        instead(0, Event("6c", "The code is 1!", time=0.0)),
        instead(0, Event("6d", "The code is 1.", time=0.0)),
        instead(0, Event("6c", "The code is 1.", time=0.5)),
        instead(0, Event("6c", "The code is 1.", scope="s", time=0.0)),
        instead(3, Forget(("1f",))),
        asking(answers=("3",)),
        asking(stale=frozenset()),
        asking(tags=TAGS | {"more": "yes"}),
        asking(query=Query("What opens it?", scope="s")),
        without(3),
        lambda episode: replace(episode, id="f"),
    ]
    digests = {digest([change(GOOD)]) for change in changes}
    assert len(digests | {digest([GOOD])}) == len(changes) + 1
    assert digest([GOOD]) == digest([replace(GOOD, steps=tuple(GOOD.steps))])


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
    assert faults(GOOD) == []
    assert any(found.startswith(fault) for found in faults(change(GOOD)))


def faults(episode: Episode) -> list[str]:
    return [fault for law in LAWS for fault in law(episode)]

"""Whole lives of every real memory: what it brings into prompts, and that what is forgotten does not come back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from memory_bench import config, prompt, runner
from memory_bench.contracts import Memory, Reader
from memory_bench.errors import Unavailable
from memory_bench.meter import Meter
from memory_bench.records import Operation, Record
from memory_bench.types import UNKNOWN, Episode, Event, Forget, Passage, Query, Question, Step
from tests.needles import events, needle, questions
from tests.stubs import StubMemory, StubReader, StubTask
from tests.taken import attach, bundled_reader, with_a_reader

MEMORIES = sorted(path.stem for path in (Path(__file__).parent.parent / "conf" / "memory").glob("*.yaml"))
ASKED = "What is the access code of gate 17?"
ANY = "Which gate has the access code?"
CLOZE = "The access code of gate 17 is"
FACT = Event("f", f"{CLOZE} 4411.", time=1.0)
OTHERS = (
    Event("b", "Lunch is served at noon in the hall behind the library.", time=2.0),
    Event("c", "The access code of the archive was lost when the old porter retired.", time=3.0),
    Event("d", "Nobody has counted the herons since the pond was drained.", time=4.0),
)
AGAIN = Event("z", f"{CLOZE} 7365.", time=5.0)


def asked(id: str, answer: str, *evidence: str, forgotten: Sequence[str] = ()) -> Question:
    return Question(id, Query(ASKED, time=9.0), CLOZE, (answer,), frozenset(evidence), forgotten=frozenset(forgotten))


KNOWN = asked("known", "4411", FACT.id)
GONE = asked("gone", UNKNOWN, forgotten=[FACT.id])
NEW = asked("new", "7365", AGAIN.id, forgotten=[FACT.id])
LIFE: tuple[Step, ...] = (FACT, *OTHERS, KNOWN, Forget((FACT.id,)), GONE, AGAIN, NEW)
WITHOUT = (*OTHERS, GONE, AGAIN, NEW)


class Told(StubTask):
    """One episode of these steps."""

    def __init__(self, *steps: Step) -> None:
        super().__init__()
        self.steps = steps

    def episodes(self, seed: int) -> Iterator[Episode]:  # noqa: ARG002
        yield Episode("e", self.steps)


class Haunted(StubMemory):
    """Forgets nothing."""

    def forget(self, event_ids: Sequence[str]) -> None:
        pass


def walked(memory: Memory, reader: Reader, *steps: Step) -> tuple[list[str], dict[str, Record]]:
    """Return the operations of a life, and its records by question."""
    rows = list(
        runner.run(
            Told(*steps),
            memory,
            reader,
            control=runner.Control(writes=True, packs_evidence=False),
            options=runner.Options(seed=0, budget_tokens=256, answer_tokens=48, limit=None, write_batch=32),
            meter=Meter(reader),
        )
    )
    told = [row.operation for row in rows if isinstance(row, Operation)]
    return told, {row.question: row for row in rows if isinstance(row, Record)}


def made(name: str) -> Memory:
    """Return a memory of `conf/memory`; skips, with the reason, where it cannot run here."""
    cell = config.compose(["+task=needle", f"+memory={name}", "embedder=hashing"])
    shared = {"embedder": config.build(cell, "embedder")} if cell.config["embedder"] else {}
    try:
        memory: Memory = config.build(cell, "memory", **shared)
    except Unavailable as reason:
        pytest.skip(str(reason))
    return memory


def lived(name: str, *steps: Step) -> dict[str, Record]:
    """Walk a memory of `conf/memory` through a life, with a reader that it takes."""
    with closing(made(name)) as memory:
        return with_a_reader(lambda reader: walked(memory, reader, *steps)[1])


def ghosts(life: dict[str, Record]) -> list[float | None]:
    return [record.scores["forgotten_in_context"] for record in life.values()]


def test_forgetting_is_a_step_of_an_episode_and_is_settled_before_the_next_question() -> None:
    told, life = walked(StubMemory(), StubReader(), *LIFE)
    assert told == ["attach", "reset", "write", "settle", "forget", "settle", "write", "settle"]
    assert ghosts(life) == [None, 0.0, 0.0]
    assert [life[id].answer for id in ("known", "gone", "new")] == [" 4411.", " unknown", " 7365."]


def test_a_memory_that_forgets_nothing_is_haunted() -> None:
    _, life = walked(Haunted(), StubReader(), *LIFE)
    assert ghosts(life) == [None, 1.0, 1.0]
    assert life["gone"].answer == " 4411."


@pytest.mark.parametrize("name", MEMORIES)
def test_no_memory_brings_back_what_was_forgotten(name: str) -> None:
    life = lived(name, *LIFE)
    assert ghosts(life) == [None, 0.0, 0.0]
    through_context = any(record.passages for record in life.values())
    expected = 1.0 if through_context else 0.0
    assert life["known"].scores["evidence_in_context"] == life["new"].scores["evidence_in_context"] == expected
    assert life["known"].scores["evidence@4096"] == expected


@pytest.mark.parametrize("name", MEMORIES)
def test_a_life_in_which_something_was_forgotten_goes_on_as_if_it_had_never_happened(name: str) -> None:
    """To the last bit: what it offers, in which order and with which scores, and what is answered from it."""
    forgetting, without = lived(name, *LIFE), lived(name, *WITHOUT)
    for question in ("gone", "new"):
        one, other = forgetting[question], without[question]
        assert one.passages == other.passages
        assert (one.answer, one.logprob) == (other.answer, other.logprob)


@pytest.mark.parametrize("name", MEMORIES)
def test_no_prompt_depends_on_which_budget_a_memory_was_told(name: str) -> None:
    """It is told the largest at which it is judged; within the run's the same is packed as if it were told that."""
    memory = made(name)
    attach(memory)
    memory.reset()
    hay = [Event(f"h{number}", f"Gate {number} has the access code of {'long ' * 30}") for number in range(12)]
    memory.write([FACT, *OTHERS, *hay])
    memory.settle()
    # of any gate: what narrows its passages down has many of them too
    small, large = (within(256, memory.read(Query(ANY, budget_tokens=told))) for told in (256, 4096))
    offered = memory.read(Query(ANY, budget_tokens=4096))
    memory.close()
    assert small == large
    assert 0 < len(small) < len(offered) or not offered


def within(budget_tokens: int, passages: list[Passage]) -> list[str]:
    packed = prompt.pack(passages, [budget_tokens], StubReader().count_tokens)[budget_tokens]
    return [passages[rank].text for rank in packed]


def test_as_many_passages_as_every_memory_offers_reach_to_the_end_of_the_curve() -> None:
    """64 chunks of 56 to 64 tokens, from a haystack of twice as many: they take up 4,096 tokens, but for a tenth."""
    task, memory = needle(length_tokens=8192, episodes=1), made("exact")
    [episode] = task.episodes(0)
    memory.reset()
    memory.write(events(episode))
    memory.settle()
    passages = memory.read(questions(episode)[0].query)
    packed = prompt.pack(passages, [4096], bundled_reader().count_tokens)[4096]
    tokens = sum(bundled_reader().count_tokens(passages[rank].text + "\n") for rank in packed)
    assert len(passages) == 64
    assert 0.9 * 4096 < tokens <= 4096

"""What every memory of `conf/memory` does, whichever of its two doors it works through.

A memory knows a fact if a passage holds the answer, or if the reader it returned completes the sentence with it. One
that works inside the model refuses a reader without a model, and is then asked with the bundled one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from memory_bench.config import build, compose
from memory_bench.contracts import Memory, Reader
from memory_bench.errors import BadInput
from memory_bench.types import Event, Passage, Query
from tests.stubs import StubReader

FOLDER = Path(__file__).parent.parent / "conf" / "memory"
QUESTION = Query("What is the access code of gate 17?", budget_tokens=4096)
CLOZE = "The access code of gate 17 is"
FACT = Event("a", f"{CLOZE} 4411.", time=1.0)
NEW_FACT = Event("a", f"{CLOZE} 7365.", time=2.0)
OTHERS = [
    Event("b", "Lunch is served at noon in the hall behind the library.", time=3.0),
    Event("c", "The access code of the archive was lost when the old porter retired.", time=4.0),
    Event("d", "Nobody has counted the herons since the pond was drained.", time=5.0),
]


def settings(name: str) -> dict[str, Any]:
    """Return what the YAML of a memory says, wherever its package directive puts it."""
    file = OmegaConf.to_container(OmegaConf.load(FOLDER / f"{name}.yaml"))
    assert isinstance(file, dict)
    return dict(file.get("memory", file))


MEMORIES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
FINDING = [name for name in MEMORIES if settings(name).get("claims", {}).get("finds", True)]
BOUNDED = [name for name in MEMORIES if "top_k" in settings(name)]
DURABLE = [name for name in MEMORIES if settings(name).get("claims", {}).get("durable", False)]


@dataclass
class Attached:
    """A memory and the reader that it returned."""

    memory: Memory
    reader: Reader

    def tell(self, *events: Event) -> None:
        self.memory.write(events)
        self.memory.settle()

    def read(self, query: Query = QUESTION) -> list[Passage]:
        return self.memory.read(query)

    def knows(self, answer: str) -> bool:
        if any(answer in passage.text for passage in self.read()):
            return True
        return answer in self.reader.generate([CLOZE])[0].text


Make = Callable[..., Attached]
composed = cache(compose)  # most of a test's time


@pytest.fixture(scope="session")
def bundled_reader() -> Reader:
    reader: Reader = build(composed(("+task=needle", "+memory=none")), "reader")
    return reader


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Make memories from their YAML, attached to a reader; all are closed in the end."""
    made: list[Memory] = []

    def attached(name: str, *overrides: str) -> Attached:
        cell = composed(("+task=needle", f"+memory={name}", "embedder=hashing", *overrides))
        shared = {"embedder": build(cell, "embedder")} if cell.config["embedder"] else {}
        memory: Memory = build(cell, "memory", **shared)
        made.append(memory)
        try:
            return Attached(memory, memory.attach(StubReader()))
        except BadInput:
            return Attached(memory, memory.attach(request.getfixturevalue("bundled_reader")))

    yield attached
    for memory in made:
        memory.close()


@pytest.mark.parametrize("name", MEMORIES)
class TestEveryMemory:
    def test_its_first_comment_says_what_it_is(self, name: str) -> None:
        lines = [line for line in (FOLDER / f"{name}.yaml").read_text().splitlines() if not line.startswith("# @")]
        assert lines[0].startswith("# ")
        assert 10 < len(lines[0]) <= 120

    def test_it_finds_what_was_written(self, name: str, make: Make) -> None:
        one = make(name)
        assert not one.knows("4411")
        one.tell(FACT)
        assert one.knows("4411") is (name in FINDING)

    def test_reset_forgets(self, name: str, make: Make) -> None:
        one = make(name)
        one.tell(FACT)
        one.memory.reset()
        one.memory.settle()
        assert not one.knows("4411")
        assert one.read() == []

    def test_after_a_reset_it_learns_again(self, name: str, make: Make) -> None:
        one = make(name)
        one.tell(FACT)
        one.memory.reset()
        one.tell(replace(NEW_FACT, id="z"))
        assert one.knows("7365") is (name in FINDING)
        assert not one.knows("4411")

    def test_forget_forgets_without_a_settle(self, name: str, make: Make) -> None:
        one = make(name)
        one.tell(FACT, *OTHERS)
        one.memory.forget([FACT.id])
        assert not one.knows("4411")
        assert all(FACT.id not in passage.event_ids for passage in one.read())

    def test_what_was_not_forgotten_stays(self, name: str, make: Make) -> None:
        one = make(name)
        one.tell(FACT, *OTHERS)
        one.memory.forget([OTHERS[0].id, "never written"])
        assert one.knows("4411") is (name in FINDING)

    def test_an_id_written_again_is_replaced(self, name: str, make: Make) -> None:
        one = make(name)
        one.tell(FACT)
        one.tell(NEW_FACT)
        assert one.knows("7365") is (name in FINDING)
        assert not one.knows("4411")

    def test_an_id_written_twice_at_once_holds_the_later_text(self, name: str, make: Make) -> None:
        one = make(name)
        one.tell(FACT, NEW_FACT)
        assert one.knows("7365") is (name in FINDING)
        assert not one.knows("4411")

    def test_reading_changes_nothing(self, name: str, make: Make) -> None:
        one = make(name)
        one.tell(FACT, *OTHERS)
        assert one.read() == one.read()

    def test_a_query_of_no_words_is_answered(self, name: str, make: Make) -> None:
        one = make(name)
        assert one.read(Query("")) == []
        one.tell(FACT, *OTHERS)
        assert len(one.read(Query(""))) <= 4
        assert len(one.read(Query("?!"))) <= 4

    def test_an_event_of_no_words_is_held(self, name: str, make: Make) -> None:
        one = make(name)
        one.tell(Event("blank", ""))
        assert all(passage.event_ids == ("blank",) for passage in one.read())

    def test_passages_are_ranked_and_name_their_events(self, name: str, make: Make) -> None:
        one = make(name)
        one.tell(FACT, *OTHERS)
        passages = one.read()
        texts: dict[tuple[str, ...], str] = {(event.id,): event.text for event in [FACT, *OTHERS]}
        assert all(texts[passage.event_ids] == passage.text for passage in passages)
        scores = [passage.score for passage in passages if passage.score is not None]
        assert len(scores) in (0, len(passages))
        assert scores == sorted(scores, reverse=True)

    def test_the_evidence_comes_first_unless_there_is_no_ranking(self, name: str, make: Make) -> None:
        one = make(name)
        one.tell(FACT, *OTHERS)
        scored = [passage for passage in one.read() if passage.score is not None]
        assert all(passage.event_ids == (FACT.id,) for passage in scored[:1])

    def test_the_newest_of_equals_comes_first(self, name: str, make: Make) -> None:
        one = make(name)
        one.tell(*(replace(FACT, id=event_id, time=time) for event_id, time in [("m", 2.0), ("a", 3.0), ("z", 1.0)]))
        assert [passage.event_ids for passage in one.read()] in ([], [("a",), ("m",), ("z",)])

    def test_ids_decide_nothing(self, name: str, make: Make) -> None:
        one, other = make(name), make(name)
        one.tell(FACT, *OTHERS)
        other.tell(*(replace(event, id=f"{9 - place}") for place, event in enumerate([FACT, *OTHERS])))
        assert [(p.text, p.score) for p in one.read()] == [(p.text, p.score) for p in other.read()]

    def test_how_events_are_batched_decides_nothing(self, name: str, make: Make) -> None:
        one, other = make(name), make(name)
        one.tell(FACT, *OTHERS)
        for event in [FACT, *OTHERS]:
            other.memory.write([event])
        other.memory.settle()
        assert one.read() == other.read()

    def test_a_query_of_a_scope_sees_that_scope_only(self, name: str, make: Make) -> None:
        one = make(name)
        one.tell(replace(FACT, scope="north"), replace(NEW_FACT, id="s", scope="south"))
        found = [p.event_ids for p in one.read(replace(QUESTION, scope="south"))]
        assert found in ([], [("s",)])
        assert bool(found) is bool(one.read())

    def test_the_same_life_twice_gives_the_same_answers(self, name: str, make: Make) -> None:
        one, other = make(name), make(name)
        for life in (one, other):
            life.tell(FACT, *OTHERS)
        assert one.read() == other.read()
        answers = [life.reader.generate([CLOZE])[0] for life in (one, other)]
        assert answers[0].text == answers[1].text
        assert answers[0].logprob == answers[1].logprob
        assert one.memory.size_bytes() == other.memory.size_bytes()

    def test_its_size_grows_with_what_it_holds(self, name: str, make: Make) -> None:
        one = make(name)
        empty = one.memory.size_bytes()
        one.tell(FACT, *OTHERS)
        full = one.memory.size_bytes()
        one.memory.reset()
        assert 0 <= empty <= full
        assert one.memory.size_bytes() == empty


@pytest.mark.parametrize("name", BOUNDED)
def test_it_returns_top_k_passages_at_most(name: str, make: Make) -> None:
    one = make(name, "memory.top_k=3")
    one.tell(*(Event(f"{number}", f"The access code of gate 17 is {number}") for number in range(8)))
    assert len(one.read()) in (0, 3)


@pytest.mark.parametrize("name", BOUNDED)
def test_every_memory_offers_as_many_passages(name: str) -> None:
    assert settings(name)["top_k"] == 64


@pytest.mark.parametrize("name", BOUNDED)
def test_a_top_k_of_nothing_is_refused(name: str, make: Make) -> None:
    with pytest.raises(BadInput, match="top_k must be >= 1, got 0"):
        make(name, "memory.top_k=0")


@pytest.mark.parametrize("name", DURABLE)
def test_a_durable_memory_finds_after_reopening(name: str, make: Make, tmp_path: Path) -> None:
    path = f"memory.path={tmp_path / 'kept'}"
    first = make(name, path)
    first.tell(FACT)
    first.memory.close()
    assert make(name, path).knows("4411")

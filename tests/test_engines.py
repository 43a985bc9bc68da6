"""What is special to one engine: each test is a trap that was met in the engine itself."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from qdrant_client import QdrantClient
from ruvector import HnswIndex

from adapters.lancedb import LanceTable
from adapters.qdrant import Collection, EdgeShard
from adapters.ruvector import MOST_DEAD, HnswGraph
from memory_bench.contracts import Embedder
from memory_bench.errors import Unavailable
from memory_bench.types import Event, Query
from memory_bench.vectors import VectorMemory
from tests import engines
from tests.engines import texts

ROOT = Path(__file__).parent.parent
DIMENSIONS = 384


@pytest.fixture
def embedder() -> Embedder:
    return engines.embedder()


@pytest.fixture
def lancedb(embedder: Embedder) -> Iterator[VectorMemory]:
    yield from _opened("lancedb", embedder)


@pytest.fixture
def qdrant(embedder: Embedder) -> Iterator[VectorMemory]:
    yield from _opened("qdrant", embedder)


@pytest.fixture
def ruvector(embedder: Embedder) -> Iterator[VectorMemory]:
    yield from _opened("ruvector", embedder)


def _opened(name: str, embedder: Embedder) -> Iterator[VectorMemory]:
    memory = engines.build(name, embedder=embedder)
    assert isinstance(memory, VectorMemory)
    yield memory
    memory.close()


def best(memory: VectorMemory, event: Event) -> str:
    return memory.read(Query(event.text))[0].event_ids[0]


class TestLanceDB:
    def test_settling_and_forgetting_leave_one_version(self, lancedb: VectorMemory) -> None:
        """An older version holds what was replaced and forgotten, and can be checked out."""
        assert isinstance(lancedb.engine, LanceTable)
        for event in texts(5):
            lancedb.write([event])
        assert len(lancedb.engine.table.list_versions()) > 5
        lancedb.settle()
        assert len(lancedb.engine.table.list_versions()) == 1
        lancedb.forget(["e1"])
        assert len(lancedb.engine.table.list_versions()) == 1

    def test_what_is_forgotten_stands_in_no_file_once_much_is(self, lancedb: VectorMemory) -> None:
        assert isinstance(lancedb.engine, LanceTable)
        folder = lancedb.engine.folder.index
        lancedb.write([Event("a", "the secret word is xylophone"), Event("b", "nothing of note")])
        lancedb.settle()
        assert _holding(folder, b"xylophone")
        lancedb.forget(["a"])
        assert _holding(folder, b"xylophone") == []
        assert _holding(folder, b"nothing of note")


def _holding(folder: Path, text: bytes) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and text in file.read_bytes()]


class TestQdrantEdge:
    def test_scopes_are_indexed_before_the_first_point(self, qdrant: VectorMemory) -> None:
        """Made after the data the index leaves neighbours out of a filtered search, without an error."""
        assert isinstance(qdrant.engine, EdgeShard)
        for _ in range(2):
            info = qdrant.engine.shard.info()
            assert (info.points_count, list(info.payload_schema)) == (0, ["scope"])
            qdrant.write(texts(3))
            qdrant.reset()

    def test_files_that_are_allocated_ahead_are_not_counted(self, qdrant: VectorMemory) -> None:
        qdrant.write(texts(100))
        qdrant.settle()
        vectors = 100 * DIMENSIONS * 4
        assert vectors < qdrant.size_bytes() < 10 * vectors


class TestQdrantClient:
    def test_two_memories_in_one_client_know_nothing_of_each_other(self, embedder: Embedder) -> None:
        client = QdrantClient(":memory:")
        one, other = (
            VectorMemory(Collection(client, DIMENSIONS, index_from_rows=None), embedder=embedder, top_k=3) for _ in "ab"
        )
        one.write(texts(5))
        other.reset()
        assert len(one.engine) == 5
        assert other.read(Query("word1")) == []
        one.engine.clear()
        assert [collection.name for collection in client.get_collections().collections] != []
        client.close()

    def test_a_server_that_is_not_named_or_does_not_answer_is_unavailable(
        self, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("QDRANT_URL", "http://127.0.0.1:9")
        with pytest.raises(Unavailable, match=r"^no Qdrant server answers at http://127.0.0.1:9 .*: set memory.url to"):
            engines.build("qdrant_server", embedder=embedder)
        with pytest.raises(Unavailable, match=r"^no Qdrant server answers at http://127.0.0.1:10 "):
            engines.build("qdrant_server", "memory.url=http://127.0.0.1:10", embedder=embedder)


RESIDENT = """
import numpy, psutil
from adapters.ruvector import HnswGraph
from memory_bench.types import Event
from memory_bench.vectors import Row

X = numpy.random.default_rng(0).normal(size=(3001, 384)).astype("f4")
X /= numpy.linalg.norm(X, axis=1, keepdims=True)
rows = [Row(number, Event(str(number), ""), vector) for number, vector in enumerate(X)]
graph = HnswGraph(384)
graph.put(rows[:1])
before = psutil.Process().memory_info().rss
graph.put(rows[1:])
print((psutil.Process().memory_info().rss - before) / graph.size_bytes())
"""


class TestRuVector:
    def test_the_engine_takes_an_id_again_beside_the_old_vector(self) -> None:
        """Why nodes are named by numbers that are never used again."""
        graph = HnswIndex.create(DIMENSIONS, metric="cosine")
        old, new = engines.embedder().embed(["an old text", "something else"])
        graph.insert("a", old)
        graph.insert("a", new)
        assert len(graph) == 1
        assert [name for name, _, _ in graph.search(old, 5)] == ["a", "a"]

    def test_what_was_replaced_is_found_no_more(self, ruvector: VectorMemory) -> None:
        old = texts(10)
        ruvector.write(old)
        ruvector.write([replace(event, text=f"quite another {place}") for place, event in enumerate(old)])
        found = ruvector.read(Query(old[3].text))
        assert len(found) == len({passage.event_ids for passage in found}) == 10
        assert all(passage.text.startswith("quite another") for passage in found)

    def test_dead_nodes_take_the_place_of_no_result(self, ruvector: VectorMemory) -> None:
        assert isinstance(ruvector.engine, HnswGraph)
        events = texts(200)
        ruvector.write(events)
        ruvector.forget([event.id for event in events[:130]])
        assert ruvector.engine.dead == 130
        assert len(ruvector.read(Query(events[0].text))) == 64
        assert best(ruvector, events[150]) == "e150"

    def test_settling_builds_the_graph_anew_once_too_many_nodes_are_dead(self, ruvector: VectorMemory) -> None:
        assert isinstance(ruvector.engine, HnswGraph)
        events = texts(200)
        ruvector.write(events)
        ruvector.forget([event.id for event in events[: int(200 * MOST_DEAD)]])
        ruvector.settle()
        assert ruvector.engine.dead == 50
        before = ruvector.size_bytes()
        ruvector.forget(["e199"])
        ruvector.settle()
        assert (ruvector.engine.dead, len(ruvector.engine)) == (0, 149)
        assert ruvector.size_bytes() < before
        assert best(ruvector, events[150]) == "e150"

    def test_no_more_is_asked_for_than_there_is(self, embedder: Embedder) -> None:
        """Asked for 10**12 the engine aborts the process."""
        memory = engines.build("ruvector", f"memory.top_k={10**12}", embedder=embedder)
        assert memory.read(Query("?")) == []
        memory.write(texts(5))
        assert len(memory.read(Query("?"))) == 5

    def test_a_scope_is_searched_until_enough_of_it_is_found(self, ruvector: VectorMemory) -> None:
        """The engine filters what it has found: what is asked for without a filter may hold nothing of a scope."""
        ruvector.write([replace(event, scope="few" if n % 50 == 0 else "many") for n, event in enumerate(texts(500))])
        found = ruvector.read(Query("word1 word2", scope="few"))
        assert {passage.event_ids[0] for passage in found} == {f"e{n}" for n in range(0, 500, 50)}

    def test_a_size_is_what_the_graph_takes(self) -> None:
        """The engine does not say; in a process of its own the resident bytes do."""
        done = subprocess.run([sys.executable, "-c", RESIDENT], cwd=ROOT, capture_output=True, text=True, check=True)
        assert 0.8 < float(done.stdout) < 1.25  # the allocator keeps pages of its own

    @pytest.mark.xfail(strict=True, reason="ruvector 0.1.4: many copies of one vector cut the graph off from the rest")
    def test_one_text_told_very_often_hides_nothing(self, ruvector: VectorMemory) -> None:
        others = texts(10)
        ruvector.write([Event(f"copy{n}", "page intentionally left blank") for n in range(500)])
        ruvector.write(others)
        assert [best(ruvector, event) for event in others] == [event.id for event in others]

    @pytest.mark.xfail(strict=True, reason="ruvector 0.1.4: of vectors at right angles most are never reached")
    def test_vectors_at_right_angles_are_all_found(self) -> None:
        graph = HnswIndex.create(DIMENSIONS, metric="cosine", m=16, ef_construction=200, ef_search=100)
        axes = np.eye(DIMENSIONS, dtype=np.float32)
        for number, vector_D in enumerate(axes):
            graph.insert(str(number), vector_D)
        assert [graph.search(vector_D, 1)[0][0] for vector_D in axes] == [str(n) for n in range(DIMENSIONS)]


@pytest.mark.parametrize("name", [*engines.NAMES, *engines.VARIANTS])
def test_what_an_engine_needs_is_named_where_it_is_chosen_and_in_an_extra(name: str) -> None:
    """Then a missing one is a line that says what to install, and not an error of an import."""
    options = yaml.safe_load((ROOT / "conf" / "memory" / f"{name}.yaml").read_text())
    module = ROOT / (options["_target_"].rpartition(".")[0].replace(".", "/") + ".py")
    owners = importlib.metadata.packages_distributions()
    imported = {
        canonicalize_name(owner)
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in (node.names if isinstance(node, ast.Import) else [ast.alias(node.module or "")])
        for owner in owners.get(alias.name.partition(".")[0], ())
    }
    core = {canonicalize_name(Requirement(line).name) for line in _declared() if "extra ==" not in line}
    heavy = {canonicalize_name(Requirement(line).name) for line in options["requires"]}
    assert imported - core - {"memory-bench-suite"} == heavy
    extras = {str(Requirement(line.partition(";")[0])) for line in _declared() if "extra ==" in line}
    assert {str(Requirement(line)) for line in options["requires"]} <= extras


def _declared() -> list[str]:
    return importlib.metadata.requires("memory-bench-suite") or []

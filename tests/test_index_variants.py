"""Indexes beside the default one, over their engines: nothing is lost by them, and each trap that was met is a test."""

from __future__ import annotations

import math
import re
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa
import pytest
from lancedb.index import HnswSq, IvfPq

from adapters import ruvector
from adapters.lancedb import LanceTable
from adapters.qdrant import EdgeShard, edge_memory
from memory_bench.contracts import Memory
from memory_bench.engines import data, plan
from memory_bench.engines.life import LookUp, recall
from memory_bench.errors import BadInput
from memory_bench.types import Event, Passage, Query
from memory_bench.vectors import VectorMemory
from tests import engines
from tests.engines import texts

FROM_ROWS = {  # variant -> the option that says from how many rows on its index is built
    "lancedb_ivf_flat": "layout.from_rows",
    "lancedb_ivf_pq": "layout.from_rows",
    "lancedb_ivf_hnsw_sq": "layout.from_rows",
    "lancedb_hybrid": "index_from_rows",
    "qdrant_quantised": "index_from_rows",
}
BY_VECTORS = [name for name in FROM_ROWS if name != "lancedb_hybrid"]
ROWS, INDEXED_FROM, FEW = 800, 400, 80
EVENTS = [replace(event, scope="few" if n % (ROWS // FEW) == 0 else "many") for n, event in enumerate(texts(ROWS))]
QUERIES = [Query(event.text) for event in texts(10, seed=1)]


@dataclass(frozen=True)
class Pair:
    """A variant over 800 rows that an index was built for, and what an exact scan of them says."""

    memory: VectorMemory
    exact: Memory


def build(name: str, *options: str) -> VectorMemory:
    memory = engines.build(name, *(f"memory.{option}" for option in options), embedder=engines.embedder())
    assert isinstance(memory, VectorMemory)
    return memory


@pytest.fixture(scope="module", params=FROM_ROWS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def pair(name: str) -> Iterator[Pair]:
    memory = build(name, f"{FROM_ROWS[name]}={INDEXED_FROM}")
    exact = engines.build("exact", embedder=engines.embedder())
    for life in (memory, exact):
        life.write(EVENTS)
        life.settle()
    yield Pair(memory, exact)
    memory.close()


def ids(passages: list[Passage]) -> list[str]:
    return [passage.event_ids[0] for passage in passages]


def test_every_row_is_in_the_index(pair: Pair) -> None:
    assert isinstance(pair.memory.engine, LanceTable | EdgeShard)
    assert pair.memory.engine.indexed_rows() == len(pair.memory.engine) == ROWS


def test_a_selective_scope_is_found_whole(pair: Pair) -> None:
    found = pair.memory.read(replace(QUERIES[0], scope="few"))
    assert len(found) == 64
    assert all(int(event_id[1:]) % (ROWS // FEW) == 0 for event_id in ids(found))


def test_by_vectors_it_finds_what_a_scan_finds_and_scores_are_cosines(name: str, pair: Pair) -> None:
    if name not in BY_VECTORS:
        pytest.skip("it ranks by words too")
    for scope in ("", "few"):
        pairs = [
            (pair.memory.read(query), pair.exact.read(query)) for query in (replace(q, scope=scope) for q in QUERIES)
        ]
        shared = [len({*ids(found)} & {*ids(right)}) / 64 for found, right in pairs]
        assert np.mean(shared) > 0.9
        assert all(found[0].score == pytest.approx(right[0].score, abs=2e-5) for found, right in pairs)


def test_below_so_many_rows_it_answers_as_exact_does(name: str) -> None:
    """An index over few rows has partitions that are not searched, and codes that were learned from nothing."""
    if name not in BY_VECTORS:
        pytest.skip("it ranks by words too")
    memory, exact = build(name), engines.build("exact", embedder=engines.embedder())
    for life in (memory, exact):
        life.write(texts(10))
        life.settle()
    assert [ids(memory.read(query)) for query in QUERIES] == [ids(exact.read(query)) for query in QUERIES]
    memory.close()


def test_a_row_after_the_index_is_found_and_one_that_was_forgotten_is_not(name: str) -> None:
    memory = build(name, f"{FROM_ROWS[name]}={INDEXED_FROM}")
    memory.write(EVENTS[:500])
    memory.settle()
    memory.write(EVENTS[500:520])
    memory.forget(["e7"])
    for _ in range(2):
        assert ids(memory.read(Query(EVENTS[510].text)))[0] == "e510"
        assert "e7" not in ids(memory.read(Query(EVENTS[7].text)))
        memory.settle()
    memory.close()


class TestLanceDB:
    def test_without_an_index_every_row_is_compared(self) -> None:
        memory = build("lancedb_flat")
        memory.write(EVENTS)
        memory.settle()
        assert isinstance(memory.engine, LanceTable)
        assert memory.engine.indexed_rows() == 0
        assert ids(memory.read(Query(EVENTS[7].text)))[0] == "e7"
        memory.close()

    def test_a_scope_in_partitions_that_are_not_searched_is_found(self) -> None:
        memory = build("lancedb_ivf_flat", f"layout.from_rows={INDEXED_FROM}", "layout.effort=1")
        memory.write([replace(event, scope=event.id if n < 5 else "") for n, event in enumerate(EVENTS)])
        memory.settle()
        assert [ids(memory.read(replace(QUERIES[0], scope=f"e{n}"))) for n in range(5)] == [[f"e{n}"] for n in range(5)]
        memory.close()

    @pytest.mark.parametrize("name", ["lancedb_ivf_flat", "lancedb_ivf_pq"])
    def test_partitions_stay_apart_when_the_index_is_brought_up_to_date(self, name: str) -> None:
        """LanceDB joins partitions that are told by their number: every search would then look at everything."""
        memory = build(name, f"layout.from_rows={INDEXED_FROM}")
        memory.write(EVENTS)
        for _ in range(2):
            memory.settle()
            assert isinstance(memory.engine, LanceTable)
            query = memory.engine.table.search(engines.embedder().embed(["line"])[0])
            query.nprobes(ROWS)  # type: ignore[attr-defined]
            (ranked,) = re.findall(r"partitions_ranked=(\d+)", query.analyze_plan())
            assert int(ranked) > math.isqrt(ROWS) / 2
        memory.close()

    def test_codes_are_learned_from_enough_rows_or_not_at_all(self) -> None:
        with pytest.raises(BadInput, match=r"^IvfPq learns its codes from 256 rows or more, .*got 255: set memory\."):
            build("lancedb_ivf_pq", "layout.from_rows=255")

    @pytest.mark.parametrize(
        ("option", "message"),
        [
            ("layout.index=IvfPQ", "index must be one of IvfHnswFlat, IvfHnswSq, IvfFlat, IvfPq, got 'IvfPQ': set"),
            ("layout.effort=0", "effort must be >= 1, got 0: set memory.layout.effort=20"),
            ("layout.refine_factor=0", "refine_factor must be >= 1, got 0: set memory.layout.refine_factor=10"),
            ("layout.from_rows=0", "from_rows must be >= 1, got 0: set memory.layout.from_rows=10000"),
        ],
    )
    def test_what_cannot_be_built_or_searched_is_refused(self, option: str, message: str) -> None:
        with pytest.raises(BadInput) as refused:
            build("lancedb_ivf_pq", option)
        assert str(refused.value).startswith(message)

    def test_an_index_of_another_memory_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        path, few = f"path={tmp_path / 'kept'}", f"{INDEXED_FROM}"
        first = build("lancedb_ivf_flat", path, f"layout.from_rows={few}")
        first.write(EVENTS[:500])
        first.settle()
        first.close()
        for other in ("lancedb_ivf_pq", "lancedb_hybrid", "lancedb"):
            with pytest.raises(BadInput, match=r"holds the indexes of another memory \(IvfFlat\): set memory\.path to"):
                build(other, path)
        again = build("lancedb_ivf_flat", path, f"layout.from_rows={few}")
        assert ids(again.read(Query(EVENTS[7].text)))[0] == "e7"
        again.close()

    def test_two_that_write_the_same_ids_at_once_leave_one_row_an_id(self) -> None:
        """LanceDB merges two at once into two rows an id, and says nothing."""
        memory = build("lancedb")
        start = threading.Barrier(4)

        def write(part: int) -> None:
            start.wait()
            for event in EVENTS[:5]:
                memory.write([replace(event, text=f"{event.text} {part}")])

        threads = [threading.Thread(target=write, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(memory.engine) == 5
        memory.close()

    @pytest.mark.parametrize("config", [HnswSq("cosine", num_partitions=1), IvfPq("cosine", num_partitions=1)])
    def test_a_quantised_index_estimates_what_is_no_cosine_distance_unless_refined(self, config: HnswSq) -> None:
        """Why the quantised variants are refined: the engine itself."""
        rng = np.random.default_rng(0)
        vectors_ND = rng.normal(size=(300, 32)).astype(np.float32)
        vectors_ND /= np.linalg.norm(vectors_ND, axis=1, keepdims=True)
        with tempfile.TemporaryDirectory() as folder:
            values = pa.FixedSizeListArray.from_arrays(pa.array(vectors_ND.ravel()), 32)
            table = lancedb.connect(folder).create_table("bare", pa.table({"n": range(300), "vector": values}))
            table.create_index("vector", config=config)
            plain, refined = (
                (query.refine_factor(10) if refine else query).to_list()
                for refine in (False, True)
                for query in [table.search(vectors_ND[0]).distance_type("cosine").limit(20)]  # type: ignore[attr-defined]
            )
        off, right = (
            max(abs(row["_distance"] - (1 - vectors_ND[row["n"]] @ vectors_ND[0])) for row in rows)
            for rows in (plain, refined)
        )
        assert off > 0.1
        assert right < 1e-5


class TestHybrid:
    @pytest.fixture
    def hybrid(self) -> Iterator[VectorMemory]:
        memory = build("lancedb_hybrid")
        yield memory
        memory.close()

    def test_a_rare_word_brings_a_text_up_that_vectors_rank_low(self, hybrid: VectorMemory) -> None:
        rare = Event("rare", "zyzzyva, and then quite a few other things that nobody asked about in this long text")
        words = [Event(f"near{n}", f"zyzzy van {n}") for n in range(3)]
        exact = engines.build("exact", embedder=engines.embedder())
        for life in (hybrid, exact):
            life.write([rare, *words, *texts(20)])
            life.settle()
        places = [ids(life.read(Query("zyzzyva")))[:4].index("rare") for life in (exact, hybrid)]
        assert places[1] < places[0]

    def test_words_are_found_before_they_are_indexed_and_never_once_they_are_forgotten(
        self, hybrid: VectorMemory
    ) -> None:
        assert isinstance(hybrid.engine, LanceTable)
        hybrid.write([Event("a", "the word is xylophone"), Event("b", "nothing of note", scope="s")])
        assert [hit.event.id for hit in hybrid.engine.matching("xylophone", limit=9, scope="")] == ["a"]
        assert hybrid.engine.matching("xylophone", limit=9, scope="s") == []
        hybrid.settle()
        assert [hit.event.id for hit in hybrid.engine.matching("xylophone", limit=9, scope="")] == ["a"]
        hybrid.forget(["a"])
        assert hybrid.engine.matching("xylophone", limit=9, scope="") == []
        hybrid.reset()
        hybrid.write([Event("c", "another xylophone")])
        hybrid.settle()
        assert [hit.event.id for hit in hybrid.engine.matching("xylophone", limit=9, scope="")] == ["c"]

    def test_the_newest_of_more_equals_than_count_are_returned(self) -> None:
        memory = build("lancedb_hybrid", "top_k=3")
        memory.write([Event(f"{place}", "all the same", time=float(place * 7 % 30)) for place in range(30)])
        memory.settle()
        assert [int(event_id) * 7 % 30 for event_id in ids(memory.read(Query("all the same")))] == [29, 28, 27]
        memory.close()


def scopes_indexed(when: str) -> VectorMemory:
    embedder = engines.embedder()
    return edge_memory(embedder=embedder, path=None, index_from_rows=INDEXED_FROM, top_k=64, acorn=False, scopes=when)


class TestQdrantEdge:
    def test_scopes_can_be_indexed_once_there_are_points(self) -> None:
        memory = scopes_indexed("after")
        assert isinstance(memory.engine, EdgeShard)
        memory.write(EVENTS[:500])
        assert memory.engine.shard.info().payload_schema == {}
        memory.settle()
        assert list(memory.engine.shard.info().payload_schema) == ["scope"]
        assert len(ids(memory.read(replace(QUERIES[0], scope="few")))) == 50
        memory.close()

    @pytest.mark.parametrize(
        ("options", "least", "most"),
        [
            ("index_from_rows=400", 0.95, 1.0),
            ("index_from_rows=392 acorn=false", 0.95, 1.0),
            ("index_from_rows=392 acorn=false scopes=after", 0.0, 0.8),
        ],
    )
    def test_it_finds_a_scope_of_as_many_rows_as_the_index_is_built_from_or_more(
        self, options: str, least: float, most: float
    ) -> None:
        """By ACORN in any case; without it by links of the scope's own, for which it has to be indexed first."""
        clusters = data.load("clustered", rows=4000, dimensions=32)
        memory = plan.made(f"qdrant {options}", LookUp(clusters))
        memory.write([Event(f"{at}", f"row {at}", scope=scope) for at, scope in enumerate(clusters.scopes)])
        memory.settle()
        tenth_N = np.array(clusters.scopes) == "tenth"
        assert tenth_N.sum() == 400
        recalls = []
        for at, query_D in enumerate(clusters.queries_QD[:50]):
            found = [int(one) for one in ids(memory.read(Query(f"query {at}", scope="tenth")))]
            recalls.append(recall(np.array(found), clusters.vectors_ND @ query_D, tenth_N))
        memory.close()
        assert least <= np.mean(recalls) <= most

    def test_nothing_is_indexed_before_it_is_settled(self) -> None:
        """Nothing runs in the background: who times a search without settling times a scan."""
        memory = build("qdrant", f"index_from_rows={INDEXED_FROM}")
        assert isinstance(memory.engine, EdgeShard)
        memory.write(EVENTS[:500])
        assert memory.engine.indexed_rows() == 0
        assert ids(memory.read(Query(EVENTS[7].text)))[0] == "e7"
        memory.close()

    def test_what_cannot_be_searched_is_refused(self) -> None:
        with pytest.raises(BadInput, match=r"^scopes must be one of before, after, got 'acorn': set memory\.scopes="):
            scopes_indexed("acorn")
        with pytest.raises(BadInput, match=r"^memory\.acorn=often: expected true or false, such as the default"):
            build("qdrant", "acorn=often")
        with pytest.raises(BadInput, match=r"^oversampling must be >= 1, got 0\.5: set memory\.oversampling=2\.0$"):
            build("qdrant_quantised", "oversampling=0.5")


class TestRuVectorAsItIs:
    """What the adapter does against these is switched off, so that it can be measured."""

    def test_dead_nodes_take_the_place_of_results_and_stay(self) -> None:
        memory = ruvector.memory(embedder=engines.embedder(), top_k=10, remedied=False)
        memory.write(EVENTS[:200])
        memory.forget([event.id for event in EVENTS[:100]])
        memory.settle()
        assert max(len(memory.read(query)) for query in QUERIES) < 10

    def test_a_scope_is_looked_for_among_what_was_found(self) -> None:
        memory = ruvector.memory(embedder=engines.embedder(), top_k=10, remedied=False)
        memory.write(EVENTS)
        assert max(len(memory.read(replace(query, scope="few"))) for query in QUERIES) < 10

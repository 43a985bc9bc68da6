"""What a vector memory adds to its engine. Run: pytest benchmarks/test_engines.py

Every memory stands beside the bare engine on the same 1,000 vectors, which a table answers instead of an embedder: the
difference is what this project adds. The two are asked in turns, and CPU time is counted, of all threads: what else the
machine does stretches neither. Writing is benchmarked from an empty memory.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from uuid import UUID

import lancedb as lance
import numpy as np
import pyarrow as pa
import pytest
import qdrant_edge as edge
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from qdrant_client import QdrantClient, models
from ruvector import HnswIndex

from adapters import lancedb, qdrant, ruvector
from memory_bench.embedders.hashing import Hashing
from memory_bench.types import Event, Query
from memory_bench.vectors import HNSW_BUILD_CANDIDATES, HNSW_LINKS, HNSW_SEARCH_CANDIDATES, VectorMemory
from tests.engines import texts

EVENTS, DIMENSIONS = 1_000, 384
TOP_K = 64  # what a memory fetches for a prompt; ten is what searches are usually compared at
QUERY = "word1 word2 word3 word4 word5"
MOST_US, MOST_SHARE = 30, 0.15  # over the engine's own call: what a memory may take
TURNS, CALLS = 60, 10


class Table:
    """An embedder that looks its vectors up."""

    name = "table"
    dimensions = DIMENSIONS

    def __init__(self, known: Sequence[str]) -> None:
        vectors_XD = Hashing(dimensions=DIMENSIONS).embed(known)
        self._known = dict(zip(known, vectors_XD, strict=True))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([self._known[text] for text in texts], dtype=np.float32)

    def identity(self) -> Mapping[str, str]:
        return {}


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return texts(EVENTS)


@pytest.fixture(scope="module")
def embedder(events: list[Event]) -> Table:
    return Table([QUERY, *(event.text for event in events)])


MAKE: Mapping[str, Callable[[Table, int], VectorMemory]] = {
    "lancedb": lambda table, top_k: lancedb.memory(embedder=table, path=None, index_from_rows=10_000, top_k=top_k),
    "qdrant": lambda table, top_k: qdrant.edge_memory(
        embedder=table, path=None, index_from_rows=10_000, top_k=top_k, acorn=True
    ),
    "qdrant_bruteforce": lambda table, top_k: qdrant.bruteforce_memory(embedder=table, top_k=top_k),
    "ruvector": lambda table, top_k: ruvector.memory(embedder=table, top_k=top_k),
}


@pytest.fixture(params=MAKE)
def memory(request: pytest.FixtureRequest, embedder: Table) -> Iterator[VectorMemory]:
    made = MAKE[request.param](embedder, TOP_K)
    yield made
    made.close()


def per_event(benchmark: BenchmarkFixture) -> None:
    if benchmark.stats is not None:  # with --benchmark-disable nothing was timed
        benchmark.extra_info["us_per_event"] = round(benchmark.stats.stats.median / EVENTS * 1e6, 2)


def test_write_and_settle(benchmark: BenchmarkFixture, memory: VectorMemory, events: list[Event]) -> None:
    def told() -> None:
        memory.write(events)
        memory.settle()

    benchmark.pedantic(told, setup=memory.reset, rounds=3)  # type: ignore[no-untyped-call]
    assert len(memory.engine) == EVENTS
    per_event(benchmark)


def test_read(benchmark: BenchmarkFixture, memory: VectorMemory, events: list[Event]) -> None:
    memory.write(events)
    memory.settle()
    assert len(benchmark(memory.read, Query(QUERY))) == TOP_K


# The bare engines: each loads (id, text, vector) once and is searched for the ids and texts of the nearest.

Search = Callable[[NDArray[np.float32]], Sequence[tuple[str, str]]]
Bare = Callable[[Path, list[Event], NDArray[np.float32], int], Search]


def bare_lancedb(folder: Path, events: list[Event], vectors_ED: NDArray[np.float32], top_k: int) -> Search:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(vectors_ED.ravel()), DIMENSIONS)
    ids, held = [event.id for event in events], [event.text for event in events]
    table = lance.connect(folder).create_table("bare", pa.table({"id": ids, "text": held, "vector": vectors}))

    def search(vector_D: NDArray[np.float32]) -> list[tuple[str, str]]:
        query = table.search(vector_D).distance_type("cosine")  # type: ignore[attr-defined]
        found = query.limit(top_k).select(["id", "text", "_distance"]).to_list()
        return [(row["id"], row["text"]) for row in found]

    return search


def bare_qdrant(folder: Path, events: list[Event], vectors_ED: NDArray[np.float32], top_k: int) -> Search:
    shard = edge.EdgeShard.create(
        str(folder), edge.EdgeConfig(vectors=edge.EdgeVectorParams(DIMENSIONS, edge.Distance.Cosine))
    )
    points = [
        edge.Point(UUID(int=n), vectors_ED[n].tolist(), {"id": event.id, "text": event.text})
        for n, event in enumerate(events)
    ]
    shard.update(edge.UpdateOperation.upsert_points(points))

    def search(vector_D: NDArray[np.float32]) -> list[tuple[str, str]]:
        found = shard.search(edge.SearchRequest(edge.Query.Nearest(vector_D.tolist()), top_k, with_payload=True))
        return [(held["id"], held["text"]) for held in (point.payload or {} for point in found)]

    return search


def bare_qdrant_bruteforce(_: Path, events: list[Event], vectors_ED: NDArray[np.float32], top_k: int) -> Search:
    client = QdrantClient(":memory:")
    client.create_collection("bare", models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE))
    points = [
        models.PointStruct(id=n, vector=vectors_ED[n].tolist(), payload={"id": event.id, "text": event.text})
        for n, event in enumerate(events)
    ]
    client.upsert("bare", points)

    def search(vector_D: NDArray[np.float32]) -> list[tuple[str, str]]:
        found = client.query_points("bare", vector_D.tolist(), limit=top_k).points
        return [(held["id"], held["text"]) for held in (point.payload or {} for point in found)]

    return search


def bare_ruvector(_: Path, events: list[Event], vectors_ED: NDArray[np.float32], top_k: int) -> Search:
    graph = HnswIndex.create(DIMENSIONS, metric="cosine", m=HNSW_LINKS, ef_construction=HNSW_BUILD_CANDIDATES)
    for event, vector_D in zip(events, vectors_ED, strict=True):
        graph.insert(event.id, vector_D, {"text": event.text})

    def search(vector_D: NDArray[np.float32]) -> list[tuple[str, str]]:
        found = graph.search(vector_D, top_k, ef_search=HNSW_SEARCH_CANDIDATES)
        return [(event_id, (held or {})["text"]) for event_id, _, held in found]

    return search


BARE: Mapping[str, Bare] = {
    "lancedb": bare_lancedb,
    "qdrant": bare_qdrant,
    "qdrant_bruteforce": bare_qdrant_bruteforce,
    "ruvector": bare_ruvector,
}


@pytest.mark.parametrize("top_k", [10, TOP_K])
@pytest.mark.parametrize("name", BARE)
def test_read_beside_the_engine_alone(
    benchmark: BenchmarkFixture, name: str, top_k: int, events: list[Event], embedder: Table
) -> None:
    """What a memory adds to its engine's own search, against the most that it may add."""
    memory = MAKE[name](embedder, top_k)
    memory.write(events)
    memory.settle()
    query = Query(QUERY)
    vector_D = embedder.embed([QUERY])[0]
    with tempfile.TemporaryDirectory() as folder:
        search = BARE[name](Path(folder), events, embedder.embed([event.text for event in events]), top_k)
        assert [pair[0] for pair in search(vector_D)] == [one.event_ids[0] for one in memory.read(query)]
        spent: dict[str, list[float]] = {"memory": [], "engine": []}

        def turn() -> None:
            spent["memory"].append(_cpu_us(lambda: memory.read(query)))
            spent["engine"].append(_cpu_us(lambda: search(vector_D)))

        benchmark.pedantic(turn, rounds=TURNS, warmup_rounds=5)  # type: ignore[no-untyped-call]
    memory.close()
    ours, alone = median(spent["memory"]), median(spent["engine"])
    benchmark.extra_info |= {
        "memory_us": round(ours, 1),
        "engine_us": round(alone, 1),
        "over_us": round(ours - alone, 1),
        "ratio": round(ours / alone, 3),
        "within": ours - alone <= MOST_US + MOST_SHARE * alone,
    }


def _cpu_us(call: Callable[[], object]) -> float:
    start = time.process_time_ns()
    for _ in range(CALLS):
        call()
    return (time.process_time_ns() - start) / CALLS / 1e3

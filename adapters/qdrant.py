"""Qdrant: the Rust engine in this process (Qdrant Edge), a server by its address, and the client's own brute force.

The client's local mode is NumPy: it has no index and takes search parameters without using them. It is a reference
under its own name, and never "Qdrant".
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import numpy as np
import qdrant_edge as edge
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models
from qdrant_client.common.version_check import is_compatible
from qdrant_client.http.exceptions import ResponseHandlingException

from memory_bench.contracts import Embedder
from memory_bench.errors import BadInput, Unavailable
from memory_bench.events import checked_top_k
from memory_bench.index_folder import IndexFolder
from memory_bench.types import Event
from memory_bench.user_data import checked_address
from memory_bench.vectors import (
    HNSW_BUILD_CANDIDATES,
    HNSW_LINKS,
    HNSW_SEARCH_CANDIDATES,
    Hit,
    Row,
    VectorMemory,
    checked_index_from_rows,
)

_FLOAT_BYTES, _TIME_BYTES, _NUMBER_BYTES = 4, 8, 8
_POLLS, _POLL_SECONDS = 1200, 0.05
_SILENCE_SECONDS = 60
_SHOWN = 200  # characters of what a server says


def edge_memory(
    *,
    embedder: Embedder,
    path: str | None,
    index_from_rows: int,
    top_k: int,
    acorn: bool,
    oversampling: float | None = None,
    scopes: str = "before",
) -> VectorMemory:
    """Return a memory over Qdrant Edge. `path` keeps the shard in a folder; null: a temporary one.

    With `acorn` a search for a scope walks through points of other scopes. With `oversampling` vectors are searched by
    eight bits a dimension, and so many times the neighbours that are asked for are compared in full. `scopes` is one of
    `SCOPES`.
    """
    checked_top_k(top_k)
    checked_index_from_rows(index_from_rows)
    search = EdgeSearch(oversampling, scopes, acorn)
    folder = IndexFolder(path, engine="qdrant-edge-py", embedder=embedder)
    with folder.opening():
        engine = EdgeShard(folder, dimensions=embedder.dimensions, index_from_rows=index_from_rows, search=search)
    return VectorMemory(engine, embedder=embedder, top_k=top_k)


def server_memory(*, embedder: Embedder, url: str | None, index_from_rows: int, top_k: int) -> VectorMemory:
    """Return a memory over the Qdrant server at `url`; null: at $QDRANT_URL. Its collection goes with `close`.

    Raises Unavailable where no server answers, BadInput where one refuses, or is none that this client understands.
    """
    checked_top_k(top_k)
    checked_index_from_rows(index_from_rows)
    url = url or os.environ.get("QDRANT_URL")
    if url is None:
        raise Unavailable("qdrant_server needs a Qdrant server that runs: set memory.url=http://localhost:6333")
    client = _client(url)
    try:
        engine = Collection(client, embedder.dimensions, index_from_rows=index_from_rows)
    except BaseException:
        client.close()
        raise
    return VectorMemory(engine, embedder=embedder, top_k=top_k)


def bruteforce_memory(*, embedder: Embedder, top_k: int) -> VectorMemory:
    """Return a memory over the client's local mode, in RAM."""
    engine = Collection(QdrantClient(":memory:"), embedder.dimensions, index_from_rows=None)
    return VectorMemory(engine, embedder=embedder, top_k=checked_top_k(top_k))


SCOPES = ("before", "after")
"""When scopes are indexed: before the first point; or later, for who wants to measure what that costs."""


@dataclass(frozen=True)
class EdgeSearch:
    """How a shard is searched. Raises BadInput where that cannot be."""

    oversampling: float | None
    scopes: str
    acorn: bool

    def __post_init__(self) -> None:
        if self.scopes not in SCOPES:
            raise BadInput(f"scopes must be one of {', '.join(SCOPES)}, got {self.scopes!r}: set memory.scopes=before")
        if self.oversampling is not None and not self.oversampling >= 1:
            raise BadInput(f"oversampling must be >= 1, got {self.oversampling}: set memory.oversampling=2.0")

    def quantization(self) -> edge.ScalarQuantizationConfig | None:
        return None if self.oversampling is None else edge.ScalarQuantizationConfig(edge.ScalarType.Int8)

    def params(self, limit: int, effort: int) -> edge.SearchParams:
        full = None
        if self.oversampling is not None:
            full = edge.QuantizationSearchParams(rescore=True, oversampling=self.oversampling)
        walk = edge.AcornSearchParams(enable=True, max_selectivity=1.0) if self.acorn else None
        return edge.SearchParams(hnsw_ef=max(limit, effort), quantization=full, acorn=walk)


class EdgeShard:
    """One point an event. Nothing runs in the background: fresh points are scanned until `settle` optimises.

    The nearest points of one scope are not linked with one another in a graph over all: with one point in ten they are
    left out, without an error. Qdrant adds links within a scope that was indexed before the first point, where it has
    more points than the index is built from, and compares every point where it has fewer. Of a scope with just as many
    it may do neither. There, and where scopes were indexed later, ACORN finds them: it looks at the neighbours of
    points that the scope hides, in two to eight times the time.

    What is forgotten is found no more; its bytes stay in the log and in the segment until Qdrant cleans up.
    """

    def __init__(self, folder: IndexFolder, *, dimensions: int, index_from_rows: int, search: EdgeSearch) -> None:
        self.effort = HNSW_SEARCH_CANDIDATES
        self._search = search
        self._folder = folder
        kilobytes = _kilobytes(index_from_rows, dimensions)
        self._config = edge.EdgeConfig(
            vectors=edge.EdgeVectorParams(dimensions, edge.Distance.Cosine),
            # one thread and one segment: a graph is then the same on every machine
            hnsw_config=edge.HnswIndexConfig(HNSW_LINKS, HNSW_BUILD_CANDIDATES, kilobytes, max_indexing_threads=1),
            optimizers=edge.EdgeOptimizersConfig(indexing_threshold=kilobytes, default_segment_number=1),
            quantization_config=search.quantization(),
        )
        self.shard = self._loaded() if folder.index.is_dir() else self._created()

    def put(self, rows: Sequence[Row]) -> None:
        points = [edge.Point(_point_id(row.event.id), row.vector_D.tolist(), _payload(row)) for row in rows]
        self.shard.update(edge.UpdateOperation.upsert_points(points))

    def drop(self, event_ids: Sequence[str]) -> None:
        self.shard.update(edge.UpdateOperation.delete_points([_point_id(event_id) for event_id in event_ids]))

    def clear(self) -> None:
        """Begin anew: a log and segments would keep the bytes of all that was ever deleted."""
        self.shard.close()
        shutil.rmtree(self._folder.index)
        self.shard = self._created()

    def settle(self) -> None:
        self.shard.optimize()
        if self._search.scopes != "before":
            _index_scopes(self.shard)
        self.shard.flush()

    def search(self, vector_D: NDArray[np.float32], *, limit: int, scope: str) -> list[Hit]:
        of_scope = edge.Filter(must=[edge.FieldCondition("scope", edge.MatchValue(scope))]) if scope else None
        request = edge.SearchRequest(
            edge.Query.Nearest(vector_D.tolist()),
            limit,
            filter=of_scope,
            params=self._search.params(limit, self.effort),
            with_payload=True,
        )
        return [_hit(point.payload, point.score) for point in self.shard.search(request)]

    def indexed_rows(self) -> int:
        """Return how many rows have their place in a graph; 0 where every search is a scan."""
        return self.shard.info().indexed_vectors_count

    def last_number(self) -> int:
        points, _ = self.shard.scroll(edge.ScrollRequest(limit=max(1, len(self)), with_payload=["number"]))
        return max((point.payload["number"] for point in points if point.payload), default=0)

    def __len__(self) -> int:
        return self.shard.count(edge.CountRequest(exact=True))

    def size_bytes(self) -> int:
        return self._folder.size_bytes()

    def close(self) -> None:
        self.shard.close()
        self._folder.close()

    def _created(self) -> edge.EdgeShard:
        self._folder.index.mkdir()
        shard = edge.EdgeShard.create(str(self._folder.index), self._config)
        if self._search.scopes == "before":
            _index_scopes(shard)
        return shard

    def _loaded(self) -> edge.EdgeShard:
        try:
            return edge.EdgeShard.load(str(self._folder.index), self._config)
        except Exception as error:  # the only type that this engine raises
            raise BadInput(
                f"{self._folder.name} cannot be opened ({error}): close what else uses it, or set memory.path to "
                "another folder"
            ) from error


class Collection:
    """One point an event, through the client. `index_from_rows` None: the client's local mode, which has no index.

    A collection has a name of its own, so that two memories on one server know nothing of each other.
    """

    def __init__(self, client: QdrantClient, dimensions: int, *, index_from_rows: int | None) -> None:
        self.effort = HNSW_SEARCH_CANDIDATES
        self._client = client
        self._dimensions = dimensions
        self._index_from_rows = index_from_rows
        self.name = f"memory-bench-{uuid4().hex}"
        self._create()

    def put(self, rows: Sequence[Row]) -> None:
        points = [
            models.PointStruct(id=str(_point_id(row.event.id)), vector=row.vector_D.tolist(), payload=_payload(row))
            for row in rows
        ]
        if points:
            self._client.upsert(self.name, points, wait=True)

    def drop(self, event_ids: Sequence[str]) -> None:
        points = models.PointIdsList(points=[str(_point_id(event_id)) for event_id in event_ids])
        self._client.delete(self.name, points, wait=True)

    def clear(self) -> None:
        self._client.delete_collection(self.name)
        self._create()

    def settle(self) -> None:
        """Wait until the server has nothing left to optimise. Small collections have no index: they are scanned."""
        if self._index_from_rows is None:
            return
        for _ in range(_POLLS):
            info = self._client.get_collection(self.name)
            indexed = bool(info.indexed_vectors_count) or len(self) < self._index_from_rows
            if info.status == models.CollectionStatus.GREEN and indexed:
                return
            time.sleep(_POLL_SECONDS)
        raise RuntimeError(f"Qdrant is {info.status} after {_POLLS * _POLL_SECONDS:.0f} s, expected green: {info}")

    def search(self, vector_D: NDArray[np.float32], *, limit: int, scope: str) -> list[Hit]:
        condition = models.FieldCondition(key="scope", match=models.MatchValue(value=scope))
        candidates = models.SearchParams(hnsw_ef=max(limit, self.effort))
        found = self._client.query_points(
            self.name,
            query=vector_D.tolist(),
            limit=limit,
            query_filter=models.Filter(must=[condition]) if scope else None,
            search_params=None if self._index_from_rows is None else candidates,
            with_payload=True,
        )
        return [_hit(point.payload, point.score) for point in found.points]

    def last_number(self) -> int:
        return 0  # a collection is new when it is made

    def __len__(self) -> int:
        return self._client.count(self.name, exact=True).count

    def size_bytes(self) -> int:
        """Vectors and payloads: at least this much. The client is not told what its server holds besides."""
        points, _ = self._client.scroll(self.name, limit=max(1, len(self)), with_payload=True)
        texts = (str((point.payload or {})[key]) for point in points for key in ("id", "text", "scope"))
        fixed = self._dimensions * _FLOAT_BYTES + _TIME_BYTES + _NUMBER_BYTES
        return len(points) * fixed + sum(len(text.encode()) for text in texts)

    def close(self) -> None:
        self._client.delete_collection(self.name)
        self._client.close()

    def _create(self) -> None:
        vectors = models.VectorParams(size=self._dimensions, distance=models.Distance.COSINE)
        if self._index_from_rows is None:
            self._client.create_collection(self.name, vectors_config=vectors)
            return
        kilobytes = _kilobytes(self._index_from_rows, self._dimensions)
        self._client.create_collection(
            self.name,
            vectors_config=vectors,
            hnsw_config=models.HnswConfigDiff(
                m=HNSW_LINKS, ef_construct=HNSW_BUILD_CANDIDATES, full_scan_threshold=kilobytes
            ),
            optimizers_config=models.OptimizersConfigDiff(indexing_threshold=kilobytes),
        )
        self._client.create_payload_index(self.name, "scope", models.PayloadSchemaType.KEYWORD, wait=True)


def _client(url: str) -> QdrantClient:
    """Return a client that says in a line whatever goes wrong, now and later."""
    address = checked_address(
        "memory.url", url, example="http://localhost:6333", key="a server that needs a key cannot be used"
    )
    # asked to compare versions, it would warn, and go on
    client = QdrantClient(url=address, timeout=_SILENCE_SECONDS, check_compatibility=False)
    client.http.client.add_middleware(_in_a_line(address))
    try:
        served, ours = client.info().version, version("qdrant-client")
    except (ResponseHandlingException, json.JSONDecodeError) as error:  # of an answer that it cannot read
        raise BadInput(f"{address} answers, but not as a Qdrant server does: set memory.url to one") from error
    if not is_compatible(ours, served):
        raise BadInput(
            f"the Qdrant server at {address} is version {served}, and the client {ours} speaks with its own minor "
            "version and the next to it: set memory.url to such a server"
        )
    return client


def _in_a_line(address: str) -> Callable[[Any, Callable[[Any], Any]], Any]:
    """Return what stands between the client and its server."""

    def asked(request: Any, send: Callable[[Any], Any]) -> Any:
        try:
            response = send(request)
        except ResponseHandlingException as error:
            raise Unavailable(
                f"no Qdrant server answers at {address} within {_SILENCE_SECONDS} s ({error.source}): set memory.url "
                "to one that runs"
            ) from error
        if response.is_success:
            return response
        said = " ".join(response.text.split())[:_SHOWN]
        raise BadInput(
            f"the Qdrant server at {address} refuses what it is asked ({response.status_code}: {said}): set memory.url "
            "to another"
        )

    return asked


def _index_scopes(shard: edge.EdgeShard) -> None:
    shard.update(edge.UpdateOperation.create_field_index("scope", edge.PayloadSchemaType.Keyword))


def _kilobytes(rows: int, dimensions: int) -> int:
    """Qdrant measures its thresholds in vectors' kilobytes; 0 would switch the index off."""
    return max(1, rows * dimensions * _FLOAT_BYTES // 1024)


def _point_id(event_id: str) -> UUID:
    """Points are named by numbers or UUIDs only."""
    return uuid5(NAMESPACE_OID, event_id)


def _payload(row: Row) -> dict[str, Any]:
    event = row.event
    return {"number": row.number, "id": event.id, "text": event.text, "scope": event.scope, "time": event.time}


def _hit(payload: Mapping[str, Any] | None, similarity: float) -> Hit:
    held = payload or {}
    return Hit(held["number"], Event(held["id"], held["text"], held["scope"], held["time"]), similarity)

"""RuVector: the HNSW graph of ruvector-core, in RAM only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from ruvector import HnswIndex

from memory_bench.contracts import Embedder
from memory_bench.events import EventStore, checked_top_k
from memory_bench.types import Event
from memory_bench.vectors import HNSW_BUILD_CANDIDATES, HNSW_LINKS, HNSW_SEARCH_CANDIDATES, Hit, Row, VectorMemory

MOST_DEAD = 0.25  # of all nodes of the graph
_VECTOR_BYTES, _NODE_BYTES = 8, 750  # measured, resident: two float32 a dimension, and what a node takes besides


def memory(*, embedder: Embedder, top_k: int, remedied: bool = True) -> VectorMemory:
    """Return a memory over RuVector. `remedied` false takes what the engine gives, for who wants to measure it:
    results go missing where rows were deleted, and where a scope is asked for."""
    engine = HnswGraph(embedder.dimensions, remedied=remedied)
    return VectorMemory(engine, embedder=embedder, top_k=checked_top_k(top_k))


class HnswGraph:
    """Nodes are named by the numbers of their rows, since a name that is inserted again keeps its old vector too.

    A deleted node stays in the graph and takes the place of a result: as many more are asked for as are dead, and
    where more than `MOST_DEAD` are, settling builds the graph anew. Nodes go in one by one: a batch makes another
    graph. The engine has no files.
    """

    def __init__(self, dimensions: int, *, remedied: bool = True) -> None:
        self.effort = HNSW_SEARCH_CANDIDATES
        self._dimensions = dimensions
        self._remedied = remedied
        self.clear()

    def put(self, rows: Sequence[Row]) -> None:
        self.drop([row.event.id for row in rows])
        for row in rows:
            self.graph.insert(str(row.number), row.vector_D)
            self._number[row.event.id] = row.number
            self._event[row.number] = row.event

    def drop(self, event_ids: Sequence[str]) -> None:
        for number in [self._number.pop(event_id) for event_id in event_ids if event_id in self._number]:
            self.graph.delete(str(number))
            del self._event[number]
            self.dead += 1

    def clear(self) -> None:
        self.graph = self._empty()
        self.dead = 0
        self._number: dict[str, int] = {}
        self._event: dict[int, Event] = {}

    def settle(self) -> None:
        if not self._remedied or self.dead <= MOST_DEAD * (len(self) + self.dead):
            return
        held = sorted((int(name), vector_D) for name, vector_D, _ in self.graph.export_items())
        self.graph, self.dead = self._empty(), 0
        for number, vector_D in held:
            self.graph.insert(str(number), vector_D)

    def search(self, vector_D: NDArray[np.float32], *, limit: int, scope: str) -> list[Hit]:
        nodes = len(self) + self.dead
        asked = min(
            limit + self.dead * self._remedied, nodes
        )  # asked for far more than it holds, the engine aborts the process
        while True:
            found = self.graph.search(vector_D, asked, ef_search=max(asked, self.effort)) if asked else []
            seen = [(int(name), distance) for name, distance, _ in found if self._of(int(name), scope)]
            if len(seen) >= limit or asked == nodes or not self._remedied:
                return [Hit(number, self._event[number], 1 - distance) for number, distance in seen[:limit]]
            asked = min(2 * asked, nodes)

    def last_number(self) -> int:
        return max(self._event, default=0)

    def __len__(self) -> int:
        return len(self.graph)

    def size_bytes(self) -> int:
        """The graph, dead nodes included, by what a node was measured to take, and the events."""
        events = EventStore()
        events.put(self._event.values())
        nodes = len(self) + self.dead
        return nodes * (self._dimensions * _VECTOR_BYTES + _NODE_BYTES) + events.size_bytes()

    def close(self) -> None: ...

    def _of(self, number: int, scope: str) -> bool:
        return not scope or self._event[number].scope == scope

    def _empty(self) -> HnswIndex:
        return HnswIndex.create(
            self._dimensions,
            metric="cosine",
            m=HNSW_LINKS,
            ef_construction=HNSW_BUILD_CANDIDATES,
            ef_search=HNSW_SEARCH_CANDIDATES,
        )

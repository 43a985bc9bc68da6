"""Exact cosine search: every vector is compared with the question's. The reference of all vector memories."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memory_bench.contracts import Embedder, Reader
from memory_bench.events import EventStore, checked_top_k, ranked
from memory_bench.types import Event, Passage, Query, Trace
from memory_bench.vectors import DECIMALS, embedded

TRACED = 8  # neighbours that are shown


class Exact:
    """A NumPy scan over the shared embedder's vectors. A score is a cosine, rounded to five digits."""

    def __init__(self, *, embedder: Embedder, top_k: int) -> None:
        self._embedder = embedder
        self._top_k = checked_top_k(top_k)
        self.reset()

    def attach(self, reader: Reader) -> Reader:
        return reader

    def reset(self) -> None:
        self._events = EventStore()
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self._index: tuple[list[Event], NDArray[np.float32]] | None = None

    def write(self, events: Sequence[Event]) -> None:
        self._events.put(events)
        self._discard([event.id for event in events])

    def settle(self) -> None:
        """Embed what is new, in one call: the embedder sees the same batches however the events came."""
        self._indexed()

    def forget(self, event_ids: Sequence[str]) -> None:
        self._events.drop(event_ids)
        self._discard(event_ids)

    def read(self, query: Query) -> list[Passage]:
        """A read before `settle` settles first, and pays for it."""
        newest_first, vectors_ED = self._indexed()
        scores_E = (vectors_ED @ embedded(self._embedder, [query.text])[0]).astype(np.float64).round(DECIMALS)
        return ranked(newest_first, scores_E, query=query, top_k=self._top_k)

    def trace(self, query: Query, prompt: str) -> list[Trace]:  # noqa: ARG002
        """Return the question as a vector, and the events that lie nearest to it with their cosines."""
        strip = tuple(float(number) for number in embedded(self._embedder, [query.text])[0])
        nearest = tuple((passage.text, passage.score or 0.0) for passage in self.read(query)[:TRACED])
        found = Trace("the events whose vectors are nearest", ("event", "cosine"), nearest)
        return [Trace(f"the question as a vector of {len(strip)} numbers", strip=strip), *([found] if nearest else [])]

    def size_bytes(self) -> int:
        """The vectors once, as the scan reads them, and the events."""
        return sum(vector.nbytes for vector in self._vectors.values()) + self._events.size_bytes()

    def close(self) -> None: ...

    def _discard(self, event_ids: Sequence[str]) -> None:
        for event_id in event_ids:
            self._vectors.pop(event_id, None)
        self._index = None

    def _indexed(self) -> tuple[list[Event], NDArray[np.float32]]:
        """Return the events, newest first, and vectors_ED, one row an event."""
        if self._index is None:
            newest_first = self._events.newest_first()
            self._embed([event for event in newest_first if event.id not in self._vectors])
            rows = [self._vectors[event.id] for event in newest_first]
            vectors_ED = np.array(rows, dtype=np.float32).reshape(len(rows), self._embedder.dimensions)
            self._index = newest_first, vectors_ED
        return self._index

    def _embed(self, events: Sequence[Event]) -> None:
        if events:
            vectors = embedded(self._embedder, [event.text for event in events])
            self._vectors.update(zip((event.id for event in events), vectors, strict=True))

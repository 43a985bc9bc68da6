"""Memories that search vectors: embedded, replaced and ranked in one way, whatever engine finds the neighbours.

An engine is what stands in a file of `adapters/`; `VectorMemory` makes a memory of it. So engines are compared, and
not the care that somebody took with one of them:

* Every vector is a finite float32: some engines take anything else for a perfect match.
* Similarities are cosines, higher is better, rounded to five digits.
* Where the last passage that counts ties with the next one the engine is asked for more, so that the newest of
  equals is among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from memory_bench.contracts import Embedder, Reader
from memory_bench.errors import BadInput
from memory_bench.events import EventStore, ranked
from memory_bench.types import Event, Passage, Query

# A float32 sum depends on where its row lies in the matrix: with more digits, equal texts get unequal scores.
DECIMALS = 5

# One setting of HNSW for every engine that has it, or their builders' defaults would be compared.
HNSW_LINKS = 16
HNSW_BUILD_CANDIDATES = 200
HNSW_SEARCH_CANDIDATES = 100


@dataclass(frozen=True)
class Row:
    """An event as an engine holds it. `number` grows with the order of writing and is never used again."""

    number: int
    event: Event
    vector_D: NDArray[np.float32]


@dataclass(frozen=True)
class Hit:
    """A row that was found, with its cosine to the query."""

    number: int
    event: Event
    similarity: float


class Engine(Protocol):
    """Rows by event id, found by their vectors."""

    def put(self, rows: Sequence[Row]) -> None:
        """Hold rows of distinct events. An event already held is replaced."""
        ...

    def drop(self, event_ids: Sequence[str]) -> None:
        """Ids that are not held are ignored."""
        ...

    def clear(self) -> None: ...

    def settle(self) -> None: ...

    def search(self, vector_D: NDArray[np.float32], *, limit: int, scope: str) -> list[Hit]:
        """Return the `limit` nearest rows of a scope, best first; an empty scope is all of them."""
        ...

    def last_number(self) -> int:
        """Return the highest number held, 0 where nothing is: where a memory that is opened again goes on."""
        ...

    def __len__(self) -> int:
        """Return how many rows stand in the engine, as the engine itself counts them."""
        ...

    def size_bytes(self) -> int: ...

    def close(self) -> None: ...


class VectorMemory:
    """A memory over any engine. What is written is embedded and handed on at once; a later event of an id replaces."""

    def __init__(self, engine: Engine, *, embedder: Embedder, top_k: int) -> None:
        self.engine = engine
        self._embedder = embedder
        self._top_k = top_k
        self._next = engine.last_number() + 1

    def attach(self, reader: Reader) -> Reader:
        return reader

    def reset(self) -> None:
        self.engine.clear()
        self._next = 1

    def write(self, events: Sequence[Event]) -> None:
        latest = {event.id: (number, event) for number, event in enumerate(events, start=self._next)}
        self._next += len(events)
        vectors_ED = self._embedded([event.text for _, event in latest.values()])
        self.engine.put([Row(*one, vector_D) for one, vector_D in zip(latest.values(), vectors_ED, strict=True)])

    def settle(self) -> None:
        self.engine.settle()

    def forget(self, event_ids: Sequence[str]) -> None:
        self.engine.drop(event_ids)

    def read(self, query: Query) -> list[Passage]:
        hits = self._candidates(self._embedded([query.text])[0], query.scope)
        found = EventStore()
        found.put(hit.event for hit in sorted(hits, key=lambda hit: hit.number))
        similarity = {hit.event.id: round(hit.similarity, DECIMALS) for hit in hits}
        newest_first = found.newest_first()
        scores_E = np.array([similarity[event.id] for event in newest_first], dtype=np.float64)
        return ranked(newest_first, scores_E, query=query, top_k=self._top_k)

    def size_bytes(self) -> int:
        return self.engine.size_bytes()

    def close(self) -> None:
        self.engine.close()

    def _candidates(self, vector_D: NDArray[np.float32], scope: str) -> list[Hit]:
        limit = self._top_k + 1
        while True:
            hits = self.engine.search(vector_D, limit=limit, scope=scope)
            if len(hits) < limit or _rounded(hits[-1]) < _rounded(hits[self._top_k - 1]):
                return hits
            limit *= 2

    def _embedded(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one row a text. Raises ValueError where the embedder makes what is no number."""
        vectors_XD = np.ascontiguousarray(self._embedder.embed(texts), dtype=np.float32)
        for text, vector_D in zip(texts, vectors_XD, strict=True):
            if not np.isfinite(vector_D).all():
                raise ValueError(f"the embedder {self._embedder.name} made a vector that is not finite, for {text!r}")
        return vectors_XD


def checked_index_from_rows(rows: int) -> int:
    """Return from how many rows on an index is built; raise BadInput where one would be built over nothing."""
    if rows < 1:
        raise BadInput(f"index_from_rows must be >= 1, got {rows}: set memory.index_from_rows=10000")
    return rows


def _rounded(hit: Hit) -> float:
    return round(hit.similarity, DECIMALS)

"""Memories that search vectors: embedded, replaced and ranked in one way, whatever engine finds the neighbours.

An engine is what stands in a file of `adapters/`; `VectorMemory` makes a memory of it. So engines are compared, and
not the care that somebody took with one of them:

* Every vector is a float32 of the embedder's dimensions and of unit length: some engines take anything else for a
  perfect match, or rank by its length. `embedded` is the one way in.
* No more neighbours are asked for than were ever written: some engines make room for as many as are asked for.
* One writes at a time: written by two at once, some engines hold an id twice and say nothing.
* Similarities are cosines, higher is better, rounded to five digits.
* Where the last passage that counts ties with the next one the engine is asked for more, so that the newest of
  equals is among them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from memory_bench.contracts import Embedder, Reader
from memory_bench.errors import BadInput
from memory_bench.index_folder import refusals_in_a_line
from memory_bench.types import Event, Passage, Query

# A float32 sum depends on where its row lies in the matrix: with more digits, equal texts get unequal scores.
DECIMALS = 5

_SHOWN = 60  # characters of a text in an error
_SLACK = 1e-3  # of a squared length: a vector that was rounded to 16 bits on its way has unit length all the same

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


class Hit(NamedTuple):
    """A row that was found, with its cosine to the query."""

    number: int
    event: Event
    similarity: float

    @property
    def score(self) -> float:
        """What is compared: two of one score are equals."""
        return round(self.similarity, DECIMALS)


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
        self._writing = threading.Lock()

    def attach(self, reader: Reader) -> Reader:
        return reader

    def reset(self) -> None:
        with self._writing, refusals_in_a_line():
            self.engine.clear()
            self._next = 1

    def write(self, events: Sequence[Event]) -> None:
        with self._writing:
            latest = {event.id: (number, event) for number, event in enumerate(events, start=self._next)}
            self._next += len(events)
            vectors_ED = embedded(self._embedder, [event.text for _, event in latest.values()])
            with refusals_in_a_line():
                self.engine.put(
                    [Row(*one, vector_D) for one, vector_D in zip(latest.values(), vectors_ED, strict=True)]
                )

    def settle(self) -> None:
        with self._writing, refusals_in_a_line():
            self.engine.settle()

    def forget(self, event_ids: Sequence[str]) -> None:
        with self._writing, refusals_in_a_line():
            self.engine.drop(event_ids)

    def read(self, query: Query) -> list[Passage]:
        hits = self._nearest(query)
        return self._ranked(hits, {hit.event.id: hit.score for hit in hits})

    def size_bytes(self) -> int:
        return self.engine.size_bytes()

    def close(self) -> None:
        self.engine.close()

    def _nearest(self, query: Query) -> list[Hit]:
        vector_D = embedded(self._embedder, [query.text])[0]
        return self._candidates(lambda limit: self.engine.search(vector_D, limit=limit, scope=query.scope))

    def _candidates(self, search: Callable[[int], list[Hit]]) -> list[Hit]:
        """Return the best that count and those that tie with the last of them. `search` finds as many as it is told."""
        most = self._next  # numbers are never used again: so many rows there cannot be
        limit = min(self._top_k + 1, most)
        while True:
            hits = search(limit)
            if limit == most or len(hits) < limit or hits[-1].score < hits[self._top_k - 1].score:
                return hits
            limit = min(2 * limit, most)

    def _ranked(self, hits: Iterable[Hit], scores: Mapping[str, float]) -> list[Passage]:
        """Return passages by the scores of their events' ids, the newest of equals first, as `memory_bench.events` has
        it."""
        found = {event.id: (number, event) for number, event, _ in hits}
        keyed = [
            (-scores[event_id], event.time is None, -(event.time or 0.0), -number, event)
            for event_id, (number, event) in found.items()
        ]
        keyed.sort()  # no two numbers are equal: events are not compared
        return [Passage(event.text, (event.id,), -score) for score, _, _, _, event in keyed[: self._top_k]]


def embedded(embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return vectors_XD, one row a text, as every engine takes them.

    Raises BadInput where the embedder made anything else than finite vectors of its dimensions and of unit length.
    """
    with np.errstate(over="ignore"):  # what is too large for a float32 is seen below
        vectors_XD = np.ascontiguousarray(embedder.embed(texts), dtype=np.float32)
    if vectors_XD.shape != (len(texts), embedder.dimensions):
        raise BadInput(
            f"the embedder {embedder.name} made vectors of shape {vectors_XD.shape}, expected "
            f"{(len(texts), embedder.dimensions)}: choose another, as in embedder=minilm"
        )
    squares_X = np.einsum("xd,xd->x", vectors_XD, vectors_XD)
    right_X = np.abs(squares_X - 1) <= _SLACK  # what is no number is not
    if not right_X.all():
        raise BadInput(_wrong(embedder, texts, vectors_XD, int(np.argmin(right_X))))
    return vectors_XD


def _wrong(embedder: Embedder, texts: Sequence[str], vectors_XD: NDArray[np.float32], place: int) -> str:
    finite = np.isfinite(vectors_XD[place]).all()
    length = np.linalg.norm(vectors_XD[place].astype(np.float64))
    fault = f"of length {length:.3g}, expected 1," if finite else "that is not finite,"
    text = repr(texts[place][:_SHOWN])
    return f"the embedder {embedder.name} made a vector {fault} for {text}: choose another, as in embedder=minilm"


def checked_index_from_rows(rows: int) -> int:
    """Return from how many rows on an index is built; raise BadInput where one would be built over nothing."""
    if rows < 1:
        raise BadInput(f"index_from_rows must be >= 1, got {rows}: set memory.index_from_rows=10000")
    return rows

"""Random passages: what a memory is worth that returns something, whatever is asked. A control."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from memory_bench.contracts import Reader
from memory_bench.events import EventStore, checked_top_k, sees
from memory_bench.types import Event, Passage, Query


class Random:
    """Draws events in an order that follows from the seed, the question and the texts. Equal texts: newest first.

    Hashed and not drawn from a stream: neither ids nor how events came in batches, nor earlier reads, decide.
    """

    def __init__(self, *, seed: int, top_k: int) -> None:
        self._seed = seed
        self._top_k = checked_top_k(top_k)
        self._events = EventStore()

    def attach(self, reader: Reader) -> Reader:
        return reader

    def reset(self) -> None:
        self._events.clear()

    def write(self, events: Sequence[Event]) -> None:
        self._events.put(events)

    def settle(self) -> None: ...

    def forget(self, event_ids: Sequence[str]) -> None:
        self._events.drop(event_ids)

    def read(self, query: Query) -> list[Passage]:
        """Passages have no score: nothing was compared."""
        seen = [event for event in self._events.newest_first() if sees(query, event)]
        drawn = sorted(seen, key=lambda event: self._lot(query.text, event.text))
        return [Passage(event.text, (event.id,)) for event in drawn[: self._top_k]]

    def size_bytes(self) -> int:
        return self._events.size_bytes()

    def close(self) -> None: ...

    def _lot(self, question: str, text: str) -> bytes:
        return hashlib.sha256(repr((self._seed, question, text)).encode()).digest()

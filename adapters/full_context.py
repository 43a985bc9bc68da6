"""Everything, in the order in which it happened: what a long enough window does without any memory."""

from __future__ import annotations

from collections.abc import Sequence

from memory_bench.contracts import Reader
from memory_bench.events import EventStore, sees
from memory_bench.types import Event, Passage, Query


class FullContext:
    """Returns every event, newest first. The prompt prints the best passage last, so the newest text stands last."""

    def __init__(self) -> None:
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
        return [Passage(event.text, (event.id,)) for event in self._events.newest_first() if sees(query, event)]

    def size_bytes(self) -> int:
        return self._events.size_bytes()

    def close(self) -> None: ...

"""Shared trigrams: the more runs of three letters of the question an event holds, the higher it ranks."""

from collections.abc import Sequence

import numpy as np

from memory_bench.contracts import Reader
from memory_bench.events import EventStore, checked_top_k, ranked
from memory_bench.types import Event, Passage, Query


class SharedTrigrams:
    def __init__(self, *, top_k: int) -> None:
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
        asked, held = trigrams(query.text), self._events.newest_first()
        scores_E = np.array([len(asked & trigrams(event.text)) for event in held], dtype=np.float64)
        return ranked(held, scores_E, query=query, top_k=self._top_k)

    def size_bytes(self) -> int:
        return self._events.size_bytes()

    def close(self) -> None: ...


def trigrams(text: str) -> set[str]:
    letters = " ".join(text.lower().split())
    return {letters[start : start + 3] for start in range(len(letters) - 2)}

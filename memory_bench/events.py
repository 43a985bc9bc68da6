"""What the memories outside the model have in common: events held by id, and passages in rank order.

A memory need not use this. It is here so that memories differ in how they search, and in nothing else:

* An id that is written again replaces what it held.
* Among equal scores the newest event comes first: by `time`, then by the order of writing. Ids decide nothing.
* A query with a scope sees the events of that scope; one without sees all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from memory_bench.errors import BadInput
from memory_bench.types import Event, Passage, Query

_TIME_BYTES = 8


class EventStore:
    """Events in RAM, by id."""

    def __init__(self) -> None:
        self._held: dict[str, Event] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._held

    def __iter__(self) -> Iterator[Event]:
        """In the order of writing."""
        return iter(self._held.values())

    def put(self, events: Iterable[Event]) -> None:
        for event in events:
            self._held.pop(event.id, None)  # a replaced event is a new one: it moves to the end
            self._held[event.id] = event

    def drop(self, event_ids: Iterable[str]) -> None:
        """Ids that are not held are ignored."""
        for event_id in event_ids:
            self._held.pop(event_id, None)

    def clear(self) -> None:
        self._held.clear()

    def newest_first(self) -> list[Event]:
        """By time, then by the order of writing; events without a time count as the oldest."""
        last_written_first = reversed(self._held.values())
        return sorted(last_written_first, key=lambda event: (event.time is None, -(event.time or 0.0)))

    def size_bytes(self) -> int:
        """UTF-8 bytes of ids, texts and scopes, and 8 a time; what Python adds to an object is not counted."""
        return sum(map(_size_bytes, self._held.values()))


def sees(query: Query, event: Event) -> bool:
    return not query.scope or query.scope == event.scope


def ranked(
    newest_first: Sequence[Event],
    scores: NDArray[np.floating],
    *,
    query: Query,
    top_k: int,
    above: float = float("-inf"),
) -> list[Passage]:
    """Return the `top_k` best events that the query sees; `scores` [len(newest_first)], those `above` a bound count."""
    best_first = np.argsort(-scores, kind="stable")  # stable: among equals the newest stays first
    hits = ((newest_first[place], float(scores[place])) for place in best_first[: np.count_nonzero(scores > above)])
    seen = (Passage(event.text, (event.id,), score) for event, score in hits if sees(query, event))
    return list(islice(seen, min(top_k, len(newest_first))))


def checked_top_k(top_k: int) -> int:
    """Return `top_k`; raise BadInput where no passage could ever be returned."""
    if top_k < 1:
        raise BadInput(f"top_k must be >= 1, got {top_k}: set memory.top_k=64")
    return top_k


def _size_bytes(event: Event) -> int:
    return sum(len(text.encode()) for text in (event.id, event.text, event.scope)) + _TIME_BYTES

"""A memory over another one: both are told everything, and the environment of a question is made of the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from adapters.rlm.environment import Environment
from memory_bench.contracts import Memory
from memory_bench.errors import BadInput
from memory_bench.events import EventStore, checked_top_k, sees
from memory_bench.members import Members
from memory_bench.types import Event, Passage, Query


class Over(Members):
    """What recursive readings have in common: all but how they read. `over` is the memory below."""

    def __init__(self, over: Memory | None, *, top_k: int) -> None:
        if over is None:
            raise BadInput(
                "memory.over is null: recursive reading needs a memory below, such as +memory=rlm_scripted has"
            )
        super().__init__({"over": over})
        self._over = over
        self._top_k = checked_top_k(top_k)
        self._events = EventStore()

    def reset(self) -> None:
        super().reset()
        self._events.clear()

    def write(self, events: Sequence[Event]) -> None:
        super().write(events)
        self._events.put(events)

    def forget(self, event_ids: Sequence[str]) -> None:
        super().forget(event_ids)
        self._events.drop(event_ids)

    def size_bytes(self) -> int:
        """The memory below, and the texts of the environment beside it."""
        return super().size_bytes() + self._events.size_bytes()

    def environment(self, query: Query) -> Environment:
        """Return what the query sees, the newest part first."""
        parts = [event for event in self._events.newest_first() if sees(query, event)]
        return Environment(parts, lambda text: self._over.read(replace(query, text=text)))

    def below(self, query: Query) -> list[Passage]:
        """Return what the memory below finds by itself. Without its scores: what is brought has none either."""
        return [Passage(one.text, one.event_ids) for one in self._over.read(query)[: self._top_k]]

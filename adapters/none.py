"""No memory: the floor that every other memory has to beat."""

from __future__ import annotations

from collections.abc import Sequence

from memory_bench.contracts import Reader
from memory_bench.types import Event, Passage, Query


class NoMemory:
    """Holds nothing and finds nothing."""

    def attach(self, reader: Reader) -> Reader:
        return reader

    def reset(self) -> None: ...

    def write(self, events: Sequence[Event]) -> None: ...

    def settle(self) -> None: ...

    def forget(self, event_ids: Sequence[str]) -> None: ...

    def read(self, query: Query) -> list[Passage]:  # noqa: ARG002
        return []

    def size_bytes(self) -> int:
        return 0

    def close(self) -> None: ...

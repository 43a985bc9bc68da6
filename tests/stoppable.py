"""A memory whose user presses Ctrl-C in one of its calls. A module of its own: a test's may be imported twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from memory_bench.contracts import Reader
from memory_bench.types import Event, Passage, Query
from tests import stubs


class Stoppable(stubs.StubMemory):
    """Stopped in the call with the number `at`, counted over all verbs and all cells."""

    at: ClassVar[int | None] = None
    calls: ClassVar[int] = 0

    def _call(self) -> None:
        Stoppable.calls += 1
        if Stoppable.calls == Stoppable.at:
            raise KeyboardInterrupt

    def attach(self, reader: Reader) -> Reader:
        self._call()
        return super().attach(reader)

    def reset(self) -> None:
        self._call()
        super().reset()

    def write(self, events: Sequence[Event]) -> None:
        self._call()
        super().write(events)

    def settle(self) -> None:
        self._call()

    def read(self, query: Query) -> list[Passage]:
        self._call()
        return super().read(query)

    def size_bytes(self) -> int:
        self._call()
        return super().size_bytes()

    def close(self) -> None:
        self._call()

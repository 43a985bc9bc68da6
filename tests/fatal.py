"""A memory that takes its process with it. A module of its own: processes import it by name."""

from __future__ import annotations

import ctypes
import os
import time

from memory_bench.types import Passage, Query
from tests import stubs


class Fatal(stubs.StubMemory):
    """Ends in its second question: `how` is crash, hang or eat."""

    def __init__(self, *, how: str) -> None:
        super().__init__()
        self._how = how
        self._asked = 0

    def read(self, query: Query) -> list[Passage]:
        self._asked += 1
        if self._asked == 2:
            _end(self._how)
        return super().read(query)


class OwnWords(Exception):
    """An error that cannot be made anew from its text."""

    def __init__(self, *, shelf: int, row: int) -> None:
        super().__init__(f"shelf {shelf}, row {row}")


def misplace() -> None:
    raise OwnWords(shelf=3, row=4)


def _end(how: str) -> None:
    if how == "crash":
        ctypes.string_at(0)
    eaten = []
    while True:
        eaten.append(os.urandom(1 << 24) if how == "eat" else b"")
        time.sleep(0.02)

"""A reader and a task that cells share: made for the first of them, and lent to each that asks for the same.

What a reader is follows from its options, of which attention, device and threads are a part. One is kept, the last: a
device may have no room for two, and what a reader sets for the whole process (its threads) still holds. What a task
tells follows from its options and the seed, so it is kept like that, the last.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from memory_bench import config
from memory_bench.contracts import Reader, Task
from memory_bench.errors import NoAnswer


@dataclass(frozen=True)
class Lent:
    """A reader that is ready to answer: in how many seconds it was loaded, and whether that was for an earlier cell."""

    reader: Reader
    seconds: float
    earlier: bool = False


class Lender:
    """Hands a reader and a task to one cell after the other.

    A cell that breaks drops both: nobody knows what state they are in.
    """

    def __init__(self) -> None:
        self._kept: tuple[dict[str, Any], Lent] | None = None
        self._task: tuple[dict[str, Any], Task] | None = None

    def task(self, cell: config.Cell) -> Task:
        """Return the task that a cell names. Raises as `config.build`."""
        options: dict[str, Any] = cell.config["task"]
        if self._task is None or self._task[0] != options:
            self._task = (options, config.build(cell, "task"))
        return self._task[1]

    def reader(self, cell: config.Cell) -> Lent:
        """Return the reader that a cell names, without a prompt of earlier cells. Raises as `config.build`."""
        options: dict[str, Any] = cell.config["reader"]
        if self._kept is not None and self._kept[0] == options:
            kept = self._kept[1]
            kept.reader.begin(carry=False)
            return Lent(kept.reader, kept.seconds, earlier=True)
        self._kept = None  # before the next one is loaded
        start = time.perf_counter()
        reader: Reader = config.build(cell, "reader")
        with suppress(NoAnswer):
            reader.generate(["Ready"])  # a first call loads and compiles what no answer should be charged for
        lent = Lent(reader, time.perf_counter() - start)
        self._kept = (options, lent)
        return lent

    def drop(self) -> None:
        self._kept = self._task = None

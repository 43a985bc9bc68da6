"""One-shot writing: the rows of a new name become the code of its value. The known-boundary, closed-value experiment.

    told      17 52 9 -> value 203      the heads of the 3-gram at 9, in each layer, hold codes[203]; nothing else moves

No gradient is taken, and nothing is compared: a write is one copy a head and layer. What it rests on is paid before any
fact is told, in the training of the code book, and stands in the results as a fixed cost.

It is an experiment on names and no memory of the benchmark: it is told where a name ends, its values are 256 tokens,
and names that end in the same three tokens share all of their rows.

Run: python -m adapters.engram.twins one_shot
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from adapters.engram.code_book import NAME_ENDS, CodeBook, learn
from adapters.engram.twins.arms import arm
from adapters.engram.twins.names import FIRST_VALUE, VOCABULARY, Names, draw_names
from adapters.engram.twins.recall import accuracy, tensors
from adapters.engram.twins.train import Course
from adapters.engram.twins.twin import Twin
from memory_bench.plans import Job, Row

TIMED = 5
"""A write is timed so often; the median counts."""


@dataclass(frozen=True)
class OneShotPlan:
    """`old` names and the code book are learned in `steps`, then each number of `new` names is written by itself."""

    old: int
    new: Sequence[int]
    steps: int
    rate: float
    seeds: Sequence[int]
    batch: int = 512

    def jobs(self, done: Sequence[Row]) -> Iterator[Job]:  # noqa: ARG002 (nothing is swept)
        for seed in self.seeds:
            yield Job({"purpose": "seed", "arm": "one_shot", "seed": seed}, lambda seed=seed: self.measured(seed))  # type: ignore[misc]

    def measured(self, seed: int) -> dict[str, Any]:
        """Return the fixed cost, and for each number of new names the shares of new and of old ones that are known."""
        names = draw_names(self.old + max(self.new), seed=seed)
        old, new = names[: self.old], names[self.old :]
        twin = arm("engram", VOCABULARY).twin(seed=seed)
        course = Course(self.steps, self.rate, every=self.steps)
        book, cost = learn(twin, old, course, batch=self.batch, seed=seed)
        before = {"old": accuracy(twin, *tensors(old)), "new": accuracy(twin, *tensors(new))}
        curve = [self._written(twin, book, old, new[:count]) for count in self.new]
        return {"fixed_cost": cost, "before": before, "curve": curve}

    def _written(self, twin: Twin, book: CodeBook, old: Names, new: Names) -> dict[str, float]:
        table = WritableRows(twin, book)
        seconds = []
        for _ in range(TIMED):
            table.restore()
            started = time.process_time()
            table.write(new)
            seconds.append(time.process_time() - started)
        known = {"new": accuracy(twin, *tensors(new)), "old": accuracy(twin, *tensors(old))}
        table.restore()
        # step: of gradient, none; the plans that take some have it there
        return {"step": 0, "facts": len(new), **known, "us_a_fact": float(np.median(seconds)) / len(new) * 1e6}


class WritableRows:
    """The table of a trained network, to write names into and to take them out again."""

    def __init__(self, twin: Twin, book: CodeBook) -> None:
        assert twin.engram is not None
        assert twin.table is not None
        self.engram = twin.engram
        self.rows = {layer: _array(twin.table.rows_RC[str(layer)]) for layer in twin.engram.layers}
        self.codes = {layer: _array(book.codes_VHC[str(layer)]) for layer in twin.engram.layers}
        self.before: dict[int, tuple[NDArray[np.int64], NDArray[np.float32]]] = {}

    def write(self, names: Names) -> None:
        """Write the names in order: where two share a row, it holds the later one's."""
        tokens_NT, targets_N = tensors(names)
        found = self.engram.rows(tokens_NT[:, : NAME_ENDS + 1])
        for layer, rows_NTH in found.items():
            codes_NHC = self.codes[layer][targets_N.numpy() - FIRST_VALUE]
            rows_NH = rows_NTH[:, NAME_ENDS, -codes_NHC.shape[1] :]
            self._keep(layer, rows_NH)
            self.rows[layer][rows_NH] = codes_NHC  # NumPy assigns in order, so that the last of equals stays

    def forget(self, told: Names, forgotten: Sequence[int]) -> None:
        """Leave the rows as if these places of what was told had never been: restored, and the rest written again, one
        at a time."""
        self.restore()
        for place in range(len(told)):
            if place not in forgotten:
                self.write(told[place : place + 1])

    def restore(self) -> None:
        """Put the rows back as they were before anything was written."""
        for layer, (touched_U, rows_UC) in self.before.items():
            self.rows[layer][touched_U] = rows_UC
        self.before.clear()

    def _keep(self, layer: int, rows_NH: NDArray[np.int64]) -> None:
        kept_U, kept_UC = self.before.get(layer, (np.empty(0, np.int64), np.empty((0, self.engram.row_width), "f4")))
        fresh_U = np.setdiff1d(rows_NH, kept_U)
        fresh_UC = self.rows[layer][fresh_U]
        self.before[layer] = np.concatenate([kept_U, fresh_U]), np.concatenate([kept_UC, fresh_UC])


def _array(values: Tensor) -> NDArray[np.float32]:
    """The same memory: what is written into it is in the network."""
    return values.detach().numpy()

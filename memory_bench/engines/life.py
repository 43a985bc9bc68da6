"""One life of one memory at scale: written, searched, filtered, half of it forgotten, searched again.

A memory is told texts that stand for vectors, which are looked up: the time that takes is taken out. Found is what is
as near as the tenth nearest row or nearer, by exact cosines, so that either of two equals is right.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from memory_bench.contracts import Embedder, Memory
from memory_bench.engines.data import SHARES, Data
from memory_bench.types import Event, Passage, Query
from memory_bench.vectors import DECIMALS

# N rows, Q queries, D dimensions
NEIGHBOURS = 10
WRITE_BATCH = 1000
WARM_UP = 10
FRESH_SECONDS = 10.0
WRITE_SECONDS = 1800.0
"""A memory that takes longer to be told is not asked."""
_SAME = 2 * 10.0**-DECIMALS  # similarities are rounded, from sums in another order
_ROW, _QUERY = "row", "query"


class Searched(Protocol):
    """An engine whose searches look at more or fewer candidates, or partitions."""

    effort: int


class OverEngine(Protocol):
    engine: Searched


class LookUp:
    """An embedder that knows a vector for every text that it will be asked for, and the seconds that it took."""

    def __init__(self, data: Data) -> None:
        self.name, self.dimensions = "table", data.vectors_ND.shape[1]
        self.seconds = 0.0
        self._data = data

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        start = time.perf_counter()
        held = {_ROW: self._data.vectors_ND, _QUERY: self._data.queries_QD}
        found = [held[kind][int(at)] for kind, at in map(str.split, texts)]
        vectors_XD = np.array(found, dtype=np.float32).reshape(len(texts), self.dimensions)
        self.seconds += time.perf_counter() - start
        return vectors_XD

    def identity(self) -> Mapping[str, str]:
        return {}


def lived(make: Callable[[Embedder], Any], data: Data, *, build: int, efforts: Sequence[int]) -> dict[str, Any]:
    """Return what one memory did; `make` makes it over an embedder. Rows are written in an order of `build`'s.

    Without `efforts` it is searched as it is; with them, over an engine, at each of them too.
    """
    table = LookUp(data)
    memory = make(table)
    try:
        return _measured(memory, table, data, build=build, efforts=efforts)
    finally:
        memory.close()


def _measured(memory: Any, table: LookUp, data: Data, *, build: int, efforts: Sequence[int]) -> dict[str, Any]:
    order = default_rng(build).permutation(len(data.vectors_ND))
    written = _timed(table, lambda: _write(memory, data, order))
    if written > WRITE_SECONDS:
        return {"why": f"time: {len(order):,} rows took more than {WRITE_SECONDS:,.0f} s to write"}
    settled = _timed(table, memory.settle)
    held_N = np.ones(len(order), dtype=bool)
    asked = _Asked(memory, table, data)
    row: dict[str, Any] = {
        "insert_seconds": written, "settle_seconds": settled, "size_bytes": memory.size_bytes(),
        "first_ms": asked.first_ms(), "plain": asked.searched(held_N), "curve": _curve(memory, asked, held_N, efforts),
        "filters": [{"share": share, **asked.searched(held_N, scope=name)} for name, share in SHARES.items()],
    }  # fmt: skip
    gone = order[: len(order) // 2]
    row["forget_seconds"] = _timed(table, lambda: _forget(memory, gone))
    held_N[gone] = False
    row["forgotten"] = asked.searched(held_N)
    row["forgotten_settle_seconds"] = _timed(table, memory.settle)
    row["forgotten_settled"] = asked.searched(held_N)
    row["forgotten_bytes"] = memory.size_bytes()
    row["fresh"] = _fresh(memory, table, data, int(order[-1]))
    return row


def _fresh(memory: Memory, table: LookUp, data: Data, at: int) -> dict[str, float | None]:
    """Return milliseconds until a row that is told again is acknowledged, and until a search finds it, not settled.

    None where no search of `FRESH_SECONDS` does.
    """
    memory.forget([f"{at}"])
    event, query = Event(f"{at}", f"{_ROW} {at}", data.scopes[at]), Query(f"{_ROW} {at}")
    acknowledged = _timed(table, lambda: memory.write([event]))
    seconds = acknowledged
    while seconds < FRESH_SECONDS:
        ids, took = _read(memory, table, query)
        seconds += took
        if at in ids:
            return {"acknowledged_ms": acknowledged * 1e3, "searchable_ms": seconds * 1e3}
    return {"acknowledged_ms": acknowledged * 1e3, "searchable_ms": None}


def _curve(
    memory: OverEngine, asked: _Asked, held_N: NDArray[np.bool_], efforts: Sequence[int]
) -> list[dict[str, Any]]:
    if not efforts:
        return []
    usual, points = memory.engine.effort, []
    for effort in efforts:
        memory.engine.effort = effort
        points.append({"effort": effort, **asked.searched(held_N)})
    memory.engine.effort = usual
    return points


def _write(memory: Memory, data: Data, order: NDArray[np.int64]) -> None:
    start = time.perf_counter()
    for first in range(0, len(order), WRITE_BATCH):
        batch = order[first : first + WRITE_BATCH]
        memory.write([Event(f"{at}", f"{_ROW} {at}", data.scopes[at]) for at in batch])
        if time.perf_counter() - start > WRITE_SECONDS:
            return


def _forget(memory: Memory, gone: NDArray[np.int64]) -> None:
    for first in range(0, len(gone), WRITE_BATCH):
        memory.forget([f"{at}" for at in gone[first : first + WRITE_BATCH]])


def _timed(table: LookUp, told: Callable[[], object]) -> float:
    embedding, start = table.seconds, time.perf_counter()
    told()
    return time.perf_counter() - start - (table.seconds - embedding)


def _read(memory: Memory, table: LookUp, query: Query) -> tuple[NDArray[np.int64], float]:
    """Return the rows that a search found, the nearest first, and the seconds that it took."""
    passages = list[Passage]()
    seconds = _timed(table, lambda: passages.extend(memory.read(query)))
    return np.array([int(passage.event_ids[0]) for passage in passages], dtype=np.int64), seconds


class _Asked:
    """The queries, with their exact cosines to every row, asked of one memory."""

    def __init__(self, memory: Memory, table: LookUp, data: Data) -> None:
        self._memory, self._table, self._data = memory, table, data
        self._cosines_QN = data.queries_QD @ data.vectors_ND.T

    def first_ms(self) -> float:
        """Return the milliseconds of a search before any other: what is warm later is cold now."""
        return self._read(0, "")[1] * 1e3

    def searched(self, held_N: NDArray[np.bool_], *, scope: str = "") -> dict[str, float]:
        """Return recall@10 against exact, passages a query, those that should not be there, and milliseconds."""
        right_N = held_N & np.array([not scope or one == scope for one in self._data.scopes])
        for at in range(WARM_UP):
            self._read(at, scope)
        found, seconds = zip(*(self._read(at, scope) for at in range(len(self._cosines_QN))), strict=True)
        recalls = [recall(ids, cosines_N, right_N) for ids, cosines_N in zip(found, self._cosines_QN, strict=True)]
        return {
            "recall": float(np.mean(recalls)),
            "returned": float(np.mean([len(ids) for ids in found])),
            "wrong": int(sum((~right_N[ids]).sum() for ids in found)),
            "p50_ms": float(np.percentile(seconds, 50)) * 1e3,
            "p95_ms": float(np.percentile(seconds, 95)) * 1e3,
        }

    def _read(self, at: int, scope: str) -> tuple[NDArray[np.int64], float]:
        return _read(self._memory, self._table, Query(f"{_QUERY} {at}", scope=scope))


def recall(ids: NDArray[np.int64], cosines_N: NDArray[np.float32], right_N: NDArray[np.bool_]) -> float:
    """Return the share of the nearest rows that was found; 1 where there is nothing to find."""
    there = min(NEIGHBOURS, int(right_N.sum()))
    if there == 0:
        return 1.0
    last = np.partition(cosines_N[right_N], -there)[-there]
    return float((right_N[ids] & (cosines_N[ids] >= last - _SAME)).sum()) / there

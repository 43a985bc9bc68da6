"""The placements: one table, several places where its rows can lie, bit for bit the same rows from each.

    OnDemand      a layer gathers its rows when it comes to them: from its own device, or across the bus
    SideStream    the GPU gathers the rows of all layers in page-locked memory of the host, beside the first blocks
    Staged        threads gather the rows of all layers, from memory or from a file, and they are copied

A placement is a table like any other (see `adapters/engram/module.py`): it is called once a forward, before the first
block, with the rows of all layers, and each layer then waits for its own. Gradients do not reach the rows.

Shape legend: B batch, T tokens, H hash heads, U distinct rows, R rows of a layer, C width of a row, E = H * C.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
from numpy.typing import NDArray
from torch import Tensor

from adapters.engram.placement.fetch import Fetch, Statistics, Ticket
from adapters.engram.placement.staging import Buffer, Staging
from memory_bench.errors import BadInput

Gather = Callable[[Tensor, Tensor], Tensor]
"""table_RC, rows_BTH -> rows_BTHC on the device of the model."""
Rows = Mapping[int, NDArray[np.int64] | Tensor]
"""layer -> rows_BTH, int64: an array, or a tensor on the device that gathers."""
LEAST_ROWS = 512
"""Fewer rows are not worth a thread of their own."""


class Placement(Protocol):
    """Where the rows of a table lie. `statistics` are of everything that layers took so far."""

    statistics: Statistics

    def __call__(self, rows: Rows) -> Fetch:
        """Ask for the rows; return layer -> embeddings_BTE on the device of the model."""
        ...

    def size_bytes(self) -> int: ...

    def close(self) -> None: ...


class Source(Protocol):
    """Rows that a thread can read: `TableFile`, or `HostRows`."""

    dtype: torch.dtype
    row_width: int
    stride_bytes: int

    def read(self, layer: int, rows_U: NDArray[np.int64], out_U: NDArray[np.void]) -> None:
        """Copy the rows into items of a stride. Raises IndexError beyond the table."""
        ...

    def size_bytes(self) -> int: ...

    def close(self) -> None: ...


def gather(table_RC: Tensor, rows_BTH: Tensor) -> Tensor:
    """Return the rows on the device on which the table lies."""
    return F.embedding(rows_BTH.to(table_RC.device), table_RC)


def gather_and_copy(device: torch.device) -> Gather:
    """Return a gather by the CPU whose result is copied to a device, the caller waiting."""
    return lambda table_RC, rows_BTH: gather(table_RC, rows_BTH).to(device)


class OnDemand:
    """Rows that are fetched when a layer comes to them, and not before. `table`: layer -> [R, C]."""

    def __init__(self, table: Mapping[int, Tensor], gather: Gather = gather) -> None:
        self.statistics = Statistics()
        self._table = table
        self._gather = gather

    def __call__(self, rows: Rows) -> Fetch:
        tickets = {layer: self._ticket(layer, torch.as_tensor(rows_BTH)) for layer, rows_BTH in rows.items()}
        return Fetch(tickets, self.statistics)

    def _ticket(self, layer: int, rows_BTH: Tensor) -> Ticket:
        found: list[Tensor] = []

        def fetch() -> None:
            found.append(self._gather(self._table[layer], rows_BTH).flatten(-2))

        size_bytes = rows_BTH.numel() * self._table[layer][0].nbytes
        return Ticket(
            fetch,
            lambda: found[0],
            rows_requested=rows_BTH.numel(),
            issued=time.perf_counter(),
            size_bytes=size_bytes,
        )

    def size_bytes(self) -> int:
        return sum(rows_RC.nbytes for rows_RC in self._table.values())

    def close(self) -> None: ...


class SideStream(OnDemand):
    """The same gather, queued for all layers before the first block, on a stream beside that of the blocks.

    Needs a GPU: only there is a stream, and only a GPU reads page-locked memory of the host where it lies.
    """

    def __init__(self, table: Mapping[int, Tensor], gather: Gather, device: torch.device) -> None:
        super().__init__(table, gather)
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def _ticket(self, layer: int, rows_BTH: Tensor) -> Ticket:
        issued = time.perf_counter()
        rows_BTH = rows_BTH.to(self._device, non_blocking=True)
        self._stream.wait_stream(torch.cuda.current_stream(self._device))  # the row numbers are made there
        with torch.cuda.stream(self._stream):
            found = self._gather(self._table[layer], rows_BTH).flatten(-2)
            there = self._stream.record_event()
        rows_BTH.record_stream(self._stream)
        size_bytes = rows_BTH.numel() * self._table[layer][0].nbytes
        return Ticket(
            lambda: _wait_on_device(there, found),
            lambda: found,
            rows_requested=rows_BTH.numel(),
            issued=issued,
            size_bytes=size_bytes,
        )


def _wait_on_device(event: torch.cuda.Event, *tensors: Tensor) -> None:
    """Let what is queued next on the current stream wait for the event; the host goes on."""
    stream = torch.cuda.current_stream(tensors[0].device)
    stream.wait_event(event)
    for tensor in tensors:
        tensor.record_stream(stream)  # else its memory could be used again while this stream still reads it


class HostRows:
    """A table in the host's memory as a source: layer -> rows [R, C], contiguous."""

    def __init__(self, table: Mapping[int, Tensor]) -> None:
        first = next(iter(table.values()))
        self.dtype, self.row_width = first.dtype, first.shape[1]
        self.stride_bytes = first[0].nbytes
        item = np.dtype((np.void, self.stride_bytes))
        self._items = {layer: rows.view(torch.uint8).numpy().view(item)[:, 0] for layer, rows in table.items()}

    def read(self, layer: int, rows_U: NDArray[np.int64], out_U: NDArray[np.void]) -> None:
        low, high, count = rows_U.min(initial=0), rows_U.max(initial=0), len(self._items[layer])
        if low < 0 or high >= count:
            raise IndexError(f"rows of layer {layer} lie in [0, {count}), got {low if low < 0 else high}")
        np.take(self._items[layer], rows_U, out=out_U, mode="clip")

    def size_bytes(self) -> int:
        return sum(items.nbytes for items in self._items.values())

    def close(self) -> None: ...


@dataclass
class OnTheWay:
    """The rows of one layer on their way: in a buffer, or (on a GPU) being copied out of it.

    `inverse_BTH` says which of the distinct rows stands where; None: they are all there, in the order asked for.
    """

    inverse_BTH: Tensor | None
    rows_US: Tensor
    buffer: Buffer | None
    copied: torch.cuda.Event | None


class Staged:
    """Rows that threads gather from a source before the first block, into a buffer that belongs to this fetch alone; on
    a GPU they are copied from there on a stream of their own.

    `distinct`: each row of a batch is read once, however often it is asked for. To tell rows apart takes longer than to
    read them from memory where few repeat. `threads` read one layer's rows together. The next forward may be prefetched
    while this one is under way.
    """

    def __init__(self, source: Source, device: torch.device, *, threads: int, distinct: bool = True) -> None:
        if threads < 1:
            raise BadInput(f"threads={threads}: expected a whole number >= 1, such as 2")
        self.statistics = Statistics()
        self.staging = Staging(source.stride_bytes, pinned=device.type == "cuda")
        self._source = source
        self._device = device
        self._threads = threads
        self._distinct = distinct
        on_gpu = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if on_gpu else None  # type: ignore[no-untyped-call]
        # two pools: a job that waited for its own pool could wait for ever
        self._jobs = ThreadPoolExecutor(1, "fetch")
        self._readers = ThreadPoolExecutor(threads, "read") if threads > 1 else None

    def __call__(self, rows: Rows) -> Fetch:
        tickets = {layer: self._ticket(layer, torch.as_tensor(rows_BTH)) for layer, rows_BTH in rows.items()}
        return Fetch(tickets, self.statistics)

    def _ticket(self, layer: int, rows_BTH: Tensor) -> Ticket:
        job: Future[OnTheWay]
        ticket = Ticket(
            lambda: self._wait(job),
            lambda: self._take(job, rows_BTH.shape),
            rows_requested=rows_BTH.numel(),
            issued=time.perf_counter(),
        )
        job = self._jobs.submit(self._stage, layer, rows_BTH.cpu().numpy(), ticket)
        return ticket

    @torch.no_grad()
    def _stage(self, layer: int, rows_BTH: NDArray[np.int64], ticket: Ticket) -> OnTheWay:
        rows_U, inverse = np.unique(rows_BTH, return_inverse=True) if self._distinct else (rows_BTH.ravel(), None)
        buffer = self.staging.lend(len(rows_U))
        self._read(layer, rows_U, buffer.items(len(rows_U)))
        inverse_BTH = None if inverse is None else torch.from_numpy(inverse.reshape(rows_BTH.shape))
        staged = OnTheWay(inverse_BTH, buffer.bytes_US[: len(rows_U)], buffer, None)
        if self._stream is not None:
            staged = self._copied(staged)
        ticket.rows_unique = len(rows_U) if self._distinct else None
        ticket.size_bytes = len(rows_U) * self._source.stride_bytes
        ticket.finished = time.perf_counter()
        return staged

    def _read(self, layer: int, rows_U: NDArray[np.int64], out_U: NDArray[np.void]) -> None:
        parts = min(self._threads, len(rows_U) // LEAST_ROWS)
        if self._readers is None or parts < 2:
            self._source.read(layer, rows_U, out_U)
            return
        size = -(-len(rows_U) // parts)
        starts = range(0, len(rows_U), size)
        done = [
            self._readers.submit(self._source.read, layer, rows_U[i : i + size], out_U[i : i + size]) for i in starts
        ]
        for part in done:
            part.result()

    def _copied(self, staged: OnTheWay) -> OnTheWay:
        assert self._stream is not None
        assert staged.buffer is not None
        inverse_BTH = staged.inverse_BTH
        with torch.cuda.stream(self._stream):
            rows_US = staged.rows_US.to(self._device, non_blocking=True)
            if inverse_BTH is not None:
                inverse_BTH = inverse_BTH.pin_memory().to(self._device, non_blocking=True)
            copied = self._stream.record_event()
        staged.buffer.copied = copied
        self.staging.give_back(staged.buffer)  # lent again when the event has happened
        return OnTheWay(inverse_BTH, rows_US, None, copied)

    def _wait(self, job: Future[OnTheWay]) -> None:
        staged = job.result()
        if staged.copied is not None:
            _wait_on_device(staged.copied, staged.rows_US)
            if staged.inverse_BTH is not None:
                staged.inverse_BTH.record_stream(torch.cuda.current_stream(self._device))

    def _take(self, job: Future[OnTheWay], shape: torch.Size) -> Tensor:
        staged = job.result()
        rows_UC = staged.rows_US.view(self._source.dtype)[:, : self._source.row_width]
        if staged.inverse_BTH is not None:
            rows_BTHC = gather(rows_UC, staged.inverse_BTH)
        else:
            rows_BTHC = rows_UC.reshape(*shape, rows_UC.shape[1])
        if staged.buffer is None:
            return rows_BTHC.flatten(-2)
        embeddings_BTE = rows_BTHC.flatten(-2) if staged.inverse_BTH is not None else rows_BTHC.flatten(-2).clone()
        self.staging.give_back(staged.buffer)  # nothing points into it any more
        return embeddings_BTE

    def size_bytes(self) -> int:
        return self._source.size_bytes()

    def close(self) -> None:
        """Wait for what is under way, and let go of the source."""
        for pool in filter(None, (self._jobs, self._readers)):
            pool.shutdown()
        self._source.close()

"""The arms of the placement measurements: the same model and the same rows, each arm with its rows in another place.

    A    no Engram                                      B  - A is what the module costs
    B    the table on the device                        C  - B is what it costs to have the table elsewhere
    C1   page-locked host memory, read in place by the GPU when a layer comes to it
    C2   the same, for all layers before the first block, on a stream beside it
    C3   host memory, gathered by the CPU before the first block, staged, copied
    C3u  the same, each distinct row of a batch once
    C4   host memory, gathered and copied while the layer stands still (the control)
    D    as C3u, from a memory-mapped file

Imports torch and NumPy alone, so that a bare machine with a GPU can use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adapters.engram.module import EngramModule
from adapters.engram.placement.file import TableFile, write_table
from adapters.engram.placement.in_place import gather_in_place
from adapters.engram.placement.places import HostRows, OnDemand, Placement, SideStream, Staged, gather_and_copy
from memory_bench.errors import BadInput
from memory_bench.ngrams import no_compression
from memory_bench.readers.model import Slot
from memory_bench.readers.room import check_memory

ARMS = ("A", "B", "C1", "C2", "C3", "C3u", "C4", "D")
CHUNK_ROWS = 1 << 20


class ShapeSlot(EngramModule, Slot):
    """The module as it is, in a network of any type: what it adds has the type of what it is added to."""

    def forward(self, layer: int, hidden_BTD: Tensor, embeddings_BTE: Tensor, **options: Any) -> Tensor:
        return super().forward(layer, hidden_BTD, embeddings_BTE, **options).to(hidden_BTD.dtype)


class Insertion:
    """A module and a placement of its table: a look-up for a model, and the slot that the model gives its rows to."""

    def __init__(self, slot: ShapeSlot, placement: Placement) -> None:
        self.slot = slot
        self.placement = placement

    def __call__(self, tokens_BT: Tensor) -> Mapping[int, Tensor]:
        return self.placement(self.slot.rows(tokens_BT))


def insertion(
    *,
    arm: str,
    layers: Sequence[int],
    heads: int,
    row_width: int,
    rows: int,
    threads: int,
    folder: str | None,
    width: int,
    vocabulary: int,
    device: torch.device,
    dtype: torch.dtype,
) -> Insertion | None:
    """Return an Engram of random rows for a reader; None in arm A. `rows` are those of a head; the orders are 2 and 3.

    `folder` is where arm D finds its table, or writes it once. Raises BadInput where the table has no room, before it
    is made, and Unavailable where the arm cannot run here.
    """
    if arm not in ARMS:
        raise BadInput(f"reader.engram.arm={arm}: expected one of {', '.join(ARMS)}")
    if arm == "A":
        return None
    slot = made_slot(layers=layers, heads=heads, row_width=row_width, rows=rows, width=width, vocabulary=vocabulary).to(
        device, dtype
    )
    if arm == "D":
        if folder is None:
            raise BadInput(
                "reader.engram.folder=null: arm D reads its table from a folder: type reader.engram.folder=PATH"
            )
        return Insertion(slot, Staged(opened(slot, Path(folder), dtype), device, threads=threads))
    table = host_table(slot, dtype, pinned=device.type == "cuda" and arm != "C4")
    return Insertion(slot, placed(arm, table, device, threads=threads))


def made_slot(
    *, layers: Sequence[int], heads: int, row_width: int, rows: int, width: int, vocabulary: int
) -> ShapeSlot:
    """Return the module of every arm, with the same random projections each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        slot = ShapeSlot(
            width=width, layers=layers, max_order=3, heads=heads, row_width=row_width, rows=rows, seed=0,
            compression=no_compression(vocabulary),
        )  # fmt: skip
    return slot.eval().requires_grad_(False)


def placed(arm: str, table: Mapping[int, Tensor], device: torch.device, *, threads: int) -> Placement:
    """Return the rows of arms B to C4, from a table in the host's memory (page-locked for C1 to C3 and a GPU)."""
    if arm == "B":
        if device.type != "cpu":
            check_memory("the table", sum(rows.nbytes for rows in table.values()), device, mend="ask for fewer rows")
        return OnDemand({layer: rows_RC.to(device) for layer, rows_RC in table.items()})
    makers: dict[str, Callable[[], Placement]] = {
        "C1": lambda: OnDemand(table, gather_in_place(device)),
        "C2": lambda: SideStream(table, gather_in_place(device), device),
        "C3": lambda: Staged(HostRows(table), device, threads=threads, distinct=False),
        "C3u": lambda: Staged(HostRows(table), device, threads=threads),
        "C4": lambda: OnDemand(table, gather_and_copy(device)),
    }
    return makers[arm]()


def host_table(slot: EngramModule, dtype: torch.dtype, *, pinned: bool) -> dict[int, Tensor]:
    """Return layer -> random rows [R, C] in the host's memory. Raises BadInput where they have no room there."""
    rows = sum(slot.table_rows(layer) for layer in slot.layers)
    size_bytes = rows * slot.row_width * dtype.itemsize
    check_memory(f"a table of {rows:,} rows", size_bytes, torch.device("cpu"), mend="ask for fewer rows")
    table = {}
    for layer in slot.layers:
        rows_RC = torch.empty(slot.table_rows(layer), slot.row_width, dtype=dtype, pin_memory=pinned)
        for start, chunk in zip(range(0, len(rows_RC), CHUNK_ROWS), random_rows(slot, layer), strict=True):
            rows_RC[start : start + CHUNK_ROWS] = chunk
        table[layer] = rows_RC
    return table


def random_rows(slot: EngramModule, layer: int) -> Iterator[Tensor]:
    """Yield a layer's rows in chunks: uniform numbers, which are drawn ten times as fast as normal ones."""
    generator = torch.Generator().manual_seed(layer)
    for start in range(0, slot.table_rows(layer), CHUNK_ROWS):
        rows = min(CHUNK_ROWS, slot.table_rows(layer) - start)
        yield torch.rand(rows, slot.row_width, generator=generator).sub_(0.5).mul_(0.04)


def opened(slot: EngramModule, folder: Path, dtype: torch.dtype) -> TableFile:
    """Return the table in a folder, which is written first where there is none. Raises BadInput for another table."""
    address = slot.describe()
    if not folder.exists():
        write_table(
            folder, rows={layer: slot.table_rows(layer) for layer in slot.layers}, row_width=slot.row_width,
            chunks=lambda layer: random_rows(slot, layer), hash_version=address["hash_version"], address=address,
            dtype=dtype,
        )  # fmt: skip
    return TableFile(folder, address=address)

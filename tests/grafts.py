"""What the tests of grafted Engram share: a small slot for models of `transformers`, and its table."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adapters.engram.grafted.graft import Graft
from adapters.engram.slot import EngramTable
from memory_bench.readers.hf import HfReader
from tests import checkpoints

SLOT: dict[str, Any] = {
    "layers": None,
    "layers_path": None,
    "max_order": 3,
    "heads": 2,
    "row_width": 8,
    "rows": 512,
    "seed": 0,
}


def grafted(folder: Path, *, slot: dict[str, Any] | None = None, **options: Any) -> HfReader:
    """Return the reader of a checkpoint, with a slot in it."""
    return checkpoints.made(folder, slot=partial(Graft, **(SLOT | (slot or {}))), **options)


def graft_of(one: HfReader) -> Graft:
    assert isinstance(one.slotted, Graft)
    return one.slotted


def table_of(one: HfReader, *, filled: bool = False) -> EngramTable:
    """Return a table for the slot of a reader: empty, or with something in every row."""
    table = EngramTable(graft_of(one).slot, one.device)
    for rows_RC in table.rows.values() if filled else ():
        rows_RC.normal_(generator=torch.Generator().manual_seed(0))
    return table


@torch.no_grad()
def logits(model: Any, tokens: list[int]) -> Tensor:
    """Return logits_TV of a pass that keeps nothing."""
    found: Tensor = model(torch.tensor([tokens]), use_cache=False).logits[0]
    return found

"""Small readers with random weights, and one that copies: everything of a reader but what training gives it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adapters.engram.slot import EngramSlot, EngramTable
from memory_bench.readers import checkpoint
from memory_bench.readers.model import Shape, Slot, TinyModel
from memory_bench.readers.tiny import TinyReader

NEWLINE = 200
"""The newline of the bundled tokenizer (a test compares)."""
SLOT = {"width": 32, "layers": [0, 1], "max_order": 3, "heads": 2, "row_width": 8, "rows": 512, "seed": 0}


def shape(**changes: Any) -> Shape:
    """Return the bundled architecture made small."""
    small = {"width": 32, "layers": 2, "heads": 2, "pointer_width": 8, "newline": NEWLINE}
    return Shape(**{**small, **changes})


def randomised(model: TinyModel, *, seed: int = 0) -> TinyModel:
    """Move every parameter away from its start, where whole branches are zero, and freeze the model."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            fan_in = parameter.shape[-1] if parameter.ndim else 1
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3 / math.sqrt(fan_in))
    return model.eval().requires_grad_(False)


def random_model(*, slot: Slot | None = None, seed: int = 0, **changes: Any) -> TinyModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return randomised(TinyModel(shape(**changes), slot), seed=seed)


def random_slot(**changes: Any) -> EngramSlot:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return EngramSlot(**{**SLOT, **changes})


def filled_table(slot: EngramSlot, *, seed: int = 0) -> EngramTable:
    """Return a table with something in every row."""
    table = EngramTable(slot, torch.device("cpu"))
    generator = torch.Generator().manual_seed(seed)
    for rows_RC in table.rows.values():
        rows_RC += torch.randn(rows_RC.shape, generator=generator)
    return table


def copier() -> TinyModel:
    """Return a model whose pointer copies what followed the longest earlier match, and which does nothing else."""
    model = TinyModel(shape())
    assert model.pointer is not None
    with torch.no_grad():
        nn.init.zeros_(model.pointer.query.weight)
        nn.init.zeros_(model.pointer.end_query.weight)
        nn.init.zeros_(model.pointer.terms.bias)
        model.pointer.terms.bias[-2] = -20.0  # no copy ends but with its text
        model.pointer.terms.bias[: model.shape.match_length] = 8.0
    return model.eval().requires_grad_(False)


def reader(model: TinyModel, folder: Path, **options: Any) -> TinyReader:
    """Save the model and return a reader of it."""
    checkpoint.save(folder, model, {})
    slot = None if model.slot is None else partial(EngramSlot)
    return TinyReader(
        str(folder), **{"device": "cpu", "window_tokens": 512, "max_new_tokens": 12, "slot": slot, **options}
    )


def log_probs(model: TinyModel, rows: Sequence[Sequence[int]], **options: Any) -> Tensor:
    """Return the log-probabilities of every next token after each token: [B, T, V]."""
    tokens_BT = torch.tensor(rows)
    positions_BQ = torch.arange(tokens_BT.shape[1]).expand(len(rows), -1)
    return model.next_log_probs(model(tokens_BT, **options), tokens_BT, positions_BQ)

"""What the tests of the Engram module share: a small one, a filled table, and what each layer adds."""

from __future__ import annotations

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from adapters.engram.decoding import DecodeState
from adapters.engram.module import EngramModule
from adapters.engram.table import TrainedTable
from memory_bench.ngrams import no_compression

SIZE, WIDTH = 64, 16
SMALL = {"width": WIDTH, "layers": [1, 2], "max_order": 3, "heads": 2, "row_width": 4, "rows": 97, "seed": 0}
MARK = 9
IDS = st.integers(0, SIZE - 1)
WORDS = st.integers(MARK + 1, SIZE - 1)
TOKENS = st.lists(IDS, min_size=4, max_size=12)
few = settings(deadline=None, max_examples=25)
both = pytest.mark.parametrize("conv", ["off", "on"])


def module(**changes: object) -> EngramModule:
    torch.manual_seed(0)
    return EngramModule(**{**SMALL, "compression": no_compression(SIZE), **changes})  # type: ignore[arg-type]


def filled(engram: EngramModule) -> TrainedTable:
    """Return a table with something in every row, and give the convolution something to do."""
    table = TrainedTable(engram)
    with torch.no_grad():
        for parameter in (*table.parameters(), *engram.taps_WD.parameters()):
            parameter.normal_(generator=torch.Generator().manual_seed(1))
    return table.requires_grad_(False)


def hidden(batch: int, length: int) -> Tensor:
    return torch.randn(batch, length, WIDTH, generator=torch.Generator().manual_seed(2))


def added(
    engram: EngramModule,
    table: TrainedTable,
    tokens: list[int],
    hidden_BTD: Tensor,
    state: DecodeState | None = None,
) -> Tensor:
    """Return what every layer adds, [layers, T, D]."""
    tokens_BT = torch.tensor([tokens])
    embeddings = table(engram.rows(tokens_BT, state=state))
    boundary_BT = engram.boundaries(tokens_BT)
    return torch.cat(
        [engram(layer, hidden_BTD, embeddings[layer], boundary_BT=boundary_BT, state=state) for layer in engram.layers]
    )

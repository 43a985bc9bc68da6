"""Rows that are trained with the network: a parameter a layer, which gradients reach row by row.

Shape legend: B batch, T tokens, E width of all rows of a token, H hash heads of all orders, C width of a row, R rows of
a layer's table.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
from numpy.typing import NDArray
from torch import Tensor, nn

from adapters.engram.module import INITS, EngramModule, Rows

Groups: TypeAlias = list[dict[str, Any]]

TABLE_RATE = 5.0
"""How many times faster than the network its rows learn, as in the paper."""


class TrainedTable(nn.Module):
    """A table of the size that `engram` addresses, started as its `init` says.

    `lazy`: gradients are sparse, and rows that no token of a batch addresses do not move (`SparseAdam`). Without it
    they are dense, and with Adam an untouched row drifts on by its momentum.
    """

    def __init__(self, engram: EngramModule, *, lazy: bool = True) -> None:
        super().__init__()
        self.lazy = lazy
        std = INITS[engram.init].table_std
        self.rows_RC = nn.ParameterDict(
            {
                str(layer): nn.Parameter(torch.empty(engram.table_rows(layer), engram.row_width).normal_(std=std))
                for layer in engram.layers
            }
        )

    def forward(self, rows: Rows) -> dict[int, Tensor]:
        """Return layer -> embeddings_BTE."""
        return {layer: self._look_up(layer, found_BTH) for layer, found_BTH in rows.items()}

    def _look_up(self, layer: int, found_BTH: NDArray[np.int64]) -> Tensor:
        rows_RC = self.rows_RC[str(layer)]
        return F.embedding(torch.from_numpy(found_BTH).to(rows_RC.device), rows_RC, sparse=self.lazy).flatten(2)


def parameter_groups(
    engram: EngramModule, table: TrainedTable, *, rate: float, weight_decay: float, table_rate: float = TABLE_RATE
) -> tuple[Groups, Groups]:
    """Return the groups of the rows (for `SparseAdam`, or for Adam where the table is not lazy) and those of the rest
    (for the optimizer of the network): projections as the network, norms, convolution and scales without decay."""
    projections = [*engram.key.parameters(), *engram.value.parameters()]
    others = [
        parameter
        for part in (engram.gain_D, engram.scale, engram.taps_WD, engram.conv_gain_D)
        for parameter in part.values()
    ]
    rows: Groups = [{"params": list(table.parameters()), "lr": table_rate * rate}]
    rest: Groups = [{"params": projections, "lr": rate, "weight_decay": weight_decay}]
    if others:
        rest.append({"params": others, "lr": rate, "weight_decay": 0.0})
    return rows, rest

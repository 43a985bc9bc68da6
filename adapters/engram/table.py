"""Rows that are trained with the network: a parameter a layer, which gradients reach row by row.

Shape legend: B batch, T tokens, E width of all rows of a token, H hash heads of all orders, C width of a row, R rows of
a layer's table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
from numpy.typing import NDArray
from torch import Tensor, nn

from adapters.engram.address import Description, check_address, from_tensor, to_tensor
from adapters.engram.module import HASH_VERSIONS, INITS, EngramModule, Rows
from memory_bench.errors import BadInput
from memory_bench.ngrams import Compression
from memory_bench.readers.room import check_memory

EXTRA = "_extra_state"  # PyTorch's name for what `get_extra_state` returns

Groups: TypeAlias = list[dict[str, Any]]

TABLE_RATE = 5.0
"""How many times faster than the network its rows learn, as in the paper."""


class TrainedTable(nn.Module):
    """A table of the size that `engram` addresses, started as its `init` says.

    `lazy`: gradients are sparse, and rows that no token of a batch addresses do not move (`SparseAdam`). Without it
    they are dense, and with Adam an untouched row drifts on by its momentum.

    Raises BadInput where the rows take more memory than is free; what an optimiser keeps of them comes on top.
    """

    def __init__(self, engram: EngramModule, *, lazy: bool = True) -> None:
        super().__init__()
        self.lazy = lazy
        self.address = engram.describe()
        std = INITS[engram.init].table_std
        rows = sum(engram.table_rows(layer) for layer in engram.layers)
        size_bytes = rows * engram.row_width * torch.get_default_dtype().itemsize
        check_memory(f"a table of {rows:,} rows", size_bytes, torch.get_default_device(), mend="ask for fewer rows")
        self.rows_RC = nn.ParameterDict(
            {
                str(layer): nn.Parameter(torch.empty(engram.table_rows(layer), engram.row_width).normal_(std=std))
                for layer in engram.layers
            }
        )
        self.register_load_state_dict_pre_hook(_check_kept)  # type: ignore[no-untyped-call]

    def forward(self, rows: Rows) -> dict[int, Tensor]:
        """Return layer -> embeddings_BTE."""
        return {layer: self._look_up(layer, found_BTH) for layer, found_BTH in rows.items()}

    def get_extra_state(self) -> Tensor:
        """Return what the rows' numbers mean: PyTorch keeps it with the weights."""
        return to_tensor(self.address)

    def set_extra_state(self, _: Tensor) -> None:
        """Nothing: `_check_kept` has compared it, before any row was loaded."""

    def _look_up(self, layer: int, found_BTH: NDArray[np.int64]) -> Tensor:
        rows_RC = self.rows_RC[str(layer)]
        return F.embedding(torch.from_numpy(found_BTH).to(rows_RC.device), rows_RC, sparse=self.lazy).flatten(2)


def described(state: Mapping[str, Tensor], *, table: str, map_V: str) -> EngramModule:
    """Return the module that a checkpoint describes, with its compression and multipliers; its weights are not loaded.

    `table` and `map_V` are the names that table and map have in the state: "table" and "engram.map_V", say. Raises
    BadInput where the two do not belong together.
    """
    return described_by(from_tensor(state[f"{table}.{EXTRA}"]), state[map_V])


def described_by(kept: Description, map_V: Tensor) -> EngramModule:
    """Return the module of a description and of its compression. Raises BadInput where they do not belong together."""
    numbers_V = map_V.cpu().numpy()
    versions = {version: mode for mode, version in HASH_VERSIONS.items()}
    if kept["hash_version"] not in versions:
        known = ", ".join(versions)
        raise BadInput(f"engram checkpoint: hash_version is {kept['hash_version']}, expected one of {known}")
    engram = EngramModule(
        **kept["arguments"],
        mode=versions[kept["hash_version"]],
        compression=Compression(numbers_V, int(numbers_V.max()) + 1),
        multipliers={int(layer): numbers for layer, numbers in kept["multipliers"].items()},
    )
    check_address(here=engram.describe(), kept=kept)
    return engram


def _check_kept(table: TrainedTable, state: Mapping[str, Tensor], prefix: str, *_: object) -> None:
    """Before anything is loaded: raises BadInput where addresses differ, or rows are not numbers."""
    if prefix + EXTRA not in state:
        raise BadInput(f"engram checkpoint: {prefix + EXTRA} is missing, so nobody knows what its rows mean")
    check_address(here=table.address, kept=from_tensor(state[prefix + EXTRA]))
    for layer in table.rows_RC:
        if (rows_RC := state.get(f"{prefix}rows_RC.{layer}")) is not None:  # PyTorch says what is missing
            _check_numbers(rows_RC, layer)


def _check_numbers(rows_RC: Tensor, layer: str) -> None:
    wrong_R = ~rows_RC.isfinite().all(1)
    if wrong_R.any():
        raise BadInput(
            f"engram checkpoint: {int(wrong_R.sum())} rows of layer {layer} hold what is no number, the first is row "
            f"{int(wrong_R.nonzero()[0])}: restore the file, or train again with a lower rate"
        )


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

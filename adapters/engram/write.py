"""The write rule: a few gradient steps on the rows that the tokens address, everything else frozen.

The loss is the next-token loss summed over *all* tokens of the events, hay included. Nothing selects positions, and
nothing knows what a fact is: no template, no parsing, no boundary. Rows that no token addresses do not move.

Shape legend: B events, T tokens, H hash heads, U distinct rows touched, C width of a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
from numpy.typing import NDArray
from torch import Tensor

from adapters.engram.slot import EngramSlot, EngramTable
from memory_bench.readers.model import TinyModel


class TouchedRows:
    """The distinct rows that some tokens address, as one small matrix a layer that gradients can reach."""

    def __init__(self, slot: EngramSlot, tokens_BT: Tensor, apart_B: Sequence[int] | None = None) -> None:
        """`apart_B` numbers the table of each sequence, so that several episodes can be written side by side."""
        self.slot = slot
        self.found: dict[int, Tensor] = {}
        self.inverse: dict[int, Tensor] = {}
        for layer, rows_BTH in slot.rows(tokens_BT).items():
            distinct_U, inverse_BTH = np.unique(self._keys(layer, rows_BTH, apart_B), return_inverse=True)
            self.found[layer] = torch.from_numpy(distinct_U).to(tokens_BT.device)
            self.inverse[layer] = torch.from_numpy(inverse_BTH.reshape(rows_BTH.shape)).to(tokens_BT.device)

    def embeddings(self, values: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """Return layer -> embeddings_BTE from values_UC, for the tokens that this was made of."""
        # not indexing: from some size on its gradient is summed by threads in any order, and bits differ between runs
        return {layer: F.embedding(self.inverse[layer], values[layer]).flatten(2) for layer in self.found}

    def elsewhere(self, values: Mapping[int, Tensor], tokens_BT: Tensor, apart_B: Sequence[int]) -> dict[int, Tensor]:
        """Return layer -> embeddings_BTE for other tokens: rows that were not touched are zero."""
        embeddings = {}
        for layer, rows_BTH in self.slot.rows(tokens_BT).items():
            keys = torch.from_numpy(self._keys(layer, rows_BTH, apart_B)).to(tokens_BT.device)
            place_BTH = torch.searchsorted(self.found[layer], keys).clamp_max(len(self.found[layer]) - 1)
            held_BTH = self.found[layer][place_BTH] == keys
            embeddings[layer] = (values[layer][place_BTH] * held_BTH[..., None]).flatten(2)
        return embeddings

    def _keys(self, layer: int, rows_BTH: NDArray[np.int64], apart_B: Sequence[int] | None) -> NDArray[np.int64]:
        if apart_B is None:
            return rows_BTH
        return rows_BTH + np.asarray(apart_B, dtype=np.int64)[:, None, None] * self.slot.table_rows(layer)


def write_loss(model: TinyModel, tokens_BT: Tensor, real_BT: Tensor, embeddings: Mapping[int, Tensor]) -> Tensor:
    """Return the next-token loss (nats), summed over all tokens of all events."""
    hidden_BTD = model(tokens_BT, lambda _: embeddings)
    positions_BQ = torch.arange(tokens_BT.shape[1] - 1, device=tokens_BT.device).expand(len(tokens_BT), -1)
    log_probs_BQ = model.target_log_probs(hidden_BTD, tokens_BT, positions_BQ, tokens_BT[:, 1:])
    return -(log_probs_BQ * real_BT[:, 1:]).sum()


def descend(
    model: TinyModel,
    touched: TouchedRows,
    values: Mapping[int, Tensor],
    tokens_BT: Tensor,
    real_BT: Tensor,
    *,
    steps: int,
    step_scale: float = 1.0,
    differentiable: bool = False,
) -> dict[int, Tensor]:
    """Return the rows after `steps` steps of gradient descent, each `step_scale` times as long as the slot has learned.

    With `differentiable`, gradients reach through the steps: that is how the slot learns to be written.
    """
    current = dict(values)
    rates = touched.slot.rates()
    for _ in range(steps):
        with torch.enable_grad():
            held = {layer: v if differentiable else v.detach().requires_grad_() for layer, v in current.items()}
            loss = write_loss(model, tokens_BT, real_BT, touched.embeddings(held))
            slopes = torch.autograd.grad(loss, list(held.values()), create_graph=differentiable)
        current = {
            layer: held[layer] - step_scale * rates[layer] * slope for layer, slope in zip(held, slopes, strict=True)
        }
        if not differentiable:
            current = {layer: value.detach() for layer, value in current.items()}
    return current


def write_rows(
    model: TinyModel,
    table: EngramTable,
    tokens_BT: Tensor,
    real_BT: Tensor,
    *,
    steps: int,
    step_scale: float = 1.0,
) -> None:
    """Write the events into the table."""
    touched = TouchedRows(table.slot, tokens_BT)
    before = {layer: table.rows[layer][found] for layer, found in touched.found.items()}
    after = descend(model, touched, before, tokens_BT, real_BT, steps=steps, step_scale=step_scale)
    for layer, found in touched.found.items():
        table.rows[layer][found] = after[layer]

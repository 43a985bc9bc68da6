"""The write rule: gradient steps on the rows that the texts address, everything else frozen.

All texts are written together: the loss is the next-token loss over *all* of their tokens, hay included. Nothing
selects positions, and nothing knows what a fact is: no template, no parsing, no boundary. Rows that no token addresses
do not move.

Written one after the other, each text spoils the rows of frequent n-grams that it shares with those before it.

Shape legend: B texts, T tokens, E width of all rows of a token, U distinct rows touched, C width of a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
from torch import Tensor

from adapters.engram.module import EngramModule
from adapters.engram.slot import EngramTable
from memory_bench.errors import BadInput
from memory_bench.readers.local import Slotted

TEXTS_AT_ONCE, NUMBERS_AT_ONCE = 64, 2**20
"""So many texts go through the model together, or as many as times the vocabulary give so many numbers: it bounds the
memory that a write takes, and changes rounding only."""
BETAS = (0.8, 0.95)
"""Of Adam, whose usual ones average over more steps than a write has."""


class TouchedRows:
    """The distinct rows that some tokens address, as one small matrix a layer that gradients can reach."""

    def __init__(self, slot: EngramModule, tokens: Sequence[Tensor]) -> None:
        self.slot = slot
        self.found: dict[int, Tensor] = {}
        self.inverse: dict[int, list[Tensor]] = {}
        rows = [slot.rows(tokens_BT) for tokens_BT in tokens]
        for layer in slot.layers:
            distinct_U = np.unique(np.concatenate([part[layer].ravel() for part in rows]))
            self.found[layer] = torch.from_numpy(distinct_U)
            self.inverse[layer] = [torch.from_numpy(np.searchsorted(distinct_U, part[layer])) for part in rows]

    def embeddings(self, values: Mapping[int, Tensor], part: int = 0) -> dict[int, Tensor]:
        """Return layer -> embeddings_BTE from values_UC, for the tokens of this part."""
        # not indexing: from some size on its gradient is summed by threads in any order, and bits differ between runs
        return {
            layer: F.embedding(self.inverse[layer][part].to(values[layer].device), values[layer]).flatten(2)
            for layer in self.found
        }


def write_loss(
    model: Slotted, tokens_BT: Tensor, real_BT: Tensor, embeddings: Mapping[int, Tensor], weights_B: Tensor
) -> Tensor:
    """Return the next-token loss (nats), summed over all tokens of all texts, each text with its weight."""
    hidden_BTD = model(tokens_BT, lambda _: embeddings)
    positions_BQ = torch.arange(tokens_BT.shape[1] - 1, device=tokens_BT.device).expand(len(tokens_BT), -1)
    log_probs_BQ = model.target_log_probs(hidden_BTD, tokens_BT, positions_BQ, tokens_BT[:, 1:])
    return -(log_probs_BQ * real_BT[:, 1:] * weights_B[:, None]).sum()


def write_rows(
    model: Slotted, table: EngramTable, texts: Sequence[Sequence[int]], *, steps: int, rate: float, recency: float
) -> None:
    """Write the texts (token ids, in the order in which they were told) into the table, from the rows as they are.

    `steps` of Adam with step size `rate`. The weight of a text in the loss rises in order from 1 - `recency` to
    1 + `recency`: where two texts contradict each other, the later one is the likelier. Raises BadInput, and writes
    nothing, where rows would hold what is no number.
    """
    if not texts:
        return
    device = next(iter(table.rows.values())).device
    at_once = max(1, min(TEXTS_AT_ONCE, NUMBERS_AT_ONCE // len(table.slot.map_V)))
    starts = range(0, len(texts), at_once)
    parts = [pad(texts[start : start + at_once], device) for start in starts]
    weights_B = torch.linspace(1 - recency, 1 + recency, len(texts), device=device)
    touched = TouchedRows(table.slot, [tokens_BT for tokens_BT, _ in parts])
    values = {layer: table.rows[layer][found.to(device)].requires_grad_() for layer, found in touched.found.items()}
    optimizer = torch.optim.Adam(values.values(), lr=rate, betas=BETAS)
    for _ in range(steps):
        optimizer.zero_grad()
        for number, (start, (tokens_BT, real_BT)) in enumerate(zip(starts, parts, strict=True)):
            embeddings = touched.embeddings(values, number)
            weights = weights_B[start : start + at_once]
            write_loss(model, tokens_BT, real_BT, embeddings, weights).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    if wrong := sum(int((~values_UC.isfinite().all(1)).sum()) for values_UC in values.values()):
        raise BadInput(
            f"{wrong} rows would hold what is no number, and nothing was written: the reader's weights hold such, or "
            f"memory.rate={rate} is too large; restore the weights, or type a smaller rate such as memory.rate=0.4"
        )
    for layer, found in touched.found.items():
        table.rows[layer][found.to(device)] = values[layer].detach()


def pad(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return tokens_BT padded on the right, and real_BT: which of them are tokens."""
    length = max(len(row) for row in rows)
    tokens_BT = torch.tensor([[*row, *[0] * (length - len(row))] for row in rows], device=device)
    lengths_B = torch.tensor([len(row) for row in rows], device=device)
    return tokens_BT, torch.arange(length, device=device) < lengths_B[:, None]

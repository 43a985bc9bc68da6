"""A network of one arm: the backbone and, where the arm has one, Engram with a table that is trained with it.

Shape legend: B batch, T tokens, D width, E width of all rows of a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from adapters.engram.costs import costs
from adapters.engram.module import EngramModule
from adapters.engram.table import TrainedTable, parameter_groups
from adapters.engram.twins.backbone import Backbone, Size
from adapters.engram.twins.draws import below
from memory_bench.ngrams import no_compression


class Twin(nn.Module):
    """`engram`: the arguments of its module but for width, vocabulary and seed; None: a dense network. `salted`: every
    sequence has rows of its own, others each time. Networks of one seed and size start with the same dense part."""

    def __init__(self, size: Size, engram: Mapping[str, Any] | None, *, seed: int, salted: bool = False) -> None:
        super().__init__()
        self.size, self.seed = size, seed
        self.salts = count() if salted else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.backbone = Backbone(size)
            self.engram = None if engram is None else _module(size, engram, seed)
            self.table = None if self.engram is None else TrainedTable(self.engram)

    def forward(self, tokens_BT: Tensor, embeddings: Mapping[int, Tensor] | None = None) -> list[Tensor]:
        """Return hidden_BTD after the embedding and after each block. `embeddings`, layer -> embeddings_BTE, stand for
        what the table holds: rows that were written, or changed."""
        if self.engram is None:
            return self.backbone(tokens_BT)  # type: ignore[no-any-return]
        engram = self.engram
        found = self.embeddings(tokens_BT) if embeddings is None else embeddings

        def added(layer: int, hidden_BTD: Tensor) -> Tensor:
            return hidden_BTD + engram(layer, hidden_BTD, found[layer]) if layer in found else hidden_BTD

        return self.backbone(tokens_BT, added)  # type: ignore[no-any-return]

    def embeddings(self, tokens_BT: Tensor) -> dict[int, Tensor]:
        """Return layer -> embeddings_BTE from the table; nothing where there is none."""
        if self.engram is None or self.table is None:
            return {}
        salt_B = None if self.salts is None else below(2**62, len(tokens_BT), "salt", self.seed, next(self.salts))
        return self.table(self.engram.rows(tokens_BT, salt_B=salt_B))  # type: ignore[no-any-return]

    def logits(self, hidden: Tensor) -> Tensor:
        return self.backbone.logits(hidden)

    def optimizers(self, rate: float, *, betas: tuple[float, float]) -> list[torch.optim.Optimizer]:
        """Return Adam for the network and, for the rows that a batch addresses, lazy Adam at a higher rate."""
        dense: list[dict[str, Any]] = [{"params": list(self.backbone.parameters())}]
        if self.engram is None or self.table is None:
            return [torch.optim.Adam(dense, lr=rate, betas=betas)]
        rows, rest = parameter_groups(self.engram, self.table, rate=rate, weight_decay=0.0)
        return [torch.optim.Adam([*dense, *rest], lr=rate, betas=betas), torch.optim.SparseAdam(rows, betas=betas)]

    def sizes(self) -> dict[str, int]:
        """Return parameters in all, those in the table, and those that take part in each token."""
        total = sum(parameter.numel() for parameter in self.parameters())
        if self.engram is None:
            return {"parameters": total, "table_parameters": 0, "active_parameters": total}
        added = costs(self.engram)
        table, read = added.sparse_parameters, added.read_parameters
        return {"parameters": total, "table_parameters": table, "active_parameters": total - table + read}

    def forward_flops(self, tokens: int, *, read: int) -> int:
        """Return the operations of one forward pass over a sequence: the dense part and, counted as there, the matrices
        of Engram. To find a row is integer arithmetic and a copy, and counts nothing."""
        added = 0 if self.engram is None else costs(self.engram).matrix_flops
        return self.size.forward_flops(tokens, read=read) + tokens * added


def _module(size: Size, engram: Mapping[str, Any], seed: int) -> EngramModule:
    return EngramModule(width=size.width, seed=seed, compression=no_compression(size.vocabulary), **engram)

"""The lesson of entity recall: names in shuffled rounds, and how many of them are known by now."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from adapters.engram.twins.names import Names, order, order_digest
from adapters.engram.twins.train import NOTHING, quick
from adapters.engram.twins.twin import Twin

Changed = Callable[[dict[int, Tensor]], Mapping[int, Tensor]]

AT_ONCE = 1024
"""So many names go through the network together when it is asked."""


class Recall:
    """Batches of names, and accuracy over the first `asked` of them: a curve needs no more. `digest`: of the order."""

    def __init__(self, names: Names, *, steps: int, batch: int, asked: int, seed: int) -> None:
        order_SB = order(len(names), steps=steps, batch=batch, seed=seed)
        self.digest = order_digest(order_SB)
        self.tokens_NT, self.targets_N = tensors(names)
        self.order_SB = torch.from_numpy(order_SB)
        self.asked = asked

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        tokens_BT = self.tokens_NT[self.order_SB[step]]
        targets_BT = torch.full_like(tokens_BT, NOTHING)
        targets_BT[:, -1] = self.targets_N[self.order_SB[step]]
        return tokens_BT, targets_BT

    def scores(self, twin: Twin) -> dict[str, float]:
        return {"accuracy": accuracy(twin, self.tokens_NT[: self.asked], self.targets_N[: self.asked])}


def tensors(names: Names) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(names.tokens_NT), torch.from_numpy(names.targets_N)


def accuracy(twin: Twin, tokens_NT: Tensor, targets_N: Tensor) -> float:
    """Return the share of names whose value is the likeliest token of all."""
    return lens(twin, tokens_NT, targets_N)[-1]


@torch.no_grad()
def lens(twin: Twin, tokens_NT: Tensor, targets_N: Tensor, changed: Changed | None = None) -> list[float]:
    """Return that share for the read-out after each block: how early in the network the value stands there.

    `changed` gets layer -> embeddings_BTE of the table and returns what enters in their place."""
    right = torch.zeros(twin.size.layers)
    for start in range(0, len(targets_N), AT_ONCE):
        tokens_BT, targets_B = tokens_NT[start : start + AT_ONCE], targets_N[start : start + AT_ONCE]
        with quick(tokens_NT.device):
            embeddings = None if changed is None else changed(twin.embeddings(tokens_BT))
            states = twin(tokens_BT, embeddings)[1:]
            found = [twin.logits(hidden_BTD[:, -1]).argmax(-1) for hidden_BTD in states]
        right += torch.tensor([float((found_B == targets_B).sum()) for found_B in found])
    return [float(share) for share in right / len(targets_N)]

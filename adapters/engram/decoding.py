"""What a module keeps of the tokens that went before, so that a text can be read piece by piece.

    state = DecodeState(engram)
    rows = engram.rows(tokens_BT, state=state)              # goes on from what the state holds
    engram(1, hidden_BTD, embeddings_BTE, state=state)
    state.take_back(2)                                      # the last two tokens were guessed, and wrongly

Shape legend: B batch, T new tokens, L history and new tokens, D width of the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from adapters.engram.module import EngramModule


class DecodeState:
    """The last N - 1 compressed ids and which of them are boundaries; with a convolution, as many as it reaches back,
    and its inputs there. The tokens of the last piece are held until the next, and can be taken back."""

    def __init__(self, engram: EngramModule) -> None:
        self.needed = max(engram.max_order - 1, engram.reach)
        self.compressed_BL: NDArray[np.int64] | None = None
        self.boundary_BL: NDArray[np.bool_] | None = None
        self.inputs_BLD: dict[int, Tensor] = {}
        self.last = 0

    def extended(
        self, compressed_BT: NDArray[np.int64], boundary_BT: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Take in new tokens; return history and new ones, compressed_BL and boundary_BL."""
        if boundary_BT is None:
            boundary_BT = np.zeros(compressed_BT.shape, dtype=np.bool_)
        if self.compressed_BL is None or self.boundary_BL is None:
            self.compressed_BL, self.boundary_BL = compressed_BT, boundary_BT
        else:
            start = self._start(self.compressed_BL.shape[1])
            self.compressed_BL = np.concatenate([self.compressed_BL[:, start:], compressed_BT], axis=1)
            self.boundary_BL = np.concatenate([self.boundary_BL[:, start:], boundary_BT], axis=1)
        self.last = compressed_BT.shape[1]
        return self.compressed_BL, self.boundary_BL

    def convolution_inputs(self, layer: int, inputs_BTD: Tensor) -> tuple[Tensor, Tensor]:
        """Take in what the layer's convolution reads of the new tokens; return inputs_BLD and boundary_BL."""
        if self.boundary_BL is None:
            raise ValueError("the state holds no tokens: call rows(tokens_BT, state=state) before the module")
        before_BLD = self.inputs_BLD.get(layer)
        if before_BLD is not None:
            inputs_BTD = torch.cat([before_BLD[:, self._start(before_BLD.shape[1]) :], inputs_BTD], dim=1)
        self.inputs_BLD[layer] = inputs_BTD
        return inputs_BTD, torch.from_numpy(self.boundary_BL).to(inputs_BTD.device)

    def take_back(self, count: int) -> None:
        """Unread the last `count` tokens. Raises ValueError on more than the last piece had."""
        if not 0 <= count <= self.last:
            raise ValueError(f"the last piece had {self.last} tokens, {count} cannot be taken back")
        if not count or self.compressed_BL is None or self.boundary_BL is None:
            return
        self.last -= count
        self.compressed_BL, self.boundary_BL = self.compressed_BL[:, :-count], self.boundary_BL[:, :-count]
        self.inputs_BLD = {layer: inputs_BLD[:, :-count] for layer, inputs_BLD in self.inputs_BLD.items()}

    def _start(self, held: int) -> int:
        """Return from where on what is held is still needed."""
        return max(held - self.needed, 0)

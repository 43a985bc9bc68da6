"""The short convolution behind the gate: causal, depthwise, dilated, and blind beyond the start of a document.

Source: Engram (arXiv 2601.07372), section 2.3, equation 5. As shifted multiply-adds, whose backward pass is quicker
than that of `Conv1d` on a CPU.

Shape legend: B batch, T tokens, L the tokens and any history before them, D width of the model, W taps.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
from torch import Tensor

BEFORE_ALL = -1
"""The document of what stands before the start of a sequence."""


def convolved(inputs_BLD: Tensor, taps_WD: Tensor, *, dilation: int, length: int, boundary_BL: Tensor | None) -> Tensor:
    """Return for the last `length` inputs the weighted sum of those 0, 1, ..., W - 1 dilations back, as far as they
    stand in the same document."""
    reach = (len(taps_WD) - 1) * dilation
    padded_BLD = F.pad(inputs_BLD, (0, 0, reach, 0))
    documents_BL = None if boundary_BL is None else F.pad(documents(boundary_BL), (reach, 0), value=BEFORE_ALL)
    mixed_BTD = inputs_BLD[:, -length:] * taps_WD[0]
    end = padded_BLD.shape[1]
    for lag, tap_D in enumerate(taps_WD[1:], start=1):
        window = slice(end - lag * dilation - length, end - lag * dilation)
        earlier_BTD = padded_BLD[:, window]
        if documents_BL is not None:
            same_BT = documents_BL[:, window] == documents_BL[:, -length:]
            earlier_BTD = torch.where(same_BT[..., None], earlier_BTD, 0.0)
        mixed_BTD = mixed_BTD + earlier_BTD * tap_D
    return mixed_BTD


def documents(boundary_BL: Tensor) -> Tensor:
    """Return the number of each token's document: a boundary token is a document of its own."""
    return 2 * boundary_BL.long().cumsum(1) - boundary_BL.long()

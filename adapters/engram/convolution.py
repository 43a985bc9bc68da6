"""The short convolution behind the gate: causal, depthwise, dilated, and blind beyond the start of a document.

Source: Engram (arXiv 2601.07372), section 2.3, equation 5. As shifted multiply-adds, whose backward pass is quicker
than that of `Conv1d` on a CPU.

Shape legend: B batch, T tokens, D width of the model, W taps, L tokens and the history before them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
from torch import Tensor

BEFORE_ALL = -1
"""The document of what stands before the start of a sequence."""


def documents(boundary_BT: Tensor) -> Tensor:
    """Return the number of each token's document: a boundary token is a document of its own."""
    return 2 * boundary_BT.long().cumsum(1) - boundary_BT.long()


def with_history(values_BTD: Tensor, documents_BT: Tensor | None, reach: int) -> tuple[Tensor, Tensor | None]:
    """Return both with `reach` zeros before them, which belong to no document."""
    values_BLD = F.pad(values_BTD, (0, 0, reach, 0))
    return values_BLD, None if documents_BT is None else F.pad(documents_BT, (reach, 0), value=BEFORE_ALL)


def convolved(values_BLD: Tensor, documents_BL: Tensor | None, taps_WD: Tensor, dilation: int) -> Tensor:
    """Return for all but the first (W - 1) * dilation tokens the weighted sum of the values 0, 1, ..., W - 1 dilations
    back, as far as they stand in the same document."""
    reach = (len(taps_WD) - 1) * dilation
    length = values_BLD.shape[1] - reach
    mixed_BTD = values_BLD[:, reach:] * taps_WD[0]
    for lag, tap_D in enumerate(taps_WD[1:], start=1):
        start = reach - lag * dilation
        earlier_BTD = values_BLD[:, start : start + length]
        if documents_BL is not None:
            same_BT = documents_BL[:, start : start + length] == documents_BL[:, reach:]
            earlier_BTD = torch.where(same_BT[..., None], earlier_BTD, 0.0)
        mixed_BTD = mixed_BTD + earlier_BTD * tap_D
    return mixed_BTD

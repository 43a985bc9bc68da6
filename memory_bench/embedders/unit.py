"""Vectors of any length to vectors of unit length."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def unit(vectors_XD: ArrayLike) -> NDArray[np.float32]:
    """Return each row divided by its length; one of length 0, which has no direction, is the first axis."""
    rows_XD = np.array(vectors_XD, dtype=np.float64)
    rows_XD[~rows_XD.any(axis=1), 0] = 1
    unit_XD: NDArray[np.float32] = (rows_XD / np.linalg.norm(rows_XD, axis=1, keepdims=True)).astype(np.float32)
    return unit_XD

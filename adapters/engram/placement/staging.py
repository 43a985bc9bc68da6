"""Buffers through which rows go from where they lie to where they are needed.

A buffer is lent to one fetch, and lent again only when what was in it has been copied on: two are in use where the
next forward is fetched during this one, and as many as there are fetches under way at most.
"""

from __future__ import annotations

import threading

import numpy as np
import torch
from numpy.typing import NDArray

# U rows, S bytes of a stride


class Buffer:
    """Room for rows of one stride, page-locked where they go on to a GPU. After the event `copied` it is free."""

    def __init__(self, rows: int, stride_bytes: int, *, pinned: bool) -> None:
        self.bytes_US = torch.empty(rows, stride_bytes, dtype=torch.uint8, pin_memory=pinned)
        self.copied: torch.cuda.Event | None = None

    def items(self, rows: int) -> NDArray[np.void]:
        """Return the first rows as items of a stride: what a source writes into."""
        raw: NDArray[np.uint8] = self.bytes_US.numpy()[:rows]
        return raw.view(np.dtype((np.void, raw.shape[1])))[:, 0]


class Staging:
    """Lends buffers. Safe to use from several threads."""

    def __init__(self, stride_bytes: int, *, pinned: bool) -> None:
        self.stride_bytes = stride_bytes
        self.pinned = pinned
        self.made = 0
        self._free: list[Buffer] = []
        self._lock = threading.Lock()

    def lend(self, rows: int) -> Buffer:
        """Return a buffer of at least so many rows that nobody else has and nothing is still copied from."""
        with self._lock:
            free = sorted(self._free, key=lambda buffer: len(buffer.bytes_US))
            buffer = next((buffer for buffer in free if len(buffer.bytes_US) >= rows), None)
            if buffer is not None:
                self._free.remove(buffer)
            elif free:
                self._free.remove(free[0])  # too small for good: the new one takes its place
            self.made += buffer is None
        if buffer is None:
            return Buffer(max(rows, 1), self.stride_bytes, pinned=self.pinned)
        if buffer.copied is not None:
            buffer.copied.synchronize()
            buffer.copied = None
        return buffer

    def give_back(self, buffer: Buffer) -> None:
        with self._lock:
            self._free.append(buffer)

"""Character n-grams hashed into a vector: no weights, no download, no meaning.

With it a vector memory is a lexical search. It serves tests and smoke runs, and a table made with it says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from memory_bench.errors import BadInput
from memory_bench.ngrams import normalise

_ORDERS = (3, 4, 5)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)  # SplitMix64's finaliser
_STEP = np.uint64(0x9E3779B97F4A7C15)


class Hashing:
    """Each character 3-, 4- and 5-gram of a normalised text adds +1 or -1, by one hash, in one place, by another.

    A text without n-grams, or whose n-grams cancel out, is the first axis: every vector has unit length.
    Source: feature hashing (Weinberger et al. 2009, arXiv 0902.2206).
    """

    name = "hashing"

    def __init__(self, *, dimensions: int) -> None:
        if dimensions < 1:
            raise BadInput(f"dimensions must be >= 1, got {dimensions}: set embedder.dimensions=384")
        self.dimensions = dimensions

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors_XD = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for vector_D, text in zip(vectors_XD, texts, strict=True):
            vector_D[:] = self._counts(f" {normalise(text)} ")
            if not vector_D.any():
                vector_D[0] = 1
            vector_D /= np.linalg.norm(vector_D)
        return vectors_XD

    def identity(self) -> Mapping[str, str]:
        """Nothing is read."""
        return {}

    def _counts(self, text: str) -> NDArray[np.float32]:
        codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype(np.uint64)
        hashes = np.concatenate([_hashes(codes, order) for order in _ORDERS])
        signs = np.where(hashes >> np.uint64(63), 1.0, -1.0)
        places = (hashes % np.uint64(self.dimensions)).astype(np.int64)
        return np.bincount(places, weights=signs, minlength=self.dimensions).astype(np.float32)


def _hashes(codes: NDArray[np.uint64], order: int) -> NDArray[np.uint64]:
    """One 64-bit hash for each run of `order` characters; arithmetic is modulo 2^64."""
    runs = max(len(codes) - order + 1, 0)
    state = np.full(runs, order, dtype=np.uint64)
    for offset in range(order):
        state = _mixed((state ^ codes[offset : offset + runs]) + _STEP)
    return state


def _mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))

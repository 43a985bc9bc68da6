"""From text to keys: one 63-bit hash for every run of 2 to 5 words.

    The access code of gate 17         words      the access code of gate 17
                                       order 2    the-access  access-code  code-of  of-gate  gate-17
                                       order 5    the-access-code-of-gate  access-code-of-gate-17

Words, not the tokens of a reader: what stands outside the model must not change with it, and a word is cut the same
way whatever stands before it. They are normalised by Engram's rule and hashed by Engram's hash (`memory_bench.ngrams`).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from memory_bench.errors import BadInput
from memory_bench.ngrams import build_hashes, normalise

_WORD = re.compile(r"\w+")
_WORD_HASHES = 2**32  # crc32: two of 10,000 words share a hash once in a hundred collections
_SEED = 0


class Keys:
    """Keys of all orders from `min_order` to `max_order`; none is negative."""

    def __init__(self, *, min_order: int, max_order: int) -> None:
        if not 2 <= min_order <= max_order:
            raise BadInput(
                f"orders must satisfy 2 <= min_order <= max_order, got {min_order} and {max_order}: "
                "set memory.min_order=2 memory.max_order=5"
            )
        self.orders = range(min_order, max_order + 1)
        self.version = f"words crc32, portable {_SEED}, orders {min_order}..{max_order}"
        self._hash = build_hashes(
            layers=[0],
            max_order=max_order,
            heads=1,
            base_rows=[1] * (max_order - 1),  # keys are the mixes, before any modulus: there is no table
            compressed_size=_WORD_HASHES,
            pad=0,
            seed=_SEED,
        )[0]

    def by_order(self, text: str) -> Mapping[int, list[int]]:
        """Return order -> the distinct keys of a text, sorted; none for an order longer than the text."""
        mixes_TO = self._mixes(_words(text))
        return {order: _whole(mixes_TO[:, order - 2], order) for order in self.orders}

    def runs(self, text: str) -> dict[int, str]:
        """Return key -> the run of normalised words that it stands for."""
        words = _words(text)
        mixes_TO = self._mixes(words)
        return {
            int(mixes_TO[end - 1, order - 2]): " ".join(words[end - order : end])
            for order in self.orders
            for end in range(order, len(words) + 1)
        }

    def _mixes(self, words: Sequence[str]) -> NDArray[np.int64]:
        words_BT = np.array([[zlib.crc32(word.encode()) for word in words]], dtype=np.int64)
        mixes_TO: NDArray[np.int64] = self._hash.mix(words_BT)[0]
        return mixes_TO


def _words(text: str) -> list[str]:
    return _WORD.findall(normalise(text))


def _whole(mixes_T: NDArray[np.int64], order: int) -> list[int]:
    """The first order - 1 positions look back beyond the start: they are no n-grams."""
    return [int(key) for key in np.unique(mixes_T[order - 1 :])]

"""Random numbers that are the same on every machine and with every NumPy: SplitMix64, counted and not stepped.

NumPy does not promise that its generators draw the same numbers in the next release. Here number i of a stream is
mix(start + (i + 1) * gamma), with `start` from SHA-256 of what the stream is for: a longer draw begins with a shorter.

Source: Steele, Lea, Flood (2014), "Fast splittable pseudorandom number generators".
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

GAMMA = np.uint64(0x9E3779B97F4A7C15)


def draws(count: int, *purpose: str | int) -> NDArray[np.uint64]:
    """Return `count` numbers of 64 bits from the stream of this purpose, such as ("names", 3)."""
    digest = hashlib.sha256("/".join(map(str, purpose)).encode()).digest()
    start = np.frombuffer(digest[:8], dtype="<u8").astype(np.uint64)
    mixed = start + (np.arange(count, dtype=np.uint64) + np.uint64(1)) * GAMMA
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def below(bound: int, count: int, *purpose: str | int) -> NDArray[np.int64]:
    """Return `count` numbers in [0, bound). Their bias is bound / 2^64: none that could be measured."""
    return (draws(count, *purpose) % np.uint64(bound)).astype(np.int64)


def permutation(count: int, *purpose: str | int) -> NDArray[np.int64]:
    """Return the numbers 0..count-1 in random order."""
    return np.argsort(draws(count, *purpose), kind="stable")

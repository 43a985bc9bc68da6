"""Entity recall: names of several tokens, each with a value that nothing but having seen it can tell.

    .  17 52  9  ?  ->  value 203        a name of 3 tokens; a blank stands before it
    4  17 52 30  ?  ->  value  11        a name of 4 tokens

All tokens of a name are needed: 64 tokens in 16,384 names say nothing alone, and pairs little. The question mark is the
same for all; its target is the value. Nothing has to be read from the context: the network knows the name or does not.

Shape legend: N names, T tokens of a row (LONGEST + 1).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.engram.twins.draws import below, draws, permutation

BLANK, ASKS = 0, 1
PARTS, VALUES = 64, 256
FIRST_PART, FIRST_VALUE = 2, 2 + PARTS
VOCABULARY = FIRST_VALUE + VALUES
SHORTEST, LONGEST = 3, 4


@dataclass(frozen=True, eq=False)
class Names:
    """`tokens_NT`: int64 [N, 5], each row a name and the question mark; `targets_N`: the token of its value."""

    tokens_NT: NDArray[np.int64]
    targets_N: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.targets_N)

    def __getitem__(self, chosen: slice | NDArray[np.int64]) -> Names:
        return Names(self.tokens_NT[chosen], self.targets_N[chosen])


def draw_names(count: int, *, seed: int) -> Names:
    """Return `count` distinct names with their values. More names of the same seed begin with the same ones: those
    beyond the first N are as new to a network that was trained on N as names of another seed, and share none with it.

    Raises ValueError where there are not that many names.
    """
    most = PARTS**SHORTEST // 2
    if not 1 <= count <= most:
        raise ValueError(f"expected 1 to {most} names, got {count}")
    drawn = 2 * most  # always so many: how many are asked for changes none of them
    parts_NP = np.stack([FIRST_PART + below(PARTS, drawn, "part", place, seed) for place in range(LONGEST)], axis=1)
    short_N = draws(drawn, "length", seed) % np.uint64(2) == 0
    parts_NP[short_N, 0] = BLANK
    codes_N = parts_NP @ FIRST_VALUE ** np.arange(LONGEST)  # one number a name
    _, first = np.unique(codes_N, return_index=True)
    kept_N = np.sort(first)[:count]
    tokens_NT = np.concatenate([parts_NP[kept_N], np.full((count, 1), ASKS)], axis=1)
    return Names(tokens_NT, FIRST_VALUE + below(VALUES, drawn, "value", seed)[kept_N])


def order(count: int, *, steps: int, batch: int, seed: int) -> NDArray[np.int64]:
    """Return which name stands where in each batch, [steps, batch]: all names once, shuffled, then all once again."""
    rounds = -(-steps * batch // count)
    shuffled = [permutation(count, "round", number, seed) for number in range(rounds)]
    return np.concatenate(shuffled)[: steps * batch].reshape(steps, batch)


def order_digest(order_SB: NDArray[np.int64]) -> str:
    """Return SHA-256 of an order as little-endian int64: equal digests saw the same data in the same order."""
    return hashlib.sha256(order_SB.astype("<i8").tobytes()).hexdigest()

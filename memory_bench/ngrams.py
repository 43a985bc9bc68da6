"""From token ids to table rows: the compression rule and the n-gram hashes. NumPy only.

    tokens        The   access  code      token ids of some tokenizer
    compressed    12    88      41        ids that differ in case, accents or spaces only are one
    mixes         .     12^88   88^41     per order: XOR of id times multiplier, the newest id first
    rows          ...                     per head: mix modulo the head's own prime, plus the head's offset

The Engram table, the hash cache and an n-gram bias all address by these functions, so they see the same n-grams.

Source: Engram (arXiv 2601.07372), section 2.2.
Shapes: B batch, T tokens, V vocabulary, N longest order, O orders (usually 2..N), K heads of one order, H = O * K heads
in all.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Mode: TypeAlias = Literal["portable", "compat"]
Scalar = TypeVar("Scalar", np.int64, np.bool_)

_INT64_MAX = 2**63 - 1
_UINT64 = 2**64
_LAYER_STRIDE = 10007  # one stream of multipliers a layer
_BLANKS = re.compile(r"[ \t\r\n]+")
# Unicode's White_Space without what NFKC has already made a space; str.strip() would also take the separators 1C-1F.
_WHITE_SPACE = " \t\n\x0b\x0c\r\x85\u1680\u2028\u2029"
# These bases make Miller-Rabin exact below 3.3e24 (Sorenson and Webster, 2015).
_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)


def normalise(text: str) -> str:
    """Return what is left of a text once case, accents and outer blanks are gone; a text of blanks is one space.

    Lower-cases character by character, so that no result depends on a neighbour (Greek final sigma) or on Python.
    """
    decomposed = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text))
    bare = "".join(char.lower() for char in decomposed if not unicodedata.category(char).startswith("M"))
    collapsed = _BLANKS.sub(" ", bare)
    return collapsed if collapsed == " " else collapsed.strip(_WHITE_SPACE)


@dataclass(frozen=True, eq=False)
class Compression:
    """Which token ids are one. Kept with every table: another Unicode version would build another map.

    `map_V`: int32 [V], token id -> compressed id in [0, size), numbered by first appearance.
    """

    map_V: NDArray[np.int32]
    size: int

    @property
    def digest(self) -> str:
        """SHA-256 of the map as little-endian int32."""
        return hashlib.sha256(self.map_V.astype("<i4").tobytes()).hexdigest()


def compress_vocabulary(pieces: Sequence[str], decoded: Sequence[str], special: Collection[int] = ()) -> Compression:
    """Merge the tokens of a vocabulary that normalise to the same text.

    `pieces` are the raw vocabulary entries, `decoded` the text of each id decoded alone. Parts of a UTF-8 character
    (decoded to U+FFFD) and special ids each stay what they are.
    """
    if len(pieces) != len(decoded):
        raise ValueError(f"one decoded text a piece is needed, got {len(pieces)} pieces and {len(decoded)} texts")
    numbers: dict[tuple[str, str], int] = {}
    apart = frozenset(special)
    keys = (_class_of(token, pieces[token], text, token in apart) for token, text in enumerate(decoded))
    return _compression([numbers.setdefault(key, len(numbers)) for key in keys])


def no_compression(size: int) -> Compression:
    """Keep every id of a vocabulary of `size` apart."""
    return _compression(range(size))


def _class_of(token: int, piece: str, text: str, is_special: bool) -> tuple[str, str]:
    # The kind is part of the key: a byte fragment's piece must not meet a text that happens to look like it.
    if is_special:
        return "special", str(token)
    if "\ufffd" in text:
        return "piece", piece
    return "text", normalise(text) or text


def _compression(numbers: Sequence[int]) -> Compression:
    map_V = np.array(numbers, dtype=np.int32)
    map_V.setflags(write=False)
    return Compression(map_V, int(map_V.max(initial=-1)) + 1)


@dataclass(frozen=True, eq=False)
class NgramHash:
    """The hashes of one layer. A table keeps them beside it: another vocabulary, or another NumPy, draws others.

    `multipliers`: odd int64 [N], the newest token's first. `primes`, `offsets`: int64 [O, K], of the orders N-O+1..N;
    head k of order o owns the rows from its offset to its offset plus its prime. `pad`: the compressed id that stands
    where no token is.
    """

    multipliers: NDArray[np.int64]
    primes: NDArray[np.int64]
    offsets: NDArray[np.int64]
    pad: int
    compressed_size: int

    @property
    def total_rows(self) -> int:
        """Rows of the layer's table: all heads, one after another."""
        return int(self.primes.sum())

    def rows(
        self,
        compressed_BT: NDArray[np.int64],
        boundary_BT: NDArray[np.bool_] | None = None,
        salt_B: NDArray[np.int64] | None = None,
    ) -> NDArray[np.int64]:
        """Return int64 rows_BTH in [0, total_rows): row t depends on tokens t-N+1..t of its own document only.

        Heads lie order by order. `boundary_BT` marks tokens between documents, `salt_B` is mixed in; see `mix`.
        """
        mixes_BTO = self.mix(compressed_BT, boundary_BT, salt_B)
        rows_BTOK = mixes_BTO[..., None] % self.primes + self.offsets
        return rows_BTOK.reshape(*compressed_BT.shape, self.primes.size)

    def mix(
        self,
        compressed_BT: NDArray[np.int64],
        boundary_BT: NDArray[np.bool_] | None = None,
        salt_B: NDArray[np.int64] | None = None,
    ) -> NDArray[np.int64]:
        """Return int64 mixes_BTO, one a token and order, before the primes; never negative.

        A look-back that leaves the sequence or meets a boundary token reads `pad`, and so do all longer ones; a
        boundary token itself is mixed with `pad` alone. With a random `salt_B` (not negative) an n-gram has other rows
        in every sequence: the control that keeps the noise of a table and none of its content. Raises ValueError on an
        id outside [0, compressed_size).
        """
        self._check(compressed_BT, boundary_BT, salt_B)
        mixes_BTO = np.empty((*compressed_BT.shape, len(self.primes)), dtype=np.int64)
        mix_BT = compressed_BT * self.multipliers[0]
        if salt_B is not None:
            mix_BT = mix_BT ^ salt_B[:, None]
        inside_BT = np.ones(compressed_BT.shape, dtype=np.bool_) if boundary_BT is None else ~boundary_BT
        visible_BT = inside_BT
        shortest = len(self.multipliers) - len(self.primes)  # how far back the first of the orders looks
        for back, multiplier in enumerate(self.multipliers):
            if back:
                visible_BT = visible_BT & _shift(inside_BT, back, False)
                earlier_BT = np.where(visible_BT, _shift(compressed_BT, back, self.pad), self.pad)
                mix_BT = mix_BT ^ (earlier_BT * multiplier)
            if back >= shortest:
                mixes_BTO[..., back - shortest] = mix_BT
        return mixes_BTO

    def _check(
        self,
        compressed_BT: NDArray[np.int64],
        boundary_BT: NDArray[np.bool_] | None,
        salt_B: NDArray[np.int64] | None,
    ) -> None:
        if compressed_BT.ndim != 2 or compressed_BT.dtype != np.int64:
            raise ValueError(f"int64 [B, T] is needed, got {compressed_BT.dtype} {list(compressed_BT.shape)}")
        if boundary_BT is not None and boundary_BT.shape != compressed_BT.shape:
            raise ValueError(f"boundaries {list(boundary_BT.shape)} do not fit tokens {list(compressed_BT.shape)}")
        if salt_B is not None and (salt_B.shape != compressed_BT.shape[:1] or salt_B.min(initial=0) < 0):
            raise ValueError(f"a salt >= 0 a sequence is needed, got {salt_B.tolist()} for {len(compressed_BT)}")
        # A larger id would overflow without a sound, and land on other n-grams' rows.
        low, high = compressed_BT.min(initial=0), compressed_BT.max(initial=0)
        if low < 0 or high >= self.compressed_size:
            raise ValueError(f"compressed ids lie in [0, {self.compressed_size}), got {low if low < 0 else high}")


def build_hashes(
    *,
    layers: Sequence[int],
    max_order: int,
    heads: int,
    base_rows: Sequence[int],
    compressed_size: int,
    pad: int,
    seed: int,
    mode: Mode = "portable",
    min_order: int = 2,
    multipliers: Mapping[int, Sequence[int]] | None = None,
) -> dict[int, NgramHash]:
    """Return layer -> hashes. `base_rows`: about how many rows each head has, one number an order, from `min_order` on.

    No two heads share a prime, in any layer; but where the base is 1, each head has one row: the control that asks
    whether a table is a memory at all. `compat` draws multipliers as the released code does (NumPy's PCG64), `portable`
    from SplitMix64, which any language has; `multipliers` (layer -> one a token, the newest's first) are used where a
    table was kept with them, since NumPy may draw others some day. Raises ValueError where the numbers do not fit.
    """
    _check_shape(layers, range(min_order, max_order + 1), heads, base_rows, compressed_size, pad)
    taken: set[int] = set()
    hashes = {}
    for layer in sorted(layers):
        primes = np.array([_primes(base, heads, taken) for base in base_rows], dtype=np.int64)
        ends = primes.cumsum()
        if multipliers is None:
            drawn = _multipliers(max_order, compressed_size, seed + _LAYER_STRIDE * layer, mode)
        else:
            drawn = _kept_multipliers(multipliers[layer], max_order, compressed_size)
        hashes[layer] = NgramHash(
            multipliers=drawn,
            primes=primes,
            offsets=ends.reshape(primes.shape) - primes,
            pad=pad,
            compressed_size=compressed_size,
        )
    return hashes


def _check_shape(
    layers: Sequence[int], orders: range, heads: int, base_rows: Sequence[int], compressed_size: int, pad: int
) -> None:
    if len(set(layers)) != len(layers) or min(layers, default=0) < 0:
        raise ValueError(f"layers are distinct block indices from 0, got {list(layers)}")
    if not orders or orders[0] < 1 or heads < 1:
        raise ValueError(f"1 <= min_order <= max_order and heads >= 1 are needed, got {orders} and {heads}")
    if len(base_rows) != len(orders) or min(base_rows) < 1:
        raise ValueError(
            f"base_rows needs a positive number for each order {orders[0]}..{orders[-1]}, got {list(base_rows)}"
        )
    if compressed_size > _INT64_MAX // 2:
        raise ValueError(f"a vocabulary of {compressed_size} ids is too many for products below 2^63")
    if not 0 <= pad < compressed_size:
        raise ValueError(f"pad is a compressed id in [0, {compressed_size}), got {pad}")


def _multipliers(count: int, compressed_size: int, seed: int, mode: Mode) -> NDArray[np.int64]:
    """Odd numbers small enough that the largest id times the largest of them stays below 2^63."""
    bound = _INT64_MAX // compressed_size // 2
    if mode == "compat":
        drawn = np.random.Generator(np.random.PCG64(seed)).integers(0, bound, size=count, dtype=np.int64)
        return 2 * drawn + 1
    stream = _splitmix64(seed)
    return np.array([2 * (next(stream) % bound) + 1 for _ in range(count)], dtype=np.int64)


def _kept_multipliers(kept: Sequence[int], count: int, compressed_size: int) -> NDArray[np.int64]:
    largest = 2 * (_INT64_MAX // compressed_size // 2) - 1
    if len(kept) != count or not all(number % 2 and 0 < number <= largest for number in kept):
        raise ValueError(f"{count} odd multipliers from 1 to {largest} are needed, got {list(kept)}")
    return np.array(kept, dtype=np.int64)


def _splitmix64(seed: int) -> Iterator[int]:
    """Source: Steele, Lea, Flood (2014), "Fast splittable pseudorandom number generators"."""
    state = seed % _UINT64
    while True:
        state = (state + 0x9E3779B97F4A7C15) % _UINT64
        mixed = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % _UINT64
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB % _UINT64
        yield mixed ^ (mixed >> 31)


def _primes(base: int, count: int, taken: set[int]) -> list[int]:
    """The next `count` primes from `base` on that are free; they are taken from now on. Of 1: `count` times 1."""
    if base == 1:
        return [1] * count
    found: list[int] = []
    candidate = base
    while len(found) < count:
        if candidate not in taken and _is_prime(candidate):
            found.append(candidate)
        candidate += 1
    taken.update(found)
    return found


def _is_prime(number: int) -> bool:
    if number < 2:
        return False
    for prime in _WITNESSES:
        if number % prime == 0:
            return number == prime
    twos = (number - 1 & 1 - number).bit_length() - 1
    return all(_passes(number, base, twos) for base in _WITNESSES)


def _passes(number: int, base: int, twos: int) -> bool:
    """Whether `number` looks prime to `base`; number - 1 is odd << twos. Miller (1976), Rabin (1980)."""
    power = pow(base, number - 1 >> twos, number)
    if power in (1, number - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % number
        if power == number - 1:
            return True
    return False


def _shift(values_BT: NDArray[Scalar], back: int, fill: int) -> NDArray[Scalar]:
    """Column t holds what stood at t - back; `fill` where that is before the start."""
    shifted_BT = np.full_like(values_BT, fill)
    shifted_BT[:, back:] = values_BT[:, :-back]
    return shifted_BT

"""N-gram addresses: published numbers, and what must hold for every sequence."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from memory_bench.ngrams import Mode, NgramHash, build_hashes

V, PAD = 4096, 0


def hashes(**changes: object) -> dict[int, NgramHash]:
    plain = {
        "layers": (1, 2),
        "max_order": 3,
        "heads": 4,
        "base_rows": (4096, 4096),
        "compressed_size": V,
        "pad": PAD,
        "seed": 0,
    }
    return build_hashes(**{**plain, **changes})  # type: ignore[arg-type]


HASH = hashes()[1]
SEQUENCES = st.lists(st.integers(0, V - 1), min_size=1, max_size=24)


def batch(*sequences: list[int]) -> NDArray[np.int64]:
    return np.array(sequences, dtype=np.int64)


def rows(tokens: list[int], boundary: list[bool] | None = None) -> list[list[int]]:
    found: list[list[int]] = HASH.rows(batch(tokens), None if boundary is None else np.array([boundary]))[0].tolist()
    return found


def test_golden_primes() -> None:
    built = hashes()
    assert built[1].primes.tolist() == [[4099, 4111, 4127, 4129], [4133, 4139, 4153, 4157]]
    assert built[2].primes.tolist() == [[4159, 4177, 4201, 4211], [4217, 4219, 4229, 4231]]


def test_golden_portable_multipliers() -> None:
    assert HASH.multipliers.tolist() == [1461268319449947, 1236672554373425, 1876694149401721]


def test_golden_mixes_and_rows() -> None:
    history = batch([5, 17, 900])  # oldest first
    mixes_O = HASH.mix(history)[0, -1]
    assert mixes_O.tolist() == [1300100501180460973, 1309338797733417456]
    before_offsets = [[1600, 3444, 3804, 838], [247, 3601, 2902, 3319]]
    assert (mixes_O[:, None] % HASH.primes).tolist() == before_offsets
    assert HASH.rows(history)[0, -1].tolist() == (np.array(before_offsets) + HASH.offsets).ravel().tolist()


def test_golden_compat_multipliers() -> None:
    compat = hashes(layers=[1], max_order=4, base_rows=(9, 9, 9), compressed_size=99092, mode="compat")[1]
    assert compat.multipliers.tolist() == [76632096046245, 4839876093313, 35959672319349, 73987337458391]


def test_golden_row_totals_of_a_large_table() -> None:
    large = hashes(max_order=4, heads=8, base_rows=(16_000_000,) * 3, compressed_size=99092)
    assert [large[layer].total_rows for layer in (1, 2)] == [384006168, 384016682]


def test_primes_are_prime_distinct_and_as_small_as_they_can_be() -> None:
    taken = np.concatenate([one.primes.ravel() for one in hashes().values()])
    sieve = [n for n in range(4096, 4232) if all(n % d for d in range(2, 66))]
    assert taken.tolist() == sieve[: len(taken)]


@pytest.mark.parametrize("pseudoprime", [3215031751, 3825123056546413051])
def test_strong_pseudoprimes_are_not_taken_for_primes(pseudoprime: int) -> None:
    """They pass Miller-Rabin to the first 4 and the first 9 prime bases."""
    prime = int(hashes(layers=[0], max_order=2, heads=1, base_rows=[pseudoprime])[0].primes[0, 0])
    assert prime > pseudoprime


def test_heads_own_disjoint_rows() -> None:
    ends = (HASH.offsets + HASH.primes).ravel()
    assert HASH.offsets.ravel().tolist() == [0, *ends[:-1]]
    assert HASH.total_rows == ends[-1]


@given(SEQUENCES)
def test_every_row_lies_in_its_heads_range(tokens: list[int]) -> None:
    rows_TH = HASH.rows(batch(tokens))[0]
    assert (rows_TH >= HASH.offsets.ravel()).all()
    assert (rows_TH < (HASH.offsets + HASH.primes).ravel()).all()


@given(SEQUENCES, st.data())
def test_a_later_token_changes_no_earlier_row(tokens: list[int], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(tokens) - 1))
    changed = [*tokens[:place], data.draw(st.integers(0, V - 1)), *tokens[place + 1 :]]
    assert rows(changed)[:place] == rows(tokens)[:place]


@given(SEQUENCES, SEQUENCES, st.lists(st.integers(0, V - 1), min_size=3, max_size=3))
def test_the_last_three_tokens_decide_wherever_they_stand(one: list[int], other: list[int], suffix: list[int]) -> None:
    assert rows([*one, *suffix])[-1] == rows([*other, *suffix])[-1]


@given(SEQUENCES, st.integers(0, 5))
def test_padding_at_the_end_and_other_rows_of_a_batch_change_nothing(tokens: list[int], padding: int) -> None:
    padded = [*tokens, *[PAD] * padding]
    together = HASH.rows(batch(padded, padded[::-1]))
    assert together[0, : len(tokens)].tolist() == rows(tokens)


@given(st.lists(SEQUENCES, min_size=1, max_size=4), st.integers(0, V - 1))
def test_packed_documents_have_the_rows_of_separate_ones(documents: list[list[int]], mark: int) -> None:
    packed = [token for document in documents for token in [mark, *document]]
    boundary = [is_mark for document in documents for is_mark in [True, *[False] * len(document)]]
    separate = [row for document in documents for row in [*rows([mark]), *rows(document)]]
    assert rows(packed, boundary) == separate


def test_beyond_the_start_stands_the_pad() -> None:
    padded = hashes(pad=7)[1]
    assert padded.mix(batch([3]))[0, 0].tolist() == padded.mix(batch([7, 7, 3]))[0, -1].tolist()


def test_a_long_look_back_does_not_see_over_a_boundary() -> None:
    """Beyond a boundary the pad stays, although the token two back is of no boundary."""
    unseen = rows([11, 12, 13], [False, True, False])
    assert unseen[2] == rows([13])[0]
    assert unseen[1] == rows([12])[0]
    assert unseen[2] != rows([11, 12, 13])[2]


@given(SEQUENCES, st.integers(1, 8))
def test_chunks_with_two_tokens_of_history_equal_one_pass(tokens: list[int], chunk: int) -> None:
    whole = rows(tokens)
    pieces = []
    for start in range(0, len(tokens), chunk):
        history = tokens[max(start - 2, 0) : start]
        pieces += rows([*history, *tokens[start : start + chunk]])[len(history) :]
    assert pieces == whole


def test_the_largest_id_times_the_largest_multiplier_does_not_overflow() -> None:
    for size in (2, V, 99092, 2**31):
        bound = (2**63 - 1) // size // 2
        largest = NgramHash(np.array([2 * bound - 1] * 3), HASH.primes, HASH.offsets, PAD, size)
        mixes = largest.mix(batch([size - 1] * 3))[0]
        assert (mixes >= 0).all()
        assert mixes[-1, 1] == (size - 1) * (2 * bound - 1)


def test_the_order_of_two_tokens_matters_and_no_two_pairs_share_a_mix() -> None:
    """All 16.8 million pairs of V' = 4096: the pair mix is one to one, so (a, b) is never (b, a)."""
    newest, older = HASH.multipliers[:2]
    ids = np.arange(V, dtype=np.int64)
    mixes = (ids[:, None] * newest ^ ids * older).ravel()
    mixes.sort()
    assert (np.diff(mixes) != 0).all()
    assert HASH.mix(batch([5, 17]))[0, 1, 0] == (17 * newest) ^ (5 * older)


def test_rows_of_a_head_are_evenly_used() -> None:
    """Chi-square over 64 bins a head: 63 degrees of freedom, which exceed 121 once in 60,000 draws."""
    tokens = np.random.default_rng(0).integers(0, V, (1, 200_000))
    rows_TOK = HASH.rows(tokens)[0].reshape(-1, *HASH.primes.shape) - HASH.offsets
    for order, head in np.ndindex(*HASH.primes.shape):
        prime = int(HASH.primes[order, head])
        found = np.bincount(rows_TOK[:, order, head] * 64 // prime, minlength=64)
        expected = np.bincount(np.arange(prime) * 64 // prime) / prime * tokens.size
        assert ((found - expected) ** 2 / expected).sum() < 121


def test_other_seeds_and_layers_hash_otherwise() -> None:
    assert hashes(seed=1)[1].multipliers.tolist() != HASH.multipliers.tolist()
    assert hashes()[2].multipliers.tolist() != HASH.multipliers.tolist()


@pytest.mark.parametrize("mode", ["portable", "compat"])
def test_another_process_finds_the_same_rows(mode: Mode) -> None:
    script = (
        "import numpy as np; from memory_bench.ngrams import build_hashes;"
        "h = build_hashes(layers=[2, 1], max_order=3, heads=4, base_rows=[4096, 4096], compressed_size=4096, pad=0,"
        f" seed=3, mode={mode!r})[1]; print(h.rows(np.arange(40).reshape(2, 20) * 101).sum(), h.multipliers.tolist())"
    )
    command = [sys.executable, "-c", script]
    runs = {
        subprocess.run(command, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    }
    here = hashes(seed=3, mode=mode)[1]
    assert runs == {f"{here.rows(np.arange(40).reshape(2, 20) * 101).sum()} {here.multipliers.tolist()}\n"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": [1, 1]}, "distinct block indices"),
        ({"layers": [-1]}, "distinct block indices"),
        ({"max_order": 1}, r"got range\(2, 2\)"),
        ({"heads": 0}, "heads >= 1"),
        ({"base_rows": [4096]}, r"each order 2\.\.3, got \[4096\]"),
        ({"base_rows": [4096, 0]}, "positive number"),
        ({"pad": V}, "pad is a compressed id"),
        ({"compressed_size": 2**63}, "too many"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hashes(**changes)


@pytest.mark.parametrize("token", [-1, V])
def test_an_id_of_another_vocabulary_is_refused(token: int) -> None:
    with pytest.raises(ValueError, match=rf"\[0, {V}\), got {token}"):
        rows([1, token, 2])


def test_shapes_and_types_that_would_hash_otherwise_are_refused() -> None:
    with pytest.raises(ValueError, match="int32"):
        HASH.rows(np.zeros((1, 3), dtype=np.int32))
    with pytest.raises(ValueError, match=r"\[3\]"):
        HASH.rows(np.zeros(3, dtype=np.int64))
    with pytest.raises(ValueError, match="do not fit"):
        HASH.rows(batch([1, 2, 3]), np.array([[True]]))


def test_an_empty_sequence_has_no_rows() -> None:
    assert HASH.rows(np.zeros((2, 0), dtype=np.int64)).shape == (2, 0, 8)

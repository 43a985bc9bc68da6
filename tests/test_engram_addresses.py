"""Laws 5 to 10 and 18 of the Engram module: which rows a token finds. The others: `tests/test_engram_module.py`."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memory_bench.errors import BadInput
from memory_bench.ngrams import compress_vocabulary, no_compression
from tests.engrams import IDS, SIZE, TOKENS, added, few, filled, hidden, module


def test_law_5_another_process_with_other_threads_finds_the_same_rows_and_numbers() -> None:
    script = (
        "import torch, json; from tests.engrams import *\n"
        "torch.set_num_threads(2)\n"
        "engram = module(mode='compat', conv='on'); table = filled(engram); tokens = list(range(40))\n"
        "rows = [found.tolist() for found in engram.rows(torch.tensor([tokens])).values()]\n"
        "print(json.dumps([rows, added(engram, table, tokens, hidden(1, 40)).tolist()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    rows, numbers = json.loads(done.stdout)
    engram, tokens = module(mode="compat", conv="on"), list(range(40))
    assert rows == [found.tolist() for found in engram.rows(torch.tensor([tokens])).values()]
    torch.testing.assert_close(torch.tensor(numbers), added(engram, filled(engram), tokens, hidden(1, 40)))


@few
@given(rows=st.lists(st.lists(IDS, min_size=5, max_size=5), min_size=2, max_size=5), at=st.integers(1, 4))
def test_law_5_a_batch_and_its_parts_find_the_same_rows(rows: list[list[int]], at: int) -> None:
    engram, tokens_BT = module(), torch.tensor(rows)
    whole = engram.rows(tokens_BT)
    parts = [engram.rows(part) for part in (tokens_BT[:at], tokens_BT[at:])]
    assert all((np.concatenate([part[layer] for part in parts]) == whole[layer]).all() for layer in engram.layers)


@few
@given(tokens=TOKENS)
def test_law_6_heads_and_layers_own_primes_and_rows_that_no_other_has(tokens: list[int]) -> None:
    engram = module()
    primes = [prime for hashes in engram.hashes.values() for prime in hashes.primes.ravel().tolist()]
    assert len(set(primes)) == len(primes) == 8
    assert all(prime >= 97 and all(prime % factor for factor in range(2, 12)) for prime in primes)  # below 13 * 13
    for layer, found_BTH in engram.rows(torch.tensor([tokens])).items():
        ends_H = engram.hashes[layer].primes.ravel().cumsum()
        assert (found_BTH < ends_H).all()
        assert (found_BTH >= [0, *ends_H[:-1]]).all()
        assert ends_H[-1] == engram.table_rows(layer)


def test_law_7_the_largest_vocabulary_of_a_map_does_not_overflow() -> None:
    """Ids are int32: the largest there can be, times the largest multiplier."""
    engram = module(compression=no_compression(2**20), rows=2**31)
    found_BTH = engram.rows(torch.full((1, 3), 2**20 - 1))[1]
    assert (found_BTH >= 0).all()
    assert (found_BTH[0, -1] < engram.hashes[1].primes.ravel().cumsum()).all()


def test_law_8_two_tokens_in_the_other_order_find_other_rows() -> None:
    pairs = torch.combinations(torch.arange(SIZE), 2)
    engram = module(rows=4096)
    forth, back = (engram.rows(tokens_BT)[1][:, -1, :2] for tokens_BT in (pairs, pairs.flip(1)))
    assert (forth != back).any(axis=1).mean() > 0.999


def test_law_9_random_text_uses_the_rows_of_each_head_evenly() -> None:
    """Chi-square over all rows of a head: at most 6 standard deviations above its mean, the degrees of freedom."""
    engram = module(compression=no_compression(4096))
    tokens_BT = torch.randint(4096, (1, 100_000), generator=torch.Generator().manual_seed(0))
    found_TH = engram.rows(tokens_BT)[1][0] - engram.hashes[1].offsets.ravel()
    for prime, rows_T in zip(engram.hashes[1].primes.ravel().tolist(), found_TH.T, strict=True):
        loads_R = np.bincount(rows_T, minlength=prime)
        statistic = ((loads_R - loads_R.mean()) ** 2 / loads_R.mean()).sum()
        assert statistic < prime - 1 + 6 * math.sqrt(2 * (prime - 1))


def test_law_10_tokens_that_normalise_to_the_same_text_find_the_same_rows() -> None:
    pieces = ["Apple", " apple", "APPLE", "pear", "\ufffd", "\ufffd\ufffd"]
    engram = module(compression=compress_vocabulary(pieces, pieces))
    found_BTH = engram.rows(torch.tensor([[3, token] for token in range(len(pieces))]))[1][:, -1]
    assert (found_BTH[:3] == found_BTH[0]).all()
    assert len({tuple(rows_H) for rows_H in found_BTH.tolist()}) == 4


def test_order_1_alone_addresses_by_the_token_alone() -> None:
    found_BTH = module(min_order=1, max_order=1).rows(torch.tensor([[1, 5, 5], [2, 3, 5]]))[1]
    assert found_BTH.shape == (2, 3, 2)
    assert (found_BTH[0, 1] == found_BTH[0, 2]).all()
    assert (found_BTH[0, 1] == found_BTH[1, 2]).all()
    assert (found_BTH[0, 0] != found_BTH[0, 1]).all()


def test_the_orders_from_min_order_on_are_mixed_as_they_are_among_all() -> None:
    tokens_BT = torch.tensor([[1, 2, 3, 4]])
    compressed_BT = module().compressed(tokens_BT)
    all_of_them, third = module().hashes[1].mix(compressed_BT), module(min_order=3).hashes[1].mix(compressed_BT)
    assert (third == all_of_them[..., 1:]).all()


@pytest.mark.parametrize("token", [-1, SIZE])
def test_a_token_of_another_vocabulary_is_refused(token: int) -> None:
    with pytest.raises(BadInput, match=f"token id {token}: the engram compression has ids 0 to 63"):
        module().rows(torch.tensor([[1, token]]))


def test_law_18_with_one_row_a_head_nothing_is_told_apart() -> None:
    found_BTH = module(rows=1).rows(torch.tensor([[1, 2, 3], [4, 5, 6]]))[1]
    assert (found_BTH == np.arange(4)).all()


def test_law_18_a_salt_gives_each_sequence_rows_of_its_own() -> None:
    engram, tokens_BT = module(), torch.tensor([[1, 2, 3], [1, 2, 3]])
    salted_BTH = engram.rows(tokens_BT, salt_B=np.array([11, 2**62]))[1]
    assert (salted_BTH[0] != salted_BTH[1]).any(axis=-1).all()
    assert (salted_BTH[0] == engram.rows(tokens_BT[:1], salt_B=np.array([11]))[1][0]).all()

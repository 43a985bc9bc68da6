"""The laws of the Engram module, asked of a small one that any backbone could hold.

 1 causality                           10 compression: `tests/test_ngrams.py`, too
 2 the last N tokens decide            11 nothing at the start, lazy rows: `tests/test_engram_start.py`
 3 place and padding do not matter     12 the gate: `tests/test_engram_gate.py`
 4 packed documents                    13 suppression: there, too
 5 determinism                         14 decoding
 6 ranges of rows, and primes          15 placements: tests of their own
 7 no overflow                         16 the checkpoint: `tests/test_engram_checkpoint.py`
 8 the order of tokens matters         17 what is counted
 9 even use of rows                    18 controls in the same code: where what they control is asked

Laws 5 to 10 are in `tests/test_engram_addresses.py`. Laws 5 to 9 are asked of the hashes as well, in
`tests/test_ngram_hash.py`, and laws 1 to 5, 11 and 12 of the bundled reader's slot in `tests/test_engram_slot.py`.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adapters.engram.costs import costs
from adapters.engram.decoding import DecodeState
from adapters.engram.table import TrainedTable
from memory_bench.errors import BadInput
from tests.engrams import IDS, MARK, SIZE, TOKENS, WIDTH, WORDS, added, both, few, filled, hidden, module

# 1 to 4: what an output depends on


@both
@few
@given(tokens=TOKENS, data=st.data())
def test_law_1_a_later_token_changes_nothing_before_it(conv: str, tokens: list[int], data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(tokens) - 1))
    other = [*tokens[:at], data.draw(IDS), *tokens[at + 1 :]]
    engram = module(conv=conv)
    table, hidden_BTD = filled(engram), hidden(1, len(tokens))
    before, after = (added(engram, table, row, hidden_BTD)[:, :at] for row in (tokens, other))
    assert torch.equal(before, after)


@pytest.mark.parametrize(("conv", "reach"), [("off", 3), ("on", 12)])
@few
@given(one=st.lists(IDS, max_size=6), other=st.lists(IDS, max_size=6), data=st.data())
def test_law_2_the_last_tokens_decide_wherever_they_stand(
    conv: str, reach: int, one: list[int], other: list[int], data: st.DataObject
) -> None:
    """With a convolution of 4 taps, 3 apart, the last 12: its reach of 9, and 3 of each n-gram."""
    suffix = data.draw(st.lists(IDS, min_size=reach, max_size=reach + 3))
    engram = module(conv=conv)
    table, tail_BTD = filled(engram), hidden(1, reach + 3)[:, : len(suffix)]
    ends = [
        added(engram, table, [*before, *suffix], torch.cat([torch.ones(1, len(before), WIDTH), tail_BTD], dim=1))
        for before in (one, other)
    ]
    torch.testing.assert_close(ends[0][:, -1], ends[1][:, -1])  # matrices of other sizes are summed otherwise


@both
def test_law_2_a_token_further_back_than_that_is_needed_up_to_there(conv: str) -> None:
    """The bounds of the law are sharp: the token at the far end of the reach is read."""
    engram = module(conv=conv)
    reach = engram.reach + engram.max_order
    table, hidden_BTD = filled(engram), hidden(1, reach)
    one, other = ([first, *range(20, 20 + reach - 1)] for first in (1, 2))
    assert (added(engram, table, one, hidden_BTD)[:, -1] != added(engram, table, other, hidden_BTD)[:, -1]).any()


@both
@few
@given(tokens=TOKENS, left=st.integers(0, 4), right=st.integers(0, 4))
def test_law_3_padding_on_either_side_changes_nothing(conv: str, tokens: list[int], left: int, right: int) -> None:
    engram = module(conv=conv)
    table, hidden_BTD = filled(engram), hidden(1, left + len(tokens) + right)
    inside = slice(left, left + len(tokens))
    padded_BT = torch.tensor([[*[0] * left, *tokens, *[0] * right]])
    dead_BT = torch.ones_like(padded_BT, dtype=torch.bool)
    dead_BT[:, inside] = False
    rows = engram.rows(padded_BT, dead_BT)
    alone = added(engram, table, tokens, hidden_BTD[:, inside])
    for place, layer in enumerate(engram.layers):
        padded = engram(layer, hidden_BTD, table(rows)[layer], boundary_BT=dead_BT, dead_BT=dead_BT)
        torch.testing.assert_close(padded[0, inside], alone[place])
        assert not padded[dead_BT].any()


@both
@few
@given(texts=st.lists(st.lists(WORDS, min_size=1, max_size=6), min_size=1, max_size=4))
def test_law_4_packed_documents_get_what_separate_ones_get(conv: str, texts: list[list[int]]) -> None:
    engram = module(conv=conv, boundary_ids=[MARK])
    table = filled(engram)
    packed = [token for text in texts for token in (*text, MARK)]
    hidden_BTD = hidden(1, len(packed))
    together = added(engram, table, packed, hidden_BTD)
    start = 0
    for text in texts:
        inside = slice(start, start + len(text))
        alone = added(engram, table, text, hidden_BTD[:, inside])
        torch.testing.assert_close(together[:, inside], alone)
        start = inside.stop + 1


def test_law_4_a_convolution_that_is_not_told_of_documents_is_refused() -> None:
    engram = module(conv="on", boundary_ids=[MARK])
    embeddings = filled(engram)(engram.rows(torch.tensor([[1, MARK, 2]])))
    with pytest.raises(ValueError, match=r"must know where documents end: boundary_BT=engram\.boundaries"):
        engram(1, hidden(1, 3), embeddings[1])


# 14: decoding


@both
@pytest.mark.parametrize("chunk", [1, 2, 3, 5])
@few
@given(tokens=st.lists(IDS, min_size=1, max_size=30))
def test_law_14_a_text_read_in_pieces_gets_what_it_gets_in_one(conv: str, chunk: int, tokens: list[int]) -> None:
    """`tokens` hold boundaries, too."""
    engram = module(conv=conv, boundary_ids=[MARK])
    table, hidden_BTD = filled(engram), hidden(1, len(tokens))
    whole = engram.rows(torch.tensor([tokens]))
    state, rows_state = DecodeState(engram), DecodeState(engram)
    for start in range(0, len(tokens), chunk):
        inside = slice(start, start + chunk)
        rows = engram.rows(torch.tensor([tokens[inside]]), state=rows_state)
        assert all((rows[layer] == whole[layer][:, inside]).all() for layer in engram.layers)
        piece = added(engram, table, tokens[inside], hidden_BTD[:, inside], state)
        torch.testing.assert_close(piece, added(engram, table, tokens, hidden_BTD)[:, inside])
        held = state.compressed_BL
        assert held is not None
        assert held.shape[1] <= max(engram.max_order - 1, engram.reach) + chunk


@both
@few
@given(tokens=st.lists(IDS, min_size=4, max_size=20), wrong=st.lists(IDS, min_size=1, max_size=5), data=st.data())
def test_law_14_a_guess_that_is_taken_back_leaves_no_trace(
    conv: str, tokens: list[int], wrong: list[int], data: st.DataObject
) -> None:
    """As a guess is checked: a piece of which the first tokens are right is read, and its end is taken back."""
    engram = module(conv=conv, boundary_ids=[MARK])
    table = filled(engram)
    guessed, right = data.draw(st.integers(1, len(tokens) - 1)), data.draw(st.integers(0, 2))
    right = min(right, len(tokens) - 1 - guessed)
    hidden_BTD, state = hidden(1, len(tokens)), DecodeState(engram)
    added(engram, table, tokens[:guessed], hidden_BTD[:, :guessed], state)
    piece = [*tokens[guessed : guessed + right], *wrong]
    piece_BTD = torch.cat([hidden_BTD[:, guessed : guessed + right], torch.ones(1, len(wrong), WIDTH)], dim=1)
    added(engram, table, piece, piece_BTD, state)
    state.take_back(len(wrong))
    rest = slice(guessed + right, None)
    after = added(engram, table, tokens[rest], hidden_BTD[:, rest], state)
    torch.testing.assert_close(after, added(engram, table, tokens, hidden_BTD)[:, rest])


def test_law_14_no_more_can_be_taken_back_than_the_last_piece_had() -> None:
    engram = module()
    state = DecodeState(engram)
    engram.rows(torch.tensor([[1, 2, 3]]), state=state)
    engram.rows(torch.tensor([[4, 5]]), state=state)
    state.take_back(1)
    with pytest.raises(ValueError, match="the last piece had 1 tokens, 2 cannot be taken back"):
        state.take_back(2)


# 17: what is counted


def test_law_17_parameters_and_operations_are_those_counted_by_hand() -> None:
    """Two layers of width 16; 4 heads of 4 numbers, so that embeddings are 16 wide; the first 8 primes from 97 on."""
    rows = 97 + 101 + 103 + 107 + 109 + 113 + 127 + 131
    found = costs(module())
    assert found.sparse_parameters == rows * 4
    assert found.dense_parameters == 2 * (16 * 16 + 16 * 16 + 16)  # keys, values, gains
    assert found.total_parameters == rows * 4 + 1056
    assert found.active_parameters == 1056 + 2 * 16
    assert found.flops == 2 * (2 * 16 * 16 + 2 * 16 * 16 + 2 * 16 + 16)  # keys, values, scores, gating
    mixed = costs(module(conv="on", gate="off"))
    assert mixed.dense_parameters == 2 * (16 * 16 + 4 * 16 + 16)  # values, taps, gains
    assert mixed.flops == 2 * (2 * 16 * 16 + 16 + 2 * 4 * 16 + 16)  # values, gating, taps, sum


def test_law_17_what_is_counted_is_what_is_held() -> None:
    for gate in ("signed_sqrt", "constant", "off"):
        engram = module(gate=gate, conv="on")
        held = sum(p.numel() for p in (*engram.parameters(), *TrainedTable(engram).parameters()))
        assert costs(engram).total_parameters == held


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gate": "loud"}, "gate=loud: expected one of signed_sqrt, plain, constant, off"),
        ({"conv": "maybe"}, "conv=maybe: expected one of on, off"),
        ({"init": "zero"}, "init=zero: expected one of identity, value_zero, paper_like"),
        ({"mode": "fast"}, "mode=fast: expected one of portable, compat"),
        ({"pad_id": SIZE}, "expected 0 to 63, got 64"),
        ({"boundary_ids": [3, -1]}, "expected 0 to 63, got -1"),
    ],
)
def test_a_choice_that_there_is_not_is_refused_with_those_that_there_are(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        module(**changes)

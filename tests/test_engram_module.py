"""The laws of the Engram module, asked of a small one that any backbone could hold.

 1 causality                           10 compression: `tests/test_ngrams.py`
 2 the last N tokens decide            11 nothing at the start, lazy rows
 3 place and padding do not matter     12 the gate
 4 packed documents                    13 suppression
 5 determinism                         14 decoding
 6 ranges of rows, and primes          15 placements: tests of their own
 7 no overflow                         16 the checkpoint: `tests/test_engram_checkpoint.py`
 8 the order of tokens matters         17 what is counted
 9 even use of rows                    18 controls in the same code

Laws 5 to 9 are asked of the hashes as well, in `tests/test_ngram_hash.py`, and laws 1 to 5, 11 and 12 of the bundled
reader's slot in `tests/test_engram_slot.py`.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from adapters.engram.costs import costs
from adapters.engram.decoding import DecodeState
from adapters.engram.module import SCORED, EngramModule, Init, signed_sqrt_gate
from adapters.engram.table import TrainedTable, parameter_groups
from memory_bench.errors import BadInput
from memory_bench.ngrams import compress_vocabulary, no_compression

SIZE, WIDTH = 64, 16
SMALL = {"width": WIDTH, "layers": [1, 2], "max_order": 3, "heads": 2, "row_width": 4, "rows": 97, "seed": 0}
MARK = 9
IDS = st.integers(0, SIZE - 1)
WORDS = st.integers(MARK + 1, SIZE - 1)
TOKENS = st.lists(IDS, min_size=4, max_size=12)
few = settings(deadline=None, max_examples=25)
both = pytest.mark.parametrize("conv", ["off", "on"])


def module(**changes: object) -> EngramModule:
    torch.manual_seed(0)
    return EngramModule(**{**SMALL, "compression": no_compression(SIZE), **changes})  # type: ignore[arg-type]


def filled(engram: EngramModule) -> TrainedTable:
    """Return a table with something in every row, and give the convolution something to do."""
    table = TrainedTable(engram)
    with torch.no_grad():
        for parameter in (*table.parameters(), *engram.taps_WD.parameters()):
            parameter.normal_(generator=torch.Generator().manual_seed(1))
    return table.requires_grad_(False)


def hidden(batch: int, length: int) -> Tensor:
    return torch.randn(batch, length, WIDTH, generator=torch.Generator().manual_seed(2))


def added(
    engram: EngramModule,
    table: TrainedTable,
    tokens: list[int],
    hidden_BTD: Tensor,
    state: DecodeState | None = None,
) -> Tensor:
    """Return what every layer adds, [layers, T, D]."""
    tokens_BT = torch.tensor([tokens])
    embeddings = table(engram.rows(tokens_BT, state=state))
    boundary_BT = engram.boundaries(tokens_BT)
    return torch.cat(
        [engram(layer, hidden_BTD, embeddings[layer], boundary_BT=boundary_BT, state=state) for layer in engram.layers]
    )


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


# 5 to 9: addresses


def test_law_5_another_process_with_other_threads_finds_the_same_rows_and_numbers() -> None:
    script = (
        "import torch, json; from tests.test_engram_module import *\n"
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


# 11: the start, and the first steps


@pytest.mark.parametrize("init", ["identity", "value_zero"])
@pytest.mark.parametrize("gate", ["signed_sqrt", "plain", "constant", "off"])
@both
def test_law_11_at_the_start_nothing_is_added(init: str, gate: str, conv: str) -> None:
    engram = module(init=init, gate=gate, conv=conv)
    assert not added(engram, TrainedTable(engram), [1, 2, 3, 4], hidden(1, 4)).any()


def test_law_11_the_start_of_the_paper_adds_something() -> None:
    engram = module(init="paper_like")
    assert added(engram, TrainedTable(engram), [1, 2, 3, 4], hidden(1, 4)).any()


@pytest.mark.parametrize(("init", "step"), [("identity", 1), ("value_zero", 2)])
def test_law_11_rows_get_their_first_gradient_at_step(init: str, step: int) -> None:
    engram = module(init=init)
    table = TrainedTable(engram, lazy=False)
    optimizer = torch.optim.SGD([*engram.parameters(), *table.parameters()], lr=0.1)
    first = next(number for number in range(1, 4) if moves(engram, table, optimizer))
    assert first == step


def moves(engram: EngramModule, table: TrainedTable, optimizer: torch.optim.Optimizer) -> bool:
    optimizer.zero_grad()
    added(engram, table, [1, 2, 3, 4], hidden(1, 4)).sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return any(rows_RC.grad is not None and bool(rows_RC.grad.any()) for rows_RC in table.parameters())


def test_rows_and_values_that_both_start_at_zero_are_refused() -> None:
    with pytest.raises(BadInput, match="both start at 0 stay there"):
        Init(table_std=0, value_std=0)


def test_law_11_a_lazy_step_moves_the_rows_that_were_addressed_and_no_other() -> None:
    """Two steps: in the second, rows of the first have momentum, and stay all the same."""
    engram = module()
    table = TrainedTable(engram)
    rows, rest = parameter_groups(engram, table, rate=1e-2, weight_decay=0.1)
    optimizers = torch.optim.SparseAdam(rows), torch.optim.AdamW(rest)
    for tokens in ([1, 2, 3], [4, 5, 6, 7]):
        assert moved_rows(engram, table, tokens, optimizers) == [
            addressed(engram, tokens, 1),
            addressed(engram, tokens, 2),
        ]


def test_law_11_without_it_rows_drift_on_by_their_momentum() -> None:
    engram = module()
    table = TrainedTable(engram, lazy=False)
    rows, _ = parameter_groups(engram, table, rate=1e-2, weight_decay=0.1)
    optimizers = (torch.optim.Adam(rows),)
    assert moved_rows(engram, table, [1, 2, 3], optimizers)[0] == addressed(engram, [1, 2, 3], 1)
    second = moved_rows(engram, table, [4, 5, 6, 7], optimizers)[0]
    assert second == sorted({*addressed(engram, [1, 2, 3], 1), *addressed(engram, [4, 5, 6, 7], 1)})


def addressed(engram: EngramModule, tokens: list[int], layer: int) -> list[int]:
    found: list[int] = np.unique(engram.rows(torch.tensor([tokens]))[layer]).tolist()
    return found


def moved_rows(
    engram: EngramModule, table: TrainedTable, tokens: list[int], optimizers: tuple[torch.optim.Optimizer, ...]
) -> list[list[int]]:
    """Make one step; return for each layer the rows that are not what they were."""
    before = [rows_RC.detach().clone() for rows_RC in table.rows_RC.values()]
    for optimizer in optimizers:
        optimizer.zero_grad()
    added(engram, table, tokens, hidden(1, len(tokens))).sum().backward()  # type: ignore[no-untyped-call]
    for optimizer in optimizers:
        optimizer.step()
    after = table.rows_RC.values()
    return [(old != new).any(1).nonzero()[:, 0].tolist() for old, new in zip(before, after, strict=True)]


def test_every_parameter_is_in_one_group_with_its_rate_and_decay() -> None:
    for gate, conv in (("signed_sqrt", "on"), ("constant", "off"), ("off", "off")):
        engram = module(gate=gate, conv=conv)
        table = TrainedTable(engram)
        rows, rest = parameter_groups(engram, table, rate=1e-2, weight_decay=0.1)
        grouped = [id(parameter) for group in [*rows, *rest] for parameter in group["params"]]
        assert sorted(grouped) == sorted(map(id, [*engram.parameters(), *table.parameters()]))
        assert [group["lr"] for group in rows] == [5e-2]
        decays = {id(parameter): group["weight_decay"] for group in rest for parameter in group["params"]}
        matrices = {id(parameter) for part in (engram.key, engram.value) for parameter in part.parameters()}
        assert {key for key, decay in decays.items() if decay} == matrices


# 12 and 13: the gate, and a gate that is closed


@pytest.mark.parametrize("gate", SCORED)
def test_law_12_a_gate_is_a_half_at_zero_lies_between_zero_and_one_and_grows(gate: str) -> None:
    scores = torch.arange(-80, 81) / 10
    gates = SCORED[gate](scores)
    assert gates[80] == 0.5
    assert ((gates > 0) & (gates < 1)).all()
    assert (gates.diff() > 0).all()


@pytest.mark.parametrize("score", [0.0, 1e-6, -1e-6, 1e-8, -1e-8])
def test_law_12_a_gate_has_a_finite_derivative(score: float) -> None:
    one = torch.tensor(score, requires_grad=True)
    (slope,) = torch.autograd.grad(signed_sqrt_gate(one), one)
    assert slope.isfinite()


@pytest.mark.parametrize(("gate", "power"), [("signed_sqrt", 0.25), ("plain", 0.5)])
def test_law_12_a_key_against_the_hidden_state_closes_its_gate(gate: str, power: float) -> None:
    engram = module(gate=gate)
    with torch.no_grad():
        engram.get_submodule("key.1").weight.copy_(-torch.eye(WIDTH))  # type: ignore[operator]
    gate_BT1 = engram.gates(1, hidden(1, 4), hidden(1, 4))
    torch.testing.assert_close(gate_BT1, torch.full((1, 4, 1), 1 / (1 + math.exp(WIDTH**power))), rtol=0, atol=1e-3)


@pytest.mark.parametrize("gate", ["signed_sqrt", "plain", "constant", "off"])
def test_law_12_all_gradients_are_numbers_where_rows_and_scores_are_zero(gate: str) -> None:
    engram = module(gate=gate, conv="on")
    table = TrainedTable(engram, lazy=False)
    added(engram, table, [1, 2, 3], hidden(1, 3)).sum().backward()  # type: ignore[no-untyped-call]
    assert table.rows_RC["1"].grad is not None
    assert table.rows_RC["1"].grad.any()
    gradients = [parameter.grad for part in (engram, table) for parameter in part.parameters()]
    assert all(gradient is None or gradient.isfinite().all() for gradient in gradients)


def test_law_12_gates_without_a_score_are_one_learned_number_or_one() -> None:
    assert (module(gate="constant").gates(1, hidden(1, 2), hidden(1, 2)) == 0.5).all()
    assert (module(gate="off").gates(1, hidden(1, 2), hidden(1, 2)) == 1).all()
    assert [list(module(gate=gate).key) for gate in ("constant", "off")] == [[], []]


@both
def test_law_13_a_suppressed_module_leaves_every_bit_of_the_network_and_of_itself(conv: str) -> None:
    engram = module(conv=conv)
    table, hidden_BTD = filled(engram), hidden(1, 4)
    before = {name: tensor.clone() for name, tensor in engram.state_dict().items()}
    plain = added(engram, table, [1, 2, 3, 4], hidden_BTD)
    with engram.suppressed():
        nothing = added(engram, table, [1, 2, 3, 4], hidden_BTD)
    assert torch.equal(hidden_BTD + nothing[:1], hidden_BTD)
    assert torch.equal(added(engram, table, [1, 2, 3, 4], hidden_BTD), plain)
    assert all(torch.equal(tensor, before[name]) for name, tensor in engram.state_dict().items())
    assert plain.any()


def test_law_13_one_layer_can_be_suppressed_and_it_is_counted() -> None:
    engram = module()
    table = filled(engram)
    with engram.suppressed([2]):
        first, second = added(engram, table, [1, 2, 3, 4], hidden(1, 4))
    assert first.any()
    assert not second.any()
    assert engram.silenced == 1
    with (
        pytest.raises(BadInput, match=r"layers \[7\] cannot be suppressed: the module is in \[1, 2\]"),
        engram.suppressed([7]),
    ):
        pass
    assert added(engram, table, [1, 2, 3, 4], hidden(1, 4))[1].any()


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


# 17 and 18: what is counted, and controls


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


def test_law_18_with_one_row_a_head_nothing_is_told_apart() -> None:
    found_BTH = module(rows=1).rows(torch.tensor([[1, 2, 3], [4, 5, 6]]))[1]
    assert (found_BTH == np.arange(4)).all()


def test_law_18_a_salt_gives_each_sequence_rows_of_its_own() -> None:
    engram, tokens_BT = module(), torch.tensor([[1, 2, 3], [1, 2, 3]])
    salted_BTH = engram.rows(tokens_BT, salt_B=np.array([11, 2**62]))[1]
    assert (salted_BTH[0] != salted_BTH[1]).any(axis=-1).all()
    assert (salted_BTH[0] == engram.rows(tokens_BT[:1], salt_B=np.array([11]))[1][0]).all()


def test_law_18_controls_train_in_the_same_code_and_a_single_row_learns_no_text() -> None:
    """A network that is nothing but the module must say the second token from the first: rows can, one row cannot."""
    losses = {rows: last_loss(rows) for rows in (97, 1)}
    assert losses[97] < 0.1 < 1 < losses[1]


def last_loss(rows: int) -> float:
    engram = module(rows=rows, gate="off", layers=[0])
    table, out = TrainedTable(engram), nn.Linear(WIDTH, 8)
    tokens_BT = torch.stack([torch.arange(20, 28), torch.arange(20, 28)], dim=1)
    sparse, dense = parameter_groups(engram, table, rate=1e-2, weight_decay=0)
    dense.append({"params": list(out.parameters()), "lr": 1e-2})
    optimizers: tuple[torch.optim.Optimizer, ...] = torch.optim.SparseAdam(sparse), torch.optim.Adam(dense)
    loss = torch.zeros(())
    for _ in range(60):
        found_BTE = table(engram.rows(tokens_BT))[0]
        loss = nn.functional.cross_entropy(out(engram(0, torch.zeros(8, 2, WIDTH), found_BTE))[:, 1], torch.arange(8))
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    return float(loss.detach())


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

"""Laws 12 and 13 of the Engram module: its gate, open and closed. The others: `tests/test_engram_module.py`."""

from __future__ import annotations

import math

import pytest
import torch

from adapters.engram.module import SCORED, signed_sqrt_gate
from adapters.engram.table import TrainedTable
from memory_bench.errors import BadInput
from tests.engrams import WIDTH, added, both, filled, hidden, module


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

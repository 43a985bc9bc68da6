"""Laws 11 and 18 of the Engram module: its start, its first steps, and what it learns at all.

The others: `tests/test_engram_module.py`.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from adapters.engram.module import EngramModule, Init
from adapters.engram.table import TrainedTable, parameter_groups
from memory_bench.errors import BadInput
from tests.engrams import WIDTH, added, both, hidden, module


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


def test_a_table_that_memory_has_no_room_for_is_refused_with_its_size_before_it_is_made() -> None:
    engram = module(rows=10**9, row_width=2**8)
    with pytest.raises(BadInput, match=r"a table of .* rows takes \d+\.\d TB, memory of cpu has .* free: ask for"):
        TrainedTable(engram)

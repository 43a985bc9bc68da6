"""The laws of the Engram module: addresses, gates, beginnings, what is trained and what it costs.

Each law is asked of a small module that any backbone could hold; `tests/test_engram_slot.py` asks the bundled reader's.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from adapters.engram.module import EngramModule, Init
from adapters.engram.table import TrainedTable, parameter_groups
from memory_bench.errors import BadInput
from memory_bench.ngrams import no_compression

SIZE = 64
SMALL = {"width": 16, "layers": [1, 2], "max_order": 3, "heads": 2, "row_width": 4, "rows": 97, "seed": 0}
IDS = st.integers(0, SIZE - 1)
TOKENS = st.lists(IDS, min_size=4, max_size=12)
few = settings(deadline=None, max_examples=25)


def module(**changes: object) -> EngramModule:
    torch.manual_seed(0)
    return EngramModule(**{**SMALL, "compression": no_compression(SIZE), **changes})  # type: ignore[arg-type]


def filled(engram: EngramModule) -> TrainedTable:
    """Return a table with something in every row, and give the convolution something to do."""
    table = TrainedTable(engram)
    with torch.no_grad():
        for parameter in (*table.parameters(), *engram.taps_WD.parameters()):
            parameter.normal_(generator=torch.Generator().manual_seed(1))
    return table


def hidden(batch: int, length: int) -> Tensor:
    return torch.randn(batch, length, 16, generator=torch.Generator().manual_seed(2))


def added(engram: EngramModule, table: TrainedTable, tokens: list[int], hidden_BTD: Tensor) -> Tensor:
    embeddings = table(engram.rows(torch.tensor([tokens])))
    return torch.cat([engram(layer, hidden_BTD, embeddings[layer]) for layer in engram.layers])


@pytest.mark.parametrize("conv", ["off", "on"])
@few
@given(tokens=TOKENS, data=st.data())
def test_law_1_a_later_token_changes_nothing_before_it(conv: str, tokens: list[int], data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(tokens) - 1))
    other = [*tokens[:at], data.draw(IDS), *tokens[at + 1 :]]
    engram = module(conv=conv)
    table, hidden_BTD = filled(engram), hidden(1, len(tokens))
    before, after = (added(engram, table, row, hidden_BTD)[:, :at] for row in (tokens, other))
    assert torch.equal(before, after)


@pytest.mark.parametrize("init", ["identity", "value_zero"])
@pytest.mark.parametrize("gate", ["signed_sqrt", "plain", "constant", "off"])
@pytest.mark.parametrize("conv", ["off", "on"])
def test_law_11_at_the_start_nothing_is_added(init: str, gate: str, conv: str) -> None:
    engram = module(init=init, gate=gate, conv=conv)
    assert not added(engram, TrainedTable(engram), [1, 2, 3, 4], hidden(1, 4)).any()


def test_rows_and_values_that_both_start_at_zero_are_refused() -> None:
    with pytest.raises(BadInput, match="both start at 0 stay there"):
        Init(table_std=0, value_std=0)


def test_law_11_a_step_moves_the_rows_that_were_addressed_and_no_other() -> None:
    engram = module()
    table = TrainedTable(engram)
    rows, rest = parameter_groups(engram, table, rate=1e-2, weight_decay=0.1)
    optimizers = torch.optim.SparseAdam(rows), torch.optim.AdamW(rest)
    for tokens in ([1, 2, 3], [4, 5, 6, 7]):
        before = {layer: rows_RC.detach().clone() for layer, rows_RC in table.rows_RC.items()}
        added(engram, table, tokens, hidden(1, len(tokens))).sum().backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
        for layer, found_BTH in engram.rows(torch.tensor([tokens])).items():
            moved_R = (before[str(layer)] != table.rows_RC[str(layer)]).any(1).numpy()
            assert np.flatnonzero(moved_R).tolist() == np.unique(found_BTH).tolist()


def test_law_18_with_one_row_a_head_nothing_is_told_apart() -> None:
    found_BTH = module(rows=1).rows(torch.tensor([[1, 2, 3], [4, 5, 6]]))[1]
    assert (found_BTH == np.arange(4)).all()


def test_law_18_a_salt_gives_each_sequence_rows_of_its_own() -> None:
    engram, tokens_BT = module(), torch.tensor([[1, 2, 3], [1, 2, 3]])
    salted_BTH = engram.rows(tokens_BT, salt_B=np.array([11, 2**62]))[1]
    assert (salted_BTH[0] != salted_BTH[1]).any(axis=-1).all()
    assert (salted_BTH[0] == engram.rows(tokens_BT[:1], salt_B=np.array([11]))[1][0]).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gate": "loud"}, "gate=loud: expected one of signed_sqrt, plain, constant, off"),
        ({"conv": "maybe"}, "conv=maybe: expected one of on, off"),
        ({"init": "zero"}, "init=zero: expected one of identity, value_zero, paper_like"),
        ({"mode": "fast"}, "mode=fast: expected one of portable, compat"),
    ],
)
def test_a_choice_that_there_is_not_is_refused_with_those_that_there_are(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        module(**changes)


@pytest.mark.parametrize("token", [-1, SIZE])
def test_a_token_of_another_vocabulary_is_refused(token: int) -> None:
    with pytest.raises(BadInput, match=f"token id {token}: the engram compression has ids 0 to 63"):
        module().rows(torch.tensor([[1, token]]))

"""Engram's slot and table: what is found for which tokens, and how it enters the network.

Slot and network are small and random, so nothing here shows that anything is remembered: that is measured, by the task.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from adapters.engram.module import signed_sqrt_gate
from adapters.engram.slot import EngramSlot, EngramTable
from memory_bench.errors import BadInput
from memory_bench.readers import checkpoint
from memory_bench.readers.tiny import TinyReader
from tests.readers import filled_table, log_probs, random_model, random_slot, reader

SLOT = random_slot()
MODEL = random_model(slot=SLOT)
CPU = torch.device("cpu")
IDS = st.integers(0, 4095)
TOKENS = st.lists(IDS, min_size=2, max_size=12)
few = settings(deadline=None, max_examples=25)


# Reading from the table


@few
@given(tokens=TOKENS)
def test_an_empty_table_leaves_every_bit_as_it_is(tokens: list[int]) -> None:
    without = random_model()
    without.load_state_dict({name: t for name, t in MODEL.state_dict().items() if not name.startswith("slot.")})
    assert torch.equal(log_probs(MODEL, [tokens], look_up=EngramTable(SLOT, CPU)), log_probs(without, [tokens]))


def test_a_filled_table_changes_the_answer() -> None:
    tokens = [300, 301, 302]
    assert not torch.allclose(
        log_probs(MODEL, [tokens], look_up=filled_table(SLOT)), log_probs(MODEL, [tokens]), atol=0.01
    )


@few
@given(tokens=TOKENS, data=st.data())
def test_a_later_token_changes_nothing_before_it(tokens: list[int], data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(tokens) - 1))
    other = [*tokens[:at], data.draw(IDS), *tokens[at + 1 :]]
    table = filled_table(SLOT)
    before, after = (log_probs(MODEL, [row], look_up=table)[:, :at] for row in (tokens, other))
    assert torch.equal(before, after)


@few
@given(one=TOKENS, other=TOKENS, suffix=st.lists(IDS, min_size=3, max_size=6))
def test_what_is_found_depends_on_the_last_three_tokens_wherever_they_stand(
    one: list[int], other: list[int], suffix: list[int]
) -> None:
    table = filled_table(SLOT)
    ends = [table(torch.tensor([[*before, *suffix]])) for before in (one, other)]
    for layer in SLOT.layers:
        found_TE = [end[layer][0, -(len(suffix) - 2) :] for end in ends]
        assert torch.equal(found_TE[0], found_TE[1])


@few
@given(rows=st.lists(TOKENS, min_size=1, max_size=4), padding=st.integers(0, 5))
def test_a_padded_batch_finds_what_its_rows_find_alone(rows: list[list[int]], padding: int) -> None:
    table = filled_table(SLOT)
    length = max(map(len, rows)) + padding
    together = table(torch.tensor([[*row, *[0] * (length - len(row))] for row in rows]))
    for place, row in enumerate(rows):
        alone = table(torch.tensor([row]))
        assert all(torch.equal(together[layer][place, : len(row)], alone[layer][0]) for layer in SLOT.layers)


def test_other_tokens_find_other_rows_and_layers_do_not_share_them() -> None:
    rows = SLOT.rows(torch.tensor([[300, 301, 302], [300, 305, 302], [301, 300, 302]]))
    last = {layer: {tuple(found[-1]) for found in rows_BTH.tolist()} for layer, rows_BTH in rows.items()}
    assert [len(found) for found in last.values()] == [3, 3]
    assert last[0] != last[1]


def test_tokens_that_differ_in_case_and_spaces_only_find_the_same_rows() -> None:
    tokenizer = Tokenizer.from_file(str(checkpoint.TOKENIZER))
    for one, other in (("The", " the"), ("return", " Return"), ("\n", " ")):
        ids = [tokenizer.encode(text).ids for text in (one, other)]
        assert [len(found) for found in ids] == [1, 1]
        rows = [SLOT.rows(torch.tensor([[500, *found]])) for found in ids]
        assert all((rows[0][layer] == rows[1][layer]).all() for layer in SLOT.layers)


def test_another_process_finds_the_same_rows() -> None:
    script = (
        "import torch; from tests.readers import random_slot\n"
        "rows = random_slot().rows(torch.arange(300, 340)[None])\n"
        "print([rows_BTH.tolist() for rows_BTH in rows.values()])"
    )
    root = str(Path(__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1", "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    here = [rows_BTH.tolist() for rows_BTH in SLOT.rows(torch.arange(300, 340)[None]).values()]
    assert json.loads(done.stdout) == here


# The gate


def test_the_gate_is_a_half_at_zero_and_grows_with_the_score() -> None:
    scores = torch.tensor([-1e4, -4.0, -1.0, -1e-2, -1e-7, 0.0, 1e-7, 1e-2, 1.0, 4.0, 1e4])
    gates = signed_sqrt_gate(scores)
    assert gates[5] == 0.5
    assert (gates.diff() >= 0).all()
    assert (gates[1:-1].diff()[[0, 1, 2, 5, 6, 7]] > 0).all()
    assert ((gates >= 0) & (gates <= 1)).all()
    torch.testing.assert_close(gates[[1, 9]], torch.sigmoid(torch.tensor([-2.0, 2.0])))
    torch.testing.assert_close(gates + gates.flip(0), torch.ones(11))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_key_along_the_hidden_state_opens_the_gate_and_one_against_it_closes_it(sign: float) -> None:
    width = SLOT.width
    slot = random_slot(row_width=8)  # 2 orders, 2 heads, 8 numbers a row: an embedding is as wide as the model
    with torch.no_grad():
        slot.get_submodule("key.0").weight.copy_(sign * torch.eye(width))  # type: ignore[operator]
        slot.get_submodule("value.0").weight.copy_(torch.eye(width))  # type: ignore[operator]
    hidden_BTD = torch.randn(1, 1, width, generator=torch.Generator().manual_seed(0))
    added_BTD = slot(0, hidden_BTD, hidden_BTD)
    gate = 1 / (1 + math.exp(-sign * width**0.25))
    torch.testing.assert_close(added_BTD, gate * hidden_BTD, rtol=0, atol=1e-3)


@pytest.mark.parametrize("score", [0.0, 1e-6, -1e-6, 1e-8, -1e-8, 1e-45, 1e4])
def test_the_gate_has_a_finite_derivative(score: float) -> None:
    one = torch.tensor(score, requires_grad=True)
    (slope,) = torch.autograd.grad(signed_sqrt_gate(one), one)
    assert slope.isfinite()


# The checkpoint


@pytest.mark.parametrize(
    ("key", "other"), [("hash_version", "portable-0"), ("compression_sha256", "beef"), ("compressed_size", 1)]
)
def test_weights_that_mean_other_rows_are_refused_with_both_values(key: str, other: object, tmp_path: Path) -> None:
    slotted = reader(MODEL, tmp_path / "slotted")
    path = slotted.folder / "config.json"
    kept = json.loads(path.read_text(encoding="utf-8"))
    found, kept["slot"][key] = kept["slot"][key], other
    path.write_text(json.dumps(kept), encoding="utf-8")
    with pytest.raises(BadInput, match=f"addresses other rows .* {key} is {found}, {other} was expected"):
        TinyReader(str(slotted.folder), device="cpu", window_tokens=512, max_new_tokens=12, slot=EngramSlot)


def test_the_compression_of_the_weights_is_used_and_not_that_of_this_machine(tmp_path: Path) -> None:
    slot = random_slot()
    slot.map_V = torch.arange(4096, dtype=torch.int32).flip(0)
    kept = reader(random_model(slot=slot), tmp_path / "kept").model.slot
    assert isinstance(kept, EngramSlot)
    tokens_BT = torch.tensor([[Random(0).randrange(4096) for _ in range(9)]])
    assert all((kept.rows(tokens_BT)[layer] == slot.rows(tokens_BT)[layer]).all() for layer in slot.layers)
    assert (kept.rows(tokens_BT)[0] != SLOT.rows(tokens_BT)[0]).any()

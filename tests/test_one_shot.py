"""One-shot writing: what a write moves, that it is undone to the bit, and that the network learns to be written to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from adapters.engram.code_book import NAME_ENDS, CodeBook, learn, novel
from adapters.engram.one_shot import OneShotPlan, WritableRows
from adapters.engram.twins import runs
from adapters.engram.twins.backbone import Size
from adapters.engram.twins.names import FIRST_PART, FIRST_VALUE, VALUES, VOCABULARY, Names, draw_names
from adapters.engram.twins.recall import accuracy, tensors
from adapters.engram.twins.train import Course
from adapters.engram.twins.twin import Twin
from memory_bench.errors import BadInput

SMALL = Size(VOCABULARY, width=32, layers=3, heads=2, hidden=64)
ENGRAM: Mapping[str, Any] = {"layers": [0, 1], "max_order": 3, "heads": 2, "row_width": 8, "rows": 64}
NAMES = draw_names(40, seed=5)
few = settings(deadline=None, max_examples=25)


@pytest.fixture(scope="module")
def table() -> WritableRows:
    twin = Twin(SMALL, {**ENGRAM, "init": "paper_like"}, seed=0)
    assert twin.engram is not None
    return WritableRows(twin, CodeBook(twin.engram, seed=0))


def copied(table: WritableRows) -> dict[int, NDArray[np.float32]]:
    return {layer: rows_RC.copy() for layer, rows_RC in table.rows.items()}


def same(one: dict[int, NDArray[np.float32]], other: dict[int, NDArray[np.float32]]) -> bool:
    return all(np.array_equal(one[layer], other[layer]) for layer in one)


@few
@given(place=st.integers(0, len(NAMES) - 1))
def test_a_write_puts_the_code_of_the_value_into_the_rows_of_the_last_three_tokens_and_moves_no_other(
    table: WritableRows, place: int
) -> None:
    before, name = copied(table), NAMES[place : place + 1]
    table.write(name)
    for layer, rows_RC in table.rows.items():
        rows_H = table.engram.rows(tensors(name)[0])[layer][0, NAME_ENDS, -table.engram.heads :]
        assert np.array_equal(rows_RC[rows_H], table.codes[layer][name.targets_N[0] - FIRST_VALUE])
        moved = np.flatnonzero((rows_RC != before[layer]).any(1))
        assert set(moved) == set(rows_H)
    table.restore()
    assert same(copied(table), before)


def test_of_names_that_end_in_the_same_three_tokens_the_later_one_is_held(table: WritableRows) -> None:
    tokens_T = NAMES.tokens_NT[0]
    other_T = np.concatenate([[tokens_T[0] ^ 1], tokens_T[1:]])
    told = Names(np.stack([tokens_T, other_T]), np.array([FIRST_VALUE + 3, FIRST_VALUE + 7]))
    table.write(told)
    both = copied(table)
    table.restore()
    table.write(told[1:])
    assert same(copied(table), both)
    table.restore()


@few
@given(forgotten=st.sets(st.integers(0, len(NAMES) - 1)), batch=st.integers(1, len(NAMES)))
def test_forgetting_leaves_the_bits_of_never_having_been_told(
    table: WritableRows, forgotten: set[int], batch: int
) -> None:
    """In a table so small that names overwrite each other's rows, however they were batched."""
    kept = np.array([place for place in range(len(NAMES)) if place not in forgotten], dtype=np.int64)
    table.write(NAMES[kept])
    never = copied(table)
    table.restore()
    for start in range(0, len(NAMES), batch):
        table.write(NAMES[start : start + batch])
    table.forget(NAMES, sorted(forgotten))
    assert same(copied(table), never)
    table.restore()


def test_simulated_writes_are_names_of_three_or_four_tokens_and_never_the_same_twice() -> None:
    (first_BT, values_B), (second_BT, _) = (novel(256, seed=1, step=step) for step in (0, 1))
    assert not torch.equal(first_BT, second_BT)
    assert set(NAMES.tokens_NT[:, -1]) == set(first_BT[:, -1].tolist())
    assert set((first_BT == 0).sum(1).tolist()) == {0, 1} == set((NAMES.tokens_NT == 0).sum(1))
    assert FIRST_PART <= first_BT[:, 1:-1].min() < first_BT.max() < FIRST_VALUE
    assert 0 <= values_B.min() < values_B.max() < VALUES


def test_after_its_training_the_network_answers_with_what_was_written_and_with_what_it_learned() -> None:
    """A small network, so that it takes a second: it is far above 1 in 256, and not yet good."""
    names = draw_names(96, seed=1)
    old, new = names[:32], names[32:]
    twin = Twin(SMALL, {**ENGRAM, "rows": 512}, seed=0)
    book, cost = learn(twin, old, Course(steps=150, rate=0.01, every=150), batch=128, seed=0)
    assert cost["seconds"] > 0
    assert cost["flops"] == 3 * 150 * 128 * twin.forward_flops(5, read=1)
    table = WritableRows(twin, book)
    assert accuracy(twin, *tensors(new)) < 0.1
    table.write(new)
    assert accuracy(twin, *tensors(new)) > 0.5
    assert accuracy(twin, *tensors(old)) > 0.5
    table.restore()
    assert accuracy(twin, *tensors(new)) < 0.1


def test_the_plan_writes_each_number_of_names_by_itself_and_says_what_it_cost() -> None:
    plan = runs.load("one_shot")
    assert isinstance(plan, OneShotPlan)
    assert 1024 in plan.new
    small = OneShotPlan(old=16, new=[2, 4], steps=1, rate=0.01, seeds=[3], batch=4)
    (job,) = small.jobs([])
    row = job.run()
    assert [point["facts"] for point in row["curve"]] == [2, 4]
    assert row["fixed_cost"]["seconds"] > 0
    assert all(point["us_a_fact"] > 0 for point in row["curve"])


def test_a_network_without_rows_is_refused() -> None:
    with pytest.raises(BadInput, match="take an arm with Engram, such as engram"):
        learn(Twin(SMALL, None, seed=0), NAMES, Course(steps=1, rate=0.1, every=1), batch=4, seed=0)

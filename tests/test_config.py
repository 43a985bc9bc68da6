"""What the user types: which cell it names, and the one line that answers a slip."""

from __future__ import annotations

from typing import Any

import pytest
from hydra.core.config_store import ConfigStore

from memory_bench import config
from memory_bench.errors import BadInput, Unavailable
from tests import stubs

STUBS = ("+task=stub", "+memory=stub", "reader=stub")


@pytest.fixture(autouse=True)
def choices_of_the_tests() -> None:
    stubs.register()
    store = ConfigStore.instance().store
    store(group="memory", name="vectors", node={"_target_": "tests.test_config.Vectors", "embedder": "shared"})
    store(group="memory", name="engine", node={"_target_": "tests.no_such_engine", "requires": ["no-such-engine>=2"]})
    whole = {"memory": {"_target_": "tests.stubs.StubMemory", "top_k": 64}, "budget_tokens": None}
    store(group="memory", name="whole", node=whole, package="_global_")
    picky = {"_target_": "tests.test_config.Picky", "length": 1, "ratio": 0.5, "names": ["a"], "on": True, "path": None}
    store(group="task", name="picky", node=picky)
    cells = [{"memory": ["stub", "whole"]}, {"memory": ["none"], "control": ["oracle", "closed_book"]}]
    experiment = {"defaults": [{"/task": "stub"}], "task": {"episodes": 7}, "cells": cells}
    store(group="experiment", name="stub", node=experiment, package="_global_")


class Vectors(stubs.StubMemory):
    def __init__(self, *, embedder: object) -> None:
        super().__init__()
        self.embedder = embedder


class Picky(stubs.StubTask):
    def __init__(self, *, length: int, **others: object) -> None:
        if length > 9:
            raise BadInput(f"task.length={length}: expected at most 9")
        if length == 9:
            raise ZeroDivisionError("a bug")
        super().__init__()
        self.others = others


def refused(*overrides: str) -> str:
    with pytest.raises(BadInput) as caught:
        config.compose(overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_cell_is_what_was_typed_over_the_defaults() -> None:
    cell = config.compose([*STUBS, "seed=3", "budget_tokens=512", "limit=50", "task.episodes=4", "results=elsewhere"])
    names = {"task": "stub", "memory": "stub", "reader": "stub", "embedder": None, "control": "none"}
    assert cell.config["choices"] == names
    options = {key: cell.config[key] for key in ("seed", "budget_tokens", "limit", "write_batch")}
    assert options == {"seed": 3, "budget_tokens": 512, "limit": 50, "write_batch": 32}
    assert cell.config["task"] == {"_target_": "tests.stubs.StubTask", "episodes": 4, "facts": 2}
    assert str(cell.results) == "elsewhere"
    assert "results" not in cell.config  # where it lies moves no number


def test_a_memory_may_set_the_budget_and_the_user_has_the_last_word() -> None:
    assert config.compose(["+task=stub", "+memory=whole", "reader=stub"]).config["budget_tokens"] is None
    typed = config.compose(["+task=stub", "+memory=whole", "reader=stub", "budget_tokens=64"])
    assert typed.config["budget_tokens"] == 64


def test_the_embedder_is_part_of_a_cell_only_where_a_memory_takes_it() -> None:
    without = [config.compose([*STUBS, f"embedder={name}"]).config for name in ("stub", "hashing")]
    assert without[0] == without[1]
    cell = config.compose(["+task=stub", "+memory=vectors", "reader=stub", "embedder=stub"])
    assert cell.config["choices"]["embedder"] == "stub"
    embedder = config.build(cell, "embedder")
    assert config.build(cell, "memory", embedder=embedder).embedder is embedder


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ([], "no task was chosen; type +task=NAME with one of: "),
        (["+task=stub", "reader=stub"], "no memory was chosen; type +memory=NAME with one of: bm25,"),
        (["+task=nedle"], "there is no task 'nedle'; choose one of: "),
        (["+task=stub", "+memory=egram"], "there is no memory 'egram'; choose one of: bm25,"),
        (["+task=stub", "reader=tin"], "there is no reader 'tin'; choose one of:"),
        (["+experiment=nedle"], "there is no experiment 'nedle'; choose one of: "),
        (["task=stub"], "task=stub: task has no default, so type +task=stub"),
        ([*STUBS, "sead=1"], "there is no option 'sead'; did you mean seed?"),
        ([*STUBS, "task.episods=1"], "there is no option 'task.episods'; did you mean episodes?"),
        ([*STUBS, "+task.more=1"], "there is no option 'task.more';"),
        ([*STUBS, "memory.a.b=1"], "there is no option 'memory.a.b';"),
        ([*STUBS, "seed=abc"], "seed=abc: expected a whole number, such as the default seed=0"),
        ([*STUBS, "seed=1.5"], "seed=1.5: expected a whole number"),
        ([*STUBS, "limit=abc"], "Error merging override limit=abc: Value 'abc' of type 'str' could not be converted"),
        ([*STUBS, "task.episodes=many"], "task.episodes=many: expected a whole number, such as the default"),
        ([*STUBS, "limit=0"], "limit=0: expected a whole number >= 1, such as limit=1"),
        ([*STUBS, "limit=-3"], "limit=-3: expected a whole number >= 1"),
        ([*STUBS, "seed=-1"], "seed=-1: expected a whole number >= 0"),
        ([*STUBS, "budget_tokens=0"], "budget_tokens=0: expected a whole number >= 1"),
        ([*STUBS, "write_batch=0"], "write_batch=0: expected a whole number >= 1"),
        ([*STUBS, "seed=null"], "seed=null"),
        ([*STUBS, "seed=0,1"], "seed=0,1 names several values: put -m before the overrides"),
        (["+task=stub", "+memory=stub,none"], "+memory=stub,none names several choices: put -m before the overrides"),
        ([*STUBS, "~seed"], "~seed: an option cannot be taken away"),
        ([*STUBS, "hydra.run.dir=x"], "hydra.run.dir=x: Hydra's own settings have no effect here"),
        ([*STUBS, "seed"], "Error parsing override 'seed'"),
        (["+experiment=stub", "reader=stub", "+memory=stub"], "this experiment holds 2 lists of cells: put -m before"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_slip_is_answered_in_one_line(overrides: list[str], line: str) -> None:
    assert line in refused(*overrides)


@pytest.mark.parametrize("typed", ["length=0.5", "ratio=x", "names=a", "on=3"])
def test_options_of_a_plug_in_keep_the_kind_of_their_default(typed: str) -> None:
    name = typed.partition("=")[0]
    assert f"task.{typed}: expected" in refused("+task=picky", "+memory=stub", "reader=stub", f"task.{typed}")
    assert f"such as the default task.{name}=" in refused("+task=picky", "+memory=stub", "reader=stub", f"task.{typed}")


@pytest.mark.parametrize("typed", ["length=2", "ratio=1", "names=[b,c]", "on=false", "path=somewhere"])
def test_values_of_the_right_kind_reach_the_constructor(typed: str) -> None:
    cell = config.compose(["+task=picky", "+memory=stub", "reader=stub", f"task.{typed}"])
    assert config.build(cell, "task").others["ratio"] in (0.5, 1)


def test_what_a_constructor_refuses_is_the_users_line_and_a_bug_stays_a_bug() -> None:
    def build(length: int) -> Any:
        cell = config.compose(["+task=picky", "+memory=stub", "reader=stub", f"task.length={length}"])
        return config.build(cell, "task")

    with pytest.raises(BadInput, match=r"^task\.length=10: expected at most 9$"):
        build(10)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        build(9)


def test_a_missing_engine_is_named_with_its_install_line_before_it_is_imported() -> None:
    cell = config.compose(["+task=stub", "+memory=engine", "reader=stub"])
    with pytest.raises(Unavailable, match=r"^memory=engine cannot run here: no-such-engine is not installed: pip "):
        config.build(cell, "memory")


def test_a_requirement_names_what_is_wrong() -> None:
    assert config.missing_requirement("numpy>=2") is None
    assert config.missing_requirement("numpy<1") == _numpy_is("numpy<1")


def _numpy_is(wanted: str) -> str:
    from importlib.metadata import version

    return f"numpy {version('numpy')} is installed: pip install '{wanted}'"


def test_a_sweep_is_every_combination_in_order() -> None:
    cells = config.expand(["+task=stub", "+memory=stub,none", "seed=0,1"])
    assert cells == [
        ("+task=stub", f"+memory={memory}", f"seed={seed}") for memory in ("stub", "none") for seed in (0, 1)
    ]


def test_an_experiments_cells_equal_the_same_cells_typed_by_hand() -> None:
    cells = [config.compose(cell).config for cell in config.expand(["+experiment=stub", "reader=stub", "seed=0,1"])]
    named = [(cell["seed"], cell["choices"]["memory"], cell["choices"]["control"]) for cell in cells]
    each = [("stub", "none"), ("whole", "none"), ("none", "oracle"), ("none", "closed_book")]
    assert named == [(seed, *cell) for seed in (0, 1) for cell in each]
    assert (
        cells[2]
        == config.compose(["+task=stub", "+memory=none", "reader=stub", "control=oracle", "task.episodes=7"]).config
    )


def test_a_sweep_over_a_range_without_values_is_refused() -> None:
    with pytest.raises(BadInput, match="is not a list of values"):
        config.expand([*STUBS, "seed=interval(0,1)"])

"""One reader and one task for all cells of a sweep that name them: made once, and no cell can tell that others had
them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from memory_bench import config, records
from memory_bench.__main__ import main
from memory_bench.lending import Lender
from memory_bench.readers.tiny import TinyReader
from memory_bench.sweep import grouped
from memory_bench.types import Episode
from tests import stubs

NOT_THE_SAME = ("_seconds", "peak_rss_bytes")  # clocks, and what a process that is shared does not know
INSIDE = ("engram", "ngram_logits", "none", "engram_one_shot")  # the model, and none after some that change it


@pytest.fixture(autouse=True)
def a_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stubs.register()
    store = ConfigStore.instance().store
    store(group="memory", name="broken", node={"_target_": "tests.test_lending.Broken"})
    store(group="task", name="carrying", node={"_target_": "tests.test_lending.Carrying", "episodes": 1, "facts": 2})


class Carrying(stubs.StubTask):
    def episodes(self, seed: int) -> Iterator[Episode]:
        return (replace(episode, carry=True) for episode in super().episodes(seed))


class Broken(stubs.StubMemory):
    def settle(self) -> None:
        raise RuntimeError("the engine broke")


def told(folder: str) -> list[str]:
    """Return all rows of all cells in one order, less what a clock says."""
    rows = []
    for run in records.runs(folder):
        for name in ("records.jsonl", "operations.jsonl"):
            for line in (run.folder / name).read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                row["costs"] = {key: cost for key, cost in row["costs"].items() if not key.endswith(NOT_THE_SAME)}
                rows.append(json.dumps([run.config["choices"], name, row], sort_keys=True))
    return sorted(rows)


def test_records_of_a_sweep_are_those_of_its_cells_alone_inside_the_model_too() -> None:
    task = "carrying"  # the reader keeps prompts too
    assert main(["-m", f"+task={task}", f"+memory={','.join(INSIDE)}", "results=together"]) == 0
    for memory in INSIDE:
        assert main([f"+task={task}", f"+memory={memory}", "results=alone"]) == 0
    together = told("together")
    assert together == told("alone")
    assert len(together) > 5 * len(INSIDE)


def loaded() -> list[bool]:
    """Return of each finished cell, in the order in which they began, whether its reader was loaded for it."""
    found = sorted(
        (run.provenance for run in records.runs("results") if run.finished), key=lambda facts: facts["start"]
    )
    for facts in found:
        why = facts["sources"].get("ready_seconds.reader")
        assert (why is None) == (facts["ready_seconds"]["reader"] is not None)
        assert why is None or "asked for the same reader, which was ready in 0." in why["why"]
    return [facts["ready_seconds"]["reader"] is not None for facts in found]


def test_a_reader_is_loaded_once_for_the_cells_that_name_it_and_the_others_say_so() -> None:
    sizes = "reader.window_tokens=512,1024"
    assert main(["-m", "+task=stub", "+memory=none,stub", "reader=stub", sizes, "seed=0,1"]) == 0
    assert loaded() == [True, False, False, False] * 2
    assert main(["+task=stub", "+memory=none", "reader=stub", "seed=2"]) == 0
    assert loaded()[8:] == [True]


def test_cells_of_one_reader_follow_each_other_and_keep_their_order_else() -> None:
    cells = [("a", "reader=x"), ("a", "reader=y"), ("b", "reader=x"), ("b", "attention=z", "reader=x"), ("c",)]
    assert grouped(cells) == [cells[0], cells[2], cells[1], cells[3], cells[4]]


def test_a_cell_that_breaks_takes_its_reader_along_and_one_that_is_refused_does_not() -> None:
    refused = "control=none,oracle"  # which runs without a memory only
    assert main(["-m", "+task=stub", "+memory=stub,broken,none", "reader=stub", refused]) == 1  # three cells
    assert loaded() == [True, True, False]


def test_a_reader_is_lent_again_without_the_prompts_of_those_who_had_it() -> None:
    lender, cell = Lender(), config.compose(["+task=needle", "+memory=none"])
    reader = lender.reader(cell).reader
    assert isinstance(reader, TinyReader)
    reader.begin(carry=True)
    reader.generate(["The code of gate 1 is 7.\nThe code of gate 1 is"])
    assert reader.prefixes.size_bytes() > 0
    again = lender.reader(cell)
    assert again.reader is reader
    assert again.earlier
    assert reader.prefixes.size_bytes() == 0
    other = config.compose(["+task=needle", "+memory=none", "reader.threads=1"])
    assert lender.reader(other).reader is not reader
    assert not lender.reader(cell).earlier


def test_a_task_is_made_once_for_the_cells_that_name_it_and_again_after_one_that_broke() -> None:
    lender = Lender()
    cells = [config.compose(["+task=stub", f"+memory={memory}"]) for memory in ("none", "stub")]
    other = config.compose(["+task=stub", "+memory=none", "task.facts=3"])
    task = lender.task(cells[0])
    assert lender.task(cells[1]) is task
    assert lender.task(other) is not task
    assert lender.task(other) is lender.task(other)
    kept = lender.task(cells[0])
    lender.drop()
    assert lender.task(cells[0]) is not kept

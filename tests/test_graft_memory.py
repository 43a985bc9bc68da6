"""Facts written at run time into a model of `transformers`, everything else frozen, through the ordinary runner.

The models are small and have learned how facts are worded, and none of those that are written. That 256 of them are
known is `benchmarks/test_graft.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from adapters.engram.grafted.facts import facts
from adapters.engram.memory import Engram
from memory_bench.__main__ import main
from memory_bench.errors import BadInput
from memory_bench.guards import properties
from memory_bench.guards.check import judge
from memory_bench.guards.promise import Property
from memory_bench.guards.subject import Subject
from memory_bench.types import Event
from tests.grafts import events, grafted, known, schooled, table_of

SLOT = {"layers": [0, 1], "heads": 4, "row_width": 32, "rows": 2048}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {family: schooled(root / family, family, width=48, steps=24) for family in ("llama", "qwen2")}


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_facts_that_are_written_are_answered_and_nothing_else_moves(family: str, folders: dict[str, Path]) -> None:
    one, told = grafted(folders[family], slot=SLOT), facts(24, seed=0)
    before = {name: weight.clone() for name, weight in one.model.state_dict().items()}
    memory = Engram(steps=32, rate=0.4, recency=0.5)
    other = memory.attach(one)
    assert known(other, told) == 0
    memory.write(events(told))
    memory.settle()
    assert known(other, told) >= 0.95
    assert known(one, told) == 0
    assert all(torch.equal(weight, before[name]) for name, weight in one.model.state_dict().items())
    memory.forget(["0"])
    memory.settle()
    first, rest = dict(list(told.items())[:1]), dict(list(told.items())[1:])
    assert (known(other, first), known(other, rest) >= 0.95) == (0, True)


def test_a_text_is_written_as_a_prompt_is_read_behind_the_first_token(folders: dict[str, Path]) -> None:
    one = grafted(folders["llama"], slot=SLOT)
    assert one.tokens("The code of") == one.encode("The code of")
    assert one.tokens("")[0] == one.tokenizer.bos_token_id


def test_a_text_that_the_model_cannot_read_is_refused(folders: dict[str, Path]) -> None:
    memory = Engram(steps=1, rate=0.1, recency=0.0)
    memory.attach(grafted(folders["llama"], slot=SLOT, window_tokens=64))
    memory.write([Event("a", "The code of " * 40)])
    with pytest.raises(BadInput, match=r"^a text of \d+ tokens is to be written, llama reads 64 at most"):
        memory.settle()


def test_a_reader_without_a_slot_is_refused(folders: dict[str, Path]) -> None:
    one = grafted(folders["llama"], slot=SLOT)
    one._slot = None
    with pytest.raises(BadInput, match="the slot of a reader that has one: type reader=tiny or reader=hf"):
        Engram(steps=1, rate=0.1, recency=0.0).attach(one)


def test_the_largest_batch_is_bounded_by_the_vocabulary(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a model with many tokens fewer texts go through together; that changes rounding only."""
    from adapters.engram import write

    one, told = grafted(folders["qwen2"], slot=SLOT), events(facts(5, seed=1))
    texts, tables = [one.tokens(event.text) for event in told], []
    for numbers in (2**20, 2 * one.model.config.vocab_size):
        monkeypatch.setattr(write, "NUMBERS_AT_ONCE", numbers)
        tables.append(table_of(one))
        write.write_rows(one.slotted, tables[-1], texts, steps=1, rate=0.1, recency=0.0)  # type: ignore[arg-type]
    for layer, rows_RC in tables[0].rows.items():
        clear_RC = rows_RC.abs() > 0.099  # Adam's first step is as long for every slope that is no rounding
        torch.testing.assert_close(rows_RC[clear_RC], tables[1].rows[layer][clear_RC], rtol=0, atol=1e-3)
        assert clear_RC.any()


def test_a_run_with_a_grafted_memory_ends_with_records(folders: dict[str, Path], tmp_path: Path) -> None:
    command = ["+task=needle", "+memory=engram", "reader=hf", f"reader.model={folders['llama']}", "memory.steps=2"]
    small = ["task.episodes=1", "task.questions=2", "task.length_tokens=512", "task.distractors=1"]
    room = ["reader.max_new_tokens=4", "reader.device=cpu", "reader.slot.rows=512", f"results={tmp_path}"]
    assert main([*command, *small, *room]) == 0
    [file] = tmp_path.rglob("records.jsonl")
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(records) == 2
    assert all(record["answer"] is not None and record["passages"] == [] for record in records)


@pytest.mark.parametrize(
    "promise",
    [
        properties.finds_what_was_written,
        properties.forget_forgets_without_a_settle,
        properties.the_same_life_twice_gives_the_same_answers,
        properties.what_it_traces_is_there,
    ],
    ids=lambda promise: promise.__name__,
)
def test_a_grafted_memory_keeps_its_promises(folders: dict[str, Path], promise: Property) -> None:
    one = grafted(folders["llama"], slot=SLOT | {"rows": 512})
    options = ["+task=needle", "+memory=engram", "memory.steps=8"]
    with Subject(options, attach=lambda memory: memory.attach(one)) as made:
        finding = judge(promise, made)
    assert finding.verdict == "pass", finding.detail

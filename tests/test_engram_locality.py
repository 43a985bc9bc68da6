"""Locality of what is written: other text gets the same bits, and what reaches it is measured as it should be."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.engram.locality import LENGTH, NEUTRAL, LocalityPlan, facts, made, measure
from adapters.engram.memory import Engram
from adapters.engram.slot import EngramSlot, EngramTable
from adapters.engram.twins.runs import load
from memory_bench.readers.checkpoint import WEIGHTS
from memory_bench.readers.tiny import TinyReader
from memory_bench.readers.training.corpus import read_corpus
from memory_bench.types import Event
from tests.readers import filled_table, log_probs, random_model, random_slot, reader

SLOT = random_slot()
SEQUENCES_ST = torch.randint(300, 4096, (20, 16), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> TinyReader:
    return reader(random_model(slot=SLOT), tmp_path_factory.mktemp("weights") / "small")


@pytest.fixture(scope="module")
def bundled() -> tuple[TinyReader, EngramTable]:
    """The bundled reader, and a table with a fact in it."""
    one = TinyReader("tiny", device="cpu", window_tokens=8192, max_new_tokens=48, slot=partial(EngramSlot))
    memory = Engram(steps=2, rate=0.4, recency=0.0)
    memory.attach(one)
    memory.write([Event("a", "The code of gate 17 is 4411.")])
    memory.settle()
    return one, memory.table


@settings(deadline=None, max_examples=40)
@given(tokens=st.lists(st.integers(0, 4095), min_size=1, max_size=16))
def test_the_bundled_reader_gives_the_same_bits_to_what_addresses_no_written_row(
    bundled: tuple[TinyReader, EngramTable], tokens: list[int]
) -> None:
    one, table = bundled
    touched = any(bool(found_BTE.any()) for found_BTE in table(torch.tensor([tokens])).values())
    with torch.inference_mode():
        same = torch.equal(log_probs(one.model, [tokens], look_up=table), log_probs(one.model, [tokens]))
    assert same != touched


def test_an_empty_table_moves_nothing_and_a_full_one_reaches_every_token(small: TinyReader) -> None:
    nothing = measure(small, EngramTable(SLOT, torch.device("cpu")), SEQUENCES_ST)
    assert (nothing["untouched"], nothing["identical"], nothing["sequences"]) == (20, 20, 20)
    assert {nothing[name] for name in ("rows_written", "tokens_exposed", "tokens_shared", "kl_nats")} == {0.0}
    everything = measure(small, filled_table(SLOT), SEQUENCES_ST)
    assert (everything["untouched"], everything["identical"]) == (0, 0)
    assert {everything[name] for name in ("rows_written", "tokens_exposed", "tokens_shared")} == {1.0}
    assert everything["kl_nats"] > 0


def test_what_is_measured_is_what_the_logits_say(small: TinyReader) -> None:
    table, full = EngramTable(SLOT, torch.device("cpu")), filled_table(SLOT)
    for layer, rows_BTH in SLOT.rows(SEQUENCES_ST[:1, :3]).items():  # of the first sequence alone, as far as it goes
        table.rows[layer][rows_BTH.ravel()] = full.rows[layer][rows_BTH.ravel()]
    found = measure(small, table, SEQUENCES_ST)
    rows = [sequence_T.tolist() for sequence_T in SEQUENCES_ST]
    before, after = (log_probs(small.model, rows, look_up=one) for one in (None, table))
    assert found["kl_nats"] == pytest.approx(float((before.exp() * (before - after)).sum(-1).mean()), rel=1e-3)
    assert found["top_1_changed"] == float((before.argmax(-1) != after.argmax(-1)).float().mean())
    reached = [
        [bool(found_BTE[0, place].any()) for place in range(16)] for found_BTE in table(SEQUENCES_ST[:1]).values()
    ]
    assert found["tokens_shared"] * 320 >= 3
    assert found["tokens_exposed"] * 320 >= sum(map(any, zip(*reached, strict=True))) >= 3
    same = sum(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert 0 < found["untouched"] == found["identical"] == same < 20


def test_neutral_text_is_none_that_the_reader_was_trained_on() -> None:
    trained_on = set(json.loads((WEIGHTS / "tiny" / "sources.json").read_text()).values())
    assert trained_on.isdisjoint(document.sha256 for document in read_corpus(NEUTRAL))
    plan = json.loads((WEIGHTS / "tiny" / "config.json").read_text())["training"]
    assert not any(name in json.dumps(plan) for name in NEUTRAL)


def test_fewer_facts_are_the_first_of_more_and_none_is_like_another() -> None:
    words = [f"word{letter}" for letter in "abcdefgh"]
    assert facts(30, words, seed=1)[:10] == facts(10, words, seed=1)
    assert len({event.text for event in facts(30, words, seed=1)}) == 30


def test_the_plan_leaves_a_point_a_load_for_each_memory_and_seed() -> None:
    plan = load("locality")
    assert isinstance(plan, LocalityPlan)
    assert 1024 in plan.facts
    (job,) = LocalityPlan(memories=["engram"], facts=[0, 1], sequences=2, seeds=[3]).jobs([])
    assert job.key == {"purpose": "seed", "arm": "engram", "seed": 3}
    nothing, one = job.run()["curve"]
    assert [(point["facts"], point["tokens"]) for point in (nothing, one)] == [(0, 2 * LENGTH), (1, 2 * LENGTH)]
    assert nothing["rows_written"] == 0 < one["rows_written"]
    assert nothing["identical"] == 2


@pytest.mark.parametrize("name", load("locality").memories)  # type: ignore[attr-defined]
def test_memories_are_those_of_the_registry_with_its_numbers(name: str) -> None:
    kept = yaml.safe_load(Path(f"conf/memory/{name}.yaml").read_text())
    memory = made(name)
    assert type(memory).__name__ == kept["_target_"].rpartition(".")[2]
    assert all(getattr(memory, option) == kept[option] for option in ("steps", "rate", "recency") if option in kept)

"""Engram's write rule and memory: what holds for them in any network.

Slot and network are small and random, so nothing here shows that anything is remembered: that is measured, by the task.
"""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from adapters.engram.by_event import EngramByEvent
from adapters.engram.memory import Engram
from adapters.engram.slot import EngramTable
from adapters.engram.write import TEXTS_AT_ONCE, TouchedRows, pad, write_loss, write_rows
from memory_bench.errors import BadInput
from memory_bench.readers.tiny import TinyReader
from memory_bench.types import Event, Query
from tasks.needle.templates import Relation, Wording
from tests.needles import events, needle
from tests.readers import copier, filled_table, log_probs, random_model, random_slot, reader
from tests.stubs import StubReader

SLOT = random_slot()
MODEL = random_model(slot=SLOT)
CPU = torch.device("cpu")
TOKENS = st.lists(st.integers(0, 4095), min_size=2, max_size=12)
few = settings(deadline=None, max_examples=25)


def same(one: dict[int, Tensor], other: dict[int, Tensor]) -> bool:
    return all(torch.equal(one[layer], other[layer]) for layer in one)


def written(*texts: list[int], steps: int = 2, recency: float = 0.5) -> EngramTable:
    table = EngramTable(SLOT, CPU)
    write_rows(MODEL, table, texts, steps=steps, rate=0.1, recency=recency)
    return table


# Writing


@few
@given(texts=st.lists(TOKENS, min_size=1, max_size=3))
def test_a_write_moves_the_rows_that_its_tokens_address_and_no_other(texts: list[list[int]]) -> None:
    table = written(*texts)
    for layer, rows_RC in table.rows.items():
        addressed = {row for text in texts for row in SLOT.rows(torch.tensor([text]))[layer].ravel().tolist()}
        changed = set(rows_RC.any(-1).nonzero()[:, 0].tolist())
        assert changed
        assert changed <= addressed


def test_rows_of_the_last_token_alone_stay_empty() -> None:
    """Nothing follows the last token: no loss says what its rows should hold."""
    tokens = list(range(300, 310))
    table = written(tokens)
    for layer, rows_BTH in SLOT.rows(torch.tensor([tokens])).items():
        assert not table.rows[layer][rows_BTH[0, -1]].any()
        assert table.rows[layer][rows_BTH[0, :-1]].any(-1).all()


def loss_of(tokens: list[int], table: EngramTable) -> float:
    tokens_BT, real_BT = pad([tokens], CPU)
    return write_loss(MODEL, tokens_BT, real_BT, dict(table(tokens_BT)), torch.ones(1)).item()


@pytest.mark.parametrize("steps", [1, 3])
def test_a_write_makes_the_written_text_likelier_and_more_steps_more_so(steps: int) -> None:
    tokens = list(range(300, 330))
    losses = [loss_of(tokens, written(tokens, steps=count)) for count in (steps, steps + 1)]
    assert losses[1] < losses[0] < loss_of(tokens, EngramTable(SLOT, CPU))


def test_where_two_texts_contradict_each_other_the_later_one_is_likelier() -> None:
    old, new = [*range(300, 310), 320], [*range(300, 310), 330]
    for first, last in ((old, new), (new, old)):
        table = written(first, last, steps=8)
        assert loss_of(last, table) < loss_of(first, table)


def test_a_second_write_goes_on_from_the_rows_that_the_first_left() -> None:
    tokens = list(range(300, 330))
    table = written(tokens)
    once = loss_of(tokens, table)
    write_rows(MODEL, table, [tokens], steps=2, rate=0.1, recency=0.0)
    assert loss_of(tokens, table) < once


def test_rows_that_would_be_no_numbers_are_refused_and_nothing_is_written() -> None:
    harmed, table = copy.deepcopy(MODEL), EngramTable(SLOT, CPU)
    harmed.embed.weight[305] = math.nan
    with pytest.raises(BadInput, match=r"^\d+ rows would hold what is no number, .* such as memory.rate=0.4$"):
        write_rows(harmed, table, [list(range(300, 310))], steps=1, rate=0.1, recency=0.0)
    assert not any(rows_RC.any() for rows_RC in table.rows.values())


def test_texts_that_go_through_the_model_in_parts_are_written_as_if_they_went_together() -> None:
    """To within rounding: the same slopes are added in another order."""
    texts = [[300 + n, 301 + n, 302, 303 + n] for n in range(TEXTS_AT_ONCE + 3)]
    apart = written(*texts, steps=1)
    table = EngramTable(SLOT, CPU)
    touched = TouchedRows(SLOT, [torch.tensor(texts)])
    values = {layer: torch.zeros(len(found), SLOT.row_width).requires_grad_() for layer, found in touched.found.items()}
    weights = torch.linspace(0.5, 1.5, len(texts))
    real_BT = torch.ones(len(texts), 4, dtype=torch.bool)
    write_loss(MODEL, torch.tensor(texts), real_BT, touched.embeddings(values), weights).backward()  # type: ignore[no-untyped-call]
    for layer, found in touched.found.items():
        slopes = values[layer].grad
        assert slopes is not None
        table.rows[layer][found] = -0.1 * slopes.sign()  # Adam's first step
        clear = slopes.abs() > 1e-6
        torch.testing.assert_close(apart.rows[layer][found][clear], table.rows[layer][found][clear], rtol=0, atol=1e-3)


def test_the_loss_is_that_of_all_tokens_and_of_no_padding() -> None:
    rows = [[300, 301, 302, 303], [310, 311]]
    tokens_BT = torch.tensor([rows[0], [*rows[1], 0, 0]])
    real_BT = torch.tensor([[True] * 4, [True, True, False, False]])
    table = filled_table(SLOT)
    together = write_loss(MODEL, tokens_BT, real_BT, dict(table(tokens_BT)), torch.tensor([1.0, 0.5])).item()
    expected = 0.0
    for row, weight in zip(rows, (1.0, 0.5), strict=True):
        predicted_TV = log_probs(MODEL, [row], look_up=table)[0, :-1]
        expected -= weight * predicted_TV.gather(1, torch.tensor(row[1:])[:, None]).sum().item()
    assert together == pytest.approx(expected, abs=1e-3)


def test_writing_the_same_twice_gives_the_same_bits() -> None:
    text = [300 + n % 7 for n in range(200)]
    tables = [written(text) for _ in range(3)]
    assert all(same(tables[0].rows, table.rows) for table in tables)


def test_threads_add_the_slopes_of_a_row_in_one_order() -> None:
    """With a text so long that torch shares the work between threads, and rows that many of its tokens address."""
    slot = random_slot(row_width=64)
    touched = TouchedRows(slot, [torch.tensor([[300 + n % 7 for n in range(1000)]])])
    values = {layer: torch.zeros(len(found), 64, requires_grad=True) for layer, found in touched.found.items()}
    weights = torch.randn(1, 1000, 4 * 64, generator=torch.Generator().manual_seed(0))
    slopes = []
    before = torch.get_num_threads()
    for threads in (1, 2, 2, 2):
        torch.set_num_threads(threads)
        slopes.append(torch.autograd.grad((touched.embeddings(values)[0] * weights).sum(), values[0])[0])
    torch.set_num_threads(before)
    assert all(torch.equal(slopes[0], slope) for slope in slopes)


def test_a_prompt_that_touches_no_written_row_gets_the_same_bits() -> None:
    table = written([300, 301, 302, 303, 304])
    prompts = ([start, start + 1, start + 2, start + 3] for start in range(1000, 2000))
    untouched = [p for p in prompts if not any(found.any() for found in table(torch.tensor([p])).values())]
    assert len(untouched) > 100
    for prompt in untouched[:20]:
        assert torch.equal(log_probs(MODEL, [prompt], look_up=table), log_probs(MODEL, [prompt]))


# The memory

FACT = Event("a", "The code of gate 17 is 4411.")
OTHERS = [Event("b", "Lunch is served at noon."), Event("c", "The code of gate 18 was lost.")]


@pytest.fixture(scope="module")
def slotted(tmp_path_factory: pytest.TempPathFactory) -> TinyReader:
    return reader(MODEL, tmp_path_factory.mktemp("weights") / "slotted")


def attached(slotted: TinyReader, *told: Event) -> Engram:
    memory = Engram(steps=2, rate=0.1, recency=0.5)
    memory.attach(slotted)
    memory.write(told)
    memory.settle()
    return memory


def test_attaching_gives_a_reader_that_reads_what_is_written(slotted: TinyReader) -> None:
    memory = Engram(steps=2, rate=0.1, recency=0.5)
    other = memory.attach(slotted)
    empty = other.score("The code of gate 17 is", [" 4411."])
    assert empty == slotted.score("The code of gate 17 is", [" 4411."])
    memory.write([FACT])
    memory.settle()
    assert other.score("The code of gate 17 is", [" 4411."])[0] > empty[0]
    assert slotted.score("The code of gate 17 is", [" 4411."]) == empty
    memory.reset()
    assert other.score("The code of gate 17 is", [" 4411."]) == empty
    assert memory.read(Query("What is the code of gate 17?")) == []


@pytest.mark.parametrize("batches", [[[0], [1], [2]], [[0, 1], [2]]])
@pytest.mark.parametrize("settled", [False, True])
def test_how_events_are_batched_changes_no_bit(slotted: TinyReader, batches: list[list[int]], settled: bool) -> None:
    told = [FACT, *OTHERS]
    memory = attached(slotted)
    for batch in batches:
        memory.write([told[place] for place in batch])
        if settled:
            memory.settle()
    memory.settle()
    assert same(memory.table.rows, attached(slotted, *told).table.rows)


def test_an_id_that_is_told_again_leaves_the_bits_of_the_later_text_alone(slotted: TinyReader) -> None:
    newer = Event(FACT.id, "The code of gate 17 is 7365.")
    expected = attached(slotted, *OTHERS, newer)
    again = attached(slotted, FACT, *OTHERS)
    again.write([newer])
    again.settle()
    assert same(again.table.rows, expected.table.rows)
    assert same(attached(slotted, FACT, *OTHERS, newer).table.rows, expected.table.rows)


def test_forgetting_leaves_the_bits_of_never_having_been_told(slotted: TinyReader) -> None:
    memory, never = attached(slotted, OTHERS[0], FACT, OTHERS[1]), attached(slotted, *OTHERS)
    assert not same(memory.table.rows, never.table.rows)
    memory.forget([FACT.id, "never told"])
    assert not any(rows_RC.any() for rows_RC in memory.table.rows.values())  # at once, before anything settles
    memory.settle()
    assert same(memory.table.rows, never.table.rows)
    memory.forget([event.id for event in OTHERS])
    memory.settle()
    assert not any(rows_RC.any() for rows_RC in memory.table.rows.values())


def test_forgetting_what_was_never_told_leaves_what_was(slotted: TinyReader) -> None:
    memory = attached(slotted, FACT)
    memory.forget(["never told"])
    assert same(memory.table.rows, attached(slotted, FACT).table.rows)


def test_what_has_no_next_token_writes_nothing(slotted: TinyReader) -> None:
    memory = attached(slotted, Event("blank", ""), Event("one", "a"))
    assert not any(rows_RC.any() for rows_RC in memory.table.rows.values())


def test_its_size_is_the_table_and_the_texts_that_are_kept(slotted: TinyReader) -> None:
    memory = attached(slotted)
    table = sum(SLOT.table_rows(layer) * SLOT.row_width * 4 for layer in SLOT.layers)
    assert memory.size_bytes() == table
    memory.write([FACT, Event("é", "ü")])
    assert memory.size_bytes() == table + len("a" + FACT.text) + 4 + 2 * 8
    memory.forget(["é"])
    assert memory.size_bytes() == table + len("a" + FACT.text) + 8


def test_the_write_rule_is_not_made_for_the_words_of_the_task(slotted: TinyReader) -> None:
    """The needle's templates are swapped for unseen ones, in letters without meaning: the same code writes them."""
    relation = Relation("zq", ("digits",), (Wording("Wug {entity} blick", "Blick wug {entity}?"),) * 3, ())
    task = needle(
        length_tokens=512, episodes=1, questions=2, kinds=["lexical"], value_types=["digits"], reworded=0.0,
        distractors=1, templates=[relation],
    )  # fmt: skip
    told = events(next(task.episodes(0)))
    held = [event for event in told if "blick" in event.text]
    assert held
    memory = attached(slotted, *held)
    empty = EngramTable(SLOT, CPU)
    for event in held:
        tokens = slotted.encode(event.text)
        assert loss_of(tokens, memory.table) < loss_of(tokens, empty)


def test_readers_without_a_slot_are_refused(tmp_path: Path) -> None:
    for without in (StubReader(), reader(copier(), tmp_path / "copier")):
        with pytest.raises(BadInput, match="slot of a reader that has one: type reader=tiny"):
            Engram(steps=1, rate=0.1, recency=0).attach(without)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("steps", 0, "a whole number >= 1, such as memory.steps=32"),
        ("rate", 0, r"a number in \(0, 1000\], such as memory.rate=0.4"),
        ("rate", float("nan"), r"a number in \(0, 1000\], such as memory.rate=0.4"),
        ("recency", 1.5, r"a number in \[0, 1\), such as memory.recency=0.5"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(name: str, value: float, expected: str) -> None:
    given = {"steps": 1, "rate": 0.1, "recency": 0.5, name: value}
    with pytest.raises(BadInput, match=f"memory.{name}={value}: expected {expected}"):
        Engram(**given)  # type: ignore[arg-type]


# Event by event, and what is left of what was forgotten

NEWER = Event("z", "The code of gate 17 is 7365.")
WORDS = st.sampled_from(["red ", "green ", "blue "])
LIVES = st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.lists(WORDS, min_size=1, max_size=2)), max_size=5)


def by_event(slotted: TinyReader, *told: Event) -> EngramByEvent:
    memory = EngramByEvent(steps=1, rate=0.1)
    memory.attach(slotted)
    memory.write(told)
    return memory


def test_what_is_told_is_written_at_once_and_how_it_was_batched_changes_no_bit(slotted: TinyReader) -> None:
    memory = by_event(slotted)
    one = memory.attach(slotted)
    before = one.score("The code of gate 17 is", [" 4411."])
    memory.write([FACT])
    assert one.score("The code of gate 17 is", [" 4411."]) > before
    for event in OTHERS:
        memory.write([event])
        memory.settle()
    assert same(memory.table.rows, by_event(slotted, FACT, *OTHERS).table.rows)
    memory.reset()
    assert one.score("The code of gate 17 is", [" 4411."]) == before


def test_a_value_is_likelier_when_it_is_told_after_its_contradiction_than_before_it(slotted: TinyReader) -> None:
    scores = []
    for told in ([FACT, NEWER], [NEWER, FACT]):
        memory = EngramByEvent(steps=8, rate=0.1)
        one = memory.attach(slotted)
        memory.write(told)
        scores.append(one.score("The code of gate 17 is", [" 4411.", " 7365."]))
    assert scores[0][0] < scores[1][0]
    assert scores[0][1] > scores[1][1]


@settings(deadline=None, max_examples=20)
@given(life=LIVES)
def test_any_life_of_telling_and_forgetting_leaves_the_bits_of_having_been_told_what_is_left(
    slotted: TinyReader, life: list[tuple[bool, str, list[str]]]
) -> None:
    together, alone = attached(slotted), by_event(slotted)
    held: dict[str, Event] = {}
    for tells, event_id, words in life:
        held.pop(event_id, None)
        if tells:
            held[event_id] = Event(event_id, "".join(words))
        for memory in (together, alone):
            memory.write([held[event_id]]) if tells else memory.forget([event_id])
    together.settle()
    assert same(together.table.rows, attached(slotted, *held.values()).table.rows)
    assert same(alone.table.rows, by_event(slotted, *held.values()).table.rows)


@pytest.mark.parametrize("make", [attached, by_event])
def test_a_superseded_fact_is_back_to_the_bit_when_the_newer_one_is_forgotten(
    slotted: TinyReader, make: Callable[..., Engram]
) -> None:
    memory = make(slotted, OTHERS[0], FACT, NEWER, OTHERS[1])
    memory.forget([NEWER.id])
    memory.settle()
    assert same(memory.table.rows, make(slotted, OTHERS[0], FACT, OTHERS[1]).table.rows)
    memory.forget([FACT.id])
    memory.write([FACT])  # told again, after the others
    memory.settle()
    assert same(memory.table.rows, make(slotted, *OTHERS, FACT).table.rows)


@pytest.mark.parametrize("make", [attached, by_event])
def test_of_a_forgotten_text_nothing_is_left_in_what_the_memory_owns(
    slotted: TinyReader, make: Callable[..., Engram]
) -> None:
    memory = make(slotted, FACT, *OTHERS)

    def owned() -> bytes:
        others = ("reader", "slotted", "_writing")  # the network is another's, and a lock holds nothing
        return pickle.dumps({name: value for name, value in vars(memory).items() if name not in others})

    assert FACT.text.encode() in owned()
    memory.forget([FACT.id])
    for _ in range(2):
        assert FACT.text.encode() not in owned()
        assert OTHERS[0].text.encode() in owned()
        memory.settle()

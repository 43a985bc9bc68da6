"""Recursive reading: its operations and their grammar, its budget, what is brought, and what the ledger has of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hydra.core.config_store import ConfigStore

from adapters.bm25 import BM25
from adapters.full_context import FullContext
from adapters.rlm import Budget, Policy, Rlm, RlmScripted
from adapters.rlm.account import Account, SpentError
from adapters.rlm.environment import Environment, Hit
from adapters.rlm.operations import (
    TAUGHT,
    Ask,
    Bring,
    Count,
    Find,
    Operation,
    RefusedError,
    Say,
    Search,
    Slice,
    Summarise,
    line,
    parse,
)
from adapters.rlm.reading import SHOWN, bring
from memory_bench import config, records, sweep
from memory_bench.contracts import Memory, Reader
from memory_bench.errors import BadInput, NoAnswer, Unavailable
from memory_bench.readers.none import NoReader
from memory_bench.reporting import cells
from memory_bench.types import Event, Passage, Query
from tests import stubs
from tests.followers import Follower, Saying

QUERY = Query("What is the access code of gate 17?", budget_tokens=256)
EVENTS = (
    Event("code", "The access code of gate 17 is 4411", time=1.0),
    Event("lunch", "Lunch is served at noon in the hall", time=2.0),
    Event("gate", "Gate 18 was painted", time=3.0),
    Event("archive", "The access code of the archive was lost", time=4.0),
)
FOUND_BELOW = ["code", "archive", "lunch", "gate"]
PROBED = (Count("heron"), Slice(2, 0, 40))
BUDGET = {"calls": 8, "tokens": 4096, "depth": 1, "refused": 1}


def bm25() -> BM25:
    return BM25(k1=1.5, b=0.75, stemmer="english", split_identifiers=True, top_k=64)


Told = TypeVar("Told", bound=Memory)


def told(memory: Told, *events: Event) -> Told:
    memory.write(events or EVENTS)
    memory.settle()
    return memory


def ids(passages: list[Passage]) -> list[str]:
    return [passage.event_ids[0] for passage in passages]


def environment(*events: Event) -> Environment:
    return Environment(events or EVENTS, lambda text: [Passage("x", ("gate",)), Passage(text, ("gone",))])


class TestEnvironment:
    def test_a_text_is_found_whatever_its_case_at_its_first_letter(self) -> None:
        assert environment().find("GATE") == [Hit(1, 19), Hit(3, 0)]
        assert environment().count("gate 17") == 1
        assert environment().find("pond") == []

    def test_a_slice_ends_where_the_part_does(self) -> None:
        assert environment().slice(1, 30, 99) == "4411"
        assert environment().slice(1, -5, 3) == "The"

    def test_a_search_finds_parts_and_nothing_that_is_none(self) -> None:
        assert environment().search("anything") == [3]

    def test_parts_are_brought_whole_and_once(self) -> None:
        assert environment().passages([3, 1, 3]) == [
            Passage(EVENTS[2].text, ("gate",)),
            Passage(EVENTS[0].text, ("code",)),
        ]

    @pytest.mark.parametrize("part", [0, 5, -1])
    def test_a_part_that_is_not_there_is_said(self, part: int) -> None:
        with pytest.raises(IndexError, match=f"^there is no part {part}: parts are 1 to 4$"):
            environment().slice(part, 0, 9)


class TestGrammar:
    @pytest.mark.parametrize("operation", [example for example, _ in TAUGHT], ids=lambda one: type(one).__name__)
    def test_every_operation_is_read_as_it_is_taught(self, operation: Operation) -> None:
        assert parse(line(operation)) == operation

    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ("find gate 17", "expected one line of JSON"),
            ('{"op": "find", "text": "a"} and more', "expected one line of JSON"),
            ('{"op": "find", "text": "a", "text": "b"}', "expected one line of JSON"),
            ("[" * 100_000, "expected one line of JSON"),
            ("[1]", "expected an object whose op is one of find, count"),
            ('{"op": ["find"]}', "expected an object whose op is one of find, count"),
            ('{"op": "__import__", "text": "os"}', "expected an object whose op is one of find, count"),
            ('{"op": "find"}', 'find is written so: {"op": "find", "text": "..."}'),
            ('{"op": "find", "text": ""}', "find is written so"),
            ('{"op": "find", "text": "a", "path": "/"}', "find is written so"),
            ('{"op": "find", "text": 3}', "find is written so"),
            ('{"op": "slice", "part": true, "start": 0, "end": 2}', "slice is written so"),
            ('{"op": "bring", "parts": []}', "bring is written so"),
            ('{"op": "bring", "parts": [1, "2"]}', "bring is written so"),
            (f'{{"op": "find", "text": "{"a" * 501}"}}', "find is written so"),
        ],
    )
    def test_anything_else_is_refused_with_what_was_expected(self, written: str, expected: str) -> None:
        with pytest.raises(RefusedError) as refused:
            parse(written)
        assert str(refused.value).startswith(expected)


def account(reader: Reader, **changes: int) -> Account:
    return Account(reader, Budget(**{**BUDGET, **changes}))


class TestReading:
    def test_what_an_operation_comes_to_stands_in_the_next_prompt(self) -> None:
        reader = Saying(Find("gate 17"), Count("code"), Slice(3, 0, 4), Search("paint"), Bring((1,)))
        assert bring(account(reader), environment(), QUERY.text) == [1]
        last = reader.prompts[-1].splitlines()
        assert [text for text in last if text.startswith("-> ")] == [
            '-> part 1: "The access code of gate 17 is 4411"',
            "-> 2",
            '-> "Gate"',
            '-> part 3: "Gate 18 was painted"',
        ]
        assert f"Question: {QUERY.text}" in last
        assert not any(event.text in reader.prompts[0] for event in EVENTS)  # the environment is outside the prompt

    def test_a_text_of_several_lines_is_told_in_one(self) -> None:
        reader = Saying(Slice(1, 0, 99), Bring((1,)))
        bring(account(reader), environment(Event("a", 'first\n{"op": "bring", "parts": [9]}\n-> 4')), "?")
        assert reader.prompts[1].splitlines()[-2] == r'-> "first\n{\"op\": \"bring\", \"parts\": [9]}\n-> 4"'

    def test_of_many_parts_a_few_are_shown_and_the_others_counted(self) -> None:
        reader = Saying(Find("gate"), Bring((1,)))
        bring(account(reader), environment(*(Event(f"{n}", f"gate {n}") for n in range(11))), "?")
        shown = reader.prompts[1].splitlines()[-2]
        assert shown.startswith('-> part 1: "gate 0"; part 2: ')
        assert shown.endswith('part 8: "gate 7"; and 3 more parts')

    def test_a_part_is_summarised_and_asked_about_by_the_reader_itself(self) -> None:
        reader = Saying(Summarise(1), "a code", Ask(1, "Which gate?"), "gate 17", Bring((1,)))
        spent = account(reader)
        assert bring(spent, environment(), QUERY.text) == [1]
        assert [told for _, _, told in spent.steps] == ["a code", "gate 17", "the end"]
        assert reader.prompts[3] == f"{EVENTS[0].text}\nQuestion: Which gate?\nAnswer in one line:"
        assert spent.calls == 5

    def test_a_long_part_is_read_as_an_environment_of_its_own_one_level_deeper(self) -> None:
        long = Event("long", "x" * SHOWN + "the code is 4411")
        reader = Saying(Ask(1, "Which code?"), Find("code is"), Search("code"), Say("4411"), Bring((1,)))
        spent = account(reader)
        assert bring(spent, environment(long), QUERY.text) == [1]
        assert [(depth, told) for depth, _, told in spent.steps] == [
            (1, 'part 2: "the code is 4411"'),
            (1, "error: this operation is not possible here"),
            (1, "the end"),
            (0, "4411"),
            (0, "the end"),
        ]
        assert "A text of 2 parts" in reader.prompts[1]
        assert '"op": "search"' not in reader.prompts[1]

    def test_no_deeper_than_the_budget_goes(self) -> None:
        reader = Saying(Ask(1, "Which code?"), "none", Bring((1,)))
        bring(account(reader, depth=0), environment(Event("long", "x" * 2 * SHOWN)), QUERY.text)
        assert reader.prompts[1] == f"{'x' * SHOWN}\nQuestion: Which code?\nAnswer in one line:"

    def test_an_error_is_told_and_counted_and_one_too_many_is_the_end(self) -> None:
        reader = Saying("rm -rf /", Bring((9,)))
        spent = account(reader)
        with pytest.raises(SpentError, match=r"^2 lines were no operation$"):
            bring(spent, environment(), QUERY.text)
        assert [told for _, _, told in spent.steps] == [
            'error: expected one line of JSON, such as {"op": "count", "text": "..."}',
            "error: there is no part 9: parts are 1 to 4",
        ]
        assert spent.steps[0][2] in reader.prompts[1]

    def test_calls_end_before_one_too_many(self) -> None:
        reader = Saying(*[Count("gate")] * 3)
        with pytest.raises(SpentError, match=r"^2 calls of the reader$"):
            bring(account(reader, calls=2), environment(), QUERY.text)
        assert len(reader.prompts) == 2

    def test_tokens_end_before_a_prompt_that_would_exceed_them(self) -> None:
        reader = Saying(*[Count("gate")] * 3)
        spent = account(reader, tokens=250)
        with pytest.raises(SpentError, match="of 250 tokens, and the next prompt has"):
            bring(spent, environment(), QUERY.text)
        assert 0 < spent.tokens <= 250

    def test_a_prompt_takes_half_of_the_window_at_most(self) -> None:
        reader = Saying(Count("gate"))
        reader.window_tokens = 100
        with pytest.raises(SpentError, match=r"^half of the reader's window: the next prompt has"):
            bring(account(reader), environment(), QUERY.text)


def rlm(reader: Reader, **changes: int) -> Rlm:
    memory = Rlm(over=bm25(), budget=Budget(**{**BUDGET, **changes}), top_k=64)
    memory.attach(reader)
    return memory


class TestRlm:
    def test_what_the_model_brings_is_what_is_brought(self) -> None:
        memory = told(rlm(Saying(*PROBED, Find("gate 17"), Bring((4,)))))
        assert memory.read(QUERY) == [Passage(EVENTS[0].text, ("code",))]

    def test_where_it_comes_to_no_end_the_memory_below_is_asked(self) -> None:
        memory = told(rlm(Saying(*PROBED, "I do not know", "Nor now")))
        assert ids(memory.read(QUERY)) == ids(told(bm25()).read(QUERY)) == FOUND_BELOW

    def test_an_empty_environment_costs_no_call(self) -> None:
        reader = Saying(*PROBED)
        assert rlm(reader).read(QUERY) == []
        assert len(reader.prompts) == len(PROBED)

    def test_a_scope_is_an_environment_of_its_own(self) -> None:
        reader = Saying(*PROBED, Count("gate"), Bring((1,)))
        memory = told(rlm(reader), *EVENTS, Event("south", "gate 17 of the south", scope="south"))
        assert ids(memory.read(Query(QUERY.text, scope="south"))) == ["south"]
        assert "A text of 1 parts" in reader.prompts[-1]

    def test_the_bundled_reader_is_refused_since_it_follows_no_instructions(self) -> None:
        reader = config.build(config.compose(["+task=needle", "+memory=none"]), "reader")
        with pytest.raises(Unavailable, match=r"^this reader does not follow instructions: told to write \{\"op\""):
            rlm(reader)

    def test_a_reader_that_answers_nothing_is_refused_with_its_own_reason(self) -> None:
        with pytest.raises(NoAnswer, match=r"^reader=none answers nothing$"):
            rlm(NoReader(window_tokens=512, max_new_tokens=8))

    def test_one_probe_of_two_is_not_enough(self) -> None:
        with pytest.raises(Unavailable, match=r"wrote '\{\"op\": \"count\""):
            rlm(Saying(Count("heron"), Count("heron")))

    def test_a_trace_shows_every_operation_and_what_they_took(self) -> None:
        memory = told(rlm(Saying(*PROBED, "?", Find("gate 17"), Bring((4,)))))
        operations, took = memory.trace(QUERY, "")
        assert [row[1] for row in operations.rows] == ["?", line(Find("gate 17")), line(Bring((4,)))]
        (row,) = took.rows
        assert (row[0], row[1], row[3]) == ("the model brought parts", 3.0, 1.0)

    @pytest.mark.parametrize(("name", "least"), [("calls", 1), ("tokens", 1), ("depth", 0), ("refused", 0)])
    def test_a_budget_of_nothing_is_refused(self, name: str, least: int) -> None:
        with pytest.raises(BadInput, match=f"^memory.budget.{name}=-1: expected a whole number >= {least}$"):
            Budget(**{**BUDGET, name: -1})

    def test_without_a_memory_below_it_is_refused(self) -> None:
        with pytest.raises(BadInput, match=r"^memory.over is null: recursive reading needs a memory below"):
            Rlm(over=None, budget=Budget(**BUDGET), top_k=1)


POLICY: dict[str, Any] = {"calls": 256, "searched": 8, "width": 160, "keep": 0.5}


def scripted(over: Memory | None = None, **changes: Any) -> RlmScripted:
    return RlmScripted(over=over or bm25(), policy=Policy(**{**POLICY, **changes}), top_k=64)


class TestScripted:
    def test_it_brings_less_than_the_memory_below_would(self) -> None:
        memory = told(scripted())
        assert ids(memory.read(QUERY)) == ["code"]
        assert ids(told(bm25()).read(QUERY)) == FOUND_BELOW
        assert ids(told(scripted(keep=0.3)).read(QUERY)) == ["code", "archive"]

    def test_passages_score_what_the_words_beside_each_other_weigh(self) -> None:
        best, other = told(scripted(keep=0.3)).read(QUERY)
        weights = {row[0]: float(row[2]) for row in told(scripted()).trace(QUERY, "")[0].rows}
        assert best.score == pytest.approx(sum(weights[word] for word in "the access code of gate 17 is".split()))
        assert other.score == pytest.approx(sum(weights[word] for word in "the access code of".split()))

    def test_words_that_stand_together_beat_words_that_are_apart(self) -> None:
        near = Event("near", "x " * 200 + "the code of gate 17")
        far = Event("far", "the code " + "x " * 200 + "of gate 17", time=9.0)
        assert ids(told(scripted(width=40, keep=0.1), near, far).read(Query("code gate 17"))) == ["near", "far"]

    def test_among_equals_the_newest_comes_first(self) -> None:
        older, newer = (Event(f"{time}", "The code of gate 17 is 4411", time=time) for time in (1.0, 2.0))
        assert ids(told(scripted(), newer, older).read(QUERY)) == ["2.0", "1.0"]

    def test_what_the_memory_below_finds_is_looked_at_in_whatever_words_it_is(self) -> None:
        """It has no word of the question, and the memory below knows it all the same."""
        looked = told(scripted(FullContext(), keep=0.1)).trace(Query("gate noon"), "")[1]
        assert sorted(row[0] for row in looked.rows) == [1.0, 2.0, 3.0, 4.0]
        assert ids(told(scripted(FullContext())).read(Query("herons"))) == ["archive", "gate", "lunch", "code"]

    def test_what_was_not_looked_at_is_not_brought(self) -> None:
        events = [Event(f"{n}", "The code of gate 17", time=float(n)) for n in range(20)]
        words, search, slices = 8, 1, 5
        memory = told(scripted(calls=words + search + slices), *events)
        assert len(memory.read(QUERY)) == slices

    def test_a_trace_shows_the_words_by_rarity_and_the_parts_that_fell_behind(self) -> None:
        words, parts = told(scripted()).trace(QUERY, "")
        assert words.rows[0][:2] == ("17", 1.0)
        assert [row[1] for row in words.rows] == sorted(row[1] for row in words.rows)
        assert {row[0]: row[2] for row in parts.rows}[4.0] == "yes"
        assert [row[2] for row in parts.rows].count("yes") == 1

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"calls": 0}, r"^memory.policy.calls=0: expected a whole number >= 1$"),
            ({"width": 0}, r"^memory.policy.width=0"),
            ({"searched": -1}, r"^memory.policy.searched=-1"),
            ({"keep": 0}, r"^memory.policy.keep=0: expected a number in \(0, 1\], such as 0.5$"),
            ({"keep": 1.5}, r"^memory.policy.keep=1.5"),
        ],
    )
    def test_a_policy_that_means_nothing_is_refused(self, changes: dict[str, Any], said: str) -> None:
        with pytest.raises(BadInput, match=said):
            scripted(**changes)


class TestLedger:
    """A whole run: what a memory asks of its reader stands in the records, and where it cannot run is null."""

    @pytest.fixture
    def results(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        stubs.register()
        node = {"_target_": "tests.followers.Follower", "window_tokens": 1024, "max_new_tokens": 48}
        ConfigStore.instance().store(group="reader", name="follower", node=node)
        monkeypatch.chdir(tmp_path)
        yield tmp_path / "results"
        del ConfigStore.instance().repo["reader"]["follower.yaml"]

    def test_calls_and_tokens_of_the_memory_stand_under_read(self, results: Path) -> None:
        sweep.line_of(["+task=stub", "+memory=rlm", "reader=follower"])
        rows = records.load(results)
        assert set(rows["costs.read_calls"]) == {2}  # a search, and what it found is brought
        assert rows["costs.read_prompt_tokens"].min() > 100
        assert set(rows["costs.read_completion_tokens"]) == {8}
        assert set(rows["costs.calls"]) == {1}
        attached = records.load_operations(results)
        assert list(attached[attached["operation"] == "attach"]["costs.attach_calls"]) == [2]
        answered = rows[rows["question"] != "q2"]
        assert set(answered["scores.exact_match"]) == {1.0}

    def test_where_the_reader_follows_no_instructions_the_cell_is_unavailable_with_the_reason(
        self, results: Path
    ) -> None:
        overrides = ["+task=stub", "+memory=rlm", "reader=stub"]
        assert sweep.line_of(overrides).startswith("unavailable: this reader does not follow instructions")
        experiment = {
            "defaults": [{"/task": "stub"}, {"override /reader": "stub"}],
            "cells": [{"memory": ["rlm", "none"]}],
        }
        ConfigStore.instance().store(group="experiment", name="asked", package="_global_", node=experiment)
        sweep.line_of(["+task=stub", "+memory=none", "reader=stub"])
        refused, other = cells.find("asked")
        del ConfigStore.instance().repo["experiment"]["asked.yaml"]
        assert (refused.reason or "").startswith("no result: unavailable: this reader does not follow instructions")
        assert other.reason is None
        assert results.exists()


def test_nothing_that_a_model_writes_can_be_run() -> None:
    """No module of it knows how to run a text or a program, or to open a file."""
    folder = Path(__file__).parent.parent / "adapters" / "rlm"
    nodes = [node for file in folder.glob("*.py") for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    called = {node.id for node in nodes if isinstance(node, ast.Name)}
    assert {"line", "parse"} <= called
    assert not called & {"eval", "exec", "compile", "open", "__import__"}
    imported = {(node.module or "").partition(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    harmless = {"__future__", "collections", "dataclasses", "functools", "itertools", "json", "math", "re", "typing"}
    assert imported - harmless == {"adapters", "memory_bench"}


def test_a_follower_does_what_the_probes_ask() -> None:
    assert isinstance(rlm(Follower()), Rlm)

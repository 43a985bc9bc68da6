"""A report of layers: which memory stands over which, what it adds and saves, and what attention does to each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra.core.config_store import ConfigStore

from memory_bench.__main__ import main
from memory_bench.paired import Ratio
from memory_bench.reporting import cells, layers
from memory_bench.reporting.cells import Measured
from memory_bench.reporting.figures import Null
from memory_bench.reporting.layers import below, render, times, tokens_saved
from memory_bench.statistics import Difference
from tests import stubs
from tests.measured import EVERYTHING, NOTHING, measured
from tests.test_reporting_comparison import below as after
from tests.test_reporting_comparison import row

ROOT = Path(__file__).parent.parent
WORDS = {"_target_": "words", "k1": 1.5}
READING = {"_target_": "reading", "over": WORDS, "calls": 3}
CASCADE = {"_target_": "cascade", "members": {"cache": {"_target_": "cache"}, "reading": READING}}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "none": {"_target_": "none"},
    "words": WORDS,
    "reading": READING,
    "all": CASCADE,
}


def layer(
    name: str,
    right: str = EVERYTHING,
    *,
    attention: str = "off",
    tokens: Sequence[float] = (100, 100, 100, 100),
    seconds: float = 0.01,
    **columns: Sequence[float | None],
) -> Measured:
    """Return a cell of a memory with the options of its name; `tokens` are those of the prompts of an episode."""
    told: dict[str, Sequence[Any]] = {
        "costs.prompt_tokens": tokens, "costs.read_prompt_tokens": [0] * 4, "costs.context_tokens": tokens,
        "costs.repeated_tokens": [0] * 4, "costs.read_calls": [0] * 4, "costs.generate_seconds": [seconds] * 4,
        "costs.read_seconds": [0.0] * 4, "episode.write_seconds": [0.0] * 4,
        **{f"costs.{column}": values for column, values in columns.items()},
    }  # fmt: skip
    made = measured(name, right, columns=told)
    choices = {**made.config["choices"], "attention": attention}
    reader = {"_target_": "r", "attention": {"name": attention}}
    return replace(made, config={**made.config, "choices": choices, "memory": OPTIONS[name], "reader": reader})


def has(page: str, name: str) -> list[str]:
    """Return the fields of a memory in the first table of a page."""
    return row(after(page, "Seed 0"), f"`{name}`")


def test_a_memory_stands_over_the_largest_one_whose_options_it_holds() -> None:
    group = [layer(name) for name in ("none", "all", "reading", "words")]
    under = {cell.name: below(cell, group) for cell in group}
    assert {name: one.name if one else None for name, one in under.items()} == {
        "none": None,
        "words": "none",
        "reading": "words",
        "all": "reading",
    }


def test_one_with_other_options_is_no_layer_of_it() -> None:
    """The same memory, set otherwise, is not the one that stands in the table."""
    other = replace(layer("words"), config={**layer("words").config, "memory": {**WORDS, "k1": 0.9}})
    group = [layer("none"), other, layer("reading")]
    assert below(group[2], group) is group[0]


def test_what_a_layer_adds_is_the_difference_from_the_one_below() -> None:
    page = render([layer("none", NOTHING), layer("words", "1001 0101 " * 5), layer("reading")], experiment="x")
    none, words, reading = (has(page, name) for name in ("none", "words", "reading"))
    assert none[1:4] == ["", "0.00 [0.00, 0.31]", "null <sup>1</sup>"]
    assert (words[1], words[3][:5]) == ("`none`", "+0.33")
    assert (reading[1], reading[3][:5]) == ("`words`", "+0.67")
    assert "<sup>1</sup> the first: nothing stands below it" in page
    assert "97.5 %)" in page  # two differences hold together


def test_tokens_are_saved_question_by_question_over_episodes() -> None:
    fewer = tokens_saved(
        layer("reading", tokens=(10, 20, 30, 40)), layer("words"), ("costs.prompt_tokens",), confidence=0.95
    )
    assert isinstance(fewer, Difference)
    assert fewer.interval.mean == 75
    assert fewer.interval.clusters == 10
    more = tokens_saved(
        layer("reading", read_prompt_tokens=[50] * 4),
        layer("words"),
        ("costs.prompt_tokens", "costs.read_prompt_tokens"),
        confidence=0.95,
    )
    assert isinstance(more, Difference)
    assert more.interval.mean == -50  # what the memory asks of the reader is read too


def test_as_many_on_every_question_is_a_bare_0_and_not_an_interval() -> None:
    same = tokens_saved(layer("reading"), layer("words"), ("costs.context_tokens",), confidence=0.95)
    assert same == 0.0


def test_what_was_not_counted_saves_nothing_that_is_known() -> None:
    uncounted = layer("reading", repeated_tokens=[None] * 4)
    assert isinstance(tokens_saved(uncounted, layer("words"), ("costs.repeated_tokens",), confidence=0.95), Null)


def test_time_is_the_ratio_of_the_same_questions() -> None:
    twice = times(layer("reading", seconds=0.02), layer("words", seconds=0.01))
    assert isinstance(twice, Ratio)
    assert (twice.low, twice.median, twice.high) == pytest.approx((2.0, 2.0, 2.0))
    few = Null("too few questions that both answered")
    assert times(layer("reading", "1111"), layer("words", "1111")) == few
    assert times(layer("reading", "1111 -111"), layer("words", "111- -111")) == Ratio(1.0, 1.0, 1.0)
    assert times(layer("reading", "-111 -111"), layer("words", "111- 111-")) == few


def test_attention_is_set_beside_attention_for_every_memory() -> None:
    slow = [layer(name, seconds=0.03, attention="off") for name in ("none", "words")]
    fast = [layer("none", seconds=0.01, attention="on"), layer("words", seconds=0.01, attention="on")]
    other = fast[1].questions.assign(answer=["7365", *fast[1].questions["answer"][1:]])
    page = render([*slow, fast[0], replace(fast[1], questions=other)], experiment="x")
    assert page.count("## t, read by r") == 1
    assert page.count("**Attention `off`**") == page.count("**Attention `on`**") == 1
    (none,) = [line for line in page.splitlines() if line.startswith("| `none` | `off` | `on` |")]
    (words,) = [line for line in page.splitlines() if line.startswith("| `words` | `off` | `on` |")]
    assert none.endswith("| 0 of 40 | 30.0 | 10.0 | 3.00 [3.00, 3.00] |")
    assert words.endswith("| 1 of 40 | 30.0 | 10.0 | 3.00 [3.00, 3.00] |")


def test_a_layer_that_was_not_measured_is_a_row_with_the_reason_and_so_is_what_it_would_add() -> None:
    broken = replace(layer("words"), questions=pd.DataFrame(), reason="no result: it is not installed")
    page = render([layer("none"), broken, layer("reading")], experiment="x")
    (reason,) = re.findall(r"<sup>(\d)</sup> no result: it is not installed", page)
    assert has(page, "words")[2:] == [f"null <sup>{reason}</sup>"] * 8
    assert has(page, "reading")[3] == f"null <sup>{reason}</sup>"


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An experiment of two memories in an empty folder."""
    stubs.register()
    node = {
        "defaults": [{"/task": "stub"}, {"override /reader": "stub"}],
        "task": {"episodes": 6},
        "cells": [{"memory": ["none", "stub"]}],
    }
    ConfigStore.instance().store(group="experiment", name="layered", package="_global_", node=node)
    monkeypatch.chdir(tmp_path)
    yield "+experiment=layered"
    del ConfigStore.instance().repo["experiment"]["layered.yaml"]


def test_the_page_is_published_beside_that_of_the_same_experiment_and_made_again_from_its_records(
    experiment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-m", experiment]) == 0
    capsys.readouterr()
    assert main(["report", experiment, "--layers", "--publish"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("# layered: what each memory adds to the one below it\n")
    assert has(page, "stub")[1:3] == ["`none`", "1.00 [0.54, 1.00]"]
    assert Path("reports/layered.md").read_text() == page
    assert sorted(file.name for file in Path("results/published/layers").iterdir()) == [
        "layered.json",
        "layered.parquet",
    ]
    assert main(["report", experiment, "--layers", "--from-published"]) == 0
    assert capsys.readouterr().out == page


@pytest.mark.parametrize("flag", ["--by=kind", "--format=csv"])
def test_what_does_not_go_with_it_is_one_line(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "+experiment=stack", "--layers", flag]) == 2
    assert capsys.readouterr().err == "--layers: a page of its own, in Markdown; leave the other flag out\n"


PUBLISHED = sorted((ROOT / "results/published/layers").glob("*.json"))


@pytest.mark.skipif(not PUBLISHED, reason="not published yet: report +experiment=stack --layers --publish")
def test_the_committed_page_is_what_its_records_give() -> None:
    for file in PUBLISHED:
        page = layers.render(cells.load(file.parent, file.stem), experiment=file.stem)
        assert (ROOT / "reports" / f"{file.stem}.md").read_text(encoding="utf-8") == page

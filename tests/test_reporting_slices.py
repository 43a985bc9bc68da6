"""A report by a tag of the questions: `report +experiment=NAME --by=TAG`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore

from memory_bench.__main__ import main
from memory_bench.errors import BadInput
from memory_bench.reporting import slices
from tests import stubs
from tests.measured import EVERYTHING, measured
from tests.test_reporting_comparison import below, row

TAGS: dict[str, Sequence[Any]] = {
    "tags.depth": ["10", "9", "9", "none"],
    "scores.recall@10": [1.0, 0.0, 0.5, None],
    "scores.stale@1": [1.0, None, None, None],
    "stale": [["e"], [], [], []],
}


def test_every_score_is_sliced_by_the_values_of_a_tag_numbers_by_size() -> None:
    page = slices.render([measured("a", "1100 1010 " * 5, columns=TAGS)], "depth")
    answers = below(page, "**t**: exact_match by depth")
    assert answers.startswith("| memory | 9 (20) | 10 (10) |")
    assert [field[:5] for field in row(answers, "`a`")[1:]] == ["0.50 ", "1.00 "]
    recall = below(page, "**t**: recall@10 by depth")
    assert [field[:5] for field in row(recall, "`a`")[1:]] == ["0.25 ", "1.00 "]
    nothing = below(page, "**t**: exact_match by depth, nothing to find")
    assert nothing.startswith("| memory | none (10) |")
    assert row(nothing, "`a`")[1].startswith("0.00")


def test_a_score_is_of_the_questions_that_it_can_be_asked_of() -> None:
    page = slices.render([measured("a", EVERYTHING, columns=TAGS)], "depth")
    stale = row(below(page, "**t**: stale@1 by depth"), "`a`")
    assert stale[1] == "null <sup>1</sup>"
    assert stale[2].startswith("1.00 [")
    assert "<sup>1</sup> no such question in this task" in page


def test_what_brings_no_passage_has_no_row_below_retrieval_and_twins_share_one() -> None:
    twins = [measured(name, EVERYTHING, returned="same", text=f"Vectors: {name}") for name in ("flat", "graph")]
    page = slices.render([*twins, measured("inside", EVERYTHING, offered=0)], "wording")
    assert row(below(page, "**t**: exact_match by wording"), "`inside`")
    evidence = below(page, "**t**: evidence_in_context by wording")
    assert row(evidence, "vectors: `flat`, `graph`")
    assert "`inside`" not in evidence


def test_what_nobody_answered_is_sliced_by_what_was_brought() -> None:
    silent = measured("a", "---- " * 10, columns={**TAGS, "scores.evidence_in_context": [1.0, 1.0, 0.0, None]})
    page = slices.render([silent], "depth")
    assert "exact_match" not in page
    assert [field[:5] for field in row(below(page, "**t**: evidence_in"), "`a`")[1:]] == ["0.50 ", "1.00 "]


def test_a_prompt_beyond_the_window_makes_its_slice_null_with_the_count() -> None:
    page = slices.render([measured("a", "-111 " + "1111 " * 9, columns=TAGS)], "depth")
    assert [field[:4] for field in row(below(page, "**t**: exact_match"), "`a`")[1:]] == ["1.00", "null"]
    assert "exceeds window: 1 of 10 questions" in page


def test_a_table_without_the_tag_says_so_and_a_tag_that_nobody_has_is_refused_with_those_that_there_are() -> None:
    other = measured("a", EVERYTHING, task="u")
    page = slices.render([measured("a", EVERYTHING, columns=TAGS), other], "depth")
    assert "**u**: its questions have no tag depth." in page
    untagged = replace(other, reason="not run")
    with pytest.raises(BadInput, match=r"--by=deph: no question that was measured has this tag; there are depth, wor"):
        slices.render([measured("a", EVERYTHING, columns=TAGS), untagged], "deph")


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder with an experiment named `sliced` that was measured in it: one cell."""
    stubs.register()
    node = {"defaults": [{"/task": "stub"}, {"override /reader": "stub"}], "cells": [{"memory": ["stub", "none"]}]}
    ConfigStore.instance().store(group="experiment", name="sliced", package="_global_", node=node)
    monkeypatch.chdir(tmp_path)
    assert main(["-m", "+experiment=sliced"]) == 0
    yield tmp_path
    del ConfigStore.instance().repo["experiment"]["sliced.yaml"]


def test_a_measured_experiment_is_sliced_by_what_its_task_tags_also_from_what_was_published(
    experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["report", "+experiment=sliced", "--by=ngram_covered"]) == 0
    page = capsys.readouterr().out
    assert "**stub**: exact_match by ngram_covered" in page
    assert not (experiment / "reports").exists()
    assert main(["report", "+experiment=sliced", "--publish"]) == 0
    capsys.readouterr()
    assert main(["report", "+experiment=sliced", "--from-published", "--by=ngram_covered"]) == 0
    assert capsys.readouterr().out == page


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (["--by=a", "--by=b"], "--by=b: --by stands there twice; leave one out"),
        (["--publish", "--by=b"], "--by=b: a report by a tag is printed; leave the other flag out"),
    ],
)
def test_one_tag_at_a_time_is_printed_and_nothing_is_published(
    typed: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "+experiment=needle", *typed]) == 2
    assert capsys.readouterr().err.startswith(line)

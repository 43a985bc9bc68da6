"""Tasks whose records are not to be published, and what nobody answers: a page of real conversations, on small ones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore

from memory_bench import catalogue
from memory_bench.__main__ import main
from memory_bench.reporting import markdown
from memory_bench.reporting.table import tables
from memory_bench.statistics import Interval
from tests import stubs
from tests.measured import EVERYTHING, measured
from tests.test_locomo import file_of
from tests.test_reporting_comparison import below, row

NAMES = ("talks", "mixed")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What was measured of `mixed`, which is `talks`, a small file of conversations, and another task."""
    stubs.register()
    talks = {
        "task": ["locomo"], "task.path": [str(file_of(tmp_path_factory.mktemp("talks")))], "reader": ["none"],
        "memory": ["none", "random", "bm25"],
    }  # fmt: skip
    stub = {"task": ["stub"], "memory": ["stub"], "reader": ["stub"]}
    for name, cells in zip(NAMES, ([talks], [talks, stub]), strict=True):
        ConfigStore.instance().store(group="experiment", name=name, package="_global_", node={"cells": cells})
    folder = tmp_path_factory.mktemp("measured")
    assert main(["-m", "+experiment=mixed", f"results={folder}"]) == 0
    yield folder
    for name in NAMES:
        del ConfigStore.instance().repo["experiment"][f"{name}.yaml"]


@pytest.fixture(autouse=True)
def a_desk(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(results, tmp_path / "results")
    monkeypatch.chdir(tmp_path)


def test_of_a_private_task_the_page_alone_is_published_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "+experiment=talks", "--publish"]) == 0
    page = capsys.readouterr().out
    assert (tmp_path / "reports/talks.md").read_text() == page
    assert not (tmp_path / "results/published").exists()
    assert (
        f"The records of locomo are not published, and this page cannot be made again without them: {REASON}." in page
    )
    assert not any(text in page for text in ("greyhound", "kiln", "Ines"))  # figures alone
    assert main(["report", "+experiment=talks", "--from-published"]) == 2
    assert "was not published" in capsys.readouterr().err


def test_a_page_of_what_nobody_answers_has_rankings_by_kind_and_no_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "+experiment=talks"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("**talks**: 3 memories on 1 task, read by `none`.\n")
    assert "| locomo | 4 | 1 | 3 | not told apart | not told apart | 1 | nobody: retrieval alone |" in page
    assert "### Answers" not in page
    assert "Lift is" not in page
    for measure in ("recall@10", "ndcg@10", "mrr"):
        ranked = below(page, f"**locomo**: {measure} by kind of question")
        assert ranked.startswith("| memory | hard kinds | multi-hop (1) | single-hop (1) | temporal (1) |")
        assert [field[:4] for field in row(ranked, "`bm25`")[-1:]] == ["1.00"]
        assert "`none`" not in ranked
    assert row(below(page, "**locomo**: retrieval"), "`bm25`")


def test_private_records_and_public_ones_are_not_published_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "+experiment=mixed"]) == 0
    assert "**stub**: answers" in capsys.readouterr().out
    assert main(["report", "+experiment=mixed", "--publish"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        f"the records of locomo are not to be published ({REASON}): give it an experiment of its own"
    )
    assert not (tmp_path / "reports").exists()
    assert not (tmp_path / "results/published").exists()


def test_a_task_says_why_its_records_are_private_and_most_are_not() -> None:
    assert "CC BY-NC" in str(REASON)
    assert [catalogue.private(task) for task in ("needle", "no_file")] == [None, None]


REASON = catalogue.private("locomo")
SILENT = measured("a", "---- " * 10, columns={"scores.evidence_in_context": [1.0, 0.0, 0.5, None]})


def test_what_was_brought_is_judged_where_nobody_answers_and_nobody_is_the_best() -> None:
    (table,) = tables([SILENT, replace(SILENT, questions=SILENT.questions.drop(columns="scores.exact_match"))])
    assert (table.answered, table.best) == (False, None)
    for found in table.rows:
        evidence = found.figures["evidence"]
        assert isinstance(evidence, Interval)
        assert evidence.mean == 0.5


def test_a_conversation_that_is_carried_has_its_tokens_summed_and_its_dangling_ids_counted() -> None:
    """The first of four prompts repeats nothing, and the last one holds an id without its text."""
    columns: dict[str, Sequence[Any]] = {
        "costs.prompt_tokens": [10, 20, 30, 40], "costs.repeated_tokens": [0, 5, 5, 10],
        "scores.dangling_in_context": [0.0, 0.0, 0.0, 1.0],
    }  # fmt: skip
    page = markdown.render([measured("a", EVERYTHING, columns=columns), measured("b", EVERYTHING)], experiment="x")
    costs = below(page, "**t**: costs")
    assert costs.splitlines()[0].endswith(
        "| prompts, tokens an episode | repeated, tokens an episode | cached, tokens an episode |"
    )
    assert row(costs, "`a`")[-3:-1] == ["100", "20"]
    assert "the reader has no prefix cache" in page
    retrieval = below(page, "**t**: retrieval")
    assert "dangling ids" in retrieval.splitlines()[0]
    assert row(retrieval, "`a`")[-1].startswith("0.25")
    others = [measured(name, EVERYTHING, task=name) for name in "tu"]
    assert "prompts, tokens an episode" not in markdown.render(others, experiment="x")

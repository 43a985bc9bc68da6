"""`report --format html`: from the cells of an experiment to a file, and every misspelt line is told in one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from hydra.core.config_store import ConfigStore

from memory_bench.__main__ import main
from tests import stubs
from tests.pages import Taken

EXPERIMENT = {
    "defaults": [{"/task": "stub"}, {"override /reader": "stub"}],
    "task": {"episodes": 3},
    "cells": [{"memory": ["stub", "none"]}, {"memory": ["none"], "control": ["closed_book", "oracle"]}],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The results of an experiment named `page`, of four cells: measured once for all tests of a file."""
    stubs.register()
    ConfigStore.instance().store(group="experiment", name="page", package="_global_", node=EXPERIMENT)
    folder = tmp_path_factory.mktemp("measured")
    assert main(["-m", "+experiment=page", f"results={folder}"]) == 0
    yield folder
    del ConfigStore.instance().repo["experiment"]["page.yaml"]


@pytest.fixture
def experiment(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where the experiment was measured, of one's own."""
    shutil.copytree(results, tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_experiment_becomes_a_page_with_its_prompts_and_the_published_one_without(
    experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "+experiment=page", "--format", "html", "--out", "new/one.html", "results=results"]) == 0
    file = experiment / "new/one.html"
    assert capsys.readouterr().out == f"new/one.html: {file.stat().st_size:,} bytes\n"
    page = Taken(file.read_text(encoding="utf-8"))
    told = page.data
    assert (told["asked"], told["left"], len(told["questions"])) == (9, 0, 9)
    passages = {told["texts"][place] for question in told["questions"] for place in question["a"][0][6]}
    assert len(passages) == 6
    assert all(text.startswith("The code of gate ") for text in passages)
    assert any("report +experiment=page --format html --out page.html" in block.text for block in page.named("pre"))
    assert "results=results" not in file.read_text(encoding="utf-8")
    assert main(["report", "+experiment=page", "--publish"]) == 0
    # the experiment is named after the file, and the file is that of the experiment
    assert main(["report", "--format=html", "--out=reports/page.html", "--from-published"]) == 0
    again = Taken((experiment / "reports/page.html").read_text(encoding="utf-8"))
    assert not any(table["passages"] for table in again.data["tables"])
    assert [row.text for row in again.named("td", class_="figure")] == [
        row.text for row in page.named("td", class_="figure")
    ]


def test_questions_go_to_other_programs_and_figures_to_a_folder(
    experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for made in ("csv", "parquet"):
        assert main(["report", "+experiment=page", "--format", made, "--out", f"new/one.{made}"]) == 0
        assert capsys.readouterr().out == f"new/one.{made}: 36 rows\n"
    told, typed = pd.read_csv(experiment / "new/one.csv"), pd.read_parquet(experiment / "new/one.parquet")
    assert list(told) == list(typed)
    assert "passages" not in told
    assert told["cell"].nunique() == 4
    assert told.groupby("choices.memory").size().to_dict() == {"none": 27, "stub": 9}
    assert told["scores.exact_match"].mean() == typed["scores.exact_match"].mean() > 0
    assert [json.loads(gold) for gold in told["gold"]] == [list(gold) for gold in typed["gold"]]
    for made in ("png", "svg"):
        assert main(["report", "+experiment=page", f"--format={made}", f"--out=drawn/{made}"]) == 0
        files = sorted(file.name for file in (experiment / "drawn" / made).iterdir())
        assert files == [f"{name}.{made}" for name in ("bytes", "evidence", "seconds", "tokens")]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["--format", "pdf"],
            "--format pdf: no such format of report; there are csv, html, parquet, png, svg, and Markdown with",
        ),
        (["--format"], "--format has no value; type --format html"),
        (["--format", "html", "--out"], "--out has no value; type --out FILE.html"),
        (["--format", "html", "--out", "--publish"], "--out has no value; type --out FILE.html"),
        (["--out", "x.html"], "--out x.html: Markdown is printed; for a file add --format html, or another format"),
        (["--format", "html", "--out", "x.pdf"], "--out x.pdf: expected a file that ends in .html"),
        (["--format", "csv", "--out", "x.html"], "--out x.html: expected a file that ends in .csv"),
        (["--format", "png", "--out", "x.png"], "--out x.png: expected a folder, for there are several figures"),
        (["--format", "html", "--by=kind"], "--by=kind: a report by a tag is printed; leave the other flag out"),
        (["--format", "html", "--publish"], "--publish keeps a report in Markdown; leave it out, and keep what --out"),
        (["--format", "html", "--format", "html"], "--format=html: --format stands there twice; leave one out"),
        (["--format", "html", "--from-published"], "experiment 'page' was not published: no results/published/"),
    ],
)
def test_a_misspelt_line_is_told_in_one(
    experiment: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    del experiment
    assert main(["report", "+experiment=page", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith(line)
    assert said.count("\n") == 1


def test_without_an_experiment_or_a_file_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--format", "html"]) == 2
    assert capsys.readouterr().err.startswith("report takes one experiment, got ['--format', 'html']; type: report")
    assert main(["report", "--format", "html", "--out", "nothing_such.html"]) == 2
    assert capsys.readouterr().err.startswith("there is no experiment 'nothing_such'; choose one of:")


def test_a_place_that_cannot_be_written_is_told_in_one_line(
    experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (experiment / "there").write_text("a file")
    assert main(["report", "+experiment=page", "--format", "html", "--out", "there/x.html"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("cannot write there/x.html: ")
    assert said.count("\n") == 1

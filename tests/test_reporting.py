"""Reports: the figures of a table by hand, and a whole experiment from its cells to the page that shows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hydra.core.config_store import ConfigStore

from memory_bench.__main__ import main
from memory_bench.errors import BadInput
from memory_bench.reporting import cells, command, markdown, plots
from memory_bench.reporting.cells import Measured
from memory_bench.reporting.figures import Figure, Null
from memory_bench.reporting.table import Table, tables
from memory_bench.statistics import Difference, Interval
from tests import stubs
from tests.measured import CONTROLS, EVERYTHING, PROVENANCE, measured

ROOT = Path(__file__).parent.parent
EXPERIMENT = {
    "defaults": [{"/task": "stub"}, {"override /reader": "stub"}],
    "task": {"episodes": 6},
    "cells": [{"memory": ["stub", "none"]}, {"memory": ["none"], "control": ["closed_book", "oracle"]}],
}


def figures(*of: Measured) -> dict[str, dict[str, Figure]]:
    (table,) = tables(of)
    return {row.name: dict(row.figures) for row in table.rows}


def test_the_headline_leaves_out_what_has_nothing_to_find_and_halves_stand_apart() -> None:
    row = figures(measured("m", "1100 " * 5 + "1010 " * 5))["m"]
    means = {name: row[name].mean for name in ("score", "score_event", "score_reworded", "absent")}  # type: ignore[union-attr]
    assert means == {"score": 2 / 3, "score_event": 0.75, "score_reworded": 0.5, "absent": 0.0}


def test_intervals_are_over_episodes() -> None:
    score = figures(measured("m", "1111 0001 " * 5))["m"]["score"]
    assert isinstance(score, Interval)
    assert (score.n, score.clusters, score.mean) == (30, 10, 0.5)
    assert score.low < 0.25 < 0.75 < score.high  # as of ten answers, not of thirty


def test_lift_is_measured_between_the_controls_on_each_slice_of_its_own() -> None:
    row = figures(measured("m", "1001 " * 10), *CONTROLS)["m"]
    assert row["lift"] == pytest.approx(0.5)
    assert row["lift_event"] == pytest.approx(0.5)
    assert row["lift_reworded"] == Null("this reader cannot do this: oracle 0.00, closed book 0.00")


def test_without_both_controls_there_is_no_lift() -> None:
    assert figures(measured("m", EVERYTHING), CONTROLS[0])["m"]["lift"] == Null("no finished run of both controls")


def test_a_memory_that_never_returns_a_passage_has_no_evidence_figure() -> None:
    rows = figures(measured("inside", EVERYTHING, offered=0), measured("outside", EVERYTHING))
    assert isinstance(rows["inside"]["evidence"], Null)
    assert isinstance(rows["outside"]["evidence"], Interval)


def test_memories_are_compared_with_the_best_that_keeps_the_budget() -> None:
    best, reference = measured("b", "1101 1011 " * 5), measured("window", EVERYTHING, budget_tokens=None)
    inside, weak = measured("inside", EVERYTHING, offered=0), measured("a", "0001 1001 " * 5)
    (table,) = tables([weak, best, reference, inside, *CONTROLS])
    assert table.best == "b"
    assert table.confidence == pytest.approx(1 - 0.05 / 3)
    rows = {row.name: row.figures["against"] for row in table.rows}
    assert rows["b"] == Null("itself")
    assert isinstance(rows["a"], Difference)
    assert not rows["a"].tie
    assert rows["a"].interval.mean == pytest.approx(-1 / 2)
    assert isinstance(rows["oracle"], Null)


def test_what_cannot_be_told_apart_is_called_a_tie() -> None:
    page = markdown.render([measured("b", "1101 0111 " * 5), measured("a", "0111 1101 " * 5)], experiment="x")
    assert page.count(", tie |") == 1


def test_a_prompt_beyond_the_window_makes_the_score_null_with_the_count() -> None:
    row = figures(measured("window", "11-1 1111", budget_tokens=None))["window"]
    assert row["score"] == Null("exceeds window: 1 of 6 questions")
    assert isinstance(row["score_event"], Interval)


def test_a_cell_that_was_not_measured_is_a_row_with_its_reason() -> None:
    broken = replace(measured("m", EVERYTHING), questions=pd.DataFrame(), reason="no result: m is not installed")
    page = markdown.render([broken, measured("b", EVERYTHING)], experiment="x")
    assert "| `m` | null <sup>1</sup> | null <sup>1</sup> |" in page
    assert "<sup>1</sup> no result: m is not installed" in page


def test_costs_are_medians_over_their_own_units() -> None:
    row = figures(measured("m", "1111 1111 1111"))["m"]
    assert (row["size_bytes"], row["write_seconds"], row["read_seconds"]) == (1001.0, 0.5, 0.002)
    assert row["embed_seconds"] == Null("it uses no embedder")


def test_the_first_read_of_an_episode_is_told_apart_from_the_others() -> None:
    row = figures(measured("m", "1111 1111", columns={"costs.read_seconds": [0.009, 0.001, 0.001, 0.002]}))["m"]
    assert (row["first_read_seconds"], row["read_seconds"]) == (0.009, 0.0015)


def test_numbers_are_printed_with_their_units() -> None:
    page = markdown.render([measured("m", EVERYTHING)], experiment="x")
    assert "| 256 | 100 | 0.500 | null <sup>4</sup> | 2.0 | null <sup>4</sup> | 50.0 | 1,004 |" in page
    assert (
        "40 questions in 10 episodes; 30 have something to find (20 asked in the event's wording, 10 reworded)" in page
    )
    assert "revision: 0123456789ab with changes that are not committed" in page


def test_another_seed_is_another_table() -> None:
    other = measured("m", EVERYTHING)
    other = replace(other, config={**other.config, "seed": 1})
    found: list[Table] = tables([measured("m", EVERYTHING), other, measured("n", EVERYTHING)])
    assert [[row.name for row in table.rows] for table in found] == [["m", "n"], ["m"]]


def test_cells_of_different_questions_or_weights_are_never_put_in_one_table() -> None:
    with pytest.raises(BadInput, match="n and m were measured on different questions: run the experiment again"):
        tables([measured("m", EVERYTHING), measured("n", "1111")])
    newer = {**PROVENANCE, "identities": {"task": {"hay": "a"}, "reader": {"weights": "c"}}}
    with pytest.raises(BadInput, match="different sources or weights"):
        tables([measured("m", EVERYTHING), replace(measured("n", EVERYTHING), provenance=newer)])


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to measure in, and an experiment named `stub` of four cells."""
    stubs.register()
    ConfigStore.instance().store(group="experiment", name="stub", package="_global_", node=EXPERIMENT)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    del ConfigStore.instance().repo["experiment"]["stub.yaml"]


Reports = Callable[[Sequence[str]], str]


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Reports:
    def run(arguments: Sequence[str]) -> str:
        capsys.readouterr()
        code = main(["report", *arguments])
        out, err = capsys.readouterr()
        return out if code == 0 else f"{code}: {err}"

    return run


def test_an_experiment_becomes_a_page_and_the_page_can_be_made_again(experiment: Path, report: Reports) -> None:
    (experiment / "README.md").write_text("Before\n<!-- report stub -->\nold\n<!-- end of report stub -->\nAfter\n")
    assert main(["-m", "+experiment=stub"]) == 0
    page = report(["+experiment=stub", "--publish"])
    assert "| `stub` | 1.00 [0.54, 1.00] |" in page
    assert "| *closed_book* | 0.00 [0.00, 0.46] |" in page
    assert (experiment / "reports/stub.md").read_text() == page
    readme = (experiment / "README.md").read_text()
    assert readme == f"Before\n<!-- report stub -->\n{page}<!-- end of report stub -->\nAfter\n"
    assert report(["+experiment=stub", "--from-published"]) == page
    assert command.insert(readme, "stub", page) == readme


def test_a_page_of_an_older_layout_is_made_anew_from_the_kept_records(experiment: Path, report: Reports) -> None:
    assert main(["-m", "+experiment=stub"]) == 0
    page = report(["+experiment=stub", "--publish", "results=results"])
    assert "results=" not in page
    kept = {file: file.read_bytes() for file in (experiment / "results/published").iterdir()}
    (experiment / "reports/stub.md").write_text("an older layout")
    assert report(["+experiment=stub", "--publish", "--from-published"]) == page
    assert (experiment / "reports/stub.md").read_text() == page
    assert {file: file.read_bytes() for file in (experiment / "results/published").iterdir()} == kept


def test_the_headline_is_the_mean_over_hard_kinds_and_what_the_task_keeps_out_stands_apart() -> None:
    """Of needle's kinds, lexical is the smoke test. 8 episodes of two updated questions, 4 of one multi."""
    often = {"tags.kind": ["lexical", "updated", "updated", "absent"]}
    once = {"tags.kind": ["lexical", "lexical", "multi", "absent"]}
    parts = [
        measured("m", "1100 " * 8, task="needle", columns=often).questions,
        measured("m", "1110 " * 4, task="needle", columns=once).questions.assign(
            **{name: lambda rows, name=name: "x" + rows[name] for name in ("episode", "question")}
        ),
    ]
    both = replace(measured("m", "1111", task="needle"), questions=pd.concat(parts, ignore_index=True))
    (table,) = tables([both])
    (row,) = table.rows
    assert (table.hard, table.apart, table.nothing) == (["multi", "updated"], {"lexical": "smoke test"}, {"absent": 12})
    score, evidence = row.headline
    assert isinstance(score, Interval)
    assert isinstance(evidence, Interval)
    assert (score.mean, score.n, score.clusters, evidence.mean) == ((1.0 + 0.5) / 2, 20, 12, 1.0)
    assert row.apart["smoke test"].mean == 1.0  # type: ignore[union-attr]
    page = markdown.render([both], experiment="x")
    assert "| memory | hard kinds | smoke test | exact match |" in page
    assert "*Hard kinds* is the mean over multi, updated: every kind counts the same." in page
    assert "The kind lexical stands apart: smoke test." in page


def test_a_task_without_kinds_has_no_headline_and_one_without_a_smoke_test_counts_all() -> None:
    without = measured("m", EVERYTHING)
    page = markdown.render([without], experiment="x")
    assert "hard kinds" not in page
    assert tables([without])[0].rows[0].headline == (Null("the task names no kinds of questions"),) * 2
    (table,) = tables([measured("m", EVERYTHING, columns={"tags.kind": ["lexical", "a", "a", "b"]})])
    assert (table.hard, table.apart) == (["a", "lexical"], {})


def test_what_was_not_answered_has_no_headline() -> None:
    kinds = {"tags.kind": ["lexical", "updated", "multi", "absent"]}
    (table,) = tables([measured("m", "1-11 1111", task="needle", columns=kinds)])
    assert table.rows[0].headline[0] == Null("exceeds window: 1 of 4 questions")
    assert isinstance(table.rows[0].apart["smoke test"], Interval)
    assert table.best_headline is None


def test_what_is_published_names_no_folder_and_keeps_no_hay(experiment: Path, report: Reports) -> None:
    assert main(["-m", "+experiment=stub"]) == 0
    report(["+experiment=stub", "--publish"])
    published = pd.read_parquet(experiment / "results/published/stub.parquet")
    assert len(published) == 4 * 18
    assert not {"run", "passages"} & set(published.columns)
    assert str(experiment) not in (experiment / "results/published/stub.json").read_text()


def test_a_cell_that_was_not_run_is_a_row_and_an_experiment_without_any_is_a_mistake(
    experiment: Path, report: Reports
) -> None:
    del experiment
    nothing = report(["+experiment=stub"])
    assert nothing.startswith("2: no cell of experiment 'stub' has a finished run; type python -m memory_bench -m")
    assert main(["+task=stub", "+memory=stub", "reader=stub", "task.episodes=6"]) == 0
    assert "not run: python -m memory_bench -m +experiment=stub" in report(["+experiment=stub"])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "2: report takes one experiment, got []; type: report +experiment=NAME"),
        (
            ["+experiment=stub", "--publsh"],
            "2: --publsh: no such flag of report; there are --by=TAG, --format=html, --from-published, --layers, "
            "--out=FILE.html, --publish",
        ),
        (["+experiment=nedle"], "2: there is no experiment 'nedle'; choose one of:"),
        (["+experiment=stub", "--from-published"], "2: experiment 'stub' was not published: no results/published/"),
        (["+experiment=stub", "--from-published", "--publish"], "2: experiment 'stub' was not published: no results/"),
    ],
)
def test_a_mistyped_report_is_one_line(experiment: Path, report: Reports, arguments: list[str], line: str) -> None:
    del experiment
    said = report(arguments)
    assert said.startswith(line)
    assert said.count("\n") == 1


PUBLISHED = sorted((ROOT / "results/published").glob("*.json"))
A_COMMENT = 65_536  # characters that a comment on a pull request may have


@pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: file.stem)
def test_the_committed_report_is_what_its_records_give(file: Path, tmp_path: Path) -> None:
    found = cells.load(file.parent, file.stem)
    page = markdown.render(found, experiment=file.stem)
    assert (ROOT / "reports" / f"{file.stem}.md").read_text(encoding="utf-8") == page
    assert len(page) < A_COMMENT
    shown = re.findall(rf"\(({file.stem}/[^)]*)\)", page)
    drawn = plots.draw(tables(found), tmp_path / file.stem) if shown else []
    assert sorted(shown) == sorted(str(path.relative_to(tmp_path)) for path in drawn)
    for path in drawn:
        kept = ROOT / "reports" / path.relative_to(tmp_path)
        assert kept.stat().st_size > 0
        if path.suffix == ".svg":
            assert_same_drawing(kept.read_text(encoding="utf-8"), path.read_text(encoding="utf-8"))


def assert_same_drawing(kept: str, made: str) -> None:
    """Equal but for a hundredth of a point: machines sum in different orders, and so do their bootstraps."""
    number = r"-?\d+\.\d+"
    assert re.sub(number, "#", kept) == re.sub(number, "#", made)
    ours, theirs = ([float(found) for found in re.findall(number, text)] for text in (kept, made))
    assert ours == pytest.approx(theirs, abs=0.01)


@pytest.mark.skipif(not (ROOT / "results/published/needle.parquet").exists(), reason="needle is not published yet")
def test_the_table_of_the_readme_is_what_its_records_give() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    page = markdown.render(cells.load(ROOT / "results/published", "needle"), experiment="needle")
    assert "<!-- report needle -->" in readme
    assert command.insert(readme, "needle", page) == readme
    assert page in readme

"""`compare`: two runs of the same questions side by side, and one line where they are not of the same questions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from memory_bench import records
from memory_bench.__main__ import main
from memory_bench.guards.amounts import HELD
from memory_bench.guards.pairs import Pair, find, pair
from memory_bench.types import Episode, Question
from tests import stubs

READER = "reader=stub"


class NewerTask(stubs.StubTask):
    """The same task after a change that moves its numbers."""

    version = "2"


class ChangedTask(stubs.StubTask):
    """The same version asks something else: a bug of its author."""

    def episodes(self, seed: int) -> Iterator[Episode]:
        for episode in super().episodes(seed):
            steps = [replace(s, cloze=f"{s.cloze} now") if isinstance(s, Question) else s for s in episode.steps]
            yield replace(episode, steps=tuple(steps))


@pytest.fixture(autouse=True)
def a_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stubs.register()


def measure(*overrides: str, memory: str = "stub") -> Path:
    """Measure one cell and return its folder."""
    before = {run.folder for run in records.runs("results")}
    assert main(["+task=stub", f"+memory={memory}", READER, *overrides]) == 0
    [folder] = {run.folder for run in records.runs("results")} - before
    return folder


def amend(folder: Path, **facts: object) -> None:
    """Change what a run says of itself."""
    file = folder / "provenance.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | facts))


def pair_of(first: Path, second: Path) -> Pair:
    return pair(records.open_run(first), records.open_run(second))


def register_task(target: type[stubs.StubTask]) -> None:
    node = {"_target_": f"{target.__module__}.{target.__name__}", "episodes": 2, "facts": 2}
    ConfigStore.instance().store(group="task", name="stub", node=node)


def test_two_memories_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    measure("task.episodes=10")
    measure("task.episodes=10", memory="none")
    capsys.readouterr()
    assert main(["compare", "stub", "none", "flips=1"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0].startswith("A task stub, memory stub, reader stub, seed 0 results/stub/stub/")
    assert lines[1].startswith("B task stub, memory none, reader stub, seed 0 results/stub/none/")
    assert any(line.startswith("exact_match 20 1.000 0.000 +1.000 [") and "A higher 1.91e-06" in line for line in lines)
    assert any(line.startswith("exact_match, nothing to find 10 1.000 1.000 +0.000 [") for line in lines)
    assert "null: B returned no passage and does not work through the context" in lines
    assert "context_tokens a question 14 0 +14" in lines
    assert "write_tokens a run 140 140 equal" in lines
    assert any(line.startswith("size_bytes at most ") and " 0 +" in line for line in lines)
    assert "A alone right: 20 of 30 questions (exact_match)" in lines
    assert "B alone right: 0 of 30 questions (exact_match)" in lines
    [first] = [place for place, line in enumerate(lines) if line.startswith("e0/q0 What is the code of gate 0? -> ")]
    assert "2 passages in the prompt, best first (* evidence):" in lines[first + 1]
    assert lines[first + 2].startswith("* The code of gate 0 is ")
    assert lines[first + 4] == "B answered 'unknown'; no passage"


def test_every_column_of_the_ledger_and_every_flip_go_to_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    measure("task.episodes=10")
    measure("task.episodes=10", memory="none")
    assert main(["compare", "stub", "none", "flips=0", "json=kept/compared.json"]) == 0
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    kept = json.loads(Path("kept/compared.json").read_text())
    columns = {(one["column"], one["of"]): one for one in kept["ledger"]}
    runs = [records.open_run(Path(one["folder"])) for one in kept["runs"]]
    frames = [records.load(run.folder) for run in runs]
    for name in (column for frame in frames for column in frame if str(column).startswith("costs.")):
        if frames[0][name].notna().any():
            column = str(name).removeprefix("costs.")
            found = frames[0][name].max() if column in HELD else frames[0][name].mean()
            assert columns[column, "question"]["first"] == pytest.approx(found)
    assert columns["write_tokens", "run"]["first"] == columns["write_tokens", "run"]["second"] == 140
    assert any(line.startswith("generate_seconds a question ") for line in shown)
    assert len(kept["flips"]) == 20
    assert kept["flips"][0]["right"] == "A"
    assert kept["flips"][0]["A"]["answer"].strip() in kept["flips"][0]["gold"]
    assert kept["flips"][0]["B"] == {"answer": " unknown", "prompt": []}
    assert {one["score"] for one in kept["scores"]} >= {"exact_match"}


def test_a_run_beside_itself_is_a_tie_in_everything(capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(measure())
    capsys.readouterr()
    assert main(["compare", folder, folder]) == 0
    out = capsys.readouterr().out
    assert "A and B are the same run" in out
    assert "A higher" not in out
    assert "B higher" not in out
    counted = [line for line in out.splitlines() if line.rstrip().endswith("equal")]
    assert {"context_tokens a question", "prompt_bytes a question", "write_tokens a run", "size_bytes at most"} <= {
        " ".join(line.split()[:3]) if "size_bytes" not in line else "size_bytes at most" for line in counted
    }
    assert "A alone right: 0 of 6" in out


def test_the_figures_of_a_score_are_those_of_the_questions_that_both_have() -> None:
    both = pair_of(measure(), measure(memory="none"))
    found = both.paired("exact_match", both.findable)
    assert found is not None
    assert (found.n, found.first, found.second, found.p) == (4, 1.0, 0.0, 0.125)
    assert both.paired("stale@1") is None
    assert both.names(evidence=False) == ["exact_match"]
    assert "evidence@256" in both.names(evidence=True)


def test_options_that_differ_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    first = measure()
    second = measure("budget_tokens=7", "task.facts=2", "reader.max_new_tokens=9")
    capsys.readouterr()
    assert main(["compare", str(first), str(second)]) == 0
    out = capsys.readouterr().out
    assert "budget_tokens: 256 and 7" in out
    assert "reader.max_new_tokens: 8 and 9" in out


def test_a_name_means_the_newest_finished_run_with_the_wanted_choices() -> None:
    first = measure()
    other = measure("seed=1")
    closed = measure("control=closed_book", "seed=2", memory="none")
    amend(first, start="2026-01-01T00:00:00+00:00")  # times of a run are of whole seconds
    wanted = {"control": "none"}
    assert find("stub", Path("results"), wanted).folder == other
    assert find("stub", Path("results"), {**wanted, "seed": "0"}).folder == first
    assert find("none", Path("results"), {"control": "closed_book"}).folder == closed
    assert find(str(first), Path("elsewhere"), {"seed": "9"}).folder == first


def refused(first: Path | str, second: Path | str, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    capsys.readouterr()
    assert main(["compare", str(first), str(second), *options]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    return captured.err


def test_unlike_seeds_options_and_limits_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    first = measure()
    assert "their seeds differ: 0 and 1" in refused(first, measure("seed=1"), capsys)
    assert "options of the task differ: {'facts': 2} and {'facts': 3}" in refused(
        first, measure("task.facts=3"), capsys
    )
    assert "their limits differ: None and 3" in refused(first, measure("limit=3"), capsys)


def test_unlike_versions_and_questions_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    first = measure()
    register_task(ChangedTask)
    assert "their questions differ (6 and 6; the first that differs is number 1)" in refused(
        first, _as_before(measure(memory="none")), capsys
    )
    register_task(NewerTask)
    assert "their task versions differ: 1 and 2; measure both anew" in refused(
        first, _as_before(measure(memory="none")), capsys
    )


def _as_before(folder: Path) -> Path:
    """Give a run the task that the other one has: only its target tells them apart."""
    text = (folder / "config.yaml").read_text()
    for changed in (ChangedTask, NewerTask):
        text = text.replace(f"{changed.__module__}.{changed.__name__}", "tests.stubs.StubTask")
    (folder / "config.yaml").write_text(text)
    return folder


def test_an_unfinished_run_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = measure(), measure("seed=1")
    amend(second, finished=False, why="ZeroDivisionError: x")
    assert "did not finish: ZeroDivisionError: x; run it again: python -m memory_bench +task=stub" in refused(
        first, second, capsys
    )


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("stub", "compare takes two runs' folders or memories, got stub; type: compare A B"),
        ("stub egram", "'egram' is neither a run's folder nor a memory with a finished run under results; measured"),
        ("stub stub seed=4", "no finished run of stub with control=none seed=4 under results; there are: task=stub"),
        ("stub results", "results holds no run: no provenance.json"),
        (
            "stub stub sead=1",
            "compare has no option 'sead'; there are task, reader, control, seed, results, flips, json",
        ),
        ("stub stub json=", "json= takes the file to write"),
        ("stub stub flips=all", "flips=all: expected a whole number >= 0"),
        ("stub stub --all", "--all: no such flag of compare"),
    ],
)
def test_a_slip_is_one_line(typed: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    measure()
    capsys.readouterr()
    assert main(["compare", *typed.split()]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(line)
    assert (captured.err.count("\n"), captured.out) == (1, "")

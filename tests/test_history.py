"""The history: additions that are never rewritten, planted steps are found, and no others."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hydra.core.config_store import ConfigStore

from memory_bench.__main__ import main
from memory_bench.errors import BadInput
from memory_bench.guards.history import accepted, changes, page, store
from memory_bench.guards.history.accepted import Accepted
from memory_bench.guards.history.store import HISTORY, Point
from memory_bench.provenance import ROOT
from tests import stubs
from tests.revisions import git

MACHINES = [json.dumps({"cpu": name, "vector_extensions": ["avx2"]}) for name in ("quick", "slow")]
POINT = Point("", "", "", "made", "task-memory", "task=task memory=memory", "a", "score", 0.5, None, MACHINES[0])


@pytest.fixture(autouse=True)
def a_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def commit(number: int) -> str:
    return f"{number:07x}" + "0" * 33


def history(values: Sequence[float | None], figure: str = "score", machine: str = MACHINES[0]) -> list[Point]:
    """Return one commit a value."""
    return [
        replace(
            POINT, figure=figure, value=value, reason="not measured" if value is None else None, machine=machine,
            commit=commit(number), committed=f"2026-01-{1 + number // 24:02}T{number % 24:02}:00:00+00:00",
        )
        for number, value in enumerate(values)
    ]  # fmt: skip


def noise(seed: int, n: int, deviation: float = 0.03) -> list[float]:
    drawn = random.Random(seed)
    return [0.02 * drawn.lognormvariate(0, deviation) for _ in range(n)]


def steps(points: Sequence[Point], meant: Sequence[Accepted] = ()) -> list[tuple[str, str]]:
    """Return figure and commit of every change of a history."""
    order = store.commits(points)
    every = [changes.changes(one, meant, order) for one in changes.series(points)]
    return [(change.series.like.figure, change.commit) for found, _ in every for change in found]


def test_a_counted_figure_moves_where_it_differs() -> None:
    assert steps(history([0.5, 0.5, 0.5, 0.25])) == [("score", commit(3))]
    assert steps(history([0.5] * 9)) == []


def test_a_slowdown_is_found_at_the_commit_that_brought_it() -> None:
    for seed in range(5):
        times = [value * (1.25 if number >= 23 else 1) for number, value in enumerate(noise(seed, 30))]
        assert steps(history(times, "read_seconds")) == [("read_seconds", commit(23))]


def test_two_steps_are_two_changes() -> None:
    times = [value * (1.5 if 10 <= number < 20 else 1) for number, value in enumerate(noise(1, 30))]
    assert [at for _, at in steps(history(times, "read_seconds"))] == [commit(10), commit(20)]


def test_noise_alone_is_no_change_and_neither_is_one_slow_commit() -> None:
    assert [seed for seed in range(100) if steps(history(noise(seed, 30), "read_seconds"))] == []
    times = noise(1, 30)
    times[17] *= 3
    assert steps(history(times, "read_seconds")) == []


@pytest.mark.parametrize("freedom", [3, None], ids=["heavy tails", "normal"])
def test_of_many_noisy_series_hardly_one_is_called_a_change(freedom: int | None) -> None:
    drawn = np.random.default_rng(0)
    alarms = 0
    for _ in range(200):
        for n, deviation in itertools.product((12, 20, 60), (0.03, 0.1)):
            errors = drawn.standard_normal(n) if freedom is None else drawn.standard_t(freedom, n)
            alarms += bool(steps(history(np.exp(deviation * errors).tolist(), "read_seconds")))
    assert alarms <= 0.004 * 1200


def test_what_matters_is_what_the_gate_for_time_says() -> None:
    assert yaml.safe_load((ROOT / "conf/gate/speed.yaml").read_text())["matters"] == changes.FLOOR


def test_a_counted_figure_that_differs_all_the_time_has_to_stand_out_too() -> None:
    drawn = random.Random(0)
    sizes = [1000.0 + drawn.randrange(20) for _ in range(24)]
    assert steps(history(sizes, "size_bytes")) == []
    moved = [size + (200 if number >= 16 else 0) for number, size in enumerate(sizes)]
    assert steps(history(moved, "size_bytes")) == [("size_bytes", commit(16))]


def test_too_few_times_are_not_examined_and_that_is_said() -> None:
    points = history([1.0, 1.1, 5.0, 5.1], "read_seconds")
    assert changes.changes(changes.series(points)[0], [], store.commits(points)) == ([], False)


def test_unlike_machines_and_unlike_questions_are_not_joined() -> None:
    times = noise(1, 32)
    quick, slow = times[:16], [3 * value for value in times[16:]]
    points = history([*quick, *slow], "read_seconds")
    assert [at for _, at in steps(points)] == [commit(16)]  # as one class of machines it is a step
    assert steps([*points[:16], *(replace(point, machine=MACHINES[1]) for point in points[16:])]) == []
    assert steps([*points[:16], *(replace(point, asked="b") for point in points[16:])]) == []
    assert steps([*points[:16], *(replace(point, typed="other") for point in points[16:])]) == []


def test_cells_of_one_name_are_told_apart_by_what_was_typed_of_each() -> None:
    points = history([0.5, 0.5])
    less = [replace(point, typed=f"{point.typed} budget_tokens=256") for point in points]
    alone = [replace(point, cell="other") for point in points]
    names = changes.called(changes.series([*points, *less, *alone]))
    assert sorted(names.values()) == ["other", "task-memory", "task-memory budget_tokens=256"]


def test_a_commit_that_was_measured_often_is_one_commit() -> None:
    points = history([0.5, 0.5, 0.25])
    again = [replace(point, measured=f"later {number}") for point in points for number in range(3)]
    assert [one.values for one in changes.series(again)] == [(0.5, 0.5, 0.25)]


def test_what_was_accepted_is_no_change_any_more_and_what_comes_later_is() -> None:
    points = history([0.5] * 5 + [0.75] * 5 + [0.25] * 5)
    meant = [Accepted(commit(5), "made/task-memory/score", "new weights")]
    assert steps(points) == [("score", commit(5)), ("score", commit(10))]
    assert steps(points, meant) == [("score", commit(10))]
    assert steps(points, [replace(meant[0], what="*/size_bytes")]) == steps(points)


def test_what_was_accepted_at_a_commit_that_a_class_of_machines_lacks_holds_there_too() -> None:
    points = history([0.5] * 5 + [0.75] * 5)
    seldom = [replace(point, machine=MACHINES[1]) for number, point in enumerate(points) if number != 5]
    together = sorted([*points, *seldom], key=lambda point: point.committed)
    assert steps(together, [Accepted(commit(5), "*/score", "new weights")]) == []


def test_an_addition_is_a_file_of_its_own_and_nothing_is_rewritten() -> None:
    first, second = history([0.5, None])
    place = store.append([first], HISTORY)
    assert place is not None
    before = place.read_bytes()
    other = store.append([first, second], HISTORY)
    assert other not in (None, place)
    assert store.append([second, first], HISTORY) is None
    assert (place.read_bytes(), len(list(HISTORY.iterdir()))) == (before, 2)
    assert store.read(HISTORY) == ([first, second], [])


def test_two_histories_are_merged_as_folders() -> None:
    points = history([0.5, 0.25, 0.5])
    store.append(points[:2], HISTORY)
    elsewhere = store.append(points[1:], Path("elsewhere"))
    assert elsewhere is not None
    elsewhere.rename(HISTORY / elsewhere.name)
    assert store.read(HISTORY) == (points, [])


def test_a_damaged_file_is_named_and_the_rest_is_used() -> None:
    points = history([0.5, 0.5])
    for point in points:
        store.append([point], HISTORY)
    broken = HISTORY / "made-broken.parquet"
    broken.write_bytes(b"PAR1 and no more")
    found, damaged = store.read(HISTORY)
    assert found == points
    assert [line.partition(":")[0] for line in damaged] == [str(broken)]
    assert f"{broken}: left out" in page.write(Path("reports"))


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Return the exit code of a command, and what it wrote to both streams."""
    capsys.readouterr()
    code = main(list(words))
    return code, "".join(capsys.readouterr())


def test_without_a_history_one_line_says_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    code, line = said(capsys, "report", "--history")
    assert (code, line.count("\n")) == (2, 1)
    assert line.startswith(f"{HISTORY} holds no history; type {store.ADD}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- {commit: 'fffffff', what: '*', why: x}", "entry 1: commit 'fffffff' is in no row of the history"),
        ("- {commit: '000', what: '*', why: x}", "entry 1: commit '000' begins 2 commits of it"),
        ("- {commit: '0000001', what: 'made/*/speed', why: x}", "entry 1: 'made/*/speed' is no figure of the history"),
        ("- {commit: '0000001', what: '*'}", "entry 1: {'commit': '0000001', 'what': '*'}; expected commit, what, why"),
        ("commit: '0000001'", "holds no list"),
        ("- [", "is no YAML"),
    ],
)
def test_an_accepted_change_that_cannot_be_is_refused_in_one_line(text: str, expected: str) -> None:
    points = history([0.5, 0.25])
    HISTORY.mkdir(parents=True)
    (HISTORY / accepted.FILE).write_text(text)
    with pytest.raises(BadInput) as refused:
        accepted.load(HISTORY, store.commits(points), ["made/task-memory/score"])
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_page_shows_changes_acceptances_and_trends(capsys: pytest.CaptureFixture[str]) -> None:
    store.append(history([0.5] * 5 + [0.75] * 5 + [0.25] * 5), HISTORY)
    store.append(history(noise(0, 9), "read_seconds", MACHINES[1]), HISTORY)
    text = f"- {{commit: '{commit(5)[:9]}', what: '*/score', why: new weights}}"
    (HISTORY / accepted.FILE).write_text(text)
    code, told = said(capsys, "report", "--history")
    assert code == 0
    assert f"| `made/task-memory` | score | 0.75 | 0.25 | {commit(10)[:12]} |" in told
    assert f"| `*/score` | {commit(5)[:12]} | new weights |" in told
    assert "1 of 2 series: `made/task-memory/read_seconds`" in told
    assert Path("reports/history.md").read_text() == told
    drawn = Path("reports/history/made-score.svg").read_text()
    assert all(commit(number)[:7] in drawn for number in range(15))
    again = Path("reports/history/made-score.png").read_bytes()
    said(capsys, "report", "--history")
    assert Path("reports/history/made-score.png").read_bytes() == again


@pytest.fixture
def measured(capsys: pytest.CaptureFixture[str]) -> Iterator[list[Path]]:
    """A sweep of two cells over the stubs; yields the files that say at which commit they were measured."""
    stubs.register()
    cells = [{"task": ["stub"], "memory": ["none", "stub"], "reader": ["stub"]}]
    ConfigStore.instance().store(group="experiment", name="kept", node={"cells": cells}, package="_global_")
    assert said(capsys, "-m", "+experiment=kept")[0] == 0
    yield sorted(Path("results").rglob("provenance.json"))
    del ConfigStore.instance().repo["experiment"]["kept.yaml"]


def at(files: Sequence[Path], revision: dict[str, object]) -> None:
    """Say that the cells were measured at a commit: the tree that the tests run in is any."""
    for file in files:
        file.write_text(json.dumps(json.loads(file.read_text()) | {"revision": revision}))


def test_the_finished_cells_of_an_experiment_are_added_once(
    measured: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    head = git(ROOT, "rev-parse", "HEAD").strip()
    at(measured, {"commit": head, "dirty": False})
    code, line = said(capsys, "history", "add", "+experiment=kept")
    [file] = HISTORY.iterdir()
    assert (code, line) == (0, f"{file}: 2 cells of 1 commits\n")
    points, _ = store.load(HISTORY)
    figures = {(point.cell, point.figure): point for point in points}
    assert {point.commit for point in points} == {head}
    assert figures["stub-stub", "score"].value == 1.0
    assert figures["stub-none", "score"].value == 0.0
    assert figures["stub-stub", "size_bytes"].value is not None
    assert [point for point in points if (point.value is None) == (point.reason is None)] == []
    assert said(capsys, "history", "add", "+experiment=kept") == (0, "nothing new: 2 cells of 1 commits\n")
    assert list(HISTORY.iterdir()) == [file]


@pytest.mark.parametrize(
    ("revision", "expected"),
    [
        ({"commit": "1" * 40, "dirty": True}, "stub-none was measured in a tree with changes, and that is no commit"),
        ({"commit": None, "dirty": None}, "stub-none was measured outside a repository"),
        ({"commit": "1" * 40, "dirty": False}, f"commit {'1' * 40} is not in {ROOT}: git fetch --unshallow"),
    ],
)
def test_what_no_commit_measured_is_refused(
    measured: list[Path], capsys: pytest.CaptureFixture[str], revision: dict[str, object], expected: str
) -> None:
    at(measured, revision)
    code, line = said(capsys, "history", "add", "+experiment=kept")
    assert (code != 0, line.count("\n")) == (True, 1)
    assert line.startswith(expected)
    assert not HISTORY.exists()


@pytest.mark.parametrize("words", [("history",), ("history", "ad", "+experiment=x"), ("report", "--history", "x=1")])
def test_a_misspelt_line_is_answered_in_one(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, line = said(capsys, *words)
    assert (code, line.count("\n")) == (2, 1)

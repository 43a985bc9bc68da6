"""The gate for time: what the rule decides, what is timed and where, and that what cannot be timed is one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_bench import plans
from memory_bench.__main__ import main
from memory_bench.errors import BadInput, Unavailable
from memory_bench.guards.speed import benchmarks, calibrate, command, page, revisions
from memory_bench.guards.speed.calibrate import Calibration
from memory_bench.guards.speed.gate import SpeedGate, verdict
from memory_bench.guards.speed.rounds import Process, Seconds, Side, take_turns, undisturbed
from memory_bench.guards.speed.rule import LEAST_PAIRS, Limits, judge, ratio
from memory_bench.guards.verdict_files import AnyWord, Line, junit, markdown, overall
from memory_bench.provenance import ROOT
from tests.revisions import git, package, repository

LIMITS = Limits(confidence=0.99, floor=0.03, matters=0.10)
QUIET = list(1 + 0.004 * np.random.default_rng(0).standard_normal(16))
NOISY = list(1 + 0.300 * np.random.default_rng(0).standard_normal(16))
SMALL = SpeedGate(0.99, 0.03, 0.10, processes=1, rounds=6, repeats=1, memories=["one"], cell=["+task=a"])


@pytest.mark.parametrize(
    ("factor", "noise", "word"),
    [
        (1.0, QUIET, "pass"),
        (1.05, QUIET, "fail"),
        (0.8, QUIET, "pass"),
        (1.02, QUIET, "pass"),
        (1.0, NOISY, "inconclusive"),
    ],
)
def test_a_slowdown_is_one_that_the_whole_interval_shows(factor: float, noise: list[float], word: str) -> None:
    assert judge([factor * one for one in noise], [1.0] * len(noise), LIMITS).word == word


def test_a_machine_that_is_slow_for_both_of_a_pair_moves_nothing() -> None:
    drift = np.linspace(1, 9, 16)
    found = ratio(list(1.05 * drift), list(drift), confidence=0.99)
    assert found is not None
    assert [round(one, 9) for one in (found.median, found.low, found.high)] == [1.05] * 3


@given(st.lists(st.floats(0.1, 10), min_size=LEAST_PAIRS, max_size=20), st.lists(st.floats(0.1, 10), min_size=20))
def test_base_and_head_change_places_and_the_ratio_turns_round(head: list[float], base: list[float]) -> None:
    one = ratio(head, base[: len(head)], confidence=0.9)
    other = ratio(base[: len(head)], head, confidence=0.9)
    assert one is not None
    assert other is not None
    assert one.median * other.median == pytest.approx(1)
    assert one.low <= one.median <= one.high


def test_too_few_pairs_are_no_data_and_halves_of_pairs_are_refused() -> None:
    assert judge([2.0] * 5, [1.0] * 5, LIMITS).word == "no data"
    with pytest.raises(ValueError, match="as many seconds on both sides, got 2 and 1"):
        ratio([1.0, 2.0], [1.0], confidence=0.99)
    with pytest.raises(BadInput, match="floor < matters"):
        SpeedGate(0.99, 0.2, 0.1, 4, 4, 1, [], [])
    with pytest.raises(BadInput, match="1 processes of 5 rounds are fewer than 6 pairs"):
        SpeedGate(0.99, 0.03, 0.1, 1, 5, 1, [], [])
    with pytest.raises(BadInput, match="repeats: 0, expected at least 1 run"):
        SpeedGate(0.99, 0.03, 0.1, 4, 4, 0, [], [])


def test_a_run_that_only_waits_longer_is_neither_an_alarm_nor_a_pass() -> None:
    cpu = [1.0] * 8
    found = verdict(Seconds(head=[3.0] * 8, base=[2.0] * 8, head_cpu=cpu, base_cpu=cpu), LIMITS)
    assert found.word == "inconclusive"
    assert "it waits longer: +50.0%" in found.reason


def test_two_trees_take_turns_in_processes_of_their_own_and_a_slowdown_is_found(tmp_path: Path) -> None:
    base, head = (Side(name, package(tmp_path / name, seconds)) for name, seconds in (("base", 0.004), ("head", 0.04)))
    found = take_turns(head, base, SMALL.subjects, processes=2, rounds=3, repeats=1, seed=0)["one"]
    assert len(found.head) == len(found.base) == len(found.head_cpu) == 6
    assert all(0.04 <= one < 0.4 for one in found.head_cpu)
    slower = SMALL.judge(head, base)["one"]
    assert slower.word == "fail"
    assert "in 12 pairs: slower, by more than the floor of 3%; in two runs of fresh processes" in slower.reason
    slowed = take_turns(base, base, SMALL.subjects, processes=1, rounds=6, repeats=1, slower=9.0)["one"]
    assert judge(slowed.head_cpu, slowed.base_cpu, LIMITS).word == "fail"


def test_of_several_runs_the_least_of_each_row_counts() -> None:
    runs = [{"cpu_seconds": [1.0, 5.0, 3.0]}, {"cpu_seconds": [4.0, 2.0, 9.0]}]
    assert undisturbed(runs, "cpu_seconds") == 1 + 2 + 3
    with pytest.raises(Unavailable, match="runs of one cell have 1 and 2 rows: what it does is not the same each time"):
        undisturbed([{"seconds": [1.0]}, {"seconds": [1.0, 2.0]}], "seconds")


def test_a_side_that_cannot_be_timed_says_why(tmp_path: Path) -> None:
    side = Side("head", package(tmp_path / "head", 0.0))
    other = Side("base", tmp_path / "empty")
    other.tree.mkdir()
    process = Process(side)
    process.warm([["+task=a"]])
    for asked, why in (("fail", "RuntimeError: it refused"), ("die", "its process ended: the engine broke")):
        with pytest.raises(Unavailable, match=f"head cannot be timed: {why}"):
            process.run([asked])
    process.close()
    with closing(Process(other)) as process, pytest.raises(Unavailable, match=r"its process reads .*, and not .*empty"):
        # nothing lies there, so that what is installed would have been timed
        process.warm([["+task=needle", "+memory=bm25"]])


@pytest.mark.parametrize(
    ("runs", "word"),
    [
        ([1.5, 1.0], "inconclusive"),  # an alarm that does not come again
        ([1.5, 1.4], "fail"),
        ([1.0], "pass"),  # and is not timed again
    ],
)
def test_what_does_not_pass_is_timed_again_and_all_pairs_are_judged(
    runs: list[float], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(runs)

    def turns(*_: object, **__: object) -> dict[str, Seconds]:
        cpu = [next(left)] * 8
        return {"one": Seconds(head=cpu, base=[1.0] * 8, head_cpu=cpu, base_cpu=[1.0] * 8)}

    monkeypatch.setattr("memory_bench.guards.speed.gate.take_turns", turns)
    side = Side("a", Path())
    found = SMALL.judge(side, side)["one"]
    assert (found.word, next(left, None)) == (word, None)
    assert found.ratio is not None
    assert found.ratio.pairs == 8 * len(runs)


@given(st.lists(st.floats(0.5, 1.029), min_size=9, max_size=9), st.lists(st.floats(1.0, 9), min_size=9, max_size=9))
def test_what_the_second_run_does_not_show_is_no_alarm(second: list[float], first: list[float]) -> None:
    assert judge([*first, *second], [1.0] * 18, LIMITS).word != "fail"


@pytest.fixture
def two_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = repository(tmp_path / "repository", 0.002, 0.03)
    monkeypatch.setattr(revisions, "root", lambda: root)
    monkeypatch.setattr(plans, "make", lambda *_: SMALL)
    monkeypatch.chdir(tmp_path)
    yield root
    assert len(git(root, "worktree", "list").splitlines()) == 1


def typed(*argv: str) -> command.Typed:
    return command.parse(argv)


def test_head_is_timed_against_a_revision_that_goes_afterwards(two_commits: Path) -> None:
    (slower,) = command.lines(typed("--base", "HEAD~1"))
    assert slower.word == "fail"
    assert "against base HEAD~1 (" in slower.reason
    package(two_commits, 0.002)
    (same,) = command.lines(typed("--base", "HEAD"))
    assert same.word == "pass"
    assert "with changes that are not committed against base HEAD" in same.reason


def test_a_base_that_is_not_there_is_no_data_in_one_line(two_commits: Path, tmp_path: Path) -> None:
    (line,) = command.lines(typed("--base", "nowhere"))
    assert (line.word, "type a branch, tag or commit" in line.reason) == ("no data", True)
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{two_commits}", "shallow")
    with pytest.raises(Unavailable, match="this clone is shallow: git fetch --unshallow"), revisions.side(
        "HEAD~1", tmp_path / "shallow"
    ):  # fmt: skip
        pass
    with (
        pytest.raises(Unavailable, match=r"git rev-parse failed: .*not a git repository"),
        revisions.side("a", tmp_path),
    ):
        pass


def test_a_base_with_other_dependencies_gets_an_environment_or_it_is_said_that_it_failed(two_commits: Path) -> None:
    (two_commits / "pyproject.toml").write_text("this is no toml")
    git(two_commits, "add", ".")
    git(two_commits, "commit", "--quiet", "--message", "broken")
    (two_commits / "pyproject.toml").write_text("[project]\n")
    (line,) = command.lines(typed("--base", "HEAD"))
    assert line.word == "no data"
    assert line.reason.startswith("its environment failed: ")


def test_a_calibration_goes_on_where_it_was_cut_off_and_says_what_is_seen(two_commits: Path, tmp_path: Path) -> None:
    rows = tmp_path / calibrate.FILE
    side, told = Side("head", two_commits), list[plans.Row]()
    run = partial(calibrate.run, SMALL, side, trials=1, file=rows, told=told.append)
    run(levels=(0.0, 0.2))
    assert [row["key"]["slower"] for row in told] == [0.0, 0.2]
    kept = rows.read_text()
    run(levels=(0.0, 0.2))
    assert rows.read_text() == kept
    run(levels=(0.0,), loaded=True)
    assert told[-1]["key"] == {"slower": 0.0, "trial": 0, "loaded": True}
    known = calibrate.read(SMALL, rows)
    assert known is not None
    assert known.trials == {0.0: 2, 0.2: 1}
    assert calibrate.read(SpeedGate(0.9, 0.03, 0.1, 1, 6, 1, ["one"], ["+task=a"]), rows) is None


def test_what_computes_beside_a_trial_ends_with_a_calibration_that_is_killed() -> None:
    held = "from memory_bench.guards.speed.calibrate import neighbour\nwith neighbour(): print(flush=True), input()"
    with subprocess.Popen([sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as calibration:
        assert calibration.stdout
        calibration.stdout.readline()
        [beside] = psutil.Process(calibration.pid).children()
        calibration.kill()
        assert psutil.wait_procs([beside], timeout=60)[1] == []


def test_what_a_calibration_says_follows_from_its_rows() -> None:
    def row(level: float, word: str, low: float) -> plans.Row:
        return {"key": {"slower": level, "loaded": False}, "subjects": {"one": {"word": word, "ratio": {"low": low}}}}

    found = calibrate.summary([
        row(0.0, "pass", 0.99), row(0.0, "fail", 1.031), row(0.05, "inconclusive", 1.0), row(0.10, "fail", 1.05),
        row(0.20, "fail", 1.1),
    ])  # fmt: skip
    assert found == Calibration(
        trials={0.0: 2, 0.05: 1, 0.10: 1, 0.20: 1}, alarms={0.0: 0.5, 0.05: 0.0, 0.10: 1.0, 0.20: 1.0},
        inconclusive={0.0: 0.0, 0.05: 1.0, 0.10: 0.0, 0.20: 0.0}, floor=0.035,
    )  # fmt: skip
    assert found.detectable == 0.10
    assert found.blind(0.05)
    assert not found.blind(0.10)


def test_the_page_of_a_calibration_says_which_bounds_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def trial(level: float, loaded: bool, number: int, word: str) -> plans.Row:
        ratio = {"median": 1 + level, "low": 1 + level - 0.02, "high": 1 + level + 0.02, "pairs": 9}
        return {
            **calibrate.shared(SMALL), "key": {"slower": level, "trial": number, "loaded": loaded},
            "subjects": {"one": {"word": word, "reason": "", "ratio": ratio}},
            "seconds": 12.0, "load": 1.5, "when": "2026-01-02T00:00:00", **plans.where(["numpy"]),
        }  # fmt: skip

    rows = [
        trial(0.0, False, 0, "pass"), trial(0.0, False, 1, "pass"), trial(0.0, True, 0, "fail"),
        trial(0.1, False, 0, "fail"), trial(0.1, False, 1, "inconclusive"),
    ]  # fmt: skip
    rows[-1] = {**rows[-1], "machine": {**rows[-1]["machine"], "platform": "ZZ-9"}, "when": "2026-01-04T00:00:00"}
    (tmp_path / "trials.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "reports").mkdir()
    monkeypatch.setattr(page, "ROOT", tmp_path)
    written = (tmp_path / page.publish(tmp_path / "trials.jsonl")).read_text()
    assert (tmp_path / page.PUBLISHED).read_text() == (tmp_path / "trials.jsonl").read_text()
    assert "| quiet | 10% | `one` | 2 | 0.50 [0.01, 0.99] | 1 | 1.100 | 0.020 | 12.0 | 12.0 | 1.5 |" in written
    assert "| false alarms <= 3%, quiet and loaded | 1 of 3, 0.33 [0.01, 0.91] | missed so far |" in written
    assert "| +10 % found >= 90%, quiet | 1 of 2, 0.50 [0.01, 0.99] | missed so far |" in written
    assert "| a trial <= 20 s, quiet, 0 % slower | 12.0 s (median) | kept |" in written
    assert f"system: {rows[0]['machine']['platform']}, ZZ-9, Python" in written
    assert "days: 2026-01-02, 2026-01-04." in written
    assert "| +10 % found >= 90%, quiet | null: no such trial |  |" in page.render(rows[:1])
    with pytest.raises(BadInput, match=r"nothing\.jsonl: no trials there; run some first"):
        page.publish(tmp_path / "nothing.jsonl")


def test_the_committed_page_of_the_gate_is_what_its_trials_give() -> None:
    assert (ROOT / page.PAGE).read_text() == page.render(plans.read(ROOT / page.PUBLISHED))


def test_files_of_pytest_benchmark_are_judged_in_pairs_by_their_names(tmp_path: Path) -> None:
    for side, factor in (("base", 1.0), ("head", 1.3)):
        (tmp_path / side).mkdir()
        for number in range(8):
            written = {"benchmarks": [{"fullname": "b.py::one", "stats": {"median": factor * (1 + number)}}]}
            (tmp_path / side / f"{number}.json").write_text(json.dumps(written))
    (line,) = command.lines(typed("--benchmarks", str(tmp_path / "base"), str(tmp_path / "head")))
    assert (line.gate, line.name, line.word) == ("benchmarks", "b.py::one", "fail")
    (tmp_path / "base" / "0.json").write_text("[]")
    with pytest.raises(Unavailable, match=r"0\.json is no file of pytest-benchmark"):
        benchmarks.pairs(tmp_path / "base", tmp_path / "head")
    with pytest.raises(Unavailable, match="holds no file of pytest-benchmark"):
        benchmarks.pairs(tmp_path / "nothing", tmp_path / "head")


HOSTILE = [Line("time", "a|b", "fail", "<script>\nalert</script>"), Line("answers", "c", "pass", "equal")]


def test_verdicts_are_files_for_people_and_for_what_counts_tests() -> None:
    page = markdown(HOSTILE, "title")
    assert page.startswith("# memory_bench gate: fail\n")
    assert "| time | a\\|b | **fail** | &lt;script&gt; alert&lt;/script&gt; |" in page
    suites = ElementTree.fromstring(
        junit([*HOSTILE, Line("time", "d", "inconclusive", "?"), Line("time", "e", "no data", "!")])
    )
    counts = ("name", "tests", "failures", "errors", "skipped")
    assert [[one.get(name) for name in counts] for one in suites] == [
        ["time", "3", "1", "1", "1"],
        ["answers", "1", "0", "0", "0"],
    ]


@pytest.mark.parametrize(
    ("words", "word"),
    [(("pass", "inconclusive"), "inconclusive"), (("no data", "fail"), "fail"), ((), "no data"), (("pass",), "pass")],
)
def test_a_gate_is_as_good_as_its_worst_verdict(words: tuple[AnyWord, ...], word: AnyWord) -> None:
    assert overall([Line("a", "b", one, "") for one in words]) == word


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["--base"], "expected one argument"),
        (["--base", "a", "--calibrate"], "one of --base and --calibrate"),
        (["--calibrate", "--trials", "0"], "expected at least 1"),
        (["--calibrate", "--trials", "x"], "invalid int value"),
        (["--calibrate", "--levels", "-1"], "--levels -1: expected shares such as 0"),
        (["--calibrate", "--levels"], "expected at least one argument"),
        (["--calibrate", "seed=1"], "gate --calibrate does not take 'seed=1'"),
    ],
)
def test_what_is_typed_wrong_is_said_in_one_line(argv: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", *argv]) == 2
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1

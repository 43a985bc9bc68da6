"""A cell in a process of its own: what kills it, hangs or eats memory costs that cell, and nothing else."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from hydra.core.config_store import ConfigStore

from memory_bench import config, isolation, records
from memory_bench.__main__ import main
from memory_bench.errors import BadInput
from memory_bench.reporting import cells
from tests import fatal, stubs

ROOT = Path(__file__).parent.parent
CELL = ("+task=stub", "+memory=stub", "reader=stub")


@pytest.fixture(autouse=True)
def a_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    register()


def register() -> None:
    stubs.register()
    for how in ("crash", "eat", "hang"):
        ConfigStore.instance().store(group="memory", name=how, node={"_target_": "tests.fatal.Fatal", "how": how})
    node = {"defaults": [{"/task": "stub"}], "cells": [{"memory": ["crash", "eat", "stub"]}]}
    ConfigStore.instance().store(group="experiment", name="fatal", package="_global_", node=node)


def reasons() -> dict[str, str | None]:
    """Return memory -> why it has no result: what a report shows, which takes the latest run of a cell."""
    latest = {run.config["choices"]["memory"]: run.why for run in reversed(records.runs("results"))}
    return {memory: why for memory, why in latest.items() if why is not None}


def eventually(what: Callable[[], bool], *, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def gone(process: int) -> bool:
    """Whether a process has ended; one whose parent has not asked for it is kept by name only."""
    return not psutil.pid_exists(process) or psutil.Process(process).status() == psutil.STATUS_ZOMBIE


def test_a_sweep_goes_on_past_cells_that_crash_or_eat_memory(capsys: pytest.CaptureFixture[str]) -> None:
    limits = ["isolate=true", "isolate_bytes=400000000"]
    assert main(["-m", "+experiment=fatal", "reader=stub", *limits]) == 1
    assert "2 of 3 cells have no result" in capsys.readouterr().out
    why = reasons()
    assert set(why) == {"crash", "eat"}
    assert why["crash"] == "failed: the process died of SIGSEGV"
    assert re.fullmatch(
        r"failed: it was ended after \d+\.\d seconds, holding 4\d{8} bytes: isolate_bytes=400000000", why["eat"] or ""
    )
    told = {cell.name: cell.reason for cell in cells.find("fatal", ["reader=stub"])}
    assert told == {"crash": f"no result: {why['crash']}", "eat": f"no result: {why['eat']}", "stub": None}


def test_an_isolated_cell_is_the_cell_that_it_is_elsewhere_and_knows_its_peak(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hoard = bytes(bytearray(1 << 20)) * 300  # of the process that starts it, and no part of its own
    assert main([*CELL, "isolate=true"]) == 0
    assert "something to find  4  1.000 [" in capsys.readouterr().out
    [run] = records.runs("results")
    peaks = records.load(run.folder)["costs.peak_rss_bytes"]
    assert 10_000_000 < peaks.min() <= peaks.max() < len(hoard)
    assert "isolate" not in run.config
    assert main(["-m", *CELL]) == 0
    assert f"measured before, kept: {run.folder}" in capsys.readouterr().out


def test_a_run_that_hangs_is_one_line_and_leaves_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["+task=stub", "+memory=hang", "reader=stub", "isolate=true", "isolate_seconds=1"]) == 1
    err = capsys.readouterr().err
    assert re.fullmatch(r"failed: it was ended after \d+\.\d seconds: isolate_seconds=1\n", err)
    assert reasons() == {"hang": err.rstrip()}


def test_work_elsewhere_returns_and_raises_what_it_would_here() -> None:
    assert isolation.apart(None, None, os.getpid) != os.getpid()
    with pytest.raises(ValueError, match=r"^invalid literal for int") as caught:
        isolation.apart(None, None, int, "seven")
    assert "in _work" in caught.value.__notes__[0], "where it was raised is lost on the way"


def test_an_error_that_does_not_travel_arrives_as_its_text() -> None:
    with pytest.raises(RuntimeError, match=r"^OwnWords: shelf 3, row 4"):
        isolation.apart(None, None, fatal.misplace)


def test_a_process_that_ends_on_its_own_says_how() -> None:
    with pytest.raises(isolation.Lost, match=r"^the process ended with code 7$"):
        isolation.apart(None, None, os._exit, 7)
    with pytest.raises(isolation.Lost, match=r"^the process died of SIGABRT$"):
        isolation.apart(None, None, os.abort)


def test_what_the_work_has_started_ends_with_it() -> None:
    started = isolation.apart(None, None, subprocess.check_output, "sleep 600 > file & echo $!", shell=True)
    assert eventually(lambda: gone(int(started)))


def start(*typed: str) -> subprocess.Popen[str]:
    """Start the command in a process group of its own, as a shell does, with an isolated cell that lasts."""
    code = (
        # a job in the background ignores Ctrl-C
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tests.test_isolation import register; register()\n"
        "from memory_bench.__main__ import main; raise SystemExit(main())"
    )
    command = [sys.executable, "-c", code, "+task=stub", "reader=stub", "isolate=true", *typed]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)


def rows_there() -> bool:
    return any(file.read_bytes().count(b"\n") > 1 for file in Path("results").glob("*/*/*/records.jsonl"))


def test_ctrl_c_ends_the_cell_and_says_what_is_kept() -> None:
    with start("+memory=stub", "task.episodes=1000000") as process:
        try:
            assert eventually(rows_there)
            [child] = [one for one in psutil.Process(process.pid).children() if "spawn_main" in " ".join(one.cmdline())]
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    [run] = records.runs("results")
    assert err.splitlines()[-1] == f"stopped: {run.questions} questions are kept in {run.folder}, marked unfinished"
    assert not child.is_running()


def test_work_ends_with_the_process_that_watches_it() -> None:
    code = (
        "import os; from memory_bench import isolation; isolation.apart(None, None, os.system, 'echo $PPID; sleep 600')"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = psutil.Process(int(process.stdout.readline()))
        [shell] = worker.children()
        process.kill()
    assert eventually(lambda: gone(worker.pid) and gone(shell.pid))


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("isolate_seconds=5", "isolate_seconds=5.0 limits a process of its own: type isolate=true too"),
        ("isolate=true isolate_bytes=0", "isolate_bytes=0: expected a number above 0, or null for no limit"),
        ("isolate=true isolate_seconds=soon", "isolate_seconds"),
        ("isolate=perhaps", "isolate=perhaps: expected true or false"),
    ],
)
def test_a_slip_in_the_limits_is_one_line(typed: str, line: str) -> None:
    with pytest.raises(BadInput) as caught:
        config.compose([*CELL, *typed.split()])
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)

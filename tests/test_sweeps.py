"""Sweeps that are killed, and sweeps that share a folder: every cell ends whole, and as if nothing had been.

MEMORY_BENCH_KILLS=10 kills as many sweeps; the suite kills three.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from memory_bench import records, sweep
from memory_bench.__main__ import main
from memory_bench.places import Elsewhere
from memory_bench.types import Event
from tests import stubs

ROOT = Path(__file__).parent.parent
CELLS = ("+task=stub", "+memory=stub", "reader=none", "seed=0,1", "task.episodes=40")
LONG = ("+task=stub", "+memory=stub", "reader=none", "task.episodes=80")
CODE = "from tests import stubs; stubs.register(); from memory_bench.__main__ import main; raise SystemExit(main())"


@pytest.fixture(autouse=True)
def a_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stubs.register()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of results of a sweep that nothing disturbed."""
    stubs.register()
    folder = str(tmp_path_factory.mktemp("whole"))
    assert main(["-m", *CELLS, f"results={folder}"]) == 0
    return folder


def start(*typed: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", CODE, *typed], env=environment, stdout=subprocess.PIPE, text=True)


def until(what: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert process.poll() is None, "it ended before that"
        assert time.monotonic() < end, "nothing of it within a minute"
        time.sleep(0.001)


def bytes_there(folder: str) -> int:
    """Return the bytes of all rows under a folder. What moves while it is looked for counts at the next look."""
    total = 0
    for file in Path(folder).glob("*/*/*/*.jsonl"):
        total += file.stat().st_size if file.exists() else 0
    return total


def told(folder: str) -> list[str]:
    """Return all rows of all cells in one order, less what a clock or a process says. All runs have to be whole."""
    found = records.runs(folder)
    assert all(run.finished and "." not in run.folder.name for run in found), "something of a cut off run is left"
    rows = []
    for run in found:
        for name in ("records.jsonl", "operations.jsonl"):
            for line in (run.folder / name).read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                row["costs"] = {key: cost for key, cost in row["costs"].items() if not key.endswith("_seconds")}
                rows.append(json.dumps([run.config, name, row], sort_keys=True))
    return sorted(rows)


def places(folder: str) -> Sequence[str]:
    return sorted(place.name for place in Path(folder).glob("*/*/*"))


def test_a_sweep_that_was_killed_anywhere_goes_on_and_ends_as_one_that_was_not(whole: str) -> None:
    """kill -9 when so many bytes of rows are on disk: what is finished is kept, the rest of a cell is begun anew."""
    wanted, size, cut_off = told(whole), bytes_there(whole), 0
    assert len(wanted) > 2 * 120
    draw = random.Random(0)
    for number in range(int(os.environ.get("MEMORY_BENCH_KILLS", "3"))):
        folder, point = f"killed{number}", draw.randrange(size)
        with start("-m", *CELLS, f"results={folder}") as process:
            try:
                until(lambda folder=folder, point=point: bytes_there(folder) > point, process)  # type: ignore[misc]
            finally:
                process.kill()
        cut_off += any(".unfinished-" in place for place in places(folder))
        assert main(["-m", *CELLS, f"results={folder}"]) == 0
        assert told(folder) == wanted
        assert places(folder) == places(whole)
    assert cut_off, "no cell was cut off in its middle"


def test_two_sweeps_of_one_folder_at_once_end_as_one_would(whole: str) -> None:
    with start("-m", *CELLS) as first, start("-m", *CELLS) as second:
        said = [process.communicate(timeout=120)[0] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], said
    assert told("results") == told(whole)
    assert places("results") == places(whole)


class Waker(stubs.StubMemory):
    """Lets a process go on that was stopped."""

    def __init__(self, *, process: int) -> None:
        super().__init__()
        self._process = process

    def write(self, events: Sequence[Event]) -> None:
        os.kill(self._process, signal.SIGCONT)
        super().write(events)


def test_a_cell_that_another_process_is_at_is_left_to_it_until_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with start("-m", *LONG) as process:
        try:
            until(lambda: bytes_there("results") > 0, process)
            process.send_signal(signal.SIGSTOP)
            with pytest.raises(Elsewhere):
                sweep.line_of(LONG)
            node = {"_target_": "tests.test_sweeps.Waker", "process": process.pid}
            ConfigStore.instance().store(group="memory", name="waker", node=node)
            assert main(["-m", LONG[0], "+memory=stub,waker", *LONG[2:]]) == 0
        finally:
            process.kill()
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].startswith("[1/2] ")
    assert lines[1].startswith("another process is at it, looked at again in the end: results/stub/stub/")
    assert lines[2].startswith("[2/2] ")
    assert lines[4].startswith("[1/2] ")
    assert lines[5].startswith("measured before, kept: results/stub/stub/")
    assert [run.finished for run in records.runs("results")] == [True, True]

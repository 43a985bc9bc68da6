"""Cells: what a sweep keeps, runs again, resumes after Ctrl-C anywhere, and shows beforehand with dry_run=true."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from memory_bench import config, provenance, records
from memory_bench.__main__ import main
from memory_bench.errors import BadInput
from memory_bench.source_files import source_files
from tests import stubs
from tests.stoppable import Stoppable

ROOT = Path(__file__).parent.parent
SWEEP = ("-m", "+task=stub", "+memory=stoppable", "reader=stub", "seed=0,1", "task.episodes=1")


@pytest.fixture(autouse=True)
def a_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stubs.register()
    Stoppable.at, Stoppable.calls = None, 0
    store = ConfigStore.instance().store
    store(group="memory", name="stoppable", node={"_target_": "tests.stoppable.Stoppable"})
    store(group="memory", name="engineless", node={"_target_": "tests.nothing", "requires": ["no-such-engine>=2"]})
    two_sweeps = [
        {"memory": ["stub", "none"], "task.episodes": [2]},
        {"memory": ["stub"], "seed": [1, 2], "task.episodes": [1]},
        {"memory": ["none"], "control": ["oracle"]},
    ]
    store(
        group="experiment", name="two", package="_global_", node={"defaults": [{"/task": "stub"}], "cells": two_sweeps}
    )
    wrong = {"defaults": [{"/task": "stub"}], "cells": [{"memory": ["none", "stub"], "control": ["oracle"]}]}
    store(group="experiment", name="wrong", package="_global_", node=wrong)


def answers(folder: str = "results") -> list[tuple[str, ...]]:
    """Return what the finished runs in a folder of results say, times and costs aside, in one order."""
    frame = records.load(folder)
    columns = ["choices.memory", "seed", "episode", "question", "answer", "scores.exact_match"]
    return sorted(tuple(map(str, row)) for row in frame[columns].itertuples(index=False))


def kept(out: str) -> int:
    return out.count("measured before, kept: ")


def test_a_sweep_that_was_stopped_anywhere_goes_on_and_ends_as_one_that_was_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*SWEEP, "results=whole"]) == 0
    calls, wanted = Stoppable.calls, answers("whole")
    assert (calls, len(wanted)) == (20, 6)
    for at in (*range(1, 11), 15, 20):  # in every call of the first cell, then amid the second and at its end
        Stoppable.at, Stoppable.calls = at, 0
        folder = f"stopped{at}"
        assert main([*SWEEP, f"results={folder}"]) == 130
        finished = [run for run in records.runs(folder) if run.finished]
        assert len(finished) == (at >= 10) + (at >= 20)  # a cell is closed when it is on disk
        Stoppable.at = None
        capsys.readouterr()
        assert main([*SWEEP, f"results={folder}"]) == 0
        assert kept(capsys.readouterr().out) == len(finished)
        assert answers(folder) == wanted
        assert len(records.runs(folder)) == 2, "something of the stopped run is left"


def test_a_finished_run_that_lost_rows_is_run_again(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = ["-m", "+task=stub", "+memory=stub", "reader=stub"]
    assert main(sweep) == 0
    [run] = records.runs("results")
    rows = run.folder / "records.jsonl"
    whole = answers()
    for damage in (lambda: rows.write_bytes(rows.read_bytes()[:-400]), rows.unlink, lambda: rows.write_bytes(b"")):
        damage()
        assert not records.is_complete(run.folder)
        with pytest.raises(BadInput, match=f"{run.folder.name} lost rows of the 6 that it had; run its cell again"):
            records.load("results")
        capsys.readouterr()
        assert main(sweep) == 0
        assert kept(capsys.readouterr().out) == 0
        assert answers() == whole
    assert main(sweep) == 0
    assert kept(capsys.readouterr().out) == 1


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_run_whose_facts_cannot_be_read_is_named_in_one_line_and_run_again(text: str) -> None:
    sweep = ["-m", "+task=stub", "+memory=stub", "reader=stub"]
    assert main(sweep) == 0
    [run] = records.runs("results")
    (run.folder / "provenance.json").write_text(text)
    with pytest.raises(BadInput, match=f"{run.folder.name} holds a run that cannot be read .*; remove it and run"):
        records.runs("results")
    assert main(sweep) == 0
    assert records.is_complete(run.folder)


def test_other_code_is_another_run_and_its_rows_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an older revision measured is neither taken for the cell's result nor mixed into it."""
    sweep = ["-m", "+task=stub", "+memory=stub", "reader=stub"]
    assert main(sweep) == 0
    hashes = provenance.code_hashes
    monkeypatch.setattr(provenance, "code_hashes", lambda targets: {**hashes(targets), "tests/stubs.py": "changed"})
    assert main(sweep) == 0
    newest, oldest = records.runs("results")
    assert newest.folder != oldest.folder
    assert [len(records.load(run.folder)) for run in (newest, oldest)] == [6, 6]
    pooled = records.load("results")
    assert (len(pooled), set(pooled["run"])) == (6, {str(newest.folder)})
    assert len(records.load([newest.folder, oldest.folder])) == 12  # both are there for who asks for both


def matrix(*typed: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    main([*typed, "dry_run=true"])
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out.splitlines()


def words(line: str) -> list[str]:
    return line.split()


def test_a_dry_run_shows_every_cell_and_its_state_and_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    lines = matrix("-m", "+experiment=two", "reader=stub", capsys=capsys)
    assert not Path("results").exists()
    heading, *cells, end = map(words, lines)
    assert heading == ["task", "memory", "control", "reader", "seed", "options"]
    assert cells == [
        words("1 stub stub none        stub 0 task.episodes=2 to be run"),
        words("2 stub none none        stub 0 task.episodes=2 to be run"),
        words("3 stub stub none        stub 1 task.episodes=1 to be run"),
        words("4 stub stub none        stub 2 task.episodes=1 to be run"),
        words("5 stub none oracle      stub 0 to be run"),
    ]
    assert end == words("5 cells: 5 to be run; nothing was run")


def test_a_dry_run_tells_what_is_finished_from_what_is_to_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-m", "+task=stub", "+memory=stub", "reader=stub", "seed=0"]) == 0
    lines = matrix("-m", "+task=stub", "+memory=stub,engineless,egram", "reader=stub", "seed=0,1", capsys=capsys)
    [folder] = [run.folder for run in records.runs("results")]
    states = [" ".join(words(line)[6:]) for line in lines[1:-1]]
    assert states[0] == f"finished: {folder}"
    assert states[1] == "to be run"
    assert states[2] == states[3]
    assert states[2].startswith("unavailable: memory=engineless cannot run here: no-such-engine is not installed: pip ")
    assert states[4].startswith("failed: there is no memory 'egram'; choose one of: ")
    assert lines[-1] == "6 cells: 1 finished, 1 to be run, 2 unavailable, 2 failed; nothing was run"


def test_a_dry_run_says_what_a_cell_lacks_of_its_surroundings_as_list_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("QDRANT_URL", "MEMORY_BENCH_DATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(config, "missing_requirement", lambda _: None)
    server, file = ["+task=stub", "+memory=qdrant_server"], ["+task=locomo", "+memory=none"]
    lines = [matrix("-m", *typed, "reader=stub", capsys=capsys)[1] for typed in (server, file)]
    assert "unavailable: memory=qdrant_server cannot run here: memory.url is not set: type memory.url=" in lines[0]
    assert "unavailable: task=locomo cannot run here: locomo/locomo10.json is the user's to supply: set " in lines[1]
    typed = [[*server, "memory.url=http://localhost:1"], [*file, "task.path=any.json"]]
    assert all(matrix("-m", *one, "reader=stub", capsys=capsys)[1].endswith("to be run") for one in typed)
    monkeypatch.setenv("QDRANT_URL", "http://localhost:1")
    monkeypatch.setenv("MEMORY_BENCH_DATA", str(tmp_path))
    (tmp_path / "locomo").mkdir()
    (tmp_path / "locomo/locomo10.json").write_text("[]")
    assert all(matrix("-m", *one, "reader=stub", capsys=capsys)[1].endswith("to be run") for one in (server, file))


def test_what_a_dry_run_promises_the_sweep_does(capsys: pytest.CaptureFixture[str]) -> None:
    Stoppable.at = 15
    assert main(list(SWEEP)) == 130
    Stoppable.at = None
    lines = matrix(*SWEEP, capsys=capsys)
    assert main(list(SWEEP)) == 0
    assert kept(capsys.readouterr().out) == sum("finished: " in line for line in lines) == 1
    assert any("to be run: last time: KeyboardInterrupt" in line for line in lines)
    assert matrix(*SWEEP, capsys=capsys)[-1] == "2 cells: 2 finished; nothing was run"


def test_a_dry_run_says_why_a_cell_is_run_again(capsys: pytest.CaptureFixture[str]) -> None:
    one = ("+task=stub", "+memory=stub", "reader=stub")
    assert main(list(one)) == 0
    [run] = records.runs("results")
    assert f"{run.folder} gives way: a single run measures again" in matrix(*one, capsys=capsys)[1]
    file = run.folder / "provenance.json"
    facts = json.loads(file.read_text())
    file.write_text(json.dumps({**facts, "environment": {**facts["environment"], "threads": "17"}}))
    line = matrix("-m", *one, capsys=capsys)[1]
    assert line.endswith("to be run: measured on another class of machines: threads differ")
    file.write_text(json.dumps({**facts, "engines": {"someengine": "0.1"}}))
    assert (
        "to be run: other engines are installed: {}, it was {'someengine': '0.1'}"
        in matrix("-m", *one, capsys=capsys)[1]
    )
    file.write_text(json.dumps({**facts, "code": {**facts["code"], "tests/stubs.py": "of old"}}))
    assert matrix("-m", *one, capsys=capsys)[1].endswith("code changed since it was measured: tests/stubs.py")
    file.write_text(json.dumps(facts))
    (run.folder / "records.jsonl").write_text("")
    assert matrix("-m", *one, capsys=capsys)[1].endswith("to be run: last time: rows are missing")


def test_a_dry_run_imports_neither_torch_nor_an_engine(tmp_path: Path) -> None:
    code = (
        "import sys; from memory_bench.__main__ import main; code = main(sys.argv[1:]); "
        "assert not {'torch', 'scipy', 'pandas', 'bm25s', 'adapters.engram'} & sys.modules.keys(); sys.exit(code)"
    )
    typed = ["-m", "+task=needle", "+memory=none,bm25,engram", "dry_run=true"]
    config_of = config.compose(["+task=needle", "+memory=engram"]).config
    folder = tmp_path / "results/needle/engram/0"
    folder.mkdir(parents=True)  # a finished run: only then is there anything to compare
    (folder / "config.yaml").write_text(json.dumps(config_of))
    (folder / "records.jsonl").write_text("")
    facts = {"start": "", "finished": True, "questions": 0, "code": {}, "environment": {}, "engines": {}}
    (folder / "provenance.json").write_text(json.dumps(facts))
    done = subprocess.run([sys.executable, "-c", code, *typed], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "to be run: code changed since it was measured: " in done.stdout
    assert "3 cells: 3 to be run; nothing was run" in done.stdout


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("dry_run=maybe", "dry_run=maybe: expected true or false"),
        ("dry_run=true +memory=stub +task=nedle", "there is no task 'nedle'"),
    ],
)
def test_a_slip_in_a_dry_run_is_one_line(typed: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    others = [] if "+task" in typed else ["+task=stub", "+memory=stub"]
    assert main([*others, "reader=stub", *typed.split()]) == 2
    captured = capsys.readouterr()
    assert line in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_control_runs_without_a_memory_only() -> None:
    line = (
        "^control=oracle is about the reader alone and runs with memory=none only, got memory=stub; "
        r"type \+memory=none, or control=none to measure stub$"
    )
    with pytest.raises(BadInput, match=line):
        config.compose(["+task=stub", "+memory=stub", "reader=stub", "control=oracle"])
    cell = config.compose(["+task=stub", "+memory=none", "reader=stub", "control=oracle"])
    assert set(cell.config["control"]) == {"_target_", "writes", "packs_evidence"}


def test_an_experiment_that_says_otherwise_is_told_so_in_a_line_and_the_rest_of_it_runs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = matrix("-m", "+experiment=wrong", "reader=stub", capsys=capsys)
    assert lines[1].endswith("to be run")
    assert "failed: control=oracle is about the reader alone and runs with memory=none only" in lines[2]
    assert main(["-m", "+experiment=wrong", "reader=stub"]) == 1
    assert "    failed: control=oracle is about the reader alone" in capsys.readouterr().out
    assert [run.finished for run in records.runs("results")] == [True]


def test_the_code_of_every_nested_plug_in_is_part_of_a_cell() -> None:
    nested = {
        "memory": {"_target_": "adapters.stack.Stack", "memories": [{"_target_": "adapters.bm25.BM25"}, {"top_k": 1}]},
        "embedder": None,
        "names": ["a"],
    }
    assert provenance.targets(nested) == ["adapters.stack.Stack", "adapters.bm25.BM25"]


def test_the_files_of_a_plug_in_are_found_without_importing_it() -> None:
    files = set(provenance.code_hashes(["adapters.engram.memory.Engram", "adapters.none.NoMemory"]))
    assert {"engram/memory.py", "engram/slot.py", "adapters/none.py", "memory_bench/runner.py"} <= files
    assert "adapters/bm25.py" not in files
    assert not {file for file in files if file.startswith("twins/")}  # beside the memory, and no part of it
    assert not {"memory_bench/vectors.py", "memory_bench/matrix.py"} & files  # of other memories, and of sweeps
    assert "memory_bench/vectors.py" in provenance.code_hashes(["adapters.exact.memory"])
    with pytest.raises(ImportError, match=r"no module 'adapters\.nun', which a _target_ names"):
        provenance.code_hashes(["adapters.nun.NoMemory"])


def test_a_plug_in_is_made_of_all_that_it_imports_and_of_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {
        "room/__init__.py": "",
        "room/plug.py": "import json\nfrom room import near\nfrom .folder.inner import name\n",
        "room/near.py": "def later():\n    import room.lazy\n",
        "room/lazy.py": "import room.plug",  # a circle
        "room/folder/__init__.py": "from ..above import anything",
        "room/folder/inner.py": "name = 1",
        "room/folder/beside.py": "",
        "room/above.py": "anything = 1",
        "room/stranger.py": "",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    made_of = {str(file.relative_to(tmp_path)) for file in source_files("room.plug")}
    assert made_of == set(texts) - {"room/folder/beside.py", "room/stranger.py"}
    (tmp_path / "room/near.py").write_text("import room.stranger", encoding="utf-8")
    os.utime(tmp_path / "room/near.py", ns=(1, 1))  # a clock may not have moved on
    made_of = {str(file.relative_to(tmp_path)) for file in source_files("room.plug")}
    assert made_of == set(texts) - {"room/folder/beside.py", "room/lazy.py"}
    with pytest.raises(ImportError, match=r"no module 'room\.plugg', which a _target_ names"):
        source_files("room.plugg")

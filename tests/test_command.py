"""`python -m memory_bench`, from the outside: what it prints, where it writes, how it exits."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore
from rich.console import Console

from memory_bench import records, terminal
from memory_bench.__main__ import main
from memory_bench.records import Operation
from memory_bench.types import Passage, Query
from tests import stubs
from tests.test_records import OPERATION, RECORD, disk_with_room_for

ROOT = Path(__file__).parent.parent
STUBS = ("+task=stub", "+memory=stub", "reader=stub")


class Breaking(stubs.StubMemory):
    """Breaks in the second episode."""

    resets = 0

    def reset(self) -> None:
        super().reset()
        self.resets += 1
        if self.resets == 2:
            raise ZeroDivisionError("the engine broke")


class Interrupted(stubs.StubMemory):
    """Its user has seen enough after the fourth question."""

    reads = 0

    def read(self, query: Query) -> list[Passage]:
        self.reads += 1
        if self.reads == 5:
            raise KeyboardInterrupt
        return super().read(query)


@pytest.fixture(autouse=True)
def a_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stubs.register()
    store = ConfigStore.instance().store
    store(group="memory", name="breaking", node={"_target_": "tests.test_command.Breaking"})
    store(group="memory", name="interrupted", node={"_target_": "tests.test_command.Interrupted"})
    store(group="memory", name="engineless", node={"_target_": "tests.nothing", "requires": ["no-such-engine"]})


def only_run() -> records.Run:
    [run] = records.runs("results")
    return run


def test_a_run_says_how_it_went_and_leaves_four_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*STUBS, "seed=3"]) == 0
    out = capsys.readouterr().out
    run = only_run()
    assert sorted(file.name for file in run.folder.iterdir()) == [
        "config.yaml",
        "operations.jsonl",
        "provenance.json",
        "records.jsonl",
    ]
    assert "task stub, memory stub, reader stub, seed 3, budget 256 tokens" in out
    assert "something to find  4  1.000 [" in out
    assert "nothing to find    2  1.000 [" in out
    assert f"results      {run.folder}" in out
    assert sorted(os.listdir()) == ["results"]  # noqa: PTH208 Hydra leaves nothing of its own


def test_provenance_says_what_ran_where() -> None:
    assert main([*STUBS, "limit=2", "results=results/"]) == 0
    facts = only_run().provenance
    assert facts["command"] == "python -m memory_bench +task=stub +memory=stub reader=stub limit=2"
    assert (facts["finished"], facts["questions"], facts["seed"], facts["task_version"]) == (True, 2, 0, "1")
    assert len(facts["identities"]["reader"]["stub"]) == 64
    assert facts["code"]["tests/stubs.py"] != facts["code"]["memory_bench/runner.py"]
    assert facts["environment"]["device"] == "cpu"
    assert facts["versions"]["numpy"]
    assert facts["sources"]["gpu_seconds"]["why"]
    assert facts["start"] <= facts["end"]


def test_the_same_cell_takes_the_same_place_and_another_seed_another() -> None:
    assert [main([*STUBS, f"seed={seed}"]) for seed in (0, 0, 1)] == [0, 0, 0]
    assert len(records.runs("results")) == 2


def test_a_sweep_goes_on_past_broken_cells_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-m", "+task=stub", "+memory=breaking,engineless,egram,stub", "reader=stub"]) == 1
    out = capsys.readouterr().out
    assert "[1/4] +task=stub +memory=breaking reader=stub\n    failed: ZeroDivisionError: the engine broke" in out
    assert "    unavailable: memory=engineless cannot run here: no-such-engine is not installed: pip install" in out
    assert "    failed: there is no memory 'egram'; choose one of: " in out
    assert "    exact_match 1.000 [" in out
    assert "3 of 4 cells have no result" in out
    assert len(records.load("results")) == 6
    reasons = {(run.folder.parent.name, run.why) for run in records.runs("results") if not run.finished}
    assert ("breaking", "failed: ZeroDivisionError: the engine broke") in reasons
    assert any(memory == "engineless" and "pip install 'no-such-engine'" in str(why) for memory, why in reasons)


def test_a_sweep_keeps_what_is_finished_and_a_single_run_measures_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(list(STUBS)) == 0
    first = only_run().provenance
    assert main(["-m", *STUBS]) == 0
    assert "measured before, kept: " in capsys.readouterr().out
    assert only_run().provenance == first
    assert main(list(STUBS)) == 0
    assert main(["-m", "+task=stub", "+memory=stub", "reader=stub", "seed=0,1"]) == 0
    in_sweep = next(run for run in records.runs("results") if run.config["seed"] == 1)
    assert "share a process" in in_sweep.provenance["sources"]["peak_rss_bytes"]["why"]


def test_a_bug_of_a_plug_in_keeps_its_traceback_and_its_rows() -> None:
    with pytest.raises(ZeroDivisionError, match="the engine broke"):
        main(["+task=stub", "+memory=breaking", "reader=stub"])
    run = only_run()
    assert (run.finished, run.questions, run.why) == (False, 3, "ZeroDivisionError: the engine broke")


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("lst", "'lst' is not a command; type one of list, check, durability, train, report, compare, gate, history"),
        ("--verbose", "--verbose: no such flag; there are -m (run a sweep) and -h"),
        ("list all", "list takes no arguments, got all"),
        ("+task=stub +memory=egram", "there is no memory 'egram'; choose one of:"),
        ("+task=nedle +memory=stub", "there is no task 'nedle'; choose one of:"),
        ("+task=stub +memory=stub reader=stub limit=0", "limit=0: expected a whole number >= 1"),
        ("+task=stub +memory=stub reader=stub task.episods=1", "did you mean episodes?"),
        ("+task=stub +memory=stub reader=stub seed=abc", "seed=abc: expected a whole number"),
        ("+task=stub +memory=stub reader=stub budget_tokens=6", "budget_tokens=6 is below the shortest event"),
        ("+task=stub +memory=stub reader=stub results=file/x", "cannot write results to file"),
    ],
)
def test_a_slip_is_one_line_and_leaves_nothing(typed: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("in the way")
    assert main(typed.split()) == 2
    captured = capsys.readouterr()
    assert line in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not Path("results").exists()


def test_a_full_disk_is_one_line_and_keeps_whole_rows(capsys: pytest.CaptureFixture[str]) -> None:
    with disk_with_room_for(1 << 15):
        assert main([*STUBS, "task.episodes=40"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    run = only_run()
    assert f"{run.questions} questions are kept in {run.folder}; make room or type results=FOLDER" in err
    assert 0 < run.questions == len(records.load(run.folder)) < 120
    assert not run.finished


def test_ctrl_c_is_one_line_and_says_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["+task=stub", "+memory=interrupted", "reader=stub"]) == 130
    run = only_run()
    assert capsys.readouterr().err == f"stopped: 4 questions are kept in {run.folder}, marked unfinished\n"
    assert (run.finished, run.questions) == (False, 4)
    assert len(records.load(run.folder)) == 4


def test_a_signal_in_mid_flight_leaves_whole_rows(tmp_path: Path) -> None:
    code = (
        # a job in the background ignores Ctrl-C
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tests import stubs; stubs.register(); from memory_bench.__main__ import main; raise SystemExit(main())"
    )
    command = [sys.executable, "-c", code, *STUBS, "task.episodes=1000000"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            end = time.monotonic() + 60
            # the latest row may be taken back when the signal falls between its writing and its counting
            while not any(file.read_bytes().count(b"\n") > 1 for file in tmp_path.rglob("records.jsonl")):
                assert time.monotonic() < end, "no two rows within a minute"
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert err.startswith("stopped: ")
    assert err.count("\n") == 1
    run = only_run()
    assert not run.finished
    lines = (run.folder / "records.jsonl").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    assert run.questions == len([json.loads(line) for line in lines]) > 0


def test_list_says_what_can_run_without_importing_torch() -> None:
    code = (
        "import sys; from memory_bench.__main__ import main; code = main(['list']); "
        "assert not {'torch', 'scipy', 'pandas'} & sys.modules.keys(); raise SystemExit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")
    for name in ("needle", "bm25", "minilm", "cpu_flash"):
        [line] = [line for line in lines if line.startswith(f"  {name} ")]
        assert "run" in line.rpartition("(")[2]
    assert any(line.startswith("versions: memory-bench-suite ") for line in lines)
    assert any(line.startswith("devices: ") for line in lines)


def test_list_says_why_a_choice_cannot_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from memory_bench import catalogue

    folder = Path("conf/memory")
    folder.mkdir(parents=True)
    text = (
        "# @package _global_\n# A store of another kind\nmemory:\n  _target_: a.B\n  requires: ['no-such-engine>=2']\n"
    )
    (folder / "other.yaml").write_text(text)
    monkeypatch.setattr(catalogue, "files", lambda _: Path("conf"))
    [entry] = catalogue.entries("memory")
    assert (entry.name, entry.text) == ("other", "A store of another kind")
    assert entry.missing == "no-such-engine is not installed: pip install 'no-such-engine>=2'"
    assert capsys.readouterr().out == ""


def test_list_says_what_a_server_needs_until_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    from memory_bench import catalogue

    def missing() -> str | None:
        return {entry.name: entry.missing for entry in catalogue.entries("memory")}["qdrant_server"]

    monkeypatch.setattr(catalogue, "missing_requirement", lambda _: None)
    monkeypatch.delenv("QDRANT_URL", raising=False)
    assert missing() == "memory.url is not set: type memory.url=..., or set QDRANT_URL"
    monkeypatch.setenv("QDRANT_URL", "http://localhost:6333")
    assert missing() is None


@pytest.mark.parametrize(
    ("gpus", "reason"),
    [("none: no driver", "it needs a GPU; found: none: no driver"), (["one", "another"], None)],
)
def test_list_says_which_attention_needs_a_gpu(
    gpus: list[str] | str, reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from memory_bench import catalogue, provenance

    monkeypatch.setattr(provenance, "gpus", lambda: gpus)
    missing = {entry.name: entry.missing for entry in catalogue.entries("attention")}
    of_a_gpu = {name for name, why in missing.items() if why == reason}
    assert {"fa2_sdpa", "cudnn_sdpa"} <= of_a_gpu
    assert {missing[name] for name in ("auto", "cpu_flash", "off_math")} == {None}
    assert all("flash-attn" in str(missing[name]) for name in ("fa2_pkg", "fa4_pkg"))  # a package comes first


def test_what_a_choice_needs_is_no_option_of_it() -> None:
    from memory_bench import config

    composed = config.compose(["+task=stub", "+memory=qdrant_server", "reader=shape", "attention=fa2_sdpa"]).config
    assert "needs" not in composed["memory"]
    assert set(composed["reader"]["attention"]) == {"_target_", "name"}


def test_what_stands_apart_from_a_headline_is_said_by_the_task() -> None:
    from memory_bench import catalogue

    assert catalogue.apart("needle") == {"lexical": "smoke test"}
    assert catalogue.apart("no_file") == {}


def test_help_is_the_commands_own_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "python -m memory_bench +task=needle +memory=engram" in capsys.readouterr().out


def shown(*, terminal_there: bool, seconds: float, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(terminal, "SHOWN_AFTER_SECONDS", seconds)
    console = Console(file=io.StringIO(), force_terminal=terminal_there, width=100)
    rows: list[Operation | records.Record] = [OPERATION, RECORD, RECORD]
    assert list(terminal.with_progress(rows, total=lambda: 2, console=console)) == rows
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_progress_is_for_terminals_and_for_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "2/2" in shown(terminal_there=True, seconds=0.0, monkeypatch=monkeypatch)
    assert shown(terminal_there=True, seconds=60.0, monkeypatch=monkeypatch) == ""
    assert shown(terminal_there=False, seconds=0.0, monkeypatch=monkeypatch) == ""


def test_a_summary_names_what_has_no_answer_and_what_works_inside_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    from dataclasses import replace

    silent = replace(RECORD, passages=(), unanswered="exceeds window", answer=None, scores={"exact_match": None})
    reset = Operation("reset", "e0", 0, {"reset_seconds": 1e-6, "size_bytes": 0})
    terminal.summary([reset, silent, silent], Console(width=120))
    out = capsys.readouterr().out
    assert "not through the context" in out
    assert "no answer to 2 of 2 questions: exceeds window" in out


def test_a_summary_has_the_mean_over_hard_kinds_first_and_every_kind_below(capsys: pytest.CaptureFixture[str]) -> None:
    from dataclasses import replace

    asked = [("updated", 1.0), ("updated", 1.0), ("updated", 1.0), ("multi", 0.0), ("lexical", 1.0), ("lexical", 1.0)]
    rows = [
        replace(RECORD, episode=f"e{number}", tags={"kind": kind}, scores={"exact_match": score})
        for number, (kind, score) in enumerate(asked)
    ]
    gone = [replace(RECORD, evidence=(), tags={"kind": kind}, scores={"exact_match": 1.0}) for kind in ("a", "b")]
    terminal.summary([OPERATION, *rows, gone[0]], Console(width=120), apart={"lexical": "smoke test"})
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1].startswith("hard kinds 4 0.500 [")
    assert lines[2].startswith("something to find 6 0.833 [")
    expected = ["lexical, smoke test 2 1.000", "multi 1 0.000", "updated 3 1.000", "nothing to find 1 1.000"]
    assert [line.rpartition(" [")[0] for line in lines[3:7]] == expected
    assert not any(line.startswith("a ") for line in lines)
    terminal.summary([OPERATION, *rows, *gone], Console(width=120))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1].startswith("hard kinds 6 0.667 [")
    assert {"nothing to find 2 1.000", "a 1 1.000", "b 1 1.000"} <= {line.rpartition(" [")[0] for line in lines}


def test_a_summary_tells_what_was_retrieved_apart_from_what_was_answered(capsys: pytest.CaptureFixture[str]) -> None:
    from dataclasses import replace

    curve = {f"evidence@{budget}": share for budget, share in ((256, 0.5), (512, 1.0), (1024, 1.0), (2048, 1.0))}
    found = replace(RECORD, scores={"exact_match": 0.0, **curve, "evidence@4096": 1.0, "stale@1": 1.0})
    haunted = replace(RECORD, evidence=(), scores={"exact_match": 1.0, "forgotten_in_context": 1.0})
    terminal.summary([OPERATION, found, found, haunted], Console(width=120))
    out = capsys.readouterr().out
    assert "evidence within      256 tokens 0.500, 512 tokens 1.000, 1,024 tokens 1.000, " in out
    assert "stale passage first  1.000 [0.025, 1.000] of 2 questions" in out
    assert "forgotten came back  1.000 [0.025, 1.000] of 1 questions" in out
    terminal.summary([OPERATION, replace(found, scores={"exact_match": 0.0, **curve})], Console(width=120))
    assert "stale" not in capsys.readouterr().out

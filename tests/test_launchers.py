"""A sweep that a launcher of Hydra spreads is the sweep that it is without one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from memory_bench import config, launchers, records
from memory_bench.__main__ import main
from memory_bench.errors import Unavailable
from tests import stubs

ROOT = Path(__file__).parent.parent
SWEEP = ("-m", "+task=stub", "reader=stub", "task.episodes=1")


@pytest.fixture(autouse=True)
def a_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # joblib sets it for its workers where nobody has: then cells are others
    stubs.register()
    ConfigStore.instance().store(group="memory", name="crash", node={"_target_": "tests.fatal.Fatal", "how": "crash"})


def installed(launcher: str) -> str:
    """Return the override of a launcher. Skips where it is not installed, and says what is."""
    if missing := config.missing_requirement(launchers.REQUIRED[launcher]):
        pytest.skip(missing)
    return f"hydra/launcher={launcher}"


@pytest.mark.parametrize("launcher", ["submitit_local", "ray"])
def test_a_launched_sweep_leaves_the_cells_of_a_sweep_that_is_not(
    launcher: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SWEEP, "+memory=stub,none", installed(launcher)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1)[0] for line in said] == ["[1/2]", "exact_match", "[2/2]", "exact_match"]
    folders = {run.config["choices"]["memory"]: run.folder for run in records.runs("results")}
    assert main([*SWEEP, "+memory=stub,none"]) == 0
    out = capsys.readouterr().out
    assert all(f"measured before, kept: {folders[memory]}\n" in out for memory in ("stub", "none"))


def test_cells_are_isolated_where_they_are_launched(capsys: pytest.CaptureFixture[str]) -> None:
    launching = [installed("joblib"), "hydra.launcher.n_jobs=2"]
    assert main([*SWEEP, "+memory=stub,crash,nun", "isolate=true", *launching]) == 1
    out = capsys.readouterr().out
    assert "    exact_match 1.000 [" in out
    assert "    failed: the process died of SIGSEGV\n" in out
    assert "    failed: there is no memory 'nun'; choose one of: " in out
    assert "2 of 3 cells have no result" in out
    assert records.load("results")["costs.peak_rss_bytes"].min() > 10_000_000


def test_a_worker_that_dies_is_one_line_and_loses_no_finished_cell(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SWEEP, "+memory=stub"]) == 0
    assert main([*SWEEP, "+memory=stub,crash", installed("joblib"), "hydra.launcher.n_jobs=2"]) == 1
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith("the launcher stopped: TerminatedWorkerError: ")
    assert "what is finished is kept, so type the same again; isolate=true keeps a cell that crashes" in err
    assert [run.config["choices"]["memory"] for run in records.runs("results") if run.finished] == ["stub"]


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("hydra/launcher=slurm", "there is no hydra/launcher 'slurm'; choose one of: joblib, submitit_local, "),
        ("hydra.launcher.n_jobs=2", "hydra.launcher.n_jobs=2: name one launcher, as in hydra/launcher=joblib"),
        ("hydra.sweep.dir=here", "hydra.sweep.dir=here: Hydra's own settings have no effect here"),
        ("hydra/launcher=joblib hydra.launcher.n_job=2", "Could not override 'hydra.launcher.n_job'"),
    ],
)
def test_a_slip_in_a_launcher_is_one_line(typed: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    installed("joblib")
    assert main([*SWEEP, "+memory=stub", *typed.split()]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(line)
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_launcher_that_is_not_installed_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(launchers.REQUIRED, "joblib", "no-such-launcher>=1")
    line = (
        r"^hydra/launcher=joblib cannot run here: no-such-launcher is not installed: pip install 'no-such-launcher>=1'$"
    )
    with pytest.raises(Unavailable, match=line):
        launchers.lines_of([("+task=stub",)], ["hydra/launcher=joblib"])


def test_a_dry_run_needs_no_launcher(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SWEEP, "+memory=stub", "hydra/launcher=ray", "dry_run=true"]) == 0
    assert "1 cells: 1 to be run; nothing was run" in capsys.readouterr().out

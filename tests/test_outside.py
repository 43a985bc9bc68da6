"""A memory in a package of its own is found wherever ours are: by list, check, runs, report and gate."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from memory_bench.provenance import ROOT
from tests.revisions import git

EXAMPLE = ROOT / "tests" / "outside"
NAME = "shared_trigrams"
CELLS = """\
# @package _global_
# A stranger's memory beside one of ours
defaults:
  - override /embedder: hashing
  - override /reader: none
cells:
  - {task: [needle], task.episodes: [2], memory: [shared_trigrams, bm25]}
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, installed by pip into a folder; beside its memory an experiment, and one of a name of ours."""
    folder, source = tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("source") / "outside"
    shutil.copytree(EXAMPLE, source)  # who builds leaves files beside what is built
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--target", str(folder), str(source)], check=True, capture_output=True, text=True)
    (folder / NAME / "experiment").mkdir()
    (folder / NAME / "experiment" / "strangers.yaml").write_text(CELLS)
    ours = folder / NAME / "memory" / "bm25.yaml"
    ours.write_text((folder / NAME / "memory" / f"{NAME}.yaml").read_text())
    return folder


def typed(installed: Path, desk: Path, *commands: str) -> str:
    """Type commands in one process that sees the package; return what it says. Each has to end well."""
    code = (
        "import sys; from memory_bench.__main__ import main; sys.exit(max(main(line.split()) for line in sys.argv[1:]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", code, *commands], cwd=desk, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_listed_with_its_first_line_and_hides_none_of_ours(installed: Path, tmp_path: Path) -> None:
    text = "Trigrams: the more runs of three letters of the question an event holds, the higher it ranks"
    lines = [line.strip() for line in typed(installed, tmp_path, "list").splitlines()]
    (own,) = (line for line in lines if line.startswith(NAME))
    assert own.endswith(f"{text} (runs here)")
    (hidden,) = (line for line in lines if line.startswith(f"bm25 of {NAME}"))
    assert hidden.endswith("memory bm25 is another's already: its package has to rename it)")
    (ours,) = (line for line in lines if line.startswith("bm25  "))
    assert ours.endswith("(runs here)")


def test_it_is_checked_measured_reported_and_held_by_the_gate(installed: Path, tmp_path: Path) -> None:
    said = typed(
        installed,
        tmp_path,
        f"check +memory={NAME}",
        "-m +experiment=strangers",
        "report +experiment=strangers",
        "gate +experiment=strangers --accept first",
        "gate +experiment=strangers",
    )
    assert " 0 fail, " in said
    assert f"| `{NAME}` |" in said
    assert said.rstrip().splitlines()[-1].startswith("2 pass, 0 fail, 0 no data")


SPEED = """
from memory_bench.guards.speed import revisions
from memory_bench.guards.speed.gate import SpeedGate
gate = SpeedGate(0.99, 0.03, 0.10, 1, 6, 1, ["shared_trigrams"], ["+task=needle", "task.episodes=1", "reader=none"])
root = revisions.root()
with revisions.side("HEAD~1", root) as base:
    print(root.name, gate.judge(revisions.head(root), base)["shared_trigrams"].word)
"""


def test_its_own_repository_is_timed_against_its_own_past(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "theirs")
    code = tmp_path / "theirs" / NAME / "__init__.py"
    git(tmp_path / "theirs", "init", "--quiet")
    for slower in ("", "    [trigrams(event.text) for event in held * 9]\n"):
        line = "        scores_E ="
        code.write_text(code.read_text().replace(line, f"    {slower}{line}" if slower else line))
        git(tmp_path / "theirs", "add", ".")
        git(tmp_path / "theirs", "commit", "--quiet", "--allow-empty", "--message", slower or "as it was")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", SPEED], cwd=tmp_path / "theirs", env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == ["theirs", "fail"], done.stdout + done.stderr


def test_the_example_is_two_files_of_sixty_lines() -> None:
    files = [*EXAMPLE.rglob("*.py"), *EXAMPLE.rglob("*.yaml")]
    assert len(files) == 2
    assert sum(len(file.read_text().splitlines()) for file in files) <= 60

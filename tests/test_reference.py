"""The reference splits are the same bytes from every Python that is at hand, with its standard library alone."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from memory_bench import config
from memory_bench.errors import BadInput
from memory_bench.guards.stream import digest
from memory_bench.types import Question
from tasks.reference import Reference
from tasks.reference.task import FOLDER

ROOT = Path(__file__).parent.parent
SPLITS = ("needle", "entity", "conventions")
STREAMS = {
    "needle": "458487e0a2d7fcbefdd356a9592718160125d52233955ab6e4a2fccc60a54773",
    "entity": "2445711370b9b5f318f8575069a13dad2dd4314f7d66571b3366b71e826ad017",
    "conventions": "d10cc8f166c66bb43911db1ca4676d82f2dccf303d42ed2b31a4e789522fa74e",
}
PLAY = """
import sys
from pathlib import Path
from memory_bench.episode_file import read_episodes
from memory_bench.guards.stream import digest
print(digest(read_episodes(Path(sys.argv[1]))))
print(sorted({"torch", "numpy", "unicodedata", "tokenizers"} & set(sys.modules)))
"""


def pythons() -> list[str]:
    """Return one path for each Python from 3.11 to 3.13 that is at hand, this one first."""
    named = [shutil.which(f"python3.{minor}") for minor in (11, 12, 13)]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    managed = [str(path) for minor in (11, 12, 13) for path in sorted(versions.glob(f"3.{minor}.*/bin/python"))]
    return list(dict.fromkeys([sys.executable, *(path for path in named if path), *managed]))


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("python", pythons())
def test_every_python_plays_the_same_bytes_with_its_standard_library_alone(python: str, split: str) -> None:
    done = subprocess.run(
        [python, "-S", "-c", PLAY, str(FOLDER / f"{split}.jsonl")],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "pyenv: " in done.stderr or "No module named 'encodings'" in done.stderr:
        pytest.skip(f"{python} does not start: {done.stderr.strip().splitlines()[0]}")
    assert done.stdout.split("\n")[:2] == [STREAMS[split], "[]"], done.stderr


@pytest.mark.parametrize("split", SPLITS)
def test_the_task_plays_what_was_frozen_for_every_seed(split: str) -> None:
    task = config.build(config.compose([f"+task={split}_reference", "+memory=none"]), "task")
    assert digest(task.episodes(0)) == digest(task.episodes(7)) == STREAMS[split]
    asked = [step for episode in task.episodes(0) for step in episode.steps if isinstance(step, Question)]
    assert len(asked) == 100


def test_exactly_one_choice_is_right() -> None:
    task = Reference(split="conventions")
    for episode in task.episodes(0):
        for step in episode.steps:
            if isinstance(step, Question):
                scores = [task.score(step, f" {choice}")["exact_match"] for choice in step.choices]
                assert sorted(scores) == [0.0] * (len(scores) - 1) + [1.0]


def test_all_splits_are_small_and_their_licences_stand_beside_them() -> None:
    files = [path.read_bytes() for path in FOLDER.iterdir() if path.suffix in (".jsonl", ".txt")]
    assert len(files) == 6
    assert sum(len(gzip.compress(file)) for file in files) < 1_000_000
    texts = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("licence-*.txt")}
    assert "PYTHON SOFTWARE FOUNDATION LICENSE" in texts["licence-python"]
    assert texts["licence-unicode"].startswith("UNICODE LICENSE V3")
    assert "BSD 3-Clause License" in texts["licence-pandas"]


def test_a_split_that_is_not_there_and_a_file_that_was_changed_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match=r"task.split=qa: expected one of needle, entity, conventions"):
        Reference(split="qa")
    (tmp_path / "sha256.json").write_text(json.dumps({"needle": "0" * 64}))
    (tmp_path / "needle.jsonl").write_bytes((FOLDER / "needle.jsonl").read_bytes() + b"\n")
    monkeypatch.setattr("tasks.reference.task.FOLDER", tmp_path)
    with pytest.raises(BadInput, match=r"needle.jsonl is not what was frozen: sha256 \w{64}, expected 0{64}"):
        Reference(split="needle")

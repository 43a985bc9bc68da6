"""The memory of CONTRIBUTING is one: its two files are put where they belong, its three commands are typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hydra.core.config_store import ConfigStore

from memory_bench.__main__ import main
from tests.test_readme import EXAMPLE, ROOT, add_room, blocks

PAGE = ROOT / "CONTRIBUTING.md"
SHORTER = "task.episodes=2"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The two files as the page has them, in a tree of their own."""
    files = {before.strip("`"): text for before, language, text in blocks(PAGE) if language in ("python", "yaml")}
    assert set(files) == {f"adapters/{EXAMPLE}.py", f"conf/memory/{EXAMPLE}.yaml"}
    for place, text in files.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text)
    monkeypatch.chdir(tmp_path)
    add_room(tmp_path / "adapters", monkeypatch)
    options = yaml.safe_load((tmp_path / f"conf/memory/{EXAMPLE}.yaml").read_text())
    ConfigStore.instance().store(group="memory", name=EXAMPLE, node=options)
    yield tmp_path
    del ConfigStore.instance().repo["memory"][f"{EXAMPLE}.yaml"]


def commands() -> list[list[str]]:
    lines = [line for _, _, text in blocks(PAGE) for line in text.splitlines() if EXAMPLE in line]
    return [shlex.split(line)[3:] for line in lines if line.startswith("python -m memory_bench ")]


def test_the_example_keeps_every_promise_and_its_commands_run(
    example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check, measure, compare = commands()
    assert main(check) == 0
    assert " 0 fail, " in capsys.readouterr().out
    assert main([*measure, SHORTER]) == 0
    assert len(list(example.rglob("records.jsonl"))) == 2
    capsys.readouterr()
    assert main(compare) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"A  task needle, memory {EXAMPLE}, reader tiny")
    assert "8 questions (exact_match)" in out


def test_a_memory_takes_two_files_and_three_commands() -> None:
    assert [words[0] for words in commands()] == ["check", "-m", "compare"]

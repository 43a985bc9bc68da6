"""The user's own file as a task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tasks.qa
from memory_bench.__main__ import main
from memory_bench.episode_file import read_episodes, write_episodes
from memory_bench.errors import BadInput
from memory_bench.records import load
from memory_bench.types import Event, Forget, Question
from tasks.qa import Qa
from tasks.qa.task import EXAMPLE


def questions(task: Qa) -> dict[str, Question]:
    return {step.id: step for episode in task.episodes(0) for step in episode.steps if isinstance(step, Question)}


def test_the_example_has_every_kind_of_line_and_field() -> None:
    rows = [json.loads(line) for line in EXAMPLE.read_text().splitlines()]
    steps = [step for episode in read_episodes(EXAMPLE) for step in episode.steps]
    assert {type(step) for step in steps} == {Event, Forget, Question}
    assert {"scope", "time", "cloze", "evidence", "stale", "forgotten", "choices", "tags"} <= {
        key for row in rows for key in row
    }


def test_the_example_runs_as_a_file_of_the_user(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.jsonl"
    own.write_bytes(EXAMPLE.read_bytes())
    command = ["+task=qa", f"task.path={own}", "+memory=bm25", f"results={tmp_path / 'results'}"]
    assert main(command) == 0
    assert "something to find  8" in capsys.readouterr().out
    rows = load(tmp_path / "results")
    assert list(rows["question"]) == list(questions(Qa(path=str(own), tokenizer=None)))
    asked = rows.set_index("question")
    assert asked.loc["trip-0", "scores.hit@1"] == 1.0
    assert asked.loc["clinic-1", "scores.forgotten_in_context"] == 0.0


def test_the_lines_of_the_docstring_are_a_file(tmp_path: Path) -> None:
    lines = [line.strip() for line in (tasks.qa.__doc__ or "").splitlines() if line.startswith("    {")]
    (tmp_path / "file.jsonl").write_text("\n".join(lines))
    [question] = questions(Qa(path=str(tmp_path / "file.jsonl"), tokenizer=None)).values()
    assert question.evidence == {"c95e"}


def test_every_seed_plays_the_same_file_and_the_file_is_named() -> None:
    task = Qa(path=None, tokenizer=None)
    assert list(task.episodes(0)) == list(task.episodes(7))
    assert {**task.identity(), "licence": "CC0-1.0", "name": "example"} == task.identity()
    assert len(task.identity()["file"]) == 64


def test_a_question_that_does_not_tag_itself_is_tagged(tmp_path: Path) -> None:
    asked = questions(Qa(path=None, tokenizer=None))
    assert asked["trip-0"].tags == {"kind": "fact", "wording": "event", "ngram_covered": "yes"}
    assert asked["trip-1"].tags["ngram_covered"] == asked["kitchen-1"].tags["ngram_covered"] == "no"
    bare = tmp_path / "bare.jsonl"
    bare.write_text("".join(line + "\n" for line in EXAMPLE.read_text().splitlines()[:2]))
    with bare.open("a") as file:
        file.write('{"event": "a", "text": "It is on."}\n{"question": "q", "text": "Is it?", "answers": ["unknown"]}\n')
    [question] = questions(Qa(path=str(bare), tokenizer=None)).values()
    assert question.tags == {"kind": "asked", "ngram_covered": "no"}


def test_a_frozen_stream_plays_through_the_task_as_it_was(tmp_path: Path) -> None:
    task = Qa(path=None, tokenizer=None)
    write_episodes(tmp_path / "frozen.jsonl", task.header, task.episodes(0))
    assert list(Qa(path=str(tmp_path / "frozen.jsonl"), tokenizer=None).episodes(3)) == list(task.episodes(0))


def test_a_wrong_last_line_is_said_before_anything_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text(EXAMPLE.read_text() + '{"event": "zz", "txt": "It is late."}\n')
    assert main(["+task=qa", f"task.path={wrong}", "+memory=none", f"results={tmp_path / 'results'}"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f'line {len(EXAMPLE.read_text().splitlines()) + 1}: field "txt": no such field; did you mean text?' in said
    with pytest.raises(BadInput, match=r"task.path=7"):
        Qa(path=7, tokenizer=None)  # type: ignore[arg-type]

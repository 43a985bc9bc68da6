"""A reader with random weights is timed and not judged, refuses what has no room, and takes an Engram in any place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from memory_bench import config
from memory_bench.__main__ import main
from memory_bench.errors import BadInput, NoAnswer, Unavailable
from memory_bench.readers.shape import WHY, ShapeReader

SMALL = [
    "reader=shape",
    "reader.device=cpu",
    "reader.shape.width=32",
    "reader.shape.layers=3",
    "reader.shape.heads=2",
    "reader.max_new_tokens=3",
    "reader.engram.layers=[0,2]",
    "reader.engram.heads=2",
    "reader.engram.row_width=8",
    "reader.engram.rows=500",
]

CHOSEN = ("off_math", "cpu_flash")


def made(*overrides: str) -> ShapeReader:
    reader = config.build(config.compose(["+task=needle", "+memory=none", *SMALL, *overrides]), "reader")
    assert isinstance(reader, ShapeReader)
    return reader


def test_it_writes_as_many_tokens_as_it_may_and_says_that_they_are_no_answer() -> None:
    [completion] = made().generate(["The code of gate 17 is"])
    assert completion.completion_tokens == 3
    assert completion.prompt_tokens == made().count_tokens("The code of gate 17 is")
    assert completion.unjudged == WHY
    with pytest.raises(NoAnswer, match="reader=shape are random"):
        made().score("a", [" b"])


def test_it_is_the_same_reader_each_time() -> None:
    one, other = (made().generate(["The code of gate 17 is"])[0] for _ in range(2))
    assert (one.text, one.logprob) == (other.text, other.logprob)
    assert made().identity() == made().identity()


def test_a_run_has_its_costs_and_no_accuracy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shorter = [
        "task.episodes=1",
        "task.questions=3",
        "task.length_tokens=1024",
        "task.distractors=1",
        f"results={tmp_path}",
    ]
    assert main(["+task=needle", "+memory=bm25", *SMALL, *shorter]) == 0
    assert "exact_match" not in capsys.readouterr().out
    [file] = tmp_path.rglob("records.jsonl")
    records: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(records) == 3
    for record in records:
        assert record["answer"] is None
        assert record["unanswered"] == WHY
        assert "exact_match" not in record["scores"]
        assert record["scores"]["hit@1"] is not None
        assert record["costs"]["generate_seconds"] > 0
        assert record["costs"]["completion_tokens"] == 3


def test_every_place_of_the_table_gives_the_same_text_and_another_than_none(tmp_path: Path) -> None:
    folder = f"reader.engram.folder={tmp_path / 'table'}"
    answers = {
        arm: made(f"reader.engram.arm={arm}", folder).generate(["The code of gate 17 is 4411"])[0].logprob
        for arm in ("A", "B", "C3", "C3u", "C4", "D")
    }
    assert answers["A"] != answers["B"]
    assert answers["B"] == answers["C3"] == answers["C3u"] == answers["C4"] == answers["D"]


def test_it_computes_attention_as_the_run_says() -> None:
    logprobs = [made(f"attention={name}").generate(["The code of gate 17 is"])[0].logprob for name in CHOSEN]
    assert logprobs[0] == pytest.approx(logprobs[1], abs=1e-4)
    with pytest.raises(Unavailable, match="attention=fa2_sdpa cannot run here: it runs on cuda, the device is cpu"):
        made("attention=fa2_sdpa")


@pytest.mark.parametrize("arm", ["C1", "C2"])
def test_an_arm_that_needs_a_gpu_says_so(arm: str) -> None:
    with pytest.raises(Unavailable, match="read in place by a GPU only: this device is a CPU"):
        made(f"reader.engram.arm={arm}")


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("reader.engram.arm=E", "reader.engram.arm=E: expected one of A, B, C1, C2, C3, C3u, C4, D"),
        ("reader.engram.arm=D", "arm D reads its table from a folder: type reader.engram.folder=PATH"),
        (
            "reader.dtype=bfloat16",
            "reader.dtype=bfloat16: on a CPU this network computes in float32: type reader.dtype=",
        ),
        ("reader.dtype=int8", "reader.dtype=int8: expected one of float32, bfloat16, float16"),
        ("reader.shape.layers=0", "reader.shape.layers=0: expected a whole number >= 1"),
        ("reader.shape.width=33", "reader.shape.width=33 is no multiple of reader.shape.heads=2: type"),
        ("reader.shape.width=1000000", "M parameters takes 144.0 TB, memory of cpu has"),
    ],
)
def test_what_cannot_be_made_is_refused_in_a_line(option: str, line: str) -> None:
    with pytest.raises(BadInput) as caught:
        made("reader.engram.arm=B", option) if "arm" not in option else made(option)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_without_room_is_refused_before_it_is_made() -> None:
    with pytest.raises(
        BadInput, match=r"a table of 80,\d+,\d+,\d+ rows takes 2.6 TB, memory of cpu has .* free: ask for"
    ):
        made("reader.engram.arm=B", "reader.engram.rows=10000000000")

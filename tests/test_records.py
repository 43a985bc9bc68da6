"""results/: rows land as they are made, what lies in a run's place is complete, and trouble is one line."""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from memory_bench import places, records
from memory_bench.errors import BadInput
from memory_bench.records import Operation, Record, Writer

CONFIG = {
    "choices": {"task": "stub", "memory": "stub", "reader": "stub", "embedder": None, "control": "none"},
    "task": {"_target_": "tests.stubs.StubTask"},
    "seed": 0,
    "budget_tokens": None,
}
OPERATION = Operation("reset", "e0", 0, {"reset_seconds": 1e-6, "size_bytes": 0})
RECORD = Record(
    episode="e0",
    question="q0",
    query="What is it?",
    cloze="It is",
    answer=" 7\u2028\x85 'seven'",  # line breaks to some, text to JSON
    logprob=None,
    unanswered=None,
    gold=("7",),
    evidence=("a",),
    stale=(),
    forgotten=(),
    passages=({"text": "It is 7", "event_ids": ["a"], "score": 0.5, "packed": True},),
    scores={"exact_match": 1.0, "stale@1": None},
    costs={"read_seconds": 1e-5, "read_gpu_seconds": None},
    tags={"kind": "lexical"},
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "stub" / "stub" / "0123456789abcdef"


def writer(place: Path) -> Writer:
    return Writer(place, config=CONFIG, provenance={"command": "python -m memory_bench"})


def write_run(place: Path, *rows: Operation | Record) -> None:
    with writer(place) as out:
        for row in rows:
            out.write(row)
        out.finish()


@contextmanager
def disk_with_room_for(size: int) -> Iterator[None]:
    """No file grows beyond `size` bytes: the kernel refuses as a full disk does, in the middle of a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_written_is_read_back(place: Path, tmp_path: Path) -> None:
    write_run(place, OPERATION, RECORD, RECORD)
    frame = records.load(tmp_path)
    assert len(frame) == 2
    row = frame.iloc[0]
    assert row["answer"] == RECORD.answer
    assert row["choices.memory"] == "stub"
    assert (row["scores.exact_match"], row["costs.read_seconds"], row["tags.kind"]) == (1.0, 1e-5, "lexical")
    assert row["scores.stale@1"] is None or math.isnan(row["scores.stale@1"])
    assert row["passages"] == list(RECORD.passages)
    assert row["run"] == str(place)
    assert records.load_operations(place).iloc[0]["costs.size_bytes"] == 0


def test_rows_are_on_disk_before_the_run_ends(place: Path) -> None:
    with writer(place) as out:
        out.write(RECORD)
        [line] = (out.folder / "records.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
        assert json.loads(line)["question"] == "q0"
        assert not place.exists()
        assert not records.open_run(out.folder).finished
        out.finish()
    assert records.open_run(place).finished


def test_a_complete_run_replaces_an_older_one_and_leaves_nothing_else(place: Path) -> None:
    write_run(place, RECORD, RECORD)
    write_run(place, RECORD)
    assert len(records.load(place)) == 1
    assert os.listdir(place.parent) == [place.name]  # noqa: PTH208


def test_a_run_that_breaks_leaves_the_finished_one_alone(place: Path, tmp_path: Path) -> None:
    write_run(place, RECORD, RECORD)
    with suppress(ZeroDivisionError), writer(place) as out:
        out.write(RECORD)
        _ = 1 / 0
    assert len(records.load(tmp_path)) == 2
    broken, finished = sorted(records.runs(tmp_path), key=lambda run: run.finished)
    assert (finished.questions, finished.why) == (2, None)
    assert (broken.questions, broken.why) == (1, "ZeroDivisionError: division by zero")
    assert broken.provenance["end"] is not None
    assert len(records.load(broken.folder)) == 1  # by its own name it can be looked at


def test_an_abandoned_run_makes_room_for_a_new_one(place: Path) -> None:
    with suppress(ZeroDivisionError), writer(place) as out:
        _ = 1 / 0
    gone = out.folder.with_name(f"{out.folder.name.rpartition('-')[0]}-{2**22 + 1}")  # beyond the ids of Linux
    out.folder.rename(gone)
    assert places.at_work(place) is None
    write_run(place, RECORD)
    assert not gone.exists()


def test_a_run_of_a_living_process_is_left_alone(place: Path) -> None:
    own = writer(place).folder.name
    living = place.with_name(f"{own.rpartition('-')[0]}-{os.getppid()}")
    living.mkdir(parents=True)
    assert places.at_work(place) == living
    write_run(place, RECORD)
    assert living.exists()


def test_a_process_that_came_after_a_run_is_not_the_one_that_wrote_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers of processes are given again: nobody may wait for one that has nothing to do with the cell."""
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as another:
        old = place.with_name(f"{writer(place).folder.name.rpartition('-')[0]}-{another.pid}")
        old.mkdir(parents=True)
        assert places.at_work(place) == old
        monkeypatch.setattr(places, "CLOCKS_APART_SECONDS", -3600.0)  # as if it had begun an hour later
        assert places.at_work(place) is None
        another.communicate()
    write_run(place, RECORD)
    assert not old.exists()


@pytest.mark.parametrize("another_is_first", [True, False])
def test_of_two_that_come_to_a_cell_at_once_the_first_by_name_has_it(place: Path, another_is_first: bool) -> None:
    other = place.with_name(f"{place.name}{places.UNFINISHED}{'0' if another_is_first else 'z'}-1")
    other.mkdir(parents=True)
    out = Writer(place, config=CONFIG, provenance={}, again=False)
    if another_is_first:
        with pytest.raises(places.Elsewhere, match=other.name), out:
            pass
        assert not out.folder.exists()
    else:
        with out:
            out.finish()
        assert records.is_complete(place)
    assert other.exists()


def test_a_run_of_another_machine_is_left_alone_until_nothing_has_come_for_long(place: Path) -> None:
    foreign = place.with_name(f"{place.name}{places.UNFINISHED}another_machine-1")
    foreign.mkdir(parents=True)
    (foreign / "records.jsonl").touch()
    assert places.at_work(place) == foreign
    write_run(place, RECORD)
    assert foreign.exists()
    for silence, at_work, kept in ((places.SILENCE_SECONDS, None, True), (places.ABANDONED_SECONDS, None, False)):
        for file in (foreign / "records.jsonl", foreign):
            os.utime(file, times=(time.time() - silence - 1,) * 2)
        assert places.at_work(place) == at_work
        write_run(place, RECORD)
        assert foreign.exists() == kept


def test_a_run_that_has_ended_is_at_work_no_more_though_its_process_lives(place: Path) -> None:
    with suppress(ZeroDivisionError), writer(place) as out:
        living = place.with_name(f"{out.folder.name.rpartition('-')[0]}-{os.getppid()}")
        _ = 1 / 0
    out.folder.rename(living)
    assert places.at_work(place) is None


def test_a_run_that_another_process_finished_meanwhile_gives_way_whole(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking at the place and taking it, the other takes it: once, and as often as it likes."""
    with writer(place) as out:
        out.write(RECORD)
        rename, left = Path.rename, [3]

        def busy(source: Path, target: Path) -> Path:
            if target == place and left[0]:
                left[0] -= 1
                place.mkdir()
                (place / "records.jsonl").write_text("of the other")
            return rename(source, target)

        monkeypatch.setattr(Path, "rename", busy)
        out.finish()
    assert left == [0]
    assert len(records.load(place)) == 1
    assert os.listdir(place.parent) == [place.name]  # noqa: PTH208


def test_a_row_that_is_not_a_number_is_refused_and_leaves_nothing(place: Path) -> None:
    with writer(place) as out:
        out.write(RECORD)
        with pytest.raises(ValueError, match="JSON"):
            out.write(replace(RECORD, scores={"exact_match": math.nan}))
        out.finish()
    assert len(records.load(place)) == 1


def test_a_disk_that_is_full_from_the_start_is_one_line(place: Path) -> None:
    with disk_with_room_for(8), pytest.raises(BadInput, match=r"cannot write results to .*: .*; make room or type "):
        write_run(place, RECORD)
    assert not place.exists()


def test_a_disk_that_fills_keeps_whole_rows_and_says_where(place: Path, tmp_path: Path) -> None:
    with disk_with_room_for(4096), pytest.raises(BadInput, match=r"; \d+ questions are kept in .*unfinished"):
        write_run(place, *[RECORD] * 100)
    [run] = records.runs(tmp_path)
    lines = (run.folder / "records.jsonl").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    assert run.questions == len(lines) == len([json.loads(line) for line in lines])
    assert 0 < len(lines) < 100
    assert not run.finished
    assert records.load(tmp_path).empty


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadInput, match=r"cannot write results to .*file.*results=FOLDER"):
        write_run(tmp_path / "file" / "stub" / "stub" / "run", RECORD)


def test_runs_of_one_cell_are_found_by_its_options(place: Path, tmp_path: Path) -> None:
    write_run(place, RECORD)
    assert [run.folder for run in records.runs(tmp_path, config=CONFIG)] == [place]
    assert records.runs(tmp_path, config=CONFIG | {"seed": 1}) == []


def test_a_cell_without_a_result_leaves_its_reason_until_it_has_one(place: Path, tmp_path: Path) -> None:
    records.note_missing(tmp_path, CONFIG, "unavailable: no engine")
    [run] = records.runs(tmp_path, config=CONFIG)
    assert (run.finished, run.why) == (False, "unavailable: no engine")
    assert records.load(tmp_path).empty
    write_run(place, RECORD)
    [run] = records.runs(tmp_path, config=CONFIG)
    assert run.finished

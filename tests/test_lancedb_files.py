"""LanceDB's files when the disk refuses their ends, and when they are damaged and no seal says so."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.lancedb import LanceTable
from memory_bench.embedders.hashing import Hashing
from memory_bench.errors import BadInput
from memory_bench.index_folder import SEAL
from memory_bench.types import Passage, Query
from memory_bench.vectors import VectorMemory
from tests import engines
from tests.engines import texts

EVENTS = texts(20)
INDEX_FROM_ROWS = 12
CUT_BYTES = 10  # of the end of a file: what is written last, and what LanceDB does not hear of


def opened(place: Path, name: str = "lancedb") -> VectorMemory:
    options = [f"memory.path={place}", f"memory.index_from_rows={INDEX_FROM_ROWS}"]
    memory = engines.build(name, *options, embedder=Hashing(dimensions=32))
    assert isinstance(memory, VectorMemory)
    return memory


def table_of(memory: VectorMemory) -> LanceTable:
    assert isinstance(memory.engine, LanceTable)
    return memory.engine


@contextmanager
def room(file_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes: the kernel refuses as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def two_batches(memory: VectorMemory) -> None:
    memory.write(EVENTS[:4])
    memory.write(EVENTS[4:8])


def enough_for_an_index(memory: VectorMemory) -> None:
    memory.write(EVENTS[:16])


CALLS: dict[str, tuple[Callable[[VectorMemory], None], Callable[[VectorMemory], None], str]] = {
    "a write": (two_batches, lambda memory: memory.write(EVENTS[8:]), "data/*.lance"),
    "a compaction": (two_batches, lambda memory: memory.settle(), "data/*.lance"),
    "an index": (enough_for_an_index, lambda memory: memory.settle(), "_indices/*/auxiliary.idx"),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_file_whose_end_the_disk_refused_is_taken_back(call: str, tmp_path: Path) -> None:
    """LanceDB says that it is done, and removes the versions that could still be read."""
    prepare, do, kind = CALLS[call]
    twin, memory = opened(tmp_path / "twin"), opened(tmp_path / "kept")
    for one in (twin, memory):
        prepare(one)
    held = answers(memory)
    do(twin)
    largest = max(file.stat().st_size for file in (tmp_path / "twin/index/events.lance").glob(kind))
    with room(largest - CUT_BYTES), pytest.raises(BadInput, match=r"^the index cannot be written \(.*\): make room"):
        do(memory)
    assert answers(memory) == held
    shutil.copytree(tmp_path / "kept", tmp_path / "killed")  # as a process leaves it that closes nothing
    again = opened(tmp_path / "killed")
    assert answers(again) == held
    do(again)
    assert answers(again) == answers(twin)


def answers(memory: VectorMemory) -> list[list[Passage]]:
    return [memory.read(Query(event.text)) for event in EVENTS[::5]]


def test_every_file_of_rows_and_indexes_ends_as_a_whole_one_does(tmp_path: Path) -> None:
    """Did LanceDB end its files otherwise, every write would be taken back."""
    for name in ("lancedb", "lancedb_hybrid"):
        memory = opened(tmp_path / name, name)
        enough_for_an_index(memory)
        memory.settle()
        parts = {file.relative_to(tmp_path / name).parts[2] for file in table_of(memory)._files()}
        assert parts == {"data", "_indices"}
        memory.close()


DAMAGES = {
    "rows": ("lancedb", "data/*.lance"),
    "what was deleted": ("lancedb", "_deletions/*.arrow"),
    "the version": ("lancedb", "_versions/*.manifest"),
    "the graph": ("lancedb", "_indices/*/index.idx"),
    "the vectors of the graph": ("lancedb", "_indices/*/auxiliary.idx"),
    "the words": ("lancedb_hybrid", "_indices/*/part_0_tokens.lance"),
    "the places of the words": ("lancedb_hybrid", "_indices/*/part_0_invert.lance"),
}


@pytest.mark.parametrize(
    ("what", "how"), [*((what, "cut") for what in DAMAGES), ("rows", "gone"), ("the version", "gone")]
)
def test_a_damaged_index_that_was_never_closed_is_one_line_and_left_alone(what: str, how: str, tmp_path: Path) -> None:
    name, kind = DAMAGES[what]
    memory, place = opened(tmp_path / "kept", name), tmp_path / "kept"
    enough_for_an_index(memory)
    memory.settle()
    table_of(memory).table.delete("id = 'e7'")
    memory.close()
    (place / SEAL).unlink()
    damaged = max((place / "index/events.lance").glob(kind), key=lambda file: file.stat().st_mtime_ns)
    held = damaged.read_bytes()
    for file in damaged.parent.glob("*.manifest") if what == "the version" else [damaged]:
        file.unlink()
    if how == "cut":
        damaged.write_bytes(held[: len(held) // 2])
    before = {file: file.stat().st_mtime_ns for file in place.rglob("*")}
    with pytest.raises(BadInput, match=rf"^{place} is damaged \(.*\): set memory\.path to another folder$") as refusal:
        opened(place, name)
    assert "\n" not in str(refusal.value)
    assert {file: file.stat().st_mtime_ns for file in place.rglob("*")} == before

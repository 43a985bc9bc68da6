"""A table on disk is what was written, or it is refused in a line; what has no room is refused before it is made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from adapters.engram.placement.file import HEADER, TableFile, read_header, stride, write_table
from memory_bench.errors import BadInput
from memory_bench.readers import room

CPU = torch.device("cpu")
ROWS, WIDTH = 1000, 6
ADDRESS = {"seed": 3, "primes": {"0": [997]}}


def chunks(_: int) -> Iterator[Tensor]:
    yield from torch.split(torch.arange(ROWS * WIDTH, dtype=torch.float32).view(ROWS, WIDTH), 333)


def write(folder: Path, **changes: object) -> None:
    options = {"rows": {0: ROWS}, "row_width": WIDTH, "chunks": chunks, "hash_version": "t-1", "address": ADDRESS}
    write_table(folder, **{**options, "shard_bytes": 64 * 300, **changes})  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "table")
    return tmp_path / "table"


def test_shards_hold_the_rows_one_stride_apart_and_the_header_says_what_they_are(folder: Path) -> None:
    header = read_header(folder)
    assert header.stride_bytes == stride(WIDTH, torch.float32) == 64
    assert [shard.rows for shard in header.layers[0]] == [300, 300, 300, 100]
    assert header.address == ADDRESS
    assert header.hash_version == "t-1"
    raw = b"".join((folder / shard.name).read_bytes() for shard in header.layers[0])
    assert header.size_bytes() == len(raw) == ROWS * 64
    rows = np.frombuffer(raw, np.float32).reshape(ROWS, 16)
    assert np.array_equal(rows[:, :WIDTH].ravel(), np.arange(ROWS * WIDTH, dtype=np.float32))
    assert not rows[:, WIDTH:].any()
    assert {file.name for file in folder.parent.iterdir()} == {"table"}  # nothing of the writing stays beside it


def test_a_truncated_shard_is_refused_with_both_sizes(folder: Path) -> None:
    shard = folder / "layer00-00001.rows"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(BadInput, match=r"layer00-00001.rows is truncated: 19,199 bytes, 19,200 were expected: copy"):
        TableFile(folder, verify=False)


def test_an_altered_shard_is_refused_with_both_digests(folder: Path) -> None:
    shard = folder / "layer00-00002.rows"
    raw = bytearray(shard.read_bytes())
    raw[5] ^= 1
    shard.write_bytes(raw)
    with pytest.raises(BadInput, match=r"layer00-00002.rows was altered: its sha256 is \w{12}..., \w{12}... was"):
        TableFile(folder)


def test_a_missing_shard_or_header_is_named(folder: Path) -> None:
    (folder / "layer00-00003.rows").unlink()
    with pytest.raises(BadInput, match=r"layer00-00003.rows is missing, table.json names it: copy the folder again"):
        TableFile(folder)
    shutil.rmtree(folder)
    with pytest.raises(BadInput, match=r"holds no table: table.json is missing; write one, or name its folder"):
        TableFile(folder)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", "is no header of a table"),
        ("[]", "is no header of a table"),
        ('{"format": 9}', "is of format 9, this version reads 1"),
        ('{"format": 1, "layers": {}}', "is no header of a table"),
    ],
)
def test_a_header_that_is_none_is_refused(text: str, line: str, folder: Path) -> None:
    (folder / HEADER).write_text(text)
    with pytest.raises(BadInput, match=line) as caught:
        TableFile(folder)
    assert "\n" not in str(caught.value)


def test_a_table_of_another_address_is_refused_and_both_sides_are_named(folder: Path) -> None:
    TableFile(folder, address=ADDRESS).close()
    with pytest.raises(BadInput, match=r"addresses other rows .*: seed of the table is 3, of the module 4: use the"):
        TableFile(folder, address={**ADDRESS, "seed": 4})


def test_a_file_that_shrinks_while_it_is_read_is_found(folder: Path) -> None:
    opened = TableFile(folder, how="pread")
    (folder / "layer00-00000.rows").write_bytes(b"")
    out = np.zeros(1, np.dtype((np.void, 64)))
    with pytest.raises(OSError, match=r"layer00-00000.rows became shorter: copy the folder again"):
        opened.read(0, np.array([7]), out)
    opened.close()


def test_rows_in_no_order_are_a_bug(folder: Path) -> None:
    opened = TableFile(folder)
    with pytest.raises(ValueError, match="read in ascending order"):
        opened.read(0, np.array([7, 3]), np.zeros(2, np.dtype((np.void, 64))))
    opened.close()


def test_a_way_of_reading_that_does_not_exist_is_refused(folder: Path) -> None:
    with pytest.raises(BadInput, match="read by map or by pread, got 'mmap'"):
        TableFile(folder, how="mmap")


def test_rows_that_are_no_numbers_are_not_written(tmp_path: Path) -> None:
    spoiled = torch.zeros(ROWS, WIDTH)
    spoiled[7, 2] = float("nan")
    with pytest.raises(BadInput, match=r"a row of layer 0 holds what is no number"):
        write(tmp_path / "table", chunks=lambda _: [spoiled])
    assert list(tmp_path.iterdir()) == []


def test_a_table_is_not_written_over_another_one(folder: Path) -> None:
    before = json.loads((folder / HEADER).read_text())
    with pytest.raises(BadInput, match="exists: remove it, or name another folder"):
        write(folder)
    assert json.loads((folder / HEADER).read_text()) == before


def test_fewer_rows_than_announced_are_a_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="layer 0 was given 1000 rows, 1001 were announced"):
        write(tmp_path / "table", rows={0: ROWS + 1})


def test_a_table_larger_than_the_disk_is_refused_before_the_first_byte(tmp_path: Path) -> None:
    def never(_: int) -> Iterator[Tensor]:
        raise AssertionError("a chunk was made")
        yield

    with pytest.raises(BadInput, match=r"10,000,000,000,000 rows takes 640.0 TB, the disk of .* has .* free: free"):
        write(tmp_path / "table", rows={0: 10**13}, chunks=never)
    assert list(tmp_path.iterdir()) == []


def test_a_table_larger_than_the_memory_is_refused_with_both_sizes() -> None:
    free = room.free_memory(CPU)
    room.check_memory("a table", free // 2, CPU, mend="type rows=1000")
    with pytest.raises(BadInput, match=r"a table takes .* TB, memory of cpu has .*B free: type rows=1000"):
        room.check_memory("a table", free + 10**13, CPU, mend="type rows=1000")


def test_a_limit_of_the_group_counts_where_it_is_lower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "CGROUP", tmp_path)
    machine = room.free_memory(CPU)
    (tmp_path / "memory.max").write_text("max\n")
    assert room.free_memory(CPU) == pytest.approx(machine, rel=0.2)
    (tmp_path / "memory.max").write_text("5000000\n")
    (tmp_path / "memory.current").write_text("3000000\n")
    (tmp_path / "memory.stat").write_text("anon 2000000\nactive_file 300000\ninactive_file 700000\n")
    assert room.free_memory(CPU) == 3_000_000


@pytest.mark.parametrize(("size_bytes", "text"), [(12, "12 bytes"), (1500, "1.5 kB"), (6_400_000_000, "6.4 GB")])
def test_sizes_are_shown_as_a_person_reads_them(size_bytes: int, text: str) -> None:
    assert room.shown(size_bytes) == text

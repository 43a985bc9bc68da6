"""A table on disk: shards of rows of one stride, and a header that says what they are and what their bytes hash to.

    table.json           format, hash version, what defines an address, row width, dtype, stride, digest of each shard
    layer00-00000.rows   rows 0..n-1 of layer 0, one after another, each padded with zeros to the stride

The folder is written beside its place and takes it when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memory_bench.errors import BadInput
from memory_bench.readers.room import check_disk

# R rows of a layer, U rows asked for, C width of a row
FORMAT = 1
HEADER = "table.json"
ALIGNMENT = 64  # bytes: a row never touches more cache lines than it must
SHARD_BYTES = 1 << 28
RESTORE = "copy the folder again, or write it again"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Shard:
    name: str
    rows: int
    sha256: str


@dataclass(frozen=True)
class Header:
    """`address` is all that defines which n-gram means which row (JSON values); `layers`: layer -> its shards."""

    hash_version: str
    address: Mapping[str, Any]
    row_width: int
    dtype: str
    stride_bytes: int
    shard_rows: int
    layers: Mapping[int, tuple[Shard, ...]]

    def rows(self, layer: int) -> int:
        return sum(shard.rows for shard in self.layers[layer])

    def size_bytes(self) -> int:
        return sum(self.rows(layer) for layer in self.layers) * self.stride_bytes


def stride(row_width: int, dtype: torch.dtype) -> int:
    """Return the bytes from one row to the next."""
    return -(-row_width * dtype.itemsize // ALIGNMENT) * ALIGNMENT


def write_table(
    folder: Path,
    *,
    rows: Mapping[int, int],
    row_width: int,
    chunks: Callable[[int], Iterable[Tensor]],
    hash_version: str,
    address: Mapping[str, Any],
    dtype: torch.dtype = torch.float32,
    shard_bytes: int = SHARD_BYTES,
) -> Header:
    """Write a table of `rows` (layer -> how many). `chunks(layer)` yields them in order, [any number, C], and is read
    one chunk at a time: a table need never fit into memory.

    Raises BadInput before the first byte where the disk has no room or `folder` exists, and on a row that is no number.
    """
    stride_bytes = stride(row_width, dtype)
    total = sum(rows.values()) * stride_bytes
    if folder.exists():
        raise BadInput(f"{folder} exists: remove it, or name another folder for the table")
    check_disk(f"a table of {sum(rows.values()):,} rows", total, folder, mend="free space, or ask for fewer rows")
    name = str(dtype).removeprefix("torch.")
    shard_rows = max(1, shard_bytes // stride_bytes)
    beside = folder.with_name(f"{folder.name}.part-{os.getpid()}")
    beside.mkdir(parents=True)
    try:
        layers = {}
        for layer, count in rows.items():
            padded = (_padded(chunk, row_width, dtype, stride_bytes, layer) for chunk in chunks(layer))
            layers[layer] = tuple(_write_shards(beside, layer, padded, shard_rows))
            if (found := sum(shard.rows for shard in layers[layer])) != count:
                raise ValueError(f"layer {layer} was given {found} rows, {count} were announced")
        header = Header(hash_version, address, row_width, name, stride_bytes, shard_rows, layers)
        (beside / HEADER).write_text(json.dumps({"format": FORMAT, **asdict(header)}, indent=1) + "\n")
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return header


def _padded(rows_RC: Tensor, width: int, dtype: torch.dtype, stride_bytes: int, layer: int) -> NDArray[np.uint8]:
    if rows_RC.ndim != 2 or rows_RC.shape[1] != width:
        raise ValueError(f"rows are [any number, {width}], got {list(rows_RC.shape)}")
    if not torch.isfinite(rows_RC).all():
        raise BadInput(f"a row of layer {layer} holds what is no number (NaN or infinite): the table is not written")
    raw = rows_RC.detach().cpu().to(dtype).contiguous().view(torch.uint8).numpy()
    if raw.shape[1] == stride_bytes:
        return raw
    padded = np.zeros((len(raw), stride_bytes), np.uint8)
    padded[:, : raw.shape[1]] = raw
    return padded


def _write_shards(folder: Path, layer: int, chunks: Iterator[NDArray[np.uint8]], shard_rows: int) -> Iterator[Shard]:
    chunk = next(chunks, None)
    number = 0
    while chunk is not None:
        name, digest, held = f"layer{layer:02}-{number:05}.rows", hashlib.sha256(), 0
        with (folder / name).open("wb") as file:
            while chunk is not None and held < shard_rows:
                part, chunk = chunk[: shard_rows - held], chunk[shard_rows - held :]
                file.write(part.data)
                digest.update(part.data)
                held += len(part)
                if not len(chunk):
                    chunk = next(chunks, None)
        yield Shard(name, held, digest.hexdigest())
        number += 1


class TableFile:
    """A table that stays on disk. Rows are read where they are asked for, by many threads at once if they like.

    `how`: `map` copies them out of the mapped file (a page that is not in memory is read when it is touched), `pread`
    asks the system for each run of neighbouring rows. `address`, where given, must be the one that the table was
    written for. `verify`: hash every shard first. Raises BadInput for a file that is truncated, altered, of another
    format or for another address.
    """

    def __init__(
        self, folder: Path, *, address: Mapping[str, Any] | None = None, how: str = "map", verify: bool = True
    ) -> None:
        if how not in ("map", "pread"):
            raise BadInput(f"rows of a file are read by map or by pread, got {how!r}")
        self.folder = folder
        self.header = read_header(folder)
        self.how = how
        _check_address(folder, self.header, address)
        _check_shards(folder, self.header, verify=verify)
        self.dtype = DTYPES[self.header.dtype]
        self.row_width = self.header.row_width
        self.stride_bytes = self.header.stride_bytes
        self._files: dict[int, list[int]] = {}
        self._maps: dict[int, list[NDArray[np.void]]] = {}
        for layer, shards in self.header.layers.items():
            self._files[layer] = [os.open(folder / shard.name, os.O_RDONLY) for shard in shards]
            self._maps[layer] = [
                _mapped(file, shard.rows, self.stride_bytes)
                for file, shard in zip(self._files[layer], shards, strict=True)
            ]

    def read(self, layer: int, rows_U: NDArray[np.int64], out_U: NDArray[np.void]) -> None:
        """Copy the rows, which are sorted, into `out_U` [U] of items of one stride: padding is included.

        Raises IndexError beyond the table.
        """
        if not len(rows_U):
            return
        if (rows_U[1:] < rows_U[:-1]).any():
            raise ValueError("rows of a file are read in ascending order")
        low, high, count = int(rows_U[0]), int(rows_U[-1]), self.header.rows(layer)
        if low < 0 or high >= count:
            raise IndexError(f"rows of layer {layer} lie in [0, {count}), got {low if low < 0 else high}")
        read, size = self._read_map if self.how == "map" else self._read_pread, self.header.shard_rows
        shards = range(low // size, high // size + 1)
        ends = np.searchsorted(rows_U, [(shard + 1) * size for shard in shards]).tolist()
        for shard, start, end in zip(shards, [0, *ends], ends, strict=False):
            if start < end:
                read(layer, shard, rows_U[start:end] - shard * size, out_U[start:end])

    def _read_map(self, layer: int, shard: int, rows_U: NDArray[np.int64], out_U: NDArray[np.void]) -> None:
        # "raise" would gather into a copy first; the bounds were checked
        np.take(self._maps[layer][shard], rows_U, out=out_U, mode="clip")

    def _read_pread(self, layer: int, shard: int, rows_U: NDArray[np.int64], out_U: NDArray[np.void]) -> None:
        file, bytes_U = self._files[layer][shard], out_U.view(np.uint8)
        starts = np.flatnonzero(np.diff(rows_U, prepend=rows_U[0] - 2) != 1)
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(rows_U)], strict=True):
            part = bytes_U[start * self.stride_bytes : end * self.stride_bytes]
            if os.preadv(file, [part.data], int(rows_U[start]) * self.stride_bytes) != len(part):
                raise OSError(f"{self.folder / self.header.layers[layer][shard].name} became shorter: {RESTORE}")

    def size_bytes(self) -> int:
        return self.header.size_bytes()

    def close(self) -> None:
        self._maps.clear()
        for file in (file for files in self._files.values() for file in files):
            os.close(file)
        self._files.clear()


def _mapped(file: int, rows: int, stride_bytes: int) -> NDArray[np.void]:
    mapped = mmap.mmap(file, 0, access=mmap.ACCESS_READ)
    mapped.madvise(mmap.MADV_RANDOM)  # neighbours of a row are not wanted: to read ahead would read 30 pages for one
    return np.frombuffer(mapped, dtype=np.dtype((np.void, stride_bytes)), count=rows)


def read_header(folder: Path) -> Header:
    """Return the header of a table. Raises BadInput where there is none or it is not one."""
    file = folder / HEADER
    if not file.is_file():
        raise BadInput(f"{folder} holds no table: {HEADER} is missing; write one, or name its folder")
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        if (found := kept.pop("format")) != FORMAT:
            raise BadInput(f"{file} is of format {found}, this version reads {FORMAT}: write the table again")
        layers = {int(layer): tuple(Shard(**shard) for shard in shards) for layer, shards in kept["layers"].items()}
        header = Header(**{**kept, "layers": layers})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{file} is no header of a table ({error}): {RESTORE}") from error
    return header


def _check_address(folder: Path, header: Header, address: Mapping[str, Any] | None) -> None:
    kept = json.loads(json.dumps(header.address))
    wanted = kept if address is None else json.loads(json.dumps(address))
    for key in sorted(kept.keys() | wanted.keys()):
        if kept.get(key) != wanted.get(key):
            raise BadInput(
                f"the table {folder} addresses other rows than the module does: {key} of the table is "
                f"{kept.get(key)}, of the module {wanted.get(key)}: use the module that the table was written with"
            )


def _check_shards(folder: Path, header: Header, *, verify: bool) -> None:
    for shard in (shard for shards in header.layers.values() for shard in shards):
        file, expected = folder / shard.name, shard.rows * header.stride_bytes
        if not file.is_file():
            raise BadInput(f"{file} is missing, {HEADER} names it: {RESTORE}")
        if (found := file.stat().st_size) != expected:
            longer = "truncated" if found < expected else "altered"
            raise BadInput(f"{file} is {longer}: {found:,} bytes, {expected:,} were expected: {RESTORE}")
        if verify and (digest := _sha256(file)) != shard.sha256:
            raise BadInput(
                f"{file} was altered: its sha256 is {digest[:12]}..., {shard.sha256[:12]}... was expected: {RESTORE}"
            )


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

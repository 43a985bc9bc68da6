"""What commits measured, in files that are only ever added: one row a cell and figure.

    results/history/EXPERIMENT-HASH.parquet     one addition

A file is named after what it holds and never written again, so two writers do not meet, and git merges two histories
as folders.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from memory_bench.errors import BadInput
from memory_bench.places import this_process

HISTORY = Path("results/history")
ADD = "python -m memory_bench history add +experiment=NAME"
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("commit", "committed", "measured", "experiment", "cell", "typed", "asked")),
        *(("figure", pa.string()), ("value", pa.float64()), ("reason", pa.string()), ("machine", pa.string())),
    ]
)


@dataclass(frozen=True)
class Point:
    """One figure of one cell as one commit had it; `value` is None where there is none, and `reason` says why.

    `committed` and `measured` are times (ISO 8601, UTC). `cell` is what people call it, `typed` what tells it from the
    other cells of its experiment; `asked` is a hash of what its questions, its reader and its budget are: where it
    differs, figures are not compared. `machine` is the class of machines, as JSON.
    """

    commit: str
    committed: str
    measured: str
    experiment: str
    cell: str
    typed: str
    asked: str
    figure: str
    value: float | None
    reason: str | None
    machine: str


def append(points: Iterable[Point], folder: Path) -> Path | None:
    """Write the points that no file holds yet into one more file; return it, or None where nothing is new.

    Raises BadInput where the disk refuses.
    """
    held = set(read(folder)[0])
    new = [point for point in points if point not in held]
    if not new:
        return None
    rows = [asdict(point) for point in new]
    name = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16]
    place = folder / f"{new[0].experiment}-{name}.parquet"
    beside = place.with_name(f"{place.name}.new-{this_process()}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), beside, compression="zstd")
        beside.rename(place)  # an equal addition of another writer is the same file
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise BadInput(f"cannot write {place}: {error.strerror or error}; make room, or mend the folder") from None
    return place


def read(folder: Path) -> tuple[list[Point], list[str]]:
    """Return every point once, in the order of the commits, and a line for each file that cannot be read."""
    found: dict[Point, None] = {}
    damaged = []
    for file in sorted(folder.glob("*.parquet")):
        try:
            table = pq.ParquetFile(file).read()
        except (OSError, pa.ArrowException) as error:
            damaged.append(f"{file}: left out, it cannot be read ({str(error).splitlines()[0]}); git checkout {file}")
            continue
        if not table.schema.equals(SCHEMA):
            damaged.append(f"{file}: left out, it is no file of a history of this version")
            continue
        found |= dict.fromkeys(Point(**row) for row in table.to_pylist())
    return sorted(found, key=lambda point: (point.committed, point.measured)), damaged


def load(folder: Path) -> tuple[list[Point], list[str]]:
    """Return what `read` does. Raises BadInput where there is not one point."""
    points, damaged = read(folder)
    if not points:
        why = f" ({damaged[0]})" if damaged else ""
        raise BadInput(f"{folder} holds no history{why}; type {ADD}, after the experiment was run")
    return points, damaged


def commits(points: Sequence[Point]) -> list[str]:
    """Return the commits of a history in their order."""
    return list(dict.fromkeys(point.commit for point in points))

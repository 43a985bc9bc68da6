"""Points of a capacity curve: the formula of the bits, the two tables, and a file that only grows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from memory_bench.errors import BadInput

BUDGETS = {"64 KB": 2**16, "1 MB": 2**20, "16 MB": 2**24, "256 MB": 2**28}
TIME, SILENT = "time", "no passage: it does not work through the context"
STORES = ("lines, zlib", "lines, lzma", "SQLite table")
QUOTED = "2 bits a parameter"
REFERENCES = (*STORES, QUOTED)
"""Where the same facts are held without any search, and what others found that a trained model holds."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Point:
    """One size of one memory. What was not measured is None, and `why` says so. `write_seconds` has settling in it."""

    memory: str
    facts: int
    right: float | None = None
    bits: float | None = None
    size_bytes: int | None = None
    write_seconds: float | None = None
    why: str = ""

    @property
    def bits_per_byte(self) -> float | None:
        return None if self.bits is None or not self.size_bytes else self.bits / self.size_bytes

    def row(self) -> dict[str, object]:
        return {**asdict(self), "bits_per_byte": self.bits_per_byte}


def recovered_bits(right: int, asked: int, *, values: int, facts: int) -> float:
    """Return the bits that `facts` facts gave back, judged by a sample: log2(values) for each right one, without the
    share that a guess is right, (right / asked - 1 / values) / (1 - 1 / values); never below 0."""
    if not 0 <= right <= asked or asked < 1 or values < 2:
        raise ValueError(f"0 <= right <= asked, asked >= 1 and values >= 2 are needed, got {right}, {asked}, {values}")
    chance = 1 / values
    return facts * math.log2(values) * max(0.0, (right / asked - chance) / (1 - chance))


def within(points: Sequence[Point], budget: int) -> float | None:
    """Return the most bits that a measured size gave back in so many bytes; None where none is as small."""
    return max((one.bits for one in points if one.bits is not None and (one.size_bytes or 0) <= budget), default=None)


def table(points: Sequence[Point]) -> str:
    """Return all points, and below them the bits within each budget, as two Markdown tables."""
    rows = ["| memory | facts | right | bits | bytes | bits a byte | write, s |", "|:--|--:|--:|--:|--:|--:|--:|"]
    for one in points:
        shown: list[tuple[float | None, Callable[[float], str]]] = [
            (one.right, "{:.3f}".format),
            (one.bits, "{:,.0f}".format),
            (one.size_bytes, "{:,}".format),
            (one.bits_per_byte, "{:.4f}".format),
            (one.write_seconds, "{:.2f}".format),
        ]
        cells = [f"null ({one.why or 'not timed'})" if value is None else form(value) for value, form in shown]
        rows.append(f"| {one.memory} | {one.facts:,} | {' | '.join(cells)} |")
    rows += ["", f"| bits of the largest size within | {' | '.join(BUDGETS)} |", "|:--|" + "--:|" * len(BUDGETS)]
    for name in dict.fromkeys(one.memory for one in points):
        own = [one for one in points if one.memory == name]
        most = [within(own, budget) for budget in BUDGETS.values()]
        rows.append(f"| {name} | {' | '.join('null (none)' if bits is None else f'{bits:,.0f}' for bits in most)} |")
    return "\n".join(rows)


class PointFile:
    """JSON lines, one a point, each on the disk before the next is measured. None is ever changed or taken out.

    `life` is what the points of one curve share, such as the seed; those of another may stand in the same file.
    `seconds` is the limit now: what took too long under a lower one is not known. Without a path nothing is kept.
    Raises BadInput with the number of a line that is no point.
    """

    def __init__(self, path: Path | None, *, life: Mapping[str, object], seconds: float) -> None:
        self.path = path
        self.life = dict(life)
        self.seconds = seconds
        self._known = {(point.memory, point.facts): point for point in _read(path, self.life, seconds)} if path else {}

    def known(self, memory: str, facts: int) -> Point | None:
        return self._known.get((memory, facts))

    def add(self, point: Point, *, stamp: Mapping[str, object]) -> None:
        """Append a point that is not known. `stamp` says when, where and by which code it was measured."""
        if self.path is None or self.known(point.memory, point.facts) == point:
            return
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**point.row(), **self.life, "limit_seconds": self.seconds, **stamp}) + "\n")


def _read(path: Path, life: Mapping[str, object], seconds: float) -> Iterator[Point]:
    if not path.parent.is_dir():
        raise BadInput(f"--out {path}: there is no folder {path.parent}; make it first")
    for row, point in read_rows(path) if path.exists() else ():
        settled = point.bits is not None or point.why == SILENT
        late = point.why.startswith(TIME) and row["limit_seconds"] >= seconds
        if {key: row[key] for key in life} == dict(life) and (settled or late):
            yield point


def read_rows(path: Path) -> Iterator[tuple[Row, Point]]:
    """Yield every line of a file, with its point. Raises BadInput with the number of one that is none."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(keepends=True), start=1):
        if not line.endswith("\n"):
            raise BadInput(f"--out {path}, line {number}: was cut short; take it out")
        try:
            row: Row = json.loads(line)
            point = Point(**{field.name: row[field.name] for field in fields(Point)})
            row["limit_seconds"], row["names"], row["seed"]
        except (ValueError, KeyError, TypeError):
            raise BadInput(f"--out {path}, line {number}: is no point of a curve; take it out") from None
        yield row, point

"""Rows as figures: what a life measured by name, and its mean over builds with the least and the most of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Spread:
    """A figure over the builds of one arm."""

    mean: float
    low: float
    high: float
    builds: int


def figures(row: Row) -> dict[str, float]:
    """Return name -> figure of one life: `recall`, `p50_ms at 100`, `recall of 0.01`, `returned forgotten`, ..."""
    if "plain" not in row:
        return {}
    rows = row["key"]["rows"]
    found = {
        "rows_per_second": rows / row["insert_seconds"],
        "settle_seconds": row["settle_seconds"],
        "build_seconds": row["insert_seconds"] + row["settle_seconds"],
        "size_bytes": row["size_bytes"],
        "bytes_per_row": row["size_bytes"] / rows,
        "queries_per_second": 1e3 / row["plain"]["p50_ms"],
        "bytes forgotten": row["forgotten_bytes"],
        "settle_seconds forgotten": row["forgotten_settle_seconds"],
    }
    fresh = {"first_ms": row.get("first_ms"), **row.get("fresh", {})}
    found |= {name: value for name, value in fresh.items() if value is not None}
    for behind, searched in _searches(row):
        found |= {f"{name}{behind}": value for name, value in searched.items()}
    return found


def _searches(row: Row) -> Iterator[tuple[str, Mapping[str, float]]]:
    yield "", row["plain"]
    yield " forgotten", row["forgotten"]
    yield " forgotten and settled", row["forgotten_settled"]
    for point in row["curve"]:
        yield f" at {point['effort']}", point
    for part in row["filters"]:
        yield f" of {part['share']}", part


def of(rows: Sequence[Row], size: int, arm: str) -> list[Row]:
    return [row for row in rows if row["key"]["rows"] == size and row["key"]["arm"] == arm]


def spread(rows: Sequence[Row], figure: str) -> Spread | None:
    """Return a figure over builds, None where no life of them has it."""
    values = [known[figure] for known in map(figures, rows) if figure in known]
    return Spread(sum(values) / len(values), min(values), max(values), len(values)) if values else None


def why(rows: Sequence[Row]) -> str:
    """Return why these lives have no figure."""
    return next((row["why"] for row in rows if row.get("why")), "not measured")


def sizes(rows: Sequence[Row]) -> list[int]:
    return sorted({row["key"]["rows"] for row in rows})


def arms(rows: Sequence[Row], size: int) -> list[str]:
    """Return the arms of a size in the order in which they were run."""
    return list(dict.fromkeys(row["key"]["arm"] for row in rows if row["key"]["rows"] == size))

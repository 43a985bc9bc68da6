"""How a figure stands on the page: its text, the cell that it is from, its place in a sorted column, and why null."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memory_bench.reporting.cells import Measured
from memory_bench.reporting.figures import Figure, Null
from memory_bench.reporting.numbers import Notes, plain
from memory_bench.reporting.table import Row, Table
from memory_bench.statistics import Difference, Interval

METHODS = {"bootstrap": "BCa bootstrap", "no spread": "exact binomial", "linearised": "Korn and Graubard"}


@dataclass(frozen=True)
class Shown:
    """One figure. `cell` is the id of the cell that it was measured in, `value` what a column is sorted by.

    `note` is what it says when it is pointed at; `footnote` the number of the reason of a null, else None; `best` sets
    it apart as the highest.
    """

    text: str
    cell: str
    value: float | None
    note: str
    footnote: int | None = None
    best: bool = False


@dataclass(frozen=True)
class Section:
    """A table of the report with its title and its measured cells: row -> cell, by the id that both have."""

    title: str
    table: Table
    cells: Mapping[str, Measured]

    def measured(self, rows: Sequence[Row]) -> list[tuple[Row, Measured]]:
        """Return those of the rows that were measured, each with its cell."""
        return [(row, self.cells[row.cell]) for row in rows if row.reason is None]


class Figures:
    """Shows figures, and numbers the reasons of nulls as they come."""

    def __init__(self) -> None:
        self.notes = Notes()

    def show(self, figure: Figure, cell: str, *, unit: str = "") -> Shown:
        if isinstance(figure, Null):
            return Shown("null", cell, None, figure.reason, self.notes.number(figure.reason))
        return Shown(plain(figure, unit=unit), cell, _value(figure), _note(figure))


def _value(figure: Interval | Difference | float) -> float:
    match figure:
        case Interval():
            return figure.mean
        case Difference(interval):
            return interval.mean
        case _:
            return figure


def _note(figure: Interval | Difference | float) -> str:
    match figure:
        case Interval():
            return f"{figure.n} questions in {figure.clusters} episodes; 95 % interval: {METHODS[figure.method]}"
        case Difference(interval):
            return f"{interval.n} questions in {interval.clusters} episodes; interval: {METHODS[interval.method]}"
        case _:
            return "median"

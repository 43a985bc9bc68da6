"""Length by depth: what a memory scores where the evidence stood so deep in a haystack so long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memory_bench.reporting.figures import Figure, Null
from memory_bench.reporting.html.overview import Line
from memory_bench.reporting.html.shown import Figures, Section
from memory_bench.reporting.table import Row

NONE_SO_DEEP = Null("no question was answered whose evidence stood there")


@dataclass(frozen=True)
class Heat:
    """The map of one task: a line a memory and length, a column a depth (0 is the oldest)."""

    task: str
    depths: tuple[str, ...]
    lines: tuple[Line, ...]


def maps(sections: Sequence[Section], figures: Figures) -> list[Heat]:
    """Return a map for each task that tags depths and has a length, lengths of one memory below each other."""
    deep: dict[str, list[tuple[int, Row]]] = {}
    for section in sections:
        length = section.table.config["task"].get("length_tokens")
        rows = [row for row in section.table.answers if row.depths] if length is not None else []
        task = str(section.table.config["choices"]["task"])
        deep.setdefault(task, []).extend((int(length), row) for row in rows)
    return [_map(task, rows, figures) for task, rows in deep.items() if rows]


def _map(task: str, rows: Sequence[tuple[int, Row]], figures: Figures) -> Heat:
    depths = tuple(sorted({depth for _, row in rows for depth in row.depths}, key=float))
    names = list(dict.fromkeys(row.name for _, row in rows))
    lines = []
    for length, row in sorted(rows, key=lambda pair: (names.index(pair[1].name), pair[0])):
        found: list[Figure] = [row.depths.get(depth, NONE_SO_DEEP) for depth in depths]
        shown = tuple(figures.show(figure, row.cell) for figure in found)
        lines.append(Line(f"{length:,}", row.name, row.cell, row.text, row.control, tuple(row.twins), shown))
    return Heat(task, depths, tuple(lines))

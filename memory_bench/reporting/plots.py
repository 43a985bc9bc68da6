"""Figures of a report, as PNG and SVG. Only who draws needs the plotting library: tables are made without it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory_bench import drawing
from memory_bench.metrics import RETRIEVAL_BUDGETS
from memory_bench.reporting.comparison import titles
from memory_bench.reporting.table import Row, Table
from memory_bench.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

MARKERS = "os^vDPX*"
COLOURS = 10  # of matplotlib's tab10: with 8 markers, 40 memories look different
LEGEND_COLUMNS, LEGEND_LETTERS = 4, 34
PANEL_INCHES, HEAT_INCHES = 4.2, 3.2


@dataclass(frozen=True)
class Axis:
    """What stands on the horizontal axis: a cost, its label, and the value below which the scale is linear.

    `twins` says whether memories with the same answers have costs of their own there.
    """

    figure: str
    label: str
    linear_below: float
    twins: bool


AXES = {
    "tokens": Axis("context_tokens", "tokens of context a question", 100, twins=False),
    "seconds": Axis("question_seconds", "seconds a question in all", 0.001, twins=True),
    "bytes": Axis("size_bytes", "bytes held at most", 1000, twins=True),
}
EVIDENCE, HEAT = "evidence", "depth"
ALIKE, APART_POINTS = 1.1, 5  # costs within a factor of 1.1 are drawn beside each other, so many points apart


def drawn(tables: Sequence[Table]) -> Mapping[str, str]:
    """Return file name -> text of every figure that these tables have the numbers for."""
    texts = {
        name: f"Exact match against {axis.label}; the controls are lines across, and equal costs stand side by side"
        for name, axis in AXES.items()
        if any(points(table, axis) for table in tables)
    }
    if any(_bringing(table) for table in tables):
        texts[EVIDENCE] = (
            "Share of the evidence within so many tokens of a memory's one ranking, judged without a reader"
        )
    if _lengths(tables):
        texts[HEAT] = "Exact match by length and by the depth of the evidence"
    return texts


def draw(tables: Sequence[Table], folder: Path, *, formats: Sequence[str] = drawing.FORMATS) -> list[Path]:
    """Draw these figures into a folder and return their paths. Raises Unavailable without the plotting library."""
    return drawing.save({name: partial(_made, name, tables) for name in drawn(tables)}, folder, formats=formats)


def _made(name: str, tables: Sequence[Table]) -> Figure:
    if name == HEAT:
        return _heat_maps(_lengths(tables))
    return _curves(tables) if name == EVIDENCE else _scatter(tables, AXES[name])


def points(table: Table, axis: Axis) -> list[tuple[Row, float, Interval]]:
    """Return every memory that has both a cost and a score, with them."""
    rows = [row for row in (table.rows if axis.twins else table.answers) if not row.control]
    figures = [(row, row.figures[axis.figure], row.figures["score"]) for row in rows]
    return [(row, x, score) for row, x, score in figures if isinstance(x, float) and isinstance(score, Interval)]


def _scatter(tables: Sequence[Table], axis: Axis) -> Figure:
    """Return one panel a table: a point a memory with its interval, and the controls as lines across."""
    named = [
        (title, table)
        for title, table in zip(titles(table.config for table in tables), tables, strict=True)
        if points(table, axis)
    ]
    figure, panels = _panels([title for title, _ in named])
    rows = {row.name: row for _, table in named for row, _, _ in points(table, axis)}
    looks = dict(zip(rows, _looks(), strict=False))
    for panel, (_, table) in zip(panels, named, strict=True):
        plot(figure, panel, table, axis, looks)
    panels[0].set_ylabel("exact match, with 95 % intervals")
    _legend(figure, panels[0], {_label(row, twins=not axis.twins): looks[name] for name, row in rows.items()})
    return figure


def plot(
    figure: Figure, panel: Axes, table: Table, axis: Axis, looks: Mapping[str, Mapping[str, Any]]
) -> dict[str, Artist]:
    """Draw a point a memory with its interval, and the controls as lines across; return cell -> its point."""
    panel.set_xscale("symlog", linthresh=axis.linear_below)
    panel.set_xlabel(axis.label)
    found = points(table, axis)
    panel.update_datalim([(x, score.mean) for _, x, score in found])  # what is moved does not count by itself
    panel.autoscale_view(scaley=False)
    drawn_points: dict[str, Artist] = {}
    for (row, x, score), place in zip(found, _places([x for _, x, _ in found]), strict=True):
        spread = [[score.mean - score.low], [score.high - score.mean]]
        beside = panel.transData + _moved(figure, place * APART_POINTS)
        bar = panel.errorbar(x, score.mean, spread, elinewidth=0.8, capsize=2, transform=beside, **looks[row.name])
        drawn_points[row.cell] = bar.lines[0]
    _lines(panel, table)
    return drawn_points


def _curves(tables: Sequence[Table]) -> Figure:
    """Return one panel a table: the share of the evidence against the tokens of passages, a line a memory."""
    named = [
        (title, table)
        for title, table in zip(titles(table.config for table in tables), tables, strict=True)
        if _bringing(table)
    ]
    figure, panels = _panels([title for title, _ in named])
    rows = {row.name: row for _, table in named for row in _bringing(table)}
    looks = dict(zip(rows, _looks(), strict=False))
    for panel, (_, table) in zip(panels, named, strict=True):
        panel.set_xscale("log", base=2)
        panel.set_xticks(RETRIEVAL_BUDGETS, [f"{budget:,}" for budget in RETRIEVAL_BUDGETS])
        panel.set_xlabel("passages, tokens")
        for row in _bringing(table):
            panel.plot(RETRIEVAL_BUDGETS, _curve(row), **{**looks[row.name], "linestyle": "-", "linewidth": 1.0})
    panels[0].set_ylabel("evidence")
    _legend(figure, panels[0], {_label(row, twins=True): looks[name] for name, row in rows.items()})
    return figure


def _panels(names: Sequence[str]) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PANEL_INCHES * max(2, len(names)), 5.2), layout="constrained")
    panels = list(figure.subplots(1, len(names), sharey=True, squeeze=False)[0])
    for panel, name in zip(panels, names, strict=True):
        panel.set_title(name)
        panel.set_ylim(-0.03, 1.03)
        panel.grid(alpha=0.3)
    return figure, panels


def _legend(figure: Figure, panel: Axes, looks: Mapping[str, Mapping[str, Any]]) -> None:
    handles = [panel.plot([], [], label=label, **look)[0] for label, look in looks.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=LEGEND_COLUMNS, frameon=False)


def _places(values: Sequence[float]) -> list[float]:
    """Return for each value how many places it is moved, so that values that are nearly equal stand side by side."""
    places = [0.0] * len(values)
    group: list[int] = []
    for number in sorted(range(len(values)), key=values.__getitem__):
        if group and values[number] > ALIKE * values[group[0]]:
            group = []
        group.append(number)
        for place, member in enumerate(group):
            places[member] = place - (len(group) - 1) / 2
    return places


def _moved(figure: Figure, points: float) -> Transform:
    from matplotlib.transforms import ScaledTranslation

    return ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)


def _bringing(table: Table) -> list[Row]:
    return [row for row in table.answers if not row.control and _curve(row)]


def _curve(row: Row) -> list[float]:
    """Return the evidence within each budget; nothing where one of them is null."""
    figures = [row.figures[f"evidence_{budget}"] for budget in RETRIEVAL_BUDGETS]
    means = [figure.mean for figure in figures if isinstance(figure, Interval)]
    return means if len(means) == len(figures) else []


def _looks() -> Iterator[dict[str, Any]]:
    for number in range(COLOURS * len(MARKERS)):
        marker = MARKERS[number % len(MARKERS)]
        yield {"marker": marker, "color": f"C{number % COLOURS}", "linestyle": "none", "markersize": 6}


def _lines(panel: Axes, table: Table) -> None:
    for row in table.rows:
        score = row.figures["score"]
        if row.control and isinstance(score, Interval):
            panel.axhline(score.mean, color="0.5", linewidth=0.8, linestyle="--")
            panel.annotate(
                row.name, (0.01, score.mean), xycoords=("axes fraction", "data"), fontsize=7, color="0.35", va="bottom"
            )


def _label(row: Row, *, twins: bool) -> str:
    names = [row.name, *row.twins] if twins else [row.name]
    return textwrap.fill(", ".join(names), LEGEND_LETTERS)


def _lengths(tables: Sequence[Table]) -> list[list[Table]]:
    """Return the tables of each task that was measured at several lengths, with depths: what a heat map is made of."""
    deep = [table for table in tables if any(row.depths for row in table.rows) and _length(table) is not None]
    by_task = sorted(deep, key=lambda table: str(table.config["choices"]["task"]))
    groups = [list(group) for _, group in groupby(by_task, key=lambda table: str(table.config["choices"]["task"]))]
    return [group for group in groups if len({_length(table) for table in group}) > 1]


def _length(table: Table) -> int | None:
    length = table.config["task"].get("length_tokens")
    return None if length is None else int(length)


def _heat_maps(groups: Sequence[Sequence[Table]]) -> Figure:
    """Return one panel a memory and task: lengths downwards, depths to the right; a field without a number is empty."""
    from matplotlib.figure import Figure

    maps = [
        (f"{group[0].config['choices']['task']}, {name}", *_grid(group, name))
        for group in groups
        for name in _of(group)
    ]
    columns = min(4, len(maps))
    lines = -(-len(maps) // columns)
    figure = Figure(figsize=(HEAT_INCHES * columns, 0.7 * HEAT_INCHES * lines), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for panel in panels[len(maps) :]:
        panel.set_axis_off()
    for panel, (title, lengths, depths, means) in zip(panels, maps, strict=False):
        image = panel.imshow(means, vmin=0, vmax=1, cmap="viridis", aspect="auto")
        panel.set_title(title, fontsize=9)
        panel.set_xticks(range(len(depths)), depths, fontsize=6, rotation=90)
        panel.set_yticks(range(len(lengths)), [f"{length:,}" for length in lengths], fontsize=7)
    figure.supxlabel("depth of the evidence, 0 the oldest")
    figure.supylabel("length, tokens")
    figure.colorbar(image, ax=list(panels), label="exact match")
    return figure


def _of(group: Sequence[Table]) -> list[str]:
    return list(dict.fromkeys(row.name for table in group for row in table.answers if row.depths))


def _grid(group: Sequence[Table], name: str) -> tuple[list[int], list[str], list[list[float]]]:
    """Return lengths, depths and the mean score of each (nan: none) of one memory."""
    rows = {_length(table) or 0: row.depths for table in group for row in table.answers if row.name == name}
    depths = sorted({depth for table in group for row in table.answers for depth in row.depths}, key=float)
    return (
        sorted(rows),
        depths,
        [[rows[length].get(depth, float("nan")) for depth in depths] for length in sorted(rows)],
    )

"""Accuracy against a cost, as SVG within the page: points that lead to their cells, and the Pareto front."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from memory_bench import config, drawing
from memory_bench.errors import Unavailable
from memory_bench.reporting import plots
from memory_bench.reporting.html.shown import Section
from memory_bench.reporting.html.svg import inline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#010203"  # stands for the colour of the page's text, which the library cannot name
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#8c8c8c")  # Okabe and Ito's, and grey
INCHES = (4.4, 3.6)  # at 72 points an inch and 9 points a letter it can be read on a phone
LEGEND_COLUMNS = 4
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "font.size": 9, "text.parse_math": False,  # a name may hold a $
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("axes.facecolor", "figure.facecolor", "legend.facecolor"), "none"),
}  # fmt: skip


@dataclass(frozen=True)
class Front:
    """One figure: exact match of a task against one cost. `best` (cell -> name) is the front, the cheapest first."""

    task: str
    label: str
    svg: str
    best: Mapping[str, str]


def pareto(points: Iterable[tuple[str, float, float]]) -> list[str]:
    """Return the names of the points (name, cost, score) than which none is both cheaper and better, cheapest first.

    Of equal points all are on the front.
    """
    found: list[tuple[str, float, float]] = []
    for name, cost, score in sorted(points, key=lambda point: (point[1], -point[2])):
        if not found or score > found[-1][2] or (cost, score) == found[-1][1:]:
            found.append((name, cost, score))
    return [name for name, _, _ in found]


def draw(sections: Sequence[Section]) -> tuple[list[Front], str]:
    """Return the figures, and one legend for all. Raises Unavailable where the plotting library is not installed."""
    if reason := config.missing_requirement(drawing.LIBRARY):
        raise Unavailable(f"figures cannot be drawn here: {reason}")
    wanted = [(section, axis) for axis in plots.AXES.values() for section in sections]
    wanted = [(section, axis) for section, axis in wanted if plots.points(section.table, axis)]
    names = dict.fromkeys(row.name for section, axis in wanted for row, _, _ in plots.points(section.table, axis))
    looks = {name: _look(number) for number, name in enumerate(names)}
    return [_front(section, axis, looks) for section, axis in wanted], _legend(looks) if looks else ""


def _look(number: int) -> dict[str, Any]:
    # 7 colours and 8 markers have no common divisor: 56 memories look different, neighbours in both
    marker, colour = plots.MARKERS[number % len(plots.MARKERS)], COLOURS[number % len(COLOURS)]
    return {"marker": marker, "color": colour, "linestyle": "none", "markersize": 6}


def _front(section: Section, axis: plots.Axis, looks: Mapping[str, Mapping[str, Any]]) -> Front:
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    found = {row.cell: (row, x, score) for row, x, score in plots.points(section.table, axis)}
    best = pareto((cell, x, score.mean) for cell, (_, x, score) in found.items())
    with rc_context({**STYLE, "svg.hashsalt": f"{section.title} {axis.figure}"}):
        figure = Figure(figsize=INCHES)
        figure.subplots_adjust(left=0.12, right=0.98, bottom=0.13, top=0.98)  # all have the same labels
        panel = figure.subplots()
        panel.set_ylim(-0.03, 1.03)
        panel.grid(alpha=0.3)
        for cell, point in plots.plot(figure, panel, section.table, axis, looks).items():
            point.set_url(f"#cell-{cell}")
        corners = [(found[cell][1], found[cell][2].mean) for cell in best]
        panel.plot(*zip(*corners, strict=True), drawstyle="steps-post", color=INK, linewidth=1, zorder=1)
        panel.set_ylabel("exact match")
        panel.xaxis.set_major_formatter(EngFormatter())
        for text in panel.texts:  # the names of the controls
            text.set_color(INK)
        return Front(section.title, axis.label, _svg(figure), {cell: found[cell][0].name for cell in best})


def _legend(looks: Mapping[str, Mapping[str, Any]]) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    with rc_context({**STYLE, "svg.hashsalt": "legend"}):
        lines = -(-len(looks) // LEGEND_COLUMNS)
        figure = Figure(figsize=(2 * INCHES[0], 0.25 * lines + 0.2))
        handles = [Line2D([], [], label=name, **look) for name, look in looks.items()]
        figure.legend(handles, list(looks), loc="center", ncols=LEGEND_COLUMNS, frameon=False)
        return _svg(figure)


def _svg(figure: Figure) -> str:
    file = StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return inline(file.getvalue()).replace(INK, "currentColor")

"""Figures of the history: one figure of an experiment over its commits, a panel a class of machines, a line a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory_bench import drawing
from memory_bench.guards.history.accepted import Accepted
from memory_bench.guards.history.changes import Change, Series, called
from memory_bench.reporting.plots import MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS, LEGEND_COLUMNS, MOST_COMMITS = 10, 4, 24  # more commits than that are not all named
PANEL_INCHES = 5.6
SHARES = ("score", "evidence", "absent")


@dataclass(frozen=True)
class Trend:
    """What one image shows: a figure of an experiment, its series, and what was found in them and accepted."""

    experiment: str
    figure: str
    series: Sequence[Series]
    changes: Sequence[Change]
    accepted: Sequence[Accepted]
    order: Sequence[str]

    @property
    def name(self) -> str:
        return f"{self.experiment}-{self.figure}"


def trends(
    every: Sequence[Series], changes: Sequence[Change], accepted: Sequence[Accepted], order: Sequence[str]
) -> list[Trend]:
    """Return one trend a figure of an experiment; what was measured at one commit alone has none."""
    found = []
    for experiment, figure in dict.fromkeys((one.like.experiment, one.like.figure) for one in every):
        own = [
            one
            for one in every
            if (one.like.experiment, one.like.figure) == (experiment, figure) and len(one.values) > 1
        ]
        if own:
            commits = [commit for commit in order if any(commit in one.commits for one in own)]
            meant = [entry for entry in accepted if any(entry.covers(one.like.name) for one in own)]
            moved = [change for change in changes if change.series in own]
            found.append(Trend(experiment, figure, own, moved, meant, commits))
    return found


def draw(every: Sequence[Trend], machines: Mapping[str, str], folder: Path) -> list[Path]:
    """Draw the figures into a folder and return their paths. Raises Unavailable without the plotting library."""
    return drawing.save({trend.name: partial(_figure, trend, machines) for trend in every}, folder)


def _figure(trend: Trend, machines: Mapping[str, str]) -> Figure:
    from matplotlib.figure import Figure

    classes = list(dict.fromkeys(one.like.machine for one in trend.series))
    figure = Figure(figsize=(PANEL_INCHES * max(2, len(classes)), 5.2), layout="constrained")
    panels = list(figure.subplots(1, len(classes), sharey=True, squeeze=False)[0])
    names = called(trend.series)
    cells = list(dict.fromkeys(names.values()))
    for panel, machine in zip(panels, classes, strict=True):
        panel.set_title(f"{trend.experiment}, machines {machines[machine]}")
        own = [one for one in trend.series if one.like.machine == machine]
        _lines(panel, trend, own, [_look(cells.index(names[one.like])) for one in own])
        _commits(panel, trend)
    panels[0].set_ylabel(trend.figure)
    looks = [panels[0].plot([], [], label=cell, **_look(number))[0] for number, cell in enumerate(cells)]
    figure.legend(handles=looks, loc="outside lower center", ncols=LEGEND_COLUMNS, frameon=False)
    return figure


def _lines(panel: Axes, trend: Trend, own: Sequence[Series], looks: Sequence[Mapping[str, Any]]) -> None:
    if trend.figure not in SHARES and all(value > 0 for one in own for value in one.values):
        panel.set_yscale("log")
    places = {commit: place for place, commit in enumerate(trend.order)}
    for one, look in zip(own, looks, strict=True):
        panel.plot([places[commit] for commit in one.commits], one.values, **look)
    for change in trend.changes:
        if change.series in own:
            value = change.series.values[change.series.commits.index(change.commit)]
            panel.plot(places[change.commit], value, "o", markersize=14, fillstyle="none", color="black")


def _commits(panel: Axes, trend: Trend) -> None:
    """Write commits below, and a line across where a change was accepted, also where that commit has no value here."""
    step = -(-len(trend.order) // MOST_COMMITS)
    named = range(0, len(trend.order), step)
    panel.set_xticks(list(named), [trend.order[place][:7] for place in named], rotation=90, fontsize=7)
    panel.grid(alpha=0.3)
    for entry in trend.accepted:
        if entry.commit in trend.order:
            panel.axvline(trend.order.index(entry.commit), color="0.4", linestyle="--", linewidth=0.9)


def _look(number: int) -> dict[str, Any]:
    return {"color": f"C{number % COLOURS}", "marker": MARKERS[number // COLOURS % len(MARKERS)], "markersize": 4}

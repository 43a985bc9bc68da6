"""Figures of the page on engines: recall against latency, and recall within ever smaller scopes. Only who draws needs
the plotting library."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory_bench import drawing
from memory_bench.engines import summary
from memory_bench.engines.data import SHARES
from memory_bench.engines.summary import Row
from memory_bench.reporting.plots import MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Source: Okabe and Ito 2008, eight colours that are apart to every kind of eye; yellow is left out on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
PANEL_INCHES, MOST_COLUMNS, LEGEND_COLUMNS = 4.2, 3, 3
MOST_SIZES = 2  # of a plan: small ones are scanned by every arm, and their panels would all be alike
Panel = tuple[str, Sequence[Row]]


def drawable(held: Mapping[str, Sequence[Row]]) -> Mapping[str, str]:
    """Return file name -> text of the figures that these rows have numbers for."""
    return {name: text for name, (text, _) in FIGURES.items()} if any(True for _ in _panels(held)) else {}


def draw(held: Mapping[str, Sequence[Row]], folder: Path) -> list[Path]:
    """Draw the figures into a folder and return their paths. Raises Unavailable without the plotting library."""
    return drawing.save(
        {name: partial(_drawn, list(_panels(held)), FIGURES[name][1]) for name in drawable(held)}, folder
    )


def _panels(held: Mapping[str, Sequence[Row]]) -> Iterator[Panel]:
    """Yield title and rows of the largest sizes of every plan that compares memories."""
    for name, rows in held.items():
        if len({row["key"]["arm"] for row in rows}) == 1:
            continue
        for size in summary.sizes(rows)[-MOST_SIZES:]:
            own = [row for row in rows if row["key"]["rows"] == size and "plain" in row]
            if own:
                yield f"{name}, {size:,} rows", own


def _drawn(panels: Sequence[Panel], lines: Callable[[Axes, Sequence[Row], Looks], None]) -> Figure:
    from matplotlib.figure import Figure

    columns = min(MOST_COLUMNS, len(panels))
    high = -(-len(panels) // columns)
    figure = Figure(figsize=(PANEL_INCHES * max(2, columns), 3.4 * high + 2), layout="constrained")
    axes = figure.subplots(high, columns, sharey=True, squeeze=False).ravel()
    for spare in axes[len(panels) :]:
        spare.set_axis_off()
    arms = dict.fromkeys(row["key"]["arm"] for _, rows in panels for row in rows)
    looks = {arm: _look(number) for number, arm in enumerate(arms)}
    for axis, (title, rows) in zip(axes, panels, strict=False):
        axis.set_title(title)
        axis.set_ylim(-0.03, 1.03)
        axis.grid(alpha=0.3)
        axis.set_ylabel("recall of the ten nearest")
        lines(axis, rows, looks)
    handles = [axes[0].plot([], [], label=arm, **look)[0] for arm, look in looks.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=LEGEND_COLUMNS, frameon=False, fontsize=7)
    return figure


Looks = Mapping[str, Mapping[str, Any]]


def _look(number: int) -> dict[str, Any]:
    marker = MARKERS[number % len(MARKERS)]
    return {"color": COLOURS[number % len(COLOURS)], "marker": marker, "markersize": 5, "linewidth": 1.0}


def _latency(axis: Axes, rows: Sequence[Row], looks: Looks) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("milliseconds a search, median")
    for arm in dict.fromkeys(row["key"]["arm"] for row in rows):
        own = [row for row in rows if row["key"]["arm"] == arm]
        at = [f" at {point['effort']}" for point in own[0]["curve"]] or [""]
        axis.plot(_means(own, "p50_ms", at), _means(own, "recall", at), **looks[arm])


def _filters(axis: Axes, rows: Sequence[Row], looks: Looks) -> None:
    shares = [1.0, *SHARES.values()]
    axis.set_xscale("log")
    axis.invert_xaxis()
    axis.set_xticks(shares, [f"{share:.0%}" for share in shares])
    axis.set_xlabel("share of the rows that the scope holds")
    at = ["", *(f" of {share}" for share in SHARES.values())]
    for arm in dict.fromkeys(row["key"]["arm"] for row in rows):
        axis.plot(shares, _means([row for row in rows if row["key"]["arm"] == arm], "recall", at), **looks[arm])


def _means(rows: Sequence[Row], figure: str, at: Sequence[str]) -> list[float]:
    found = [summary.spread(rows, f"{figure}{behind}") for behind in at]
    return [one.mean for one in found if one]


FIGURES: Mapping[str, tuple[str, Callable[[Axes, Sequence[Row], Looks], None]]] = {
    "latency": ("Recall against latency; a line is one memory searched with more and more effort", _latency),
    "filters": ("Recall within scopes that hold ever fewer of the rows", _filters),
}

"""The figure of the page on capacity: bits against bytes. Only who draws needs the plotting library."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from memory_bench import drawing
from memory_bench.reporting.plots import MARKERS
from tasks.entity.capacity.points import QUOTED, REFERENCES, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "bits"
TEXT = "Bits given back against bytes held, by the number of facts; grey lines hold the same facts without any search"


def draw(sections: Mapping[str, Mapping[str, Mapping[int, Point]]], folder: Path) -> list[Path]:
    """Draw title -> memory -> facts -> point, a panel a title, and return the paths.

    Raises Unavailable where the plotting library is not installed.
    """
    return drawing.save({NAME: partial(_drawn, sections)}, folder)


def _drawn(sections: Mapping[str, Mapping[str, Mapping[int, Point]]]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5 * len(sections)), layout="constrained")
    panels = figure.subplots(len(sections), 1, squeeze=False).ravel()
    for panel, (title, curves) in zip(panels, sections.items(), strict=True):
        panel.set_title(title)
        _lines(panel, curves)
    return figure


def _lines(panel: Axes, curves: Mapping[str, Mapping[int, Point]]) -> None:
    panel.set_xscale("log", base=2)
    panel.set_yscale("log", base=2)
    panel.set_xlabel("bytes held")
    panel.set_ylabel("bits given back")
    panel.grid(alpha=0.3)
    for number, (name, curve) in enumerate(curves.items()):
        # a logarithmic axis has no place for nothing
        points = [point for _, point in sorted(curve.items()) if point.bits and point.size_bytes]
        bytes_held, bits = [point.size_bytes or 0 for point in points], [point.bits or 0.0 for point in points]
        if name in REFERENCES:
            style = "-" if name == QUOTED else "--"
            panel.plot(bytes_held, bits, style, color="0.6", marker=MARKERS[number % len(MARKERS)], ms=4, label=name)
        else:
            panel.plot(bytes_held, bits, color=f"C{number % 10}", marker=MARKERS[number % len(MARKERS)], label=name)
    panel.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))

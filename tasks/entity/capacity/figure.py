"""The figure of the page on capacity: bits against bytes. Only who draws needs the plotting library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from memory_bench import config
from memory_bench.errors import Unavailable
from memory_bench.reporting.plots import FORMATS, LIBRARY, MARKERS
from tasks.entity.capacity.points import QUOTED, REFERENCES, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "bits"
TEXT = "Bits given back against bytes held, by the number of facts; grey lines hold the same facts without any search"


def draw(sections: Mapping[str, Mapping[str, Mapping[int, Point]]], folder: Path) -> list[Path]:
    """Draw title -> memory -> facts -> point, a panel a title, as PNG and SVG; return their paths.

    Raises Unavailable where the plotting library is not installed.
    """
    if reason := config.missing_requirement(LIBRARY):
        raise Unavailable(f"figures cannot be drawn here: {reason}")
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{NAME}.{suffix}" for suffix in FORMATS]
    # the same numbers give the same file: no date, no random ids, text that stays text
    with rc_context({"svg.hashsalt": "memory_bench", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(8, 4.5 * len(sections)), layout="constrained")
        panels = figure.subplots(len(sections), 1, squeeze=False).ravel()
        for panel, (title, curves) in zip(panels, sections.items(), strict=True):
            panel.set_title(title)
            _lines(panel, curves)
        for path in paths:
            without = {"Date": None} if path.suffix == ".svg" else {"Software": None}
            figure.savefig(path, dpi=120, metadata=without)
    return paths


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

"""The three figures of a lesson, as PNG and SVG: drawn from its rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.engram.twins import summary
from adapters.engram.twins.figures import COLOURS, draw_band, new_panels
from memory_bench import drawing
from memory_bench.plans import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {"lora": "LoRA", "engram": "Engram", "lora_engram": "LoRA and Engram"}
MADE = {
    "accuracy": "facts known against steps, with Engram and without",
    "off": "what is left where Engram is switched off at inference",
    "depth": "facts known by a read-out after each layer",
}


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw the figures into a folder and return the paths. Raises Unavailable without the plotting library."""
    made = {"accuracy": _accuracy, "off": _off, "depth": _depth}
    return drawing.save({name: partial(made[name], rows) for name in MADE}, folder, dpi=110)


def _accuracy(rows: Sequence[Row]) -> Figure:
    figure, [panel] = new_panels(1)
    for number, (arm, runs) in enumerate(summary.arms(rows).items()):
        steps = [point["step"] for point in runs[0]["curve"]]
        draw_band(panel, steps, [summary.at(runs, step) for step in steps], number, NAMES[arm])
    panel.set_xlabel("steps")
    panel.set_ylabel("share of facts known")
    panel.set_ylim(-0.03, 1.03)
    panel.legend(frameon=False)
    return figure


def _off(rows: Sequence[Row]) -> Figure:
    """Pairs of bars for each arm that has Engram; the other has nothing to switch off."""
    figure, [panel] = new_panels(1)
    found = {arm: runs for arm, runs in summary.arms(rows).items() if runs[0]["off"] is not None}
    last = {arm: runs[0]["curve"][-1]["step"] for arm, runs in found.items()}
    sides = {
        "on": [summary.mean(summary.at(runs, last[arm])).mean for arm, runs in found.items()],
        "off": [summary.mean(summary.known(runs, "off")).mean for runs in found.values()],
    }
    for place, (side, shares) in enumerate(sides.items()):
        at = [number + 0.35 * place for number in range(len(found))]
        bars = panel.bar(at, shares, width=0.33, color=COLOURS[2 - place], edgecolor="black", label=f"Engram {side}")
        panel.bar_label(bars, fmt="%.2f")
    panel.set_xticks([number + 0.175 for number in range(len(found))], [NAMES[arm] for arm in found])
    panel.set_ylabel("share of facts known")
    panel.set_ylim(0, 1.25)  # room for the legend
    panel.legend(frameon=False, loc="upper center", ncols=2)
    return figure


def _depth(rows: Sequence[Row]) -> Figure:
    figure, [panel] = new_panels(1)
    for number, (arm, runs) in enumerate(summary.arms(rows).items()):
        layers = range(len(runs[0]["depth"]))
        values = [summary.known(runs, "depth", layer) for layer in layers]
        draw_band(panel, [layer + 1 for layer in layers], values, number, NAMES[arm])
    panel.set_xlabel("read out after layer")
    panel.set_ylabel("share of facts known")
    panel.set_ylim(-0.03, 1.03)
    panel.legend(frameon=False)
    return figure

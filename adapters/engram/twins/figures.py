"""The figures of the report, as PNG and SVG: drawn from rows alone, and the same rows give the same file.

Colours are those of Okabe and Ito (2008), which people with any colour vision tell apart; markers differ as well, and
lines are broken where colours come a second time. An arm looks the same in every panel of a figure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.engram.twins import summary
from memory_bench import drawing
from memory_bench.plans import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
MARKERS = "os^vDPX*<>"
Rows = Mapping[str, Sequence[Row]]
"""plan -> its rows"""

ELSEWHERE = {
    "tokens_exposed": "share of tokens that read a written row",
    "top_1_changed": "share of tokens whose likeliest next changed",
    "kl_nats": "KL divergence, nats a token",
}
AGAINST = {"step": "steps", "seconds": "CPU-seconds", "flops": "floating point operations"}


def drawable(rows: Rows) -> dict[str, str]:
    """Return figure -> what it shows, of those that these rows have numbers for."""
    return {name: text for name, (text, plans, _) in FIGURES.items() if any(summary.arms(rows[plan]) for plan in plans)}


def draw(rows: Rows, folder: Path) -> list[Path]:
    """Draw what can be drawn into a folder and return the paths. Raises Unavailable without the plotting library."""
    return drawing.save({name: partial(_drawn, name, rows) for name in drawable(rows)}, folder, dpi=110)


def _drawn(name: str, rows: Rows) -> Figure:
    _, plans, made = FIGURES[name]
    return made([rows[plan] for plan in plans if summary.arms(rows[plan])])


def _look(number: int) -> dict[str, Any]:
    again, colour = divmod(number, len(COLOURS))
    line = {"linewidth": 1.2, "linestyle": "--" if again else "-"}
    return {"color": COLOURS[colour], "marker": MARKERS[number % len(MARKERS)], "markersize": 4, **line}


def _numbers(plans: Sequence[Sequence[Row]]) -> dict[str, int]:
    """Return arm -> its number among those of all plans: one legend is for all panels."""
    names = dict.fromkeys(name for rows in plans for name in summary.arms(rows))
    return {name: number for number, name in enumerate(names)}


def new_panels(columns: int, lines: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many panels side by side, and they in order."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * columns, 3.4 * lines), layout="constrained")
    panels = list(figure.subplots(lines, columns, squeeze=False).ravel())
    for panel in panels:
        panel.grid(alpha=0.3)
    return figure, panels


def draw_band(panel: Axes, xs: Sequence[float], points: Sequence[Mapping[int, float]], number: int, label: str) -> None:
    """Draw means over seeds with their intervals; where all seeds are equal there is none to draw."""
    top = max(1.0, *(value for point in points for value in point.values()))
    spans = [summary.mean(point, (0.0, top)) for point in points]
    bands = [(span.mean, span.mean) if span.method == "no spread" else (span.low, span.high) for span in spans]
    look = _look(number)
    panel.plot(xs, [span.mean for span in spans], label=label, markevery=max(1, len(xs) // 8), **look)
    panel.fill_between(
        xs, [low for low, _ in bands], [high for _, high in bands], color=look["color"], alpha=0.15, linewidth=0
    )


def _curves(score: str) -> Callable[[Sequence[Sequence[Row]]], Figure]:
    """Return what draws a score against steps, seconds and operations: a line of panels a plan."""

    def drawn(plans: Sequence[Sequence[Row]]) -> Figure:
        figure, panels = new_panels(len(AGAINST), len(plans))
        numbers = _numbers(plans)
        for line, rows in enumerate(plans):
            for column, (axis, label) in enumerate(AGAINST.items()):
                panel = panels[line * len(AGAINST) + column]
                for name, runs in summary.arms(rows).items():
                    steps = [point["step"] for point in min(runs, key=lambda run: len(run["curve"]))["curve"]]
                    xs = [summary.mean(summary.at(runs, step, axis), (0.0, float("inf"))).mean for step in steps]
                    draw_band(panel, xs, [summary.at(runs, step, score) for step in steps], numbers[name], name)
                panel.set_xlabel(label)
            panels[line * len(AGAINST)].set_ylabel(f"{score}, {rows[0]['plan']}")
        shown = {str(line.get_label()): line for panel in panels for line in panel.lines}
        handles, labels = list(shown.values()), list(shown)
        figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
        return figure

    return drawn


def _lens(plans: Sequence[Sequence[Row]]) -> Figure:
    figure, panels = new_panels(len(plans))
    numbers = _numbers(plans)
    for panel, rows in zip(panels, plans, strict=True):
        for name, runs in summary.arms(rows).items():
            blocks = range(len(runs[0]["lens"]))
            known = [summary.known(runs, "lens", block) for block in blocks]
            draw_band(panel, [block + 1 for block in blocks], known, numbers[name], name)
        panel.set_title(rows[0]["plan"])
        panel.set_xlabel("read out after block")
        panel.set_xticks([block + 1 for block in blocks])
    panels[0].set_ylabel("accuracy")
    panels[0].legend(frameon=False, fontsize=7)
    return figure


def _tables(plans: Sequence[Sequence[Row]]) -> Figure:
    """Two panels: accuracy against the rows that a head has for each n-gram, and by the orders of the n-grams."""
    figure, panels = new_panels(2)
    found = summary.arms(plans[0])
    sized = {name: runs for name, runs in found.items() if not name.startswith("orders")}
    sized = dict(sorted(sized.items(), key=lambda item: item[1][0]["collisions"]["rows_per_ngram"]))
    ordered = {name: runs for name, runs in found.items() if name == "engram" or name.startswith("orders")}
    steps = sorted({point["step"] for runs in found.values() for point in runs[0]["curve"]})
    for number, step in enumerate(steps[len(steps) // 2 - 1 :: max(1, len(steps) // 6)]):
        xs = [runs[0]["collisions"]["rows_per_ngram"] for runs in sized.values()]
        draw_band(panels[0], xs, [summary.at(runs, step) for runs in sized.values()], number, f"after {step} steps")
    panels[0].set_xscale("log")
    panels[0].set_xlabel("rows of a head for each n-gram of 3 tokens")
    panels[0].set_ylabel("accuracy")
    for number, (name, runs) in enumerate(ordered.items()):
        draw_band(panels[1], steps, [summary.at(runs, step) for step in steps], number, name)
    panels[1].set_xlabel("steps")
    for panel in panels:
        panel.legend(frameon=False, fontsize=7)
    return figure


def _facts(plans: Sequence[Sequence[Row]]) -> Figure:
    figure, panels = new_panels(2)
    for number, (name, runs) in enumerate(summary.arms(plans[0]).items()):
        steps = [point["step"] for point in runs[0]["curve"]]
        for panel, part in zip(panels, ("new", "old"), strict=True):
            draw_band(panel, steps, [summary.at(runs, step, part) for step in steps], number, name)
    for panel, part in zip(panels, ("new", "old"), strict=True):
        panel.set_xlabel("steps")
        panel.set_ylabel(f"share of {part} names known")
        panel.set_ylim(-0.03, 1.03)
    panels[0].legend(frameon=False)
    return figure


def _locality(plans: Sequence[Sequence[Row]]) -> Figure:
    """A panel for each of three numbers of neutral text, against how many facts were written: a line a memory."""
    figure, panels = new_panels(len(ELSEWHERE))
    for number, (name, runs) in enumerate(summary.arms(plans[0]).items()):
        loads = [point["facts"] for point in runs[0]["curve"]]
        for panel, part in zip(panels, ELSEWHERE, strict=True):
            values = [{run["key"]["seed"]: run["curve"][place][part] for run in runs} for place in range(len(loads))]
            draw_band(panel, loads, values, number, name)
    for panel, label in zip(panels, ELSEWHERE.values(), strict=True):
        panel.set_xscale("log")
        panel.set_xlabel("facts written")
        panel.set_ylabel(label)
        panel.set_ylim(bottom=0)
    panels[0].legend(frameon=False)
    return figure


def _gates(plans: Sequence[Sequence[Row]]) -> Figure:
    """One panel a layer: the gate at each token of a text that was not trained on, mean and interval over seeds."""
    runs = [run for run in summary.arms(plans[0]).get("engram", []) if run["gates"]]
    layers = list(runs[0]["gates"])
    figure, panels = new_panels(1, len(layers))
    figure.set_size_inches(12, 2.6 * len(layers))
    for number, (panel, layer) in enumerate(zip(panels, layers, strict=True)):
        pieces = runs[0]["snippet"]
        values = [{run["key"]["seed"]: run["gates"][layer][place] for run in runs} for place in range(len(pieces))]
        draw_band(panel, list(range(len(pieces))), values, number, f"before block {layer}")
        panel.set_ylim(0, 1)
        panel.set_ylabel(f"gate, layer {layer}")
        panel.set_xticks(range(len(pieces)), pieces, rotation=90, fontsize=6)
    return figure


FIGURES: Mapping[str, tuple[str, Sequence[str], Callable[[Sequence[Sequence[Row]]], Figure]]] = {
    "accuracy": ("Accuracy against steps, seconds and operations", ("recall_4k", "recall_16k"), _curves("accuracy")),
    "loss": ("Loss of training against the same, in nats", ("recall_4k", "recall_16k"), _curves("loss")),
    "lens": ("Accuracy of the read-out after each block", ("recall_4k", "recall_16k"), _lens),
    "tables": ("Accuracy by the size of the table and by orders", ("tables",), _tables),
    "facts": ("New and old names known, by how the new ones were written", ("facts",), _facts),
    "locality": ("Other text, by how many facts were written", ("locality",), _locality),
    "text": ("Bits per byte of text that was not trained on", ("text",), _curves("bits_per_byte")),
    "gates": ("How far the gate opens at each token of such a text", ("text",), _gates),
}

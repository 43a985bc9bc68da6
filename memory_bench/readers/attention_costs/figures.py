"""Figures of the page on attention: time by length, and what memories and kernels save. Only who draws needs the
plotting library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from memory_bench import drawing
from memory_bench.plans import Row
from memory_bench.readers.attention_costs.bench import OFF
from memory_bench.readers.attention_costs.memories import Meeting
from memory_bench.readers.attention_costs.subject import CALL, PREFILL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEXTS = {
    "lengths": "Milliseconds of a prompt that is read at once, by its length: the call alone, and the network",
    "memories": "Seconds of an answer with what a memory leaves of the context, off and on; lines across: all of it",
}
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def draw(rows: Sequence[Row], met: Sequence[Meeting], folder: Path) -> list[Path]:
    """Draw the figures into a folder and return their paths. Raises Unavailable without the plotting library."""
    return drawing.save({"lengths": partial(_lengths, rows), "memories": partial(_memories, met)}, folder)


def _lengths(rows: Sequence[Row]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    read = [row for row in rows if row["key"].get("phase") == PREFILL]
    subjects = list(dict.fromkeys(row["key"]["subject"] for row in read))
    for axis, subject in zip(figure.subplots(1, len(subjects), squeeze=False)[0], subjects, strict=True):
        own = [row for row in read if row["key"]["subject"] == subject]
        layers = min(row["key"]["layers"] for row in own)
        axis.set_title("the call alone" if subject == CALL else f"{layers} layers of reader=shape")
        _lines(axis, [row for row in own if row["key"]["layers"] == layers])
    return figure


def _lines(axis: Axes, rows: Sequence[Row]) -> None:
    for number, name in enumerate(rows[0]["arms"]):
        points = {
            row["key"]["tokens"]: row["arms"][name]["seconds"] * 1e3
            for row in rows
            if "seconds" in row["arms"].get(name, {})
        }
        marker = "o" if name == OFF else "s"
        axis.plot(list(points), list(points.values()), marker=marker, color=COLOURS[number], label=name)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_xlabel("tokens")
    axis.set_ylabel("milliseconds, median")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)


def _memories(met: Sequence[Meeting]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 1.2 + 0.34 * len(met)), layout="constrained")
    axis = figure.subplots()
    seconds: Mapping[str, list[float]] = {"off": [one.off for one in met], "on": [one.on for one in met]}
    for number, (name, values) in enumerate(seconds.items()):
        places = [place + (0.18 if number else -0.18) for place in range(len(met))]
        axis.barh(places, values, height=0.34, color=COLOURS[number], label=f"{name}, with the memory")
    for number, (name, whole) in enumerate((("off", met[0].full_off), ("on", met[0].full_on))):
        axis.axvline(whole, color=COLOURS[number], linestyle="--", label=f"{name}, everything in the prompt")
    axis.set_yticks(range(len(met)), [f"{one.memory.name} ({one.memory.prompt_tokens:,.0f} tokens)" for one in met])
    axis.invert_yaxis()
    axis.set_xlabel("seconds of an answer")
    axis.legend(frameon=False, fontsize=7)
    return figure

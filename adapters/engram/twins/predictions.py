"""What was predicted before anything was run, beside what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from adapters.engram.twins import summary
from adapters.engram.twins.facts import best_step
from memory_bench.plans import Row

Found = Mapping[str, Sequence[Row]]
Line = tuple[str, str]


NEVER: Mapping[str, str] = {
    "text: no gain in reading many needles": "not measured: no plan trains a reader with Engram beside one without it",
    "256 facts of many tokens by a writer network and gradients on rows: .95 or more in the event's wording and in "
    "trained ones, .50 to .80 in others": "not measured: there is no writer network",
}
"""Predictions that no plan asks about, each with the reason."""


class Footnotes(Protocol):
    def null(self, reason: str) -> str: ...


def table(rows: Found, notes: Footnotes) -> str:
    """Return the predictions as a table in Markdown."""
    lines = [
        (
            "4,096 names: steps to .90 of Engram are about .65 of the iso-parameter twin's",
            _steps_ratio(rows["recall_4k"]),
        ),
        ("16,384 names, 160 steps: Engram .90 or more", _accuracy(rows["recall_16k"], "engram", 160)),
        ("16,384 names, 160 steps: iso-parameter .30 or less", _accuracy(rows["recall_16k"], "iso_parameter", 160)),
        ("the value is readable one block earlier than in the same backbone", _readable(rows["recall_4k"], "dense")),
        ("and not earlier than in the iso-parameter twin, 4,096 names", _readable(rows["recall_4k"], "iso_parameter")),
        ("rows by gradient: 256 facts .98 or more within 5 steps", _within_five(rows["facts"])),
        ("rows by gradient: old facts .99 or more then", _old(rows["facts"], "rows")),
        ("full fine-tuning: old facts .90 or less", _old(rows["facts"], "full")),
        ("LoRA: old facts .65 or less", _old(rows["facts"], "lora")),
        ("one shot: 1,024 facts .98 or more, old facts .98 or more", _one_shot(rows.get("one_shot", ()))),
        ("text: Engram about -.03 bits per byte against the backbone at equal steps", _bits(rows["text"], "dense")),
        ("text: behind the iso-parameter twin", _bits(rows["text"], "iso_parameter")),
    ]
    body = [f"| {said} | {found or notes.null(summary.NO_SEED)} |" for said, found in lines]
    body += [f"| {said} | {notes.null(reason)} |" for said, reason in NEVER.items()]
    return "\n".join(["| predicted | found |", "|:--|--:|", *body])


def _steps_ratio(rows: Sequence[Row]) -> str:
    found = summary.arms(rows)
    ours, theirs = (summary.steps_to(found.get(name, ())) for name in ("engram", "iso_parameter"))
    ratios = {seed: ours[seed] / theirs[seed] for seed in ours.keys() & theirs.keys()}
    return _interval(ratios, (0.0, float("inf")))


def _accuracy(rows: Sequence[Row], arm: str, step: int) -> str:
    return _interval(summary.at(summary.arms(rows).get(arm, ()), step))


def _readable(rows: Sequence[Row], other: str) -> str:
    """After which block the read-out of each arm first knows half of the names, at the last step."""
    found = summary.arms(rows)
    if "engram" not in found or other not in found:
        return ""
    blocks = {name: _first_block(found[name]) for name in ("engram", other)}
    return ", ".join(f"`{name}`: " + ("in no block" if at is None else f"block {at}") for name, at in blocks.items())


def _first_block(runs: Sequence[Row]) -> int | None:
    for block in range(len(runs[0]["lens"])):
        if summary.mean(summary.known(runs, "lens", block)).mean >= 0.5:
            return block + 1
    return None


def _within_five(rows: Sequence[Row]) -> str:
    runs = summary.arms(rows).get("rows", ())
    return _interval({run["key"]["seed"]: max(point["new"] for point in run["curve"][:5]) for run in runs})


def _old(rows: Sequence[Row], way: str) -> str:
    runs = summary.arms(rows).get(way, ())
    return _interval({run["key"]["seed"]: best_step(run["curve"])["old"] for run in runs})


def _one_shot(rows: Sequence[Row]) -> str:
    runs = summary.arms(rows).get("one_shot", ())
    points = {run["key"]["seed"]: point for run in runs for point in run["curve"] if point["facts"] == 1024}
    if not points:
        return ""
    new, old = (_interval({seed: point[part] for seed, point in points.items()}) for part in ("new", "old"))
    return f"new {new}, old {old}"


def _bits(rows: Sequence[Row], other: str) -> str:
    found = summary.arms(rows)
    if "engram" not in found or other not in found:
        return ""
    step = found["engram"][0]["curve"][-1]["step"]
    ours, theirs = (summary.at(found[name], step, "bits_per_byte") for name in ("engram", other))
    gap = summary.gap(ours, theirs, (0.0, 8.0))
    if gap is None:
        return ""
    said = f"{gap.interval.mean:+.3f} [{gap.interval.low:+.3f}, {gap.interval.high:+.3f}]"
    return said if gap.counts else f"{said}, tie"


def _interval(values: Mapping[int, float], bounds: tuple[float, float] = (0.0, 1.0)) -> str:
    if not values:
        return ""
    found = summary.mean(values, bounds)
    if len(values) == 1:
        return f"{found.mean:.3f} (one seed)"
    if found.method == "no spread":
        return f"{found.mean:.3f} (all seeds)"
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"

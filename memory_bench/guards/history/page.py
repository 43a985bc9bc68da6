"""The page of the history: what moved between commits, what was accepted, and the trends. From kept points alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from memory_bench.guards.history import accepted, changes, store, trends
from memory_bench.guards.history.changes import LEAST, Change, Like, Series
from memory_bench.guards.history.store import Point
from memory_bench.reporting.numbers import grid

OPENING = f"""What commits measured, as it was kept when it was measured. Figures are compared within one class of
machines, of one cell, where the same was asked. *From* is the first measured commit that has the new level: what moved
it lies between the commit before it in the history and that one. A figure that is mostly equal from commit to commit
moved where it differs. In one that is not, and in times, a step has to stand out from the noise, and of fewer than
{LEAST} commits none is called one. A circle in a figure is a change, a dashed line one that was accepted."""
NOTHING = "Nothing moved that was not accepted."


def write(reports: Path) -> str:
    """Write `history.md` with its figures and return the page.

    Raises BadInput where there is no history, and for accepted changes that are not of it, Unavailable where the
    libraries are missing that find changes and draw.
    """
    points, damaged = store.load(store.HISTORY)
    every, order = changes.series(points), store.commits(points)
    names = list(dict.fromkeys(f"{point.experiment}/{point.cell}/{point.figure}" for point in points))
    meant = accepted.load(store.HISTORY, order, names)
    looked = [changes.changes(one, meant, order) for one in every]
    found = [change for own, _ in looked for change in own]
    short = [one for one, (_, whole) in zip(every, looked, strict=True) if not whole]
    shown = trends.trends(every, found, meant, order)
    machines = {machine: _name(machine) for machine in dict.fromkeys(point.machine for point in points)}
    trends.draw(shown, machines, reports / "history")
    parts = [
        "# History",
        OPENING,
        _size(points, order, machines),
        *damaged,
        *_moved(found, changes.called(every), machines),
        *_short(short, every),
        *_meant(meant),
        *(f"**{trend.experiment}: {trend.figure}**\n\n![{trend.name}](history/{trend.name}.png)" for trend in shown),
    ]
    text = "\n\n".join(parts) + "\n"
    (reports / "history.md").write_text(text, encoding="utf-8")
    return text


def _size(points: Sequence[Point], order: Sequence[str], machines: Mapping[str, str]) -> str:
    lines = [
        f"{len(order)} commits, {order[0][:12]} ({points[0].committed[:10]}) to {order[-1][:12]} "
        f"({points[-1].committed[:10]}), {len(points):,} figures. Classes of machines:\n",
        *(f"- {name}: {_facts(machine)}" for machine, name in machines.items()),
    ]
    return "\n".join(lines)


def _name(machine: str) -> str:
    return hashlib.sha256(machine.encode()).hexdigest()[:6]


def _facts(machine: str) -> str:
    facts = json.loads(machine)
    return ", ".join(f"{key} {' '.join(fact) if isinstance(fact, list) else fact}" for key, fact in facts.items())


def _moved(found: Sequence[Change], cells: Mapping[Like, str], machines: Mapping[str, str]) -> list[str]:
    if not found:
        return ["## Changes", NOTHING]
    rows = [
        [
            f"`{one.series.like.experiment}/{cells[one.series.like]}`",
            one.series.like.figure,
            *(f"{level:,.6g}" for level in (one.before, one.after)),
            one.commit[:12],
            machines[one.series.like.machine],
        ]
        for one in found
    ]
    return ["## Changes", grid(["cell", "figure", "before", "after", "from", "machines"], rows)]


def _short(short: Sequence[Series], every: Sequence[Series]) -> list[str]:
    if not short:
        return []
    names = list(dict.fromkeys(f"`{one.like.name}`" for one in short))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [
        f"Not examined whole, since there are too few commits to tell a step from noise (or a time is 0): {len(short)} "
        f"of {len(every)} series: {', '.join(names[:3])}{more}."
    ]


def _meant(meant: Sequence[accepted.Accepted]) -> list[str]:
    if not meant:
        return []
    rows = [[f"`{entry.what}`", entry.commit[:12], " ".join(entry.why.split()).replace("|", "\\|")] for entry in meant]
    return ["## Accepted", grid(["what", "from", "why"], rows)]

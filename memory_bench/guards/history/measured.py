"""From the finished cells of an experiment to points of the history: the figures of its report, with their commit."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence

from memory_bench import config
from memory_bench.errors import BadInput
from memory_bench.guards.history.store import Point
from memory_bench.guards.speed import revisions
from memory_bench.provenance import ROOT
from memory_bench.reporting import answers, cells, costs
from memory_bench.reporting.cells import Measured
from memory_bench.reporting.figures import Null
from memory_bench.statistics import Difference, Interval

ANSWERS = ("score", "evidence", "absent")
OWN = ("memory", "embedder")  # options that may change between commits: what that does to figures is the question
NOT_TYPED = ("+experiment=", "results=", "cells=")


def points(experiment: str, overrides: Sequence[str]) -> tuple[list[Point], list[str]]:
    """Return the figures of every finished cell, and a line for each cell that has none.

    Raises BadInput as `cells.find`, where a cell was not measured at a commit, and where two cannot be told apart.
    """
    typed = config.expand([f"+experiment={experiment}", *overrides])
    found = list(zip(typed, cells.find(experiment, overrides), strict=True))
    finished = [(line, cell) for line, cell in found if cell.reason is None]
    missing = [f"{_called(cell)}: {cell.reason}" for _, cell in found if cell.reason is not None]
    made = [point for line, cell in finished for point in _points(experiment, line, cell)]
    twice = Counter((point.typed, point.asked, point.figure) for point in made).most_common(1)
    if twice and twice[0][1] > 1:
        raise BadInput(f"experiment {experiment!r} names a cell twice: {twice[0][0][0]}; leave one out")
    return made, missing


def _points(experiment: str, line: Sequence[str], cell: Measured) -> Iterator[Point]:
    commit, machine, asked = _commit(cell), _machine(cell), _asked(cell)
    committed = revisions.committed(commit, ROOT)
    figures = {name: answers.figures(cell, {})[name] for name in ANSWERS} | costs.figures(cell)
    for name, figure in figures.items():
        value, reason = None, None
        match figure:
            case Null():
                reason = figure.reason
            case Interval():
                value = figure.mean
            case Difference():
                value = figure.interval.mean
            case _:
                value = figure
        yield Point(
            commit=commit,
            committed=committed,
            measured=str(cell.provenance["start"]),
            experiment=experiment,
            cell=_called(cell),
            typed=" ".join(one.lstrip("+") for one in line if not one.startswith(NOT_TYPED)),
            asked=asked,
            figure=name,
            value=value,
            reason=reason,
            machine=machine,
        )


def _called(cell: Measured) -> str:
    control = cell.choice("control")
    return "-".join([cell.choice("task"), cell.choice("memory"), *([control] if control != "none" else [])])


def _commit(cell: Measured) -> str:
    revision = cell.provenance["revision"]
    if revision["commit"] is None or revision["dirty"]:
        why = "in a tree with changes" if revision["commit"] else "outside a repository"
        raise BadInput(f"{_called(cell)} was measured {why}, and that is no commit; commit, and run its cell again")
    if cell.corrupt:
        raise BadInput(f"{cell.corrupt[0]}: cannot be read, and a part of a run is no history; run its cell again")
    return str(revision["commit"])


def _asked(cell: Measured) -> str:
    """Return what has to be equal for two figures to be compared: all but the memory, which is what changes."""
    options = {key: value for key, value in cell.config.items() if key not in OWN}
    facts = [options, cell.provenance["task_version"], cell.provenance["identities"]["task"]]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _machine(cell: Measured) -> str:
    machine = cell.provenance["machine"]
    facts = {**cell.provenance["environment"], "cpu": machine["cpu"], "cores": machine["cores"]}
    return json.dumps(facts, sort_keys=True)

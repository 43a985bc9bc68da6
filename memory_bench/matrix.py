"""The matrix of a sweep: every cell, and whether it is finished, would be run, or cannot. Runs nothing.

    python -m memory_bench -m +experiment=needle dry_run=true

Nothing is made to find out, so nothing heavy is imported: a cell is called finished if a run of the same options, code
and class of machines is complete. What plug-ins read (weights, sources) is compared when the sweep comes to the cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from rich.console import Console

from memory_bench import catalogue, config, provenance, records
from memory_bench.errors import BadInput

State = Literal["finished", "to be run", "unavailable", "failed"]
COLUMNS = ("task", "memory", "control", "reader", "seed")
NOT_SHOWN = (*COLUMNS, "experiment", "cells", "dry_run")


@dataclass(frozen=True)
class Planned:
    """One cell of a matrix: its column values (`?` where it does not compose), its other options, and its state."""

    values: tuple[str, ...]
    options: tuple[str, ...]
    state: State
    why: str


def plan(cells: Iterable[Sequence[str]], *, alone: bool) -> Iterator[Planned]:
    """Yield what would become of these cells, each given by its overrides; one that is `alone` is measured again.

    Raises BadInput where one that is alone does not compose; in a sweep that is its state.
    """
    for overrides in cells:
        typed = dict(override.lstrip("+").partition("=")[::2] for override in overrides)
        options = tuple(f"{key}={value}" for key, value in typed.items() if key not in NOT_SHOWN)
        try:
            cell = config.compose(overrides)
        except BadInput as error:
            if alone:
                raise
            yield Planned(tuple(typed.get(column, "?") for column in COLUMNS), options, "failed", str(error))
            continue
        named = {**cell.config["choices"], "seed": cell.config["seed"]}
        yield Planned(tuple(str(named[column]) for column in COLUMNS), options, *_state(cell, alone=alone))


def show(planned: Sequence[Planned], console: Console) -> None:
    """Print a line a cell and how many there are of each state. Options that all cells share are left out."""
    shared = set.intersection(*(set(cell.options) for cell in planned)) if len(planned) > 1 else set()
    rows: list[tuple[str, ...]] = [("", *COLUMNS, "options", "")]
    for number, cell in enumerate(planned, start=1):
        own = " ".join(option for option in cell.options if option not in shared)
        rows.append((str(number), *cell.values, own, f"{cell.state}{': ' if cell.why else ''}{cell.why}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True) if width)
        console.print(line.rstrip(), markup=False, soft_wrap=True)
    states = [cell.state for cell in planned]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    console.print(f"{len(states)} cells: {counts}; nothing was run")


def _state(cell: config.Cell, *, alone: bool) -> tuple[State, str]:
    for part, requirements in cell.requires.items():
        name = cell.config["choices"][part]
        missing = next(filter(None, map(config.missing_requirement, requirements)), None)
        asked = cell.config.get(part)  # attention is a part of its reader, which says itself what its device lacks
        if missing := missing or (catalogue.lacking(part, name, asked) if name and asked else None):
            return "unavailable", f"{part}={name} cannot run here: {missing}"
    runs = records.runs(cell.results, config=cell.config)
    finished = [run for run in runs if records.is_complete(run.folder)]
    changes = [_changed(cell, run) for run in finished]
    if None in changes:
        folder = finished[changes.index(None)].folder
        return ("to be run", f"{folder} gives way: a single run measures again") if alone else ("finished", str(folder))
    if changes:
        return "to be run", str(changes[0])
    return "to be run", f"last time: {runs[0].why or 'rows are missing'}" if runs else ""


def _changed(cell: config.Cell, run: records.Run) -> str | None:
    """Return what is not as it was when a run of these options was measured; None where everything is."""
    now, then = provenance.code_hashes(provenance.targets(cell.config)), run.provenance["code"]
    if files := sorted(file for file in now.keys() | then.keys() if now.get(file) != then.get(file)):
        return f"code changed since it was measured: {_some(files)}"
    if (engines := cell.engines()) != run.provenance["engines"]:
        return f"other engines are installed: {engines}, it was {run.provenance['engines']}"
    here, there = _environment(), run.provenance["environment"]
    # which device a reader takes only the reader knows
    if facts := sorted(fact for fact in here.keys() | there.keys() - {"device"} if here.get(fact) != there.get(fact)):
        return f"measured on another class of machines: {_some(facts)} differ"
    return None


@cache
def _environment() -> dict[str, object]:
    return {fact: value for fact, value in provenance.environment("").items() if fact != "device"}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more

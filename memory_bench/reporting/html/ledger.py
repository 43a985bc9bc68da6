"""Where the numbers come from: one row a cell, what to type, the machines, the versions, the hashes, and warnings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import yaml

from memory_bench.reporting.cells import Measured
from memory_bench.reporting.html.shown import Section
from memory_bench.reporting.where import engines, revision, where

HARDWARE = ("CPU", "device of the reader", "threads", "memory")
SOFTWARE = ("system", "Python", "torch", "revision")
LEFT_OUT = "cannot be read; its question is left out for every memory"
UNCOMMITTED = "with changes that are not committed"


@dataclass(frozen=True)
class Entry:
    """One cell: its id, what it is, when and how it was measured, or why not."""

    id: str
    name: str
    task: str
    text: str
    reason: str | None
    questions: int
    command: str
    start: str
    seconds: float | None
    revision: str
    options: str


def entries(sections: Sequence[Section]) -> list[Entry]:
    """Return all cells in the order of the tables."""
    return [_entry(section.cells[row.cell], section.title) for section in sections for row in section.table.rows]


def _entry(cell: Measured, task: str) -> Entry:
    facts = cell.provenance if cell.reason is None else {}
    return Entry(
        id=cell.id,
        name=cell.name,
        task=task,
        text=cell.text or "no text",
        reason=cell.reason,
        questions=len(cell.questions),
        command=facts.get("command", ""),
        start=facts.get("start", "")[:19].replace("T", " "),
        seconds=_seconds(facts),
        revision=revision(facts["revision"]) if facts else "",
        options=yaml.safe_dump(dict(cell.config), sort_keys=False, allow_unicode=True),
    )


def _seconds(facts: Mapping[str, Any]) -> float | None:
    if not facts.get("start") or not facts.get("end"):
        return None
    return (datetime.fromisoformat(facts["end"]) - datetime.fromisoformat(facts["start"])).total_seconds()


def machines(cells: Sequence[Measured]) -> dict[str, list[str]]:
    """Return what the measured cells say of where they ran: one value each, or all where they differ."""
    return {**where(cells), **engines(cells)}


def warnings(cells: Sequence[Measured]) -> list[str]:
    """Return what a reader of the costs, or of the answers, has to know before comparing."""
    return [*_warnings(machines(cells)), *(f"{line}: {LEFT_OUT}." for cell in cells for line in cell.corrupt)]


def _warnings(found: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for names, what in (
        (HARDWARE, "cells were measured on unlike hardware, and their seconds do not compare"),
        (SOFTWARE, "cells were measured with unlike software: seconds may differ for that alone, and answers may"),
    ):
        for name in names:
            if len(found[name]) > 1:
                yield f"{name}: {'; '.join(found[name])}: {what}."
    if any(UNCOMMITTED in one for one in found["revision"]):
        yield "Cells were measured with changes that are not committed: their revision does not say what ran."


def versions(cells: Sequence[Measured]) -> dict[str, list[str]]:
    """Return distribution -> its versions in the measured cells, sorted by name."""
    pairs = ((name, str(v)) for cell in cells if cell.reason is None for name, v in cell.provenance["versions"].items())
    return _together(pairs)


def hashes(cells: Sequence[Measured]) -> dict[str, dict[str, list[str]]]:
    """Return what was read (the sources of a task, weights, code) -> name -> its sha256, several where cells differ."""
    found: dict[str, list[tuple[str, str]]] = {}
    for cell in (cell for cell in cells if cell.reason is None):
        for part, names in cell.provenance["identities"].items():
            found.setdefault(f"{part} {cell.config['choices'].get(part) or ''}".strip(), []).extend(names.items())
        found.setdefault("code", []).extend(cell.provenance.get("code", {}).items())
    return {what: _together(pairs) for what, pairs in found.items() if pairs}


def _together(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        if value not in found.setdefault(name, []):
            found[name].append(value)
    return dict(sorted(found.items()))

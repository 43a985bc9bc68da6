"""A sweep: cell after cell, each with a line of how it went. One that breaks does not stop the others.

Cells of one reader follow each other, and it is loaded once for all of them; so is the task of cells that follow each
other. One in a process of its own loads its own.
"""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Mapping, Sequence

from rich.console import Console

from memory_bench import cell, config, isolation, records
from memory_bench.errors import BadInput, Unavailable, Withheld
from memory_bench.lending import Lender
from memory_bench.places import Elsewhere, wait_for

BROKEN = ("failed", "unavailable")
"""What the line of a cell without a result begins with."""


def run(cells: Sequence[tuple[str, ...]], console: Console, lines: Mapping[tuple[str, ...], str] | None = None) -> bool:
    """Measure every cell that has no finished run, print a line of each, and return whether all have one now.

    Cells that other processes are at are left to them, and looked at again in the end. `lines` are those of cells that
    a launcher has measured already.
    """
    cells, lender = grouped(cells), Lender()
    elsewhere: list[int] = []
    broken = 0
    for number, one in itertools.chain(enumerate(cells), ((left, cells[left]) for left in elsewhere)):
        console.print(f"[{number + 1}/{len(cells)}] {' '.join(one)}", markup=False, soft_wrap=True)
        try:
            line_now = line_in_the_end if number in elsewhere else line_of
            line = lines[one] if lines else line_now(one, lender)
        except Elsewhere as other:
            elsewhere.append(number)
            line = f"another process is at it, looked at again in the end: {other}"
        broken += line.startswith(BROKEN)
        console.print(f"    {line}", markup=False, soft_wrap=True)
    if broken:
        console.print(f"{broken} of {len(cells)} cells have no result; the reasons stand above")
    return not broken


def grouped(cells: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the cells with those that name the same reader and attention next to each other, else in their order."""
    groups: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for one in cells:
        named = tuple(override for override in one if override.startswith(("reader", "attention")))
        groups.setdefault(named, []).append(one)
    return [one for group in groups.values() for one in group]


def line_in_the_end(overrides: Sequence[str], lender: Lender | None = None) -> str:
    """Return the line of a cell, as `line_of` does; where another process is at it, when that one has ended."""
    while True:
        try:
            return line_of(overrides, lender)
        except Elsewhere as other:
            wait_for(other.args[0])


def line_of(overrides: Sequence[str], lender: Lender | None = None) -> str:
    """Measure one cell of a sweep, or keep its finished run, and return how it went in a line.

    Its task and its reader are those of the sweep's lender. Where it has no result, its folder gets a note with the
    reason: reports show it. Raises Elsewhere where another process is at it.
    """
    composed = None
    try:
        composed = config.compose(overrides)
        return measure(composed, command=typed(["-m", *overrides]), again=False, lender=lender).line
    except Withheld as error:
        return f"failed: {config.one_line(error)}"  # a note of it would hold what was typed
    except (BadInput, Unavailable) as error:
        why = f"{'unavailable' if isinstance(error, Unavailable) else 'failed'}: {config.one_line(error)}"
    except Elsewhere:
        raise
    except isolation.Lost as error:
        why = f"failed: {error}"
    except Exception as error:
        traceback.print_exc()  # a bug of a plug-in: its author wants to see where, the other cells want to go on
        why = f"failed: {type(error).__name__}: {config.one_line(error)}"
    if composed is not None:
        records.note_missing(composed.results, composed.config, why)
    return why


def measure(composed: config.Cell, *, command: str, again: bool, lender: Lender | None = None) -> cell.Outcome:
    """Measure a cell here, or in a process of its own where it asks for that. `again`: a single run, on purpose.

    Raises as `cell.measure` does, and Lost where its own process is no more.
    """
    if composed.isolation is None:
        return cell.measure(composed, command=command, alone=again, again=again, lender=lender)
    limits = composed.isolation
    return isolation.apart(
        limits.seconds, limits.size_bytes, cell.measure, composed, command=command, alone=True, again=again
    )


def typed(overrides: Sequence[str]) -> str:
    """Return the command without the folder that the results went to: it is of one machine, and decides no number."""
    return " ".join(["python -m memory_bench", *(one for one in overrides if not one.startswith("results="))])

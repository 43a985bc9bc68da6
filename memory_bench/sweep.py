"""A sweep: cell after cell, each with a line of how it went. One that breaks does not stop the others."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

from rich.console import Console

from memory_bench import cell, config, isolation, records
from memory_bench.errors import BadInput, Unavailable, Withheld

BROKEN = ("failed", "unavailable")
"""What the line of a cell without a result begins with."""


def run(overrides: Sequence[str], console: Console) -> bool:
    """Measure every cell of a sweep that has no finished run, print a line of each, and return whether all have one.

    Raises BadInput where an override cannot be swept.
    """
    cells = config.expand(overrides)
    broken = 0
    for number, one in enumerate(cells, start=1):
        console.print(f"[{number}/{len(cells)}] {' '.join(one)}", markup=False, soft_wrap=True)
        line = line_of(one)
        broken += line.startswith(BROKEN)
        console.print(f"    {line}", markup=False, soft_wrap=True)
    if broken:
        console.print(f"{broken} of {len(cells)} cells have no result; the reasons stand above")
    return not broken


def line_of(overrides: Sequence[str]) -> str:
    """Measure one cell of a sweep, or keep its finished run, and return how it went in a line.

    Where it has no result, its folder gets a note with the reason: reports show it.
    """
    composed = None
    try:
        composed = config.compose(overrides)
        return measure(composed, command=typed(["-m", *overrides]), again=False).line
    except Withheld as error:
        return f"failed: {config.one_line(error)}"  # a note of it would hold what was typed
    except (BadInput, Unavailable) as error:
        why = f"{'unavailable' if isinstance(error, Unavailable) else 'failed'}: {config.one_line(error)}"
    except isolation.Lost as error:
        why = f"failed: {error}"
    except Exception as error:
        traceback.print_exc()  # a bug of a plug-in: its author wants to see where, the other cells want to go on
        why = f"failed: {type(error).__name__}: {config.one_line(error)}"
    if composed is not None:
        records.note_missing(composed.results, composed.config, why)
    return why


def measure(composed: config.Cell, *, command: str, again: bool) -> cell.Outcome:
    """Measure a cell here, or in a process of its own where it asks for that. `again`: a single run, on purpose.

    Raises as `cell.measure` does, and Lost where its own process is no more.
    """
    if composed.isolation is None:
        return cell.measure(composed, command=command, alone=again, again=again)
    limits = composed.isolation
    return isolation.apart(
        limits.seconds, limits.size_bytes, cell.measure, composed, command=command, alone=True, again=again
    )


def typed(overrides: Sequence[str]) -> str:
    """Return the command without the folder that the results went to: it is of one machine, and decides no number."""
    return " ".join(["python -m memory_bench", *(one for one in overrides if not one.startswith("results="))])

"""From figures to Markdown: the page of one table, or the page of several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jinja2

from memory_bench.reporting.cells import Measured
from memory_bench.reporting.comparison import Page, is_carried
from memory_bench.reporting.numbers import Notes, alone, named
from memory_bench.reporting.plots import drawn
from memory_bench.reporting.table import Table, tables
from memory_bench.reporting.where import engines, where


def render(cells: Sequence[Measured], *, experiment: str, overrides: Sequence[str] = ()) -> str:
    """Return the report of an experiment, with these overrides: what was right, and what it cost.

    Where all cells share their questions that is one table and its costs; else tasks stand side by side first, and so
    does a task that nobody answers, or whose conversation is carried along: there is more to say of it.
    """
    found = tables(cells)
    typed = " ".join([f"+experiment={experiment}", *overrides])
    plain = len(found) == 1 and found[0].answered and not is_carried(found[0])
    return (_single if plain else _several)(cells, found, experiment=experiment, typed=typed)


def _single(cells: Sequence[Measured], found: Sequence[Table], **given: str) -> str:
    sections = [{"table": table, "notes": Notes()} for table in found]
    return _fill("report.md.jinja", sections=sections, where={**where(cells), **_left_out(cells)}, **given)


def _several(cells: Sequence[Measured], found: Sequence[Table], **given: str) -> str:
    together = {**where(cells), **engines(cells), **_left_out(cells)}
    return _fill("comparison.md.jinja", page=Page(found), where=together, plots=drawn(found), **given)


def _left_out(cells: Sequence[Measured]) -> dict[str, list[str]]:
    lines = [line for cell in cells for line in cell.corrupt]
    return {"left out for every memory, since it cannot be read": lines} if lines else {}


def _fill(template: str, **given: object) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown for people, made from our own records
    )
    return environment.get_template(template).render(named=named, alone=alone, **given) + "\n"

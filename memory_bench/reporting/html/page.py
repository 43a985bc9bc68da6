"""From measured cells to the page: one file with its style, its script and its figures in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

import jinja2
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from memory_bench.reporting import comparison
from memory_bench.reporting.cells import Measured
from memory_bench.reporting.html import beside, by_tag, explorer, fronts, heat, ledger, overview, verdict
from memory_bench.reporting.html.shown import Figures, Section
from memory_bench.reporting.table import groups, tables

HERE = Path(__file__).parent
MOST_BYTES = 4_800_000  # of a page of 5 MB: signs that JSON or HTML escape are longer than they are counted


def render(cells: Sequence[Measured], *, experiment: str, reports: Path, overrides: Sequence[str] = ()) -> str:
    """Return the page of an experiment, with these overrides. Every number on it links to the cell that it is from.

    `reports` is the folder of the pages that stand beside it.

    Raises BadInput as `tables`, and Unavailable where the figures cannot be drawn.
    """
    found = sections(cells)
    measured = [section for section in found if section.table.questions]
    figures, drawn = Figures(), fronts.draw(measured)
    script = Markup((HERE / "page.js").read_text(encoding="utf-8"))
    page = environment().get_template("page.html.jinja").render(
        experiment=experiment,
        typed=" ".join([f"+experiment={experiment}", *overrides]),
        sections=found,
        measured=measured,
        readers=list(dict.fromkeys(section.table.config["choices"]["reader"] for section in found)),
        memories=len({row.name for section in found for row in section.table.rows if not row.control}),
        family=comparison.Page([section.table for section in found]).family,
        verdict=verdict.sentences(measured, figures),
        tasks=overview.tasks(measured, figures),
        matrix=overview.matrix(found, figures),
        sheets=overview.sheets(found, figures),
        slices=by_tag.slices(measured, figures),
        maps=heat.maps(measured, figures),
        beside=beside.pages(reports),
        fronts=drawn[0],
        legend=Markup(drawn[1]),
        entries=ledger.entries(found),
        machines=ledger.machines(cells),
        warnings=ledger.warnings(cells),
        versions=ledger.versions(cells),
        hashes=ledger.hashes(cells),
        reasons=figures.notes.reasons,
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )  # fmt: skip
    # what has room beside all the rest is known when that is there; no text of it can hold this tag, it is escaped
    before, place, after = page.partition('<script type="application/json" id="data">')
    questions = explorer.data(measured, most_bytes=MOST_BYTES - len(page.encode(errors="xmlcharrefreplace")))
    return f"{before}{place}{htmlsafe_json_dumps(questions, separators=(',', ':'))}{after}"


def sections(cells: Sequence[Measured]) -> list[Section]:
    """Return the tables of a report with their titles and cells. Raises BadInput as `tables`."""
    found = tables(cells)
    titles = comparison.titles(table.config for table in found)
    return [
        Section(title, table, {cell.id: cell for cell in group})
        for title, table, group in zip(titles, found, groups(cells), strict=True)
    ]


def environment() -> jinja2.Environment:
    """Return what fills the templates of pages: all text is escaped."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,  # all text comes from data, and data may hold anything
    )

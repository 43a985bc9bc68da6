"""From figures to Markdown: the page of one table, or the page of several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from memory_bench.reporting.cells import Measured
from memory_bench.reporting.comparison import Page, is_carried
from memory_bench.reporting.numbers import Notes, alone, named
from memory_bench.reporting.plots import drawn
from memory_bench.reporting.table import Table, tables


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
    return _fill("report.md.jinja", sections=sections, where=_where(cells), **given)


def _several(cells: Sequence[Measured], found: Sequence[Table], **given: str) -> str:
    where = {**_where(cells), **_engines(cells)}
    return _fill("comparison.md.jinja", page=Page(found), where=where, plots=drawn(found), **given)


def _fill(template: str, **given: object) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown for people, made from our own records
    )
    return environment.get_template(template).render(named=named, alone=alone, **given) + "\n"


def _where(cells: Sequence[Measured]) -> Mapping[str, list[str]]:
    """Return what the measured cells say of where they ran: one value each, or all where they differ."""
    measured = [cell.provenance for cell in cells if cell.reason is None]
    embedders = [cell.config["choices"]["embedder"] for cell in cells]
    return {
        "embedder of the memories that use one": _distinct(name for name in embedders if name) or ["none"],
        "CPU": _distinct(f"{facts['machine']['cpu']}, {facts['machine']['cores']} cores" for facts in measured),
        "device of the reader": _distinct(facts["environment"]["device"] for facts in measured),
        "system": _distinct(facts["machine"]["platform"] for facts in measured),
        "Python": _distinct(facts["machine"]["python"] for facts in measured),
        "torch": _distinct(facts["versions"].get("torch", "not installed") for facts in measured),
        "revision": _distinct(_revision(facts["revision"]) for facts in measured),
        "days": _distinct(facts["start"][:10] for facts in measured),
    }


def _engines(cells: Sequence[Measured]) -> Mapping[str, list[str]]:
    """Return what else a comparison of engines needs: their versions, and the threads that all of them had."""
    measured = [cell for cell in cells if cell.reason is None]
    engines = {name: version for cell in measured for name, version in sorted(cell.versions.items())}
    return {
        "engines": [f"{name} {version}" for name, version in engines.items()] or ["none"],
        "threads": _distinct(cell.provenance["environment"]["threads"] for cell in measured),
        "memory": _distinct(f"{cell.provenance['machine']['memory_bytes'] / 2**30:.0f} GiB" for cell in measured),
    }


def _distinct(values: Iterable[object]) -> list[str]:
    return list(dict.fromkeys(map(str, values)))


def _revision(revision: Mapping[str, Any]) -> str:
    if revision["commit"] is None:
        return "not known"
    return f"{revision['commit'][:12]}{' with changes that are not committed' if revision['dirty'] else ''}"

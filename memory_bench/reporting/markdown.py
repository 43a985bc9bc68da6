"""From figures to Markdown: how a number is printed, and a footnote for every null."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from memory_bench.reporting.cells import Measured
from memory_bench.reporting.table import Figure, Null, Table, tables
from memory_bench.statistics import Difference, Interval

SHORTEST = 0.001  # what is printed of a shorter time is that it is shorter


def render(cells: Sequence[Measured], *, experiment: str) -> str:
    """Return the report of an experiment: for each group of comparable cells what was right, and what it cost."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown for people, made from our own records
    )
    template = environment.get_template("report.md.jinja")
    sections = [{"table": table, "notes": Notes(table)} for table in tables(cells)]
    return template.render(experiment=experiment, sections=sections, where=_where(cells)) + "\n"


class Notes:
    """Prints figures, and numbers the reasons of nulls as they come."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.reasons: dict[str, int] = {}

    def show(self, figure: Figure, *, unit: str = "") -> str:
        match figure:
            case Null(reason):
                return f"null <sup>{self.reasons.setdefault(reason, len(self.reasons) + 1)}</sup>"
            case Interval():
                return f"{figure.mean:.2f} [{figure.low:.2f}, {figure.high:.2f}]"
            case Difference(interval):
                tie = ", tie" if figure.tie else ""
                return f"{interval.mean:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]{tie}"
            case _:
                return _number(figure, unit)


def _number(value: float, unit: str) -> str:
    match unit:
        case "count":
            return f"{value:,.0f}"
        case "ms":
            value *= 1e3
        case "":
            return f"{value:.2f}"
    if 0 < value < SHORTEST:
        return f"< {SHORTEST}"
    return f"{value:.3f}" if value < 1 else f"{value:,.1f}"


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


def _distinct(values: Iterable[object]) -> list[str]:
    return list(dict.fromkeys(map(str, values)))


def _revision(revision: Mapping[str, Any]) -> str:
    if revision["commit"] is None:
        return "not known"
    return f"{revision['commit'][:12]}{' with changes that are not committed' if revision['dirty'] else ''}"

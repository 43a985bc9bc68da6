"""The tables of memory by task: who was right, what was brought, and what it cost, each apart from the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from memory_bench.reporting import comparison
from memory_bench.reporting.figures import Figure, Null
from memory_bench.reporting.html.shown import Figures, Section, Shown
from memory_bench.reporting.table import Row, Table
from memory_bench.statistics import Difference

HEADLINE, OF_HARD_KINDS = "hard kinds", "headline"
BUDGET = "budget, tokens"
ANSWERS = {HEADLINE: (OF_HARD_KINDS, ""), **comparison.ANSWERS}
RETRIEVAL = {"evidence in the prompt": ("evidence", ""), **comparison.RETRIEVAL}
COSTS = {**comparison.COSTS, "on the GPU, ms a question": ("question_gpu_seconds", "ms")}
SOMETIMES = {HEADLINE, *comparison.SOMETIMES, *comparison.CARRIED}  # columns that stand where a row has a figure there
CONTROLS = {"closed_book": "closed book: nothing is written", "oracle": "oracle: the evidence itself in the prompt"}
NOT_CHOSEN = Null("the answer is not chosen among several")
NO_BUDGET = "no budget: the reader's whole window"


@dataclass(frozen=True)
class Line:
    """One row of a sheet: a memory or control (with the names of its twins) on a task, and its figures."""

    task: str
    name: str
    cell: str
    text: str
    control: bool
    twins: tuple[str, ...]
    shown: tuple[Shown, ...]


@dataclass(frozen=True)
class Sheet:
    """A table that can be sorted by any column: `columns` are those of the figures, after memory and task."""

    name: str
    what: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]


def sheets(sections: Sequence[Section], figures: Figures) -> list[Sheet]:
    """Return the three layers. Twins share a row of what they have in common, and have costs of their own."""
    return [
        _sheet(
            "answers",
            "Exact match of the reader's answers to the questions that have something to find. Against the best: the "
            "mean difference from the best memory within the budget, on the same questions.",
            ANSWERS, sections, figures, twins=False,
        ),
        _sheet(
            "retrieval",
            "What a memory brought, judged without a reader: never in one column with answers.",
            RETRIEVAL, sections, figures, twins=False,
        ),
        _sheet(
            "costs",
            "Medians over questions or over episodes, of one run each: they have no interval. Write holds settling and "
            "leaves embedding out. The first read is of the first question that an episode asks (cold, and among what "
            "was told by then), read of all. A question in all holds what its episode took to write, divided "
            "by the questions of the episode; how many these are stands among the tasks.",
            COSTS | comparison.CARRIED, sections, figures, twins=True,
        ),
    ]  # fmt: skip


def matrix(sections: Sequence[Section], figures: Figures) -> Sheet:
    """Return memories by tasks: the headline where the task has one, else exact match."""
    named = {row.name: row for section in sections for row in section.table.answers}
    lines = []
    for name in sorted(named, key=lambda name: named[name].control):
        own = [next((row for row in section.table.answers if row.name == name), None) for section in sections]
        shown = [_standing(section.table, row, figures) for section, row in zip(sections, own, strict=True)]
        lines.append(_line("", named[name], shown, twins=True))
    what = (
        "Exact match, as the mean over the hard kinds of questions where a task has them. Bold is the highest of the "
        "memories that bring passages within the budget; what no comparison tells from it is a tie."
    )
    return Sheet("matrix", what, tuple(section.title for section in sections), tuple(lines))


def _standing(table: Table, row: Row | None, figures: Figures) -> Shown:
    if row is None:
        return figures.show(Null(comparison.NO_PART), "")
    best, against = (table.best_headline, row.headline_against) if table.hard else (table.best, row.figures["against"])
    shown = figures.show(_score(table, row), row.cell)
    if row.name == best:
        return replace(shown, best=True)
    return replace(shown, text=f"{shown.text}, tie") if isinstance(against, Difference) and against.tie else shown


def tasks(sections: Sequence[Section], figures: Figures) -> Sheet:
    """Return what each task asks, and where its two controls stand: the ends of the scale."""
    lines = []
    for section in sections:
        table = section.table
        first, counts = section.measured(table.rows)[0][0], (table.questions, table.episodes, table.findable)
        controls = {row.name: row for row in table.rows if row.control}
        shown = [figures.show(float(count), first.cell, unit="count") for count in counts]
        shown.append(figures.show(float(table.questions - table.findable), first.cell, unit="count"))
        shown.append(figures.show(NOT_CHOSEN if table.chance is None else table.chance, first.cell))
        shown += [_of_control(table, controls.get(name), figures) for name in CONTROLS]
        lines.append(Line("", section.title, first.cell, "", False, (), tuple(shown)))
    heads = ("questions", "episodes", "something to find", "nothing to find", "chance")
    return Sheet("tasks", "", (*heads, *CONTROLS.values()), tuple(lines))


def _of_control(table: Table, row: Row | None, figures: Figures) -> Shown:
    return figures.show(Null("no such control"), "") if row is None else figures.show(_score(table, row), row.cell)


def _score(table: Table, row: Row) -> Figure:
    return row.headline[0] if table.hard else row.figures["score"]


def _sheet(
    name: str,
    what: str,
    columns: Mapping[str, tuple[str, str]],
    sections: Sequence[Section],
    figures: Figures,
    *,
    twins: bool,
) -> Sheet:
    pairs = [(s, row) for s in sections for row in (s.table.rows if twins else s.table.answers)]
    wanted = {
        column: (key, unit)
        for column, (key, unit) in columns.items()
        if column not in SOMETIMES or any(not isinstance(_figure(row, key), Null) for _, row in pairs)
    }
    lines = []
    for section, row in pairs:
        shown = [figures.show(_figure(row, key), row.cell, unit=unit) for key, unit in wanted.values()]
        lines.append(_line(section.title, row, [*([_budget(row, figures)] if twins else []), *shown], twins=not twins))
    return Sheet(name, what, (*([BUDGET] if twins else []), *wanted), tuple(lines))


def _line(task: str, row: Row, shown: Sequence[Shown], *, twins: bool) -> Line:
    return Line(task, row.name, row.cell, row.text, row.control, tuple(row.twins) if twins else (), tuple(shown))


def _figure(row: Row, key: str) -> Figure:
    return row.headline[0] if key == OF_HARD_KINDS else row.figures[key]


def _budget(row: Row, figures: Figures) -> Shown:
    budget: Figure = Null(NO_BUDGET) if row.budget_tokens is None else float(row.budget_tokens)
    return figures.show(budget, row.cell, unit="count")

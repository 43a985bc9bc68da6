"""From measured cells to the figures of a report. Every figure is a number with its interval, or null with a reason."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from memory_bench import catalogue
from memory_bench.errors import BadInput
from memory_bench.reporting import answers, contrasts, costs, retrieval
from memory_bench.reporting.cells import Measured
from memory_bench.reporting.figures import KIND, SCORE, Figure, Null, absent, findable, worded
from memory_bench.statistics import holm

FIGURES = (*answers.FIGURES, *contrasts.FIGURES, *costs.FIGURES, *retrieval.FIGURES)
NO_KINDS = Null("the task names no kinds of questions")
MOVES = ("memory", "embedder", "control")  # what may differ between the rows of one table
BUDGET = "budget_tokens"


@dataclass(frozen=True)
class Row:
    """One cell's figures, by the names that the templates use. `control` rows stand apart.

    `cell` is the id of its cell. `kinds` are score and evidence of each kind of question, `headline` both as the mean
    over the hard kinds, and `headline_against` how far its score is from the best. `apart` are the scores of what
    stands apart from it, and `nothing` those of each kind that has nothing to find. `depths` are the mean score of each
    depth at which evidence stood (where the task tags it, and all were answered). Where nobody answers there is room
    for `ranked`: measure -> kind -> how early evidence was ranked, "" for the mean over the hard kinds. `brings` says
    whether it ever returned a passage, and `reason` why it was not measured. `twins` (name -> text) returned the same
    passages to every question of the report and were answered the same: answers and evidence cannot tell them from this
    row. A twin's own row says whose it is in `twin_of`, and has costs of its own.
    """

    cell: str
    name: str
    text: str
    control: bool
    budget_tokens: int | None
    figures: Mapping[str, Figure]
    kinds: Mapping[str, tuple[Figure, Figure]] = field(default_factory=dict)
    headline: tuple[Figure, Figure] = (NO_KINDS, NO_KINDS)
    headline_against: Figure = NO_KINDS
    apart: Mapping[str, Figure] = field(default_factory=dict)
    nothing: Mapping[str, Figure] = field(default_factory=dict)
    depths: Mapping[str, float] = field(default_factory=dict)
    ranked: Mapping[str, Mapping[str, Figure]] = field(default_factory=dict)
    brings: bool = False
    reason: str | None = None
    twin_of: str | None = None
    twins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Cells that share task, reader, budget and seed: the same questions in the same order.

    `event` and `reworded` count the halves of the `findable` questions: asked in the wording of the event, or not;
    `kinds` counts them by kind; `hard` are those that the headline is the mean of, `apart` (kind -> what it is) those
    that the task keeps out of it, and `nothing` counts the kinds that have nothing to find. `chance` is the share that
    guessing gets where answers are chosen, else None; `ceilings` (what a predictor sees -> kind -> share, "" for all)
    what the best predictor gets that sees no more than that. `answered` says whether any question was, and `private`
    why the records of the task are not to be published, None where they are. `best` is the memory with the highest
    score among those that bring passages within the budget, and `best_headline` the one with the highest mean over the
    hard kinds.
    """

    config: Mapping[str, Any]
    rows: tuple[Row, ...]
    questions: int
    findable: int
    event: int
    reworded: int
    kinds: Mapping[str, int]
    hard: Sequence[str]
    apart: Mapping[str, str]
    nothing: Mapping[str, int]
    chance: float | None
    ceilings: Mapping[str, Mapping[str, float]]
    answered: bool
    private: str | None
    episodes: int
    best: str | None
    best_headline: str | None
    confidence: float

    @property
    def answers(self) -> list[Row]:
        """Return the rows that answers and evidence tell apart."""
        return [row for row in self.rows if row.twin_of is None]


def tables(cells: Iterable[Measured]) -> list[Table]:
    """Return one table for every task, reader, budget, seed and limit, in the order of the cells.

    Their comparisons are one family: intervals hold together over all tables, and p values are Holm's.
    """
    together = groups(cells)
    twins = contrasts.twins(together)
    rivals = sum(len(contrasts.rivals(group, twins)) for group in together)
    confidence = 1 - 0.05 / max(1, rivals)  # Bonferroni: all differences hold together in 95 of 100 reports
    return _adjusted([_table(group, twins, confidence=confidence) for group in together])


def groups(cells: Iterable[Measured]) -> list[list[Measured]]:
    """Return the cells that are compared together: those of one task, reader, budget, seed and limit.

    A reference outside the budget stands with the first budget of its task.

    A question that one of them lost, on a line that cannot be read, is left out of all.

    Raises BadInput where cells of one group were measured on different questions, sources, weights or versions of the
    task.
    """
    by_task: dict[str, list[Measured]] = {}
    for cell in cells:
        by_task.setdefault(_shared(cell), []).append(cell)
    found = [group for together in by_task.values() for group in _by_budget(_in_common(together))]
    for group in found:
        _check_same_questions([cell for cell in group if cell.reason is None])
    return found


def heads(cells: Sequence[Measured], twins: Mapping[str, str]) -> list[Row]:
    """Return the rows of a group without their figures: what they are called, and whose twins they are."""
    return [
        Row(
            cell=cell.id,
            name=cell.name,
            text=cell.text,
            control=cell.choice("control") != "none",
            budget_tokens=cell.config[BUDGET],
            figures={},
            brings=cell.reason is None and bool(cell.questions["offered"].any()),
            reason=cell.reason,
            twin_of=_twin_of(cell, twins),
            twins={other.name: other.text for other in cells if _twin_of(other, twins) == cell.name},
        )
        for cell in cells
    ]


def _shared(cell: Measured) -> str:
    options = {key: value for key, value in cell.config.items() if key not in (*MOVES, BUDGET)}
    choices = {part: name for part, name in cell.config["choices"].items() if part not in MOVES}
    return json.dumps(options | {"choices": choices}, sort_keys=True)


def _by_budget(cells: Sequence[Measured]) -> list[list[Measured]]:
    budgets = _budgets(cells)
    stands = {None: budgets[0]} | {budget: budget for budget in budgets}
    return [[cell for cell in cells if stands[cell.config[BUDGET]] == budget] for budget in budgets]


def _budgets(cells: Sequence[Measured]) -> list[int | None]:
    """Return the budgets of these cells in their order; without any, all are references outside it."""
    return list(dict.fromkeys(cell.config[BUDGET] for cell in cells if cell.config[BUDGET] is not None)) or [None]


def _table(cells: Sequence[Measured], twins: Mapping[str, str], *, confidence: float) -> Table:
    measured = [cell for cell in cells if cell.reason is None]
    first = measured[0].questions if measured else pd.DataFrame(columns=["gold", "episode"])
    asked = findable(first)
    kinds, nothing = _counts(asked), _counts(absent(first))
    apart = {kind: what for kind, what in catalogue.apart(cells[0].choice("task")).items() if kind in kinds}
    ceilings = catalogue.ceilings(cells[0].choice("task"))
    hard = [kind for kind in kinds if kind not in apart]
    controls = {cell.choice("control"): cell for cell in measured}
    answered = any(SCORE in cell.questions and cell.questions[SCORE].notna().any() for cell in measured)
    best, best_headline = contrasts.best_external(measured), contrasts.best_headline(measured, hard)
    rows = tuple(
        replace(
            head,
            figures=_figures(cell, controls, best, confidence=confidence),
            kinds=answers.by_kind(cell, kinds),
            headline=answers.headline(cell, hard) if hard else (NO_KINDS, NO_KINDS),
            headline_against=contrasts.headline(cell, best_headline, hard, confidence=confidence) if hard else NO_KINDS,
            apart=answers.by_apart(cell, apart),
            nothing=answers.by_nothing(cell, nothing),
            depths=answers.by_depth(cell),
            ranked={} if answered else retrieval.by_kind(cell, kinds, hard),
        )
        for cell, head in zip(cells, heads(cells, twins), strict=True)
    )
    return Table(
        config={**cells[0].config, BUDGET: _budgets(cells)[0]},
        rows=rows,
        questions=len(first),
        findable=len(asked),
        event=int(worded(asked, "event").sum()),
        reworded=int(worded(asked, "reworded").sum()),
        kinds=kinds,
        hard=hard,
        apart=apart,
        nothing=nothing,
        chance=answers.chance(asked),
        ceilings={sees: found for tag, sees in ceilings.items() if (found := answers.ceiling(asked, tag))},
        answered=answered,
        private=catalogue.private(cells[0].choice("task")),
        episodes=first["episode"].nunique(),
        best=best.name if best is not None else None,
        best_headline=best_headline.name if best_headline is not None else None,
        confidence=confidence,
    )


def _counts(questions: pd.DataFrame) -> dict[str, int]:
    """Return kind -> how many of these questions are of it, sorted by name."""
    tags = questions[KIND] if KIND in questions else pd.Series(dtype=str)
    return {str(kind): int(count) for kind, count in tags.value_counts().sort_index().items()}


def _figures(
    cell: Measured, controls: Mapping[str, Measured], best: Measured | None, *, confidence: float
) -> dict[str, Figure]:
    if cell.reason is not None:
        return dict.fromkeys(FIGURES, Null(cell.reason))
    return {
        **answers.figures(cell, controls),
        **contrasts.figures(cell, best, confidence=confidence),
        **costs.figures(cell),
        **retrieval.figures(cell.questions),
    }


def _adjusted(found: Sequence[Table]) -> list[Table]:
    """Return the tables with the p values of one family: Holm's, over every comparison that a reader sees."""
    seen = [(table, row) for table in found for row in table.answers if isinstance(row.figures["p"], float)]
    adjusted = iter(holm([float(row.figures["p"]) for _, row in seen]))  # type: ignore[arg-type]
    given = {(id(table), row.name): next(adjusted) for table, row in seen}
    return [
        replace(table, rows=tuple(_with_p(row, given.get((id(table), row.name))) for row in table.rows))
        for table in found
    ]


def _with_p(row: Row, p: float | None) -> Row:
    return row if p is None else replace(row, figures={**row.figures, "p": p})


def _twin_of(cell: Measured, twins: Mapping[str, str]) -> str | None:
    first = twins.get(cell.name)
    return None if first == cell.name else first


def _in_common(cells: Sequence[Measured]) -> Sequence[Measured]:
    """Return cells without the questions that some of them lost; as they are where nothing was."""
    if not any(cell.corrupt for cell in cells):
        return cells
    asked = ["episode", "question"]
    held = [set(cell.questions[asked].itertuples(index=False)) for cell in cells if cell.reason is None]
    common = set.intersection(*held)
    return [
        replace(
            cell, questions=cell.questions[[one in common for one in cell.questions[asked].itertuples(index=False)]]
        )
        if cell.reason is None
        else cell
        for cell in cells
    ]


def _check_same_questions(measured: Sequence[Measured]) -> None:
    """Paired figures are of the same questions on the same sources: older runs beside newer ones are refused."""
    for cell in measured[1:]:
        first = measured[0]
        for what, own, other in (
            ("questions", *(list(c.questions["question"]) for c in (cell, first))),
            ("sources or weights", *(_shared_identities(c) for c in (cell, first))),
            ("versions of the task", *(c.provenance.get("task_version") for c in (cell, first))),
        ):
            if own != other:
                raise BadInput(
                    f"{cell.name} and {first.name} were measured on different {what}: run the experiment again"
                )


def _shared_identities(cell: Measured) -> object:
    return {part: cell.provenance["identities"][part] for part in ("task", "reader")}

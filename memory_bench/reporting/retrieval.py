"""What a memory brought, before any reader saw it: evidence by budget, the first passage, and what should not be there.

No model takes part in these figures, and they never stand in one column with answers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pandas as pd

from memory_bench.curves import budget_area
from memory_bench.metrics import RETRIEVAL_BUDGETS
from memory_bench.reporting.cells import Measured
from memory_bench.reporting.figures import (
    NO_PASSAGE,
    Figure,
    Null,
    findable,
    interval,
    kinds_of,
    macro,
    of_kinds,
    scored,
)
from memory_bench.statistics import Interval

RANKED = ("recall@10", "ndcg@10", "mrr")
SCORES = {
    "hit": "hit@1",
    "stale": "stale@1",
    "ghosts": "forgotten_in_context",
    "dangling": "dangling_in_context",
    **{name: name for name in RANKED},
    **{f"evidence_{budget}": f"evidence@{budget}" for budget in RETRIEVAL_BUDGETS},
}
AREA = "area"
FIGURES = (*SCORES, AREA)
ASKED_OF = {"stale": "stale", "ghosts": "forgotten"}  # only questions that name such events; the others, where to find
NO_IDS = "the texts of the task hold no ids"
NOTHING = {"stale": "the task replaces nothing", "ghosts": "the task forgets nothing", "dangling": NO_IDS}


def figures(questions: pd.DataFrame) -> dict[str, Figure]:
    """Return the retrieval figures of one cell: each over the questions that it can be asked of."""
    asked = findable(questions)
    return {**{name: _figure(questions, asked, name) for name in SCORES}, AREA: _area(questions, asked)}


def _area(questions: pd.DataFrame, asked: pd.DataFrame) -> Figure:
    """Return the area under evidence against log2 of the budget: it is linear, so the mean of that of each question."""
    if not isinstance(judged := _figure(questions, asked, f"evidence_{RETRIEVAL_BUDGETS[-1]}"), Interval):
        return judged
    curves = list(zip(*(asked[f"scores.evidence@{budget}"] for budget in RETRIEVAL_BUDGETS), strict=True))
    areas = {curve: budget_area(dict(zip(RETRIEVAL_BUDGETS, curve, strict=True))) for curve in set(curves)}
    return interval(asked.assign(**{AREA: [areas[curve] for curve in curves]}), AREA)


def _figure(questions: pd.DataFrame, asked: pd.DataFrame, name: str) -> Figure:
    if not questions["offered"].any():
        return Null(NO_PASSAGE)
    column = f"scores.{SCORES[name]}"
    if column not in questions:
        return Null(NOTHING.get(name, "not judged when this was measured: run the experiment again"))
    if name == "dangling":
        having = questions[questions[column].notna()]
        return interval(having, column) if len(having) else Null(NOTHING[name])
    if name not in ASKED_OF:
        return interval(asked, column)
    judged = questions[questions[ASKED_OF[name]].map(len) > 0]
    return interval(judged, column) if len(judged) else Null(NOTHING[name])


def by_kind(cell: Measured, kinds: Iterable[str], hard: Collection[str]) -> dict[str, dict[str, Figure]]:
    """Return how early evidence was ranked, measure -> kind -> figure; "" is the mean over the hard kinds."""
    if cell.reason is not None or not cell.questions["offered"].any():
        return {}
    asked, own = cell.asked, kinds_of(cell.asked)
    columns = {name: f"scores.{name}" for name in RANKED}
    return {
        name: {
            **({"": macro(of_kinds(asked, hard), column)} if hard else {}),
            **{kind: scored(asked, column).of(own == kind).interval() for kind in kinds},
        }
        for name, column in columns.items()
        if column in cell.questions
    }

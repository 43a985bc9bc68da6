"""What a memory brought, before any reader saw it: evidence by budget, the first passage, and what should not be there.

No model takes part in these figures, and they never stand in one column with answers.
"""

from __future__ import annotations

import pandas as pd

from memory_bench.metrics import RETRIEVAL_BUDGETS
from memory_bench.reporting.figures import NO_PASSAGE, Figure, Null, findable, interval

SCORES = {
    "hit": "hit@1",
    "stale": "stale@1",
    "ghosts": "forgotten_in_context",
    **{f"evidence_{budget}": f"evidence@{budget}" for budget in RETRIEVAL_BUDGETS},
}
FIGURES = tuple(SCORES)
ASKED_OF = {"stale": "stale", "ghosts": "forgotten"}  # only questions that name such events; the others, where to find
NOTHING = {"stale": "the task replaces nothing", "ghosts": "the task forgets nothing"}


def figures(questions: pd.DataFrame) -> dict[str, Figure]:
    """Return the retrieval figures of one cell: each over the questions that it can be asked of."""
    return {name: _figure(questions, name) for name in FIGURES}


def _figure(questions: pd.DataFrame, name: str) -> Figure:
    if not questions["offered"].any():
        return Null(NO_PASSAGE)
    column = f"scores.{SCORES[name]}"
    if column not in questions:
        return Null(NOTHING.get(name, "not judged when this was measured: run the experiment again"))
    if name not in ASKED_OF:
        return interval(findable(questions), column)
    judged = questions[questions[ASKED_OF[name]].map(len) > 0]
    return interval(judged, column) if len(judged) else Null(NOTHING[name])

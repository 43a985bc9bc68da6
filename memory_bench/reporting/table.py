"""From measured cells to the figures of a report. Every figure is a number with its interval, or null with a reason."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeAlias

import pandas as pd

from memory_bench.errors import BadInput
from memory_bench.reporting.cells import Measured
from memory_bench.statistics import Difference, Interval, clustered_interval, paired_difference
from memory_bench.types import UNKNOWN

SCORE = "scores.exact_match"
BEGINS = "scores.begins_with"
FIGURES = (
    "score", "score_event", "score_reworded", "begins", "evidence", "absent", "against",
    "lift", "lift_event", "lift_reworded",
    "context_tokens", "write_seconds", "embed_seconds", "read_seconds", "query_embed_seconds", "generate_seconds",
    "size_bytes",
)  # fmt: skip
LEAST_SPAN = 0.2  # between closed book and oracle: with less, a lift would divide by what the reader cannot do
MOVES = ("memory", "embedder", "control", "budget_tokens")  # what may differ between the rows of one table


@dataclass(frozen=True)
class Null:
    """No figure, and why."""

    reason: str


Figure: TypeAlias = Interval | Difference | float | Null


@dataclass(frozen=True)
class Row:
    """One cell's figures, by the names that the template uses. `control` rows stand apart."""

    name: str
    text: str
    control: bool
    budget_tokens: int | None
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class Table:
    """Cells that share task, reader and seed: the same questions in the same order.

    `event` and `reworded` count the halves of the `findable` questions: asked in the wording of the event, or not.
    `best` is the memory with the highest score among those that bring passages within the budget.
    """

    config: Mapping[str, Any]
    rows: tuple[Row, ...]
    questions: int
    findable: int
    event: int
    reworded: int
    episodes: int
    best: str | None
    confidence: float


def tables(cells: Iterable[Measured]) -> list[Table]:
    """Return one table for every task, reader, seed and limit, in the order of the cells."""
    together = sorted(enumerate(cells), key=lambda pair: (_shared(pair[1]), pair[0]))
    groups = [list(group) for _, group in groupby(together, key=lambda pair: _shared(pair[1]))]
    groups.sort(key=lambda group: group[0][0])
    return [_table([cell for _, cell in group]) for group in groups]


def _shared(cell: Measured) -> str:
    options = {key: value for key, value in cell.config.items() if key not in MOVES}
    choices = {part: name for part, name in cell.config["choices"].items() if part not in MOVES}
    return json.dumps(options | {"choices": choices}, sort_keys=True)


def _table(cells: Sequence[Measured]) -> Table:
    measured = [cell for cell in cells if cell.reason is None]
    _check_same_questions(measured)
    controls = {cell.choice("control"): cell for cell in measured}
    best = _best_external(measured)
    rivals = [cell for cell in measured if cell is not best and cell.choice("control") == "none"]
    confidence = 1 - 0.05 / max(1, len(rivals))  # Bonferroni: all differences hold together in 95 of 100 reports
    rows = tuple(
        Row(
            name=_name(cell),
            text=cell.text,
            control=cell.choice("control") != "none",
            budget_tokens=cell.config["budget_tokens"],
            figures=_figures(cell, controls, best, confidence=confidence),
        )
        for cell in cells
    )
    first = measured[0].questions if measured else pd.DataFrame(columns=["gold", "episode"])
    findable = first[_findable(first)]
    return Table(
        config=cells[0].config,
        rows=rows,
        questions=len(first),
        findable=len(findable),
        event=len(_slice(findable, "_event")),
        reworded=len(_slice(findable, "_reworded")),
        episodes=first["episode"].nunique(),
        best=_name(best) if best is not None else None,
        confidence=confidence,
    )


def _name(cell: Measured) -> str:
    control = cell.choice("control")
    return cell.choice("memory") if control == "none" else control


def _figures(
    cell: Measured, controls: Mapping[str, Measured], best: Measured | None, *, confidence: float
) -> dict[str, Figure]:
    if cell.reason is not None:
        return dict.fromkeys(FIGURES, Null(cell.reason))
    findable = cell.questions[_findable(cell.questions)]
    figures: dict[str, Figure] = {
        "begins": _begins(findable),
        "absent": _interval(cell.questions[~_findable(cell.questions)], SCORE),
        "evidence": _evidence(findable),
        "against": _against(cell, best, confidence=confidence),
    }
    for name in ("", "_event", "_reworded"):
        part = _slice(findable, name)
        figures[f"score{name}"] = _interval(part, SCORE)
        figures[f"lift{name}"] = _lift(cell, controls, name)
    return figures | _costs(cell.questions)


def _findable(questions: pd.DataFrame) -> pd.Series[bool]:
    return questions["gold"].map(lambda gold: tuple(gold) != (UNKNOWN,)).astype(bool)


def _slice(questions: pd.DataFrame, name: str) -> pd.DataFrame:
    if not name:
        return questions
    if "tags.wording" not in questions:  # not every task words a question in two ways
        return questions.head(0)
    return questions[questions["tags.wording"] == name.removeprefix("_")]


def _interval(questions: pd.DataFrame, column: str) -> Interval | Null:
    if not len(questions):
        return Null("no such question in this task")
    if unanswered := int(questions["answer"].isna().sum()):
        return Null(f"{questions['unanswered'].dropna().iloc[0]}: {unanswered} of {len(questions)} questions")
    return clustered_interval(questions[column].astype(float).tolist(), questions["episode"].tolist())


def _begins(findable: pd.DataFrame) -> Interval | Null:
    if BEGINS not in findable:
        return Null("the task does not ask how an answer begins")
    return _interval(findable, BEGINS)


def _evidence(findable: pd.DataFrame) -> Interval | Null:
    if not findable["offered"].any():
        return Null("it never returned a passage: it does not work through the context")
    return _interval(findable, "scores.evidence_in_context")


def _lift(cell: Measured, controls: Mapping[str, Measured], name: str) -> float | Null:
    """Return (score - closed book) / (oracle - closed book) on one slice."""
    if cell.choice("control") != "none":
        return Null("a control is an end of the scale")
    if "closed_book" not in controls or "oracle" not in controls:
        return Null("no finished run of both controls")
    scores = []
    for source in (cell, controls["closed_book"], controls["oracle"]):
        score = _interval(_slice(source.questions[_findable(source.questions)], name), SCORE)
        if isinstance(score, Null):
            return score
        scores.append(score.mean)
    own, closed, oracle = scores
    if oracle - closed < LEAST_SPAN:
        return Null(f"this reader cannot do this: oracle {oracle:.2f}, closed book {closed:.2f}")
    return (own - closed) / (oracle - closed)


def _best_external(measured: Sequence[Measured]) -> Measured | None:
    rivals = [
        cell
        for cell in measured
        if cell.choice("control") == "none"
        and cell.config["budget_tokens"] is not None
        and cell.questions["offered"].any()
    ]
    return max(rivals, key=lambda cell: cell.questions[_findable(cell.questions)][SCORE].mean(), default=None)


def _against(cell: Measured, best: Measured | None, *, confidence: float) -> Difference | Null:
    if cell.choice("control") != "none":
        return Null("a control is an end of the scale")
    if best is None:
        return Null("no memory brought a passage within the budget")
    if cell is best:
        return Null("itself")
    ours, theirs = (source.questions[_findable(source.questions)] for source in (cell, best))
    if isinstance(score := _interval(ours, SCORE), Null):
        return score
    own, other = (frame[SCORE].astype(float).tolist() for frame in (ours, theirs))
    return paired_difference(own, other, ours["episode"].tolist(), confidence=confidence)


def _costs(questions: pd.DataFrame) -> dict[str, Figure]:
    episodes = questions.drop_duplicates("episode")
    return {
        "context_tokens": _median(questions, "costs.context_tokens"),
        "write_seconds": _median(episodes, "episode.write_seconds"),
        "embed_seconds": _median(episodes, "episode.embed_seconds"),
        "read_seconds": _median(questions, "costs.read_seconds"),
        "query_embed_seconds": _median(questions, "costs.embed_seconds"),
        "generate_seconds": _median(questions, "costs.generate_seconds"),
        "size_bytes": _median(episodes, "episode.size_bytes"),
    }


NOT_MEASURED = {
    "episode.write_seconds": "nothing is written",
    "episode.size_bytes": "nothing is written",
    "episode.embed_seconds": "it uses no embedder",
    "costs.embed_seconds": "it uses no embedder",
    "costs.read_seconds": "the memory is not asked",
}


def _median(rows: pd.DataFrame, column: str) -> float | Null:
    values = rows[column].dropna().astype(float) if column in rows else pd.Series(dtype=float)
    return float(values.median()) if len(values) else Null(NOT_MEASURED.get(column, "not measured"))


def _check_same_questions(measured: Sequence[Measured]) -> None:
    """Paired figures are of the same questions on the same sources: older runs beside newer ones are refused."""
    for cell in measured[1:]:
        first = measured[0]
        for what, own, other in (
            ("questions", *(list(c.questions["question"]) for c in (cell, first))),
            ("sources or weights", *(_shared_identities(c) for c in (cell, first))),
        ):
            if own != other:
                raise BadInput(
                    f"{_name(cell)} and {_name(first)} were measured on different {what}: run the experiment again"
                )


def _shared_identities(cell: Measured) -> object:
    return {part: cell.provenance["identities"][part] for part in ("task", "reader")}

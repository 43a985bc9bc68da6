"""One figure at a time: a mean with its interval, a difference, a median, or null with the reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import pandas as pd

from memory_bench.statistics import Difference, Interval, clustered_interval, macro_mean
from memory_bench.types import UNKNOWN

SCORE = "scores.exact_match"
EVIDENCE = "scores.evidence_in_context"
KIND = "tags.kind"
NOT_JUDGED = "not judged when this was measured"
NO_PASSAGE = "it never returned a passage: it does not work through the context"


@dataclass(frozen=True)
class Null:
    """No figure, and why."""

    reason: str


Figure: TypeAlias = Interval | Difference | float | Null


def findable(questions: pd.DataFrame) -> pd.DataFrame:
    """Return the questions that have something to find."""
    return questions[_has_answer(questions)]


def absent(questions: pd.DataFrame) -> pd.DataFrame:
    """Return the questions that have nothing to find."""
    return questions[~_has_answer(questions)]


def worded(questions: pd.DataFrame, wording: str) -> pd.DataFrame:
    """Return the questions asked in one of two wordings: `event` or `reworded`."""
    return tagged(questions, "wording", wording)


def tagged(questions: pd.DataFrame, tag: str, value: str) -> pd.DataFrame:
    """Return the questions with this tag: none where the task does not tag its questions so."""
    if f"tags.{tag}" not in questions:
        return questions.head(0)
    return questions[questions[f"tags.{tag}"] == value]


def of_kinds(questions: pd.DataFrame, kinds: Collection[str]) -> pd.DataFrame:
    """Return the questions of these kinds."""
    return questions[questions[KIND].isin(list(kinds))] if KIND in questions else questions.head(0)


def macro(questions: pd.DataFrame, column: str) -> Interval | Null:
    """Return the mean of a score over the kinds of these questions; null where one of them lacks it."""
    if (reason := lacking(questions, column)) is not None:
        return reason
    return macro_mean(questions[column].astype(float).tolist(), list(questions[KIND]), list(questions["episode"]))


def interval(questions: pd.DataFrame, column: str) -> Interval | Null:
    """Return the mean of a score over these questions; null where one of them lacks it."""
    if (reason := lacking(questions, column)) is not None:
        return reason
    return _interval(tuple(questions[column].astype(float).tolist()), tuple(questions["episode"].tolist()))


@cache  # a bootstrap takes 40 ms, and twins share every score
def _interval(values: tuple[float, ...], episodes: tuple[str, ...]) -> Interval:
    return clustered_interval(values, episodes)


def unanswered(questions: pd.DataFrame) -> Null | None:
    """Return why these questions have no score, where one of them has no answer or there are none."""
    return lacking(questions, "answer")


def lacking(questions: pd.DataFrame, column: str) -> Null | None:
    """Return why a column has no mean: there are no questions, or some have nothing there.

    What a memory brought is judged without an answer too, unless the prompt did not fit.
    """
    if not len(questions):
        return Null("no such question in this task")
    empty = questions[column].isna() if column in questions else pd.Series(True, index=questions.index)
    if not empty.any():
        return None
    lacking = questions[empty]
    whys = list(lacking["unanswered"].dropna()) if "unanswered" in lacking else []
    return Null(f"{whys[0] if whys else NOT_JUDGED}: {len(lacking)} of {len(questions)} questions")


def median(rows: pd.DataFrame, column: str, missing: Mapping[str, str]) -> float | Null:
    """Return the median of a column; where nothing was measured, null with what `missing` says of the column."""
    values = rows[column].dropna().astype(float) if column in rows else pd.Series(dtype=float)
    return float(values.median()) if len(values) else Null(missing.get(column, "not measured"))


def _has_answer(questions: pd.DataFrame) -> pd.Series[bool]:
    return questions["gold"].map(lambda gold: len(gold) != 1 or gold[0] != UNKNOWN).astype(bool)

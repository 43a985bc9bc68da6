"""One figure at a time: a mean with its interval, a difference, a median, or null with the reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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


def worded(questions: pd.DataFrame, wording: str) -> NDArray[np.bool_]:
    """Return which questions are asked in one of two wordings, `event` or `reworded`; all are in ""."""
    if not wording:
        return np.ones(len(questions), dtype=bool)
    return _has_tag(questions, "wording", wording)


def tagged(questions: pd.DataFrame, tag: str, value: str) -> pd.DataFrame:
    """Return the questions with this tag: none where the task does not tag its questions so."""
    return questions[_has_tag(questions, tag, value)]


def _has_tag(questions: pd.DataFrame, tag: str, value: str) -> NDArray[np.bool_]:
    held = questions.get(f"tags.{tag}")
    return np.zeros(len(questions), dtype=bool) if held is None else held.to_numpy(object) == value


def of_kinds(questions: pd.DataFrame, kinds: Collection[str]) -> pd.DataFrame:
    """Return the questions of these kinds."""
    return questions[questions[KIND].isin(list(kinds))] if KIND in questions else questions.head(0)


def kinds_of(questions: pd.DataFrame) -> NDArray[np.object_]:
    """Return the kind of each question, None where the task tells no kinds."""
    return questions[KIND].to_numpy(object) if KIND in questions else np.full(len(questions), None, dtype=object)


def macro(questions: pd.DataFrame, column: str) -> Interval | Null:
    """Return the mean of a score over the kinds of these questions; null where one of them lacks it."""
    if (reason := lacking(questions, column)) is not None:
        return reason
    return macro_mean(questions[column].astype(float).tolist(), list(questions[KIND]), list(questions["episode"]))


def interval(questions: pd.DataFrame, column: str) -> Interval | Null:
    """Return the mean of a score over these questions; null where one of them lacks it."""
    return scored(questions, column).interval()


@dataclass(frozen=True)
class Scored:
    """A score of some questions: a number each (nan where there is none), their episodes, and why one has no answer.

    A report has thousands of parts of its questions: a part of three arrays is taken in no time, one of a table is not.
    """

    values: NDArray[np.float64]
    episodes: NDArray[np.object_]
    unanswered: NDArray[np.object_]

    def of(self, wanted: NDArray[np.bool_]) -> Scored:
        """Return the score of those of the questions that are wanted."""
        return Scored(self.values[wanted], self.episodes[wanted], self.unanswered[wanted])

    def interval(self) -> Interval | Null:
        """Return the mean; null where a question lacks the score."""
        if (reason := _lacking(np.isnan(self.values), self.unanswered)) is not None:
            return reason
        return _interval(tuple(self.values.tolist()), tuple(self.episodes.tolist()))


def scored(questions: pd.DataFrame, column: str) -> Scored:
    """Return a score of questions; where there is no such column none of them has it."""
    held = questions[column].astype(float) if column in questions else np.full(len(questions), np.nan)
    return Scored(np.asarray(held, np.float64), questions["episode"].to_numpy(object), _unanswered(questions))


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
    empty = questions[column].isna() if column in questions else pd.Series(True, index=questions.index)
    return _lacking(empty.to_numpy(bool), _unanswered(questions))


def _lacking(empty: NDArray[np.bool_], unanswered: NDArray[np.object_]) -> Null | None:
    if not len(empty):
        return Null("no such question in this task")
    if not empty.any():
        return None
    whys = [why for why in unanswered[empty] if not pd.isna(why)]
    return Null(f"{whys[0] if whys else NOT_JUDGED}: {empty.sum()} of {len(empty)} questions")


def _unanswered(questions: pd.DataFrame) -> NDArray[np.object_]:
    if "unanswered" in questions:
        return questions["unanswered"].to_numpy(object)
    return np.full(len(questions), None, dtype=object)


def median(rows: pd.DataFrame, column: str, missing: Mapping[str, str]) -> float | Null:
    """Return the median of a column; where nothing was measured, null with what `missing` says of the column."""
    values = rows[column].astype(float).to_numpy() if column in rows else np.empty(0)
    held = values[~np.isnan(values)]
    return float(np.median(held)) if len(held) else Null(missing.get(column, "not measured"))


def _has_answer(questions: pd.DataFrame) -> pd.Series[bool]:
    return questions["gold"].map(lambda gold: len(gold) != 1 or gold[0] != UNKNOWN).astype(bool)

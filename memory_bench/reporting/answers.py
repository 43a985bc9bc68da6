"""What the reader answered with a memory's help: shares of right answers, by slice, and where between the controls."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import pandas as pd

from memory_bench.reporting.cells import Measured
from memory_bench.reporting.figures import (
    EVIDENCE,
    KIND,
    NO_PASSAGE,
    SCORE,
    Figure,
    Null,
    interval,
    kinds_of,
    macro,
    of_kinds,
    scored,
    tagged,
    worded,
)
from memory_bench.statistics import Interval

BEGINS = "scores.begins_with"
LEAST_SPAN = 0.2  # between closed book and oracle: with less, a lift would divide by what the reader cannot do
FIGURES = (
    *("score", "score_event", "score_reworded", "begins", "evidence", "absent"),
    *("lift", "lift_event", "lift_reworded"),
)


def figures(cell: Measured, controls: Mapping[str, Measured]) -> dict[str, Figure]:
    """Return the answer figures of one measured cell; `controls` are the cells of this table by control."""
    asked = cell.asked
    found: dict[str, Figure] = {
        "begins": _begins(asked),
        "absent": interval(cell.absent, SCORE),
        "evidence": _evidence(asked),
    }
    for wording in ("", "event", "reworded"):
        suffix = f"_{wording}" if wording else ""
        found[f"score{suffix}"] = _worded(cell, wording)
        found[f"lift{suffix}"] = _lift(cell, controls, wording)
    return found


def chance(asked: pd.DataFrame) -> float | None:
    """Return what guessing gets where all are answered by choosing (tag `answer: choices`), of so many (`choices`)."""
    chosen = tagged(asked, "answer", "choices")
    return float((1 / chosen["tags.choices"].astype(int)).mean()) if len(asked) and len(chosen) == len(asked) else None


def ceiling(asked: pd.DataFrame, tag: str) -> dict[str, float]:
    """Return kind -> the best share of right answers of a predictor to which `tag` others look the same; "" is all.

    Of 1 + rivals that look the same it can be right about one: the mean of 1 / (1 + rivals). Nothing where a question
    lacks the tag.
    """
    column = f"tags.{tag}"
    if column not in asked or not len(asked) or asked[column].isna().any():
        return {}
    shares = 1 / (1 + asked[column].astype(int))
    means = shares.groupby(asked[KIND]).mean() if KIND in asked else shares.head(0)
    return {"": float(shares.mean()), **{str(kind): float(share) for kind, share in means.items()}}


def by_kind(cell: Measured, kinds: Iterable[str]) -> dict[str, tuple[Figure, Figure]]:
    """Return kind -> (score, evidence in the prompt), each over the questions of that kind."""
    if cell.reason is not None:
        return dict.fromkeys(kinds, (Null(cell.reason), Null(cell.reason)))
    asked, own = cell.asked, kinds_of(cell.asked)
    score, evidence, offered = scored(asked, SCORE), scored(asked, EVIDENCE), asked["offered"].to_numpy(bool)
    return {
        kind: (
            score.of(own == kind).interval(),
            evidence.of(own == kind).interval() if offered[own == kind].any() else Null(NO_PASSAGE),
        )
        for kind in kinds
    }


def headline(cell: Measured, kinds: Collection[str]) -> tuple[Figure, Figure]:
    """Return score and evidence in the prompt, each as the mean over these kinds: every kind counts the same."""
    if cell.reason is not None:
        return Null(cell.reason), Null(cell.reason)
    part = of_kinds(cell.asked, kinds)
    brought = bool(cell.asked["offered"].any())
    return macro(part, SCORE), macro(part, EVIDENCE) if brought else Null(NO_PASSAGE)


def by_apart(cell: Measured, apart: Mapping[str, str]) -> dict[str, Figure]:
    """Return what it is -> score, over all questions of the kinds that stand apart for that; `apart` is by kind."""
    whats = list(dict.fromkeys(apart.values()))
    if cell.reason is not None:
        return dict.fromkeys(whats, Null(cell.reason))
    kinds = {what: [kind for kind, own in apart.items() if own == what] for what in whats}
    return {what: interval(of_kinds(cell.asked, kinds[what]), SCORE) for what in whats}


def by_nothing(cell: Measured, kinds: Iterable[str]) -> dict[str, Figure]:
    """Return kind -> score, each over the questions of that kind that have nothing to find."""
    if cell.reason is not None:
        return dict.fromkeys(kinds, Null(cell.reason))
    score, own = scored(cell.absent, SCORE), kinds_of(cell.absent)
    return {kind: score.of(own == kind).interval() for kind in kinds}


def by_depth(cell: Measured) -> dict[str, float]:
    """Return depth -> mean score over the questions whose evidence stood there; nothing where one has no answer."""
    if cell.reason is not None or not {"tags.depth", SCORE} <= set(cell.questions):
        return {}
    means = cell.asked.groupby("tags.depth")[SCORE].mean()
    lacking = set(cell.asked["tags.depth"][cell.asked["answer"].isna()])
    return {str(depth): float(score) for depth, score in means.items() if depth not in lacking}


def _worded(cell: Measured, wording: str) -> Interval | Null:
    """Return the score on the questions in one wording; "" is all that have something to find."""
    return scored(cell.asked, SCORE).of(worded(cell.asked, wording)).interval()


def _begins(asked: pd.DataFrame) -> Figure:
    if BEGINS not in asked and SCORE in asked and asked["unanswered"].notna().all():
        return interval(asked, SCORE)  # that no answer was given is why none begins
    if BEGINS not in asked:
        return Null("the task does not ask how an answer begins")
    return interval(asked, BEGINS)


def _evidence(asked: pd.DataFrame) -> Figure:
    if not asked["offered"].any():
        return Null(NO_PASSAGE)
    return interval(asked, EVIDENCE)


def _lift(cell: Measured, controls: Mapping[str, Measured], wording: str) -> float | Null:
    """Return (score - closed book) / (oracle - closed book) on one slice."""
    if cell.choice("control") != "none":
        return Null("a control is an end of the scale")
    if "closed_book" not in controls or "oracle" not in controls:
        return Null("no finished run of both controls")
    scores = []
    for source in (cell, controls["closed_book"], controls["oracle"]):
        score = _worded(source, wording)
        if isinstance(score, Null):
            return score
        scores.append(score.mean)
    own, closed, oracle = scores
    if oracle - closed < LEAST_SPAN:
        return Null(f"this reader cannot do this: oracle {oracle:.2f}, closed book {closed:.2f}")
    return (own - closed) / (oracle - closed)

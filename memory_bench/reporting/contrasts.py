"""Memories against the best of them on the same questions, and which of them no answer can tell apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from memory_bench.reporting.cells import Measured
from memory_bench.reporting.figures import EVIDENCE, KIND, SCORE, Figure, Null, lacking, of_kinds, unanswered
from memory_bench.statistics import (
    Difference,
    macro_difference,
    mcnemar,
    paired_difference,
    smallest_detectable_difference,
)

FIGURES = ("against", "p", "detectable")


def figures(cell: Measured, best: Measured | None, *, confidence: float) -> dict[str, Figure]:
    """Return how far a memory is from the best on the same questions, McNemar's p, and what would show."""
    if (reason := _not_compared(cell, best)) is not None:
        return dict.fromkeys(FIGURES, reason)
    assert best is not None
    ours, theirs = (source.asked for source in (cell, best))
    own, other = (frame[SCORE].astype(float).tolist() for frame in (ours, theirs))
    episodes = ours["episode"].tolist()
    graded = bool({*own, *other} - {0.0, 1.0})
    detectable = smallest_detectable_difference(own, other, episodes)
    return {
        "against": paired_difference(own, other, episodes, confidence=confidence),
        "p": Null("graded scores have no McNemar test") if graded else mcnemar(own, other),
        "detectable": Null("the differences do not vary over episodes") if detectable is None else detectable,
    }


def headline(cell: Measured, best: Measured | None, kinds: Collection[str], *, confidence: float) -> Figure:
    """Return how far a memory is from the best in the mean over these kinds, on the same questions."""
    if cell.reason is not None:
        return Null(cell.reason)
    if (reason := _not_compared(cell, best)) is not None:
        return reason
    assert best is not None
    ours, theirs = (of_kinds(source.asked, kinds) for source in (cell, best))
    own, other = (frame[SCORE].astype(float).tolist() for frame in (ours, theirs))
    return macro_difference(own, other, list(ours[KIND]), list(ours["episode"]), confidence=confidence)


def evidence(cell: Measured, best: Measured, *, confidence: float) -> Difference | Null:
    """Return how much more of the evidence stood in the prompt than with the best, on the same questions."""
    ours, theirs = (source.asked for source in (cell, best))
    if (reason := lacking(ours, EVIDENCE)) is not None:
        return reason
    own, other = (frame[EVIDENCE].astype(float).tolist() for frame in (ours, theirs))
    return paired_difference(own, other, ours["episode"].tolist(), confidence=confidence)


def best_evidence(measured: Sequence[Measured]) -> Measured | None:
    """Return the memory with the most evidence in the prompt, among those that bring passages within the budget."""
    judged = [cell for cell in measured if _brings(cell) and lacking(cell.asked, EVIDENCE) is None]
    return max(judged, key=lambda cell: cell.asked[EVIDENCE].mean(), default=None)


def _not_compared(cell: Measured, best: Measured | None) -> Null | None:
    if cell.choice("control") != "none":
        return Null("a control is an end of the scale")
    if best is None:
        return Null("no memory brought a passage within the budget")
    if cell is best:
        return Null("itself")
    return unanswered(cell.asked)


def best_external(measured: Sequence[Measured]) -> Measured | None:
    """Return the memory with the highest score among those that bring passages within the budget."""
    return max(_eligible(measured), key=lambda cell: cell.asked[SCORE].mean(), default=None)


def best_headline(measured: Sequence[Measured], kinds: Collection[str]) -> Measured | None:
    """Return the memory with the highest mean over these kinds, among the same; None where there are no such kinds."""
    eligible = _eligible(measured) if kinds else []
    return max(eligible, key=lambda cell: of_kinds(cell.asked, kinds).groupby(KIND)[SCORE].mean().mean(), default=None)


def _eligible(measured: Sequence[Measured]) -> list[Measured]:
    return [cell for cell in measured if _brings(cell) and unanswered(cell.asked) is None]


def _brings(cell: Measured) -> bool:
    """Whether it is a memory that brought passages within the budget."""
    memory = cell.reason is None and cell.choice("control") == "none"
    return memory and cell.config["budget_tokens"] is not None and bool(cell.questions["offered"].any())


def rivals(cells: Sequence[Measured], first_of: Mapping[str, str]) -> list[Measured]:
    """Return what the best memory is compared with, twins once."""
    memories = [cell for cell in cells if cell.reason is None and cell.choice("control") == "none"]
    distinct = [cell for cell in memories if first_of.get(cell.name, cell.name) == cell.name]
    best = best_external(memories)
    return [cell for cell in distinct if _not_compared(cell, best) is None]


def twins(groups: Sequence[Sequence[Measured]]) -> dict[str, str]:
    """Return memory -> the first memory that returned the same and was answered the same in every group."""
    of: dict[str, dict[int, object]] = {}
    for number, group in enumerate(groups):
        for cell in group:
            if cell.choice("control") == "none":
                of.setdefault(cell.name, {})[number] = _seen(cell)
    firsts: dict[str, str] = {}
    for name, seen in of.items():
        measured = any(isinstance(one, tuple) for one in seen.values())  # to be missing alike is to be told apart
        firsts[name] = next((first for first in firsts.values() if measured and of[first] == seen), name)
    return firsts


def _seen(cell: Measured) -> object:
    """Return what is equal for memories that answers cannot tell apart; nothing is equal to what brought no passage."""
    if cell.reason is not None:
        return cell.reason
    return object() if cell.returned is None else (cell.returned, *cell.questions["answer"].fillna(""))

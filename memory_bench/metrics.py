"""Pure functions that judge: an answer against its gold, and a prompt's passages against the evidence."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence

from memory_bench.ranking import RANKING_METRICS, ranking_metrics
from memory_bench.types import Passage, Question

RETRIEVAL_BUDGETS = (256, 512, 1024, 2048, 4096)
"""Tokens of passages at which evidence is judged beside the run's own budget; no reader is asked at these."""
EVIDENCE_METRICS = (
    *("evidence_in_context", "hit@1", "stale@1", "answer_in_context", "forgotten_in_context", "dangling_in_context"),
    *(f"evidence@{budget}" for budget in RETRIEVAL_BUDGETS),
    *RANKING_METRICS,
)


def normalise(answer: str) -> str:
    """Return an answer as it is compared: NFKC, stripped, without one final full stop."""
    return unicodedata.normalize("NFKC", answer).strip().removesuffix(".").strip()


def exact_match(answer: str, golds: Sequence[str]) -> float:
    """Return 1.0 where the answer equals one of the right ones, else 0.0."""
    return float(normalise(answer) in {normalise(gold) for gold in golds})


def begins_with(answer: str, golds: Sequence[str]) -> float:
    """Return 1.0 where the answer begins with a right one as whole words: it was known, whatever follows."""
    return float(any(re.match(rf"{re.escape(normalise(gold))}(?!\w)", normalise(answer)) for gold in golds))


def holds(text: str, part: str) -> bool:
    """Whether `part` stands in `text` verbatim and not inside a longer word: 441 does not stand in 4411."""
    return re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) is not None


def evidence_metrics(
    question: Question,
    offered: Sequence[Passage],
    *,
    packed: Sequence[int],
    packed_within: Mapping[int, Sequence[int]],
    written: Mapping[str, str],
) -> dict[str, float | None]:
    """Judge what a memory brought into the prompt; None where the question has nothing to judge by.

    `offered` are all passages that the memory returned, best first; `packed` the ranks of those in the prompt, and
    `packed_within` the ranks that would be in it at each other budget (`evidence@BUDGET`). `written` maps each id to
    its event's text. A claimed id is believed only where the passage shows it: the event's whole text, or an answer
    that the event holds. What must not be there (stale, forgotten) is counted by its id alone too, since a memory that
    shortens a text it should not have has it all the same. Forgotten events count wherever they were ranked.

    A memory that returned nothing showed nothing: 0.0. Whether it works through passages at all is a matter of the
    whole run, and of who reads its records.
    """
    answers = question.answers
    shown = [_shown(passage, question.evidence, answers, written) for passage in offered]
    first = packed[:1]
    hit = any(shown[rank] for rank in first)
    stale = not hit and _betrays([offered[rank] for rank in first], question.stale, written)
    answered = any(holds(offered[rank].text, answer) for rank in packed for answer in answers)
    scores = {
        "evidence_in_context": _share(shown, packed, question.evidence),
        "hit@1": float(hit),
        "answer_in_context": float(answered),
        **{f"evidence@{budget}": _share(shown, ranks, question.evidence) for budget, ranks in packed_within.items()},
        **(ranking_metrics(shown, question.evidence) if question.evidence else dict.fromkeys(RANKING_METRICS, 0.0)),
    }
    return {
        **{name: score if question.evidence else None for name, score in scores.items()},
        "stale@1": float(stale) if question.stale else None,
        "forgotten_in_context": float(_betrays(offered, question.forgotten, written)) if question.forgotten else None,
    }


def _share(shown: Sequence[Collection[str]], ranks: Sequence[int], evidence: Collection[str]) -> float:
    return len(set().union(*(shown[rank] for rank in ranks))) / len(evidence) if evidence else 0.0


def _shown(passage: Passage, evidence: Collection[str], answers: Sequence[str], written: Mapping[str, str]) -> set[str]:
    """Return the evidence that a passage names and shows."""
    named = [id for id in passage.event_ids if id in evidence]
    held = [answer for answer in answers if holds(passage.text, answer)] if named else []
    return {id for id in named if written[id] in passage.text or any(holds(written[id], answer) for answer in held)}


def _betrays(passages: Sequence[Passage], ids: Collection[str], written: Mapping[str, str]) -> bool:
    known = {id: written[id] for id in ids if id in written}
    return any(id in passage.event_ids or text in passage.text for passage in passages for id, text in known.items())

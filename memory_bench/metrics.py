"""Pure functions that judge: an answer against its gold, and a prompt's passages against the evidence."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence

from memory_bench.types import Passage, Question

EVIDENCE_METRICS = ("evidence_in_context", "hit@1", "stale@1", "answer_in_context", "forgotten_in_context")


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
    question: Question, *, packed: Sequence[Passage], offered: Sequence[Passage], written: Mapping[str, str]
) -> dict[str, float | None]:
    """Judge what a memory brought into the prompt; None where the question has nothing to judge by.

    `packed` are the passages in the prompt, best first; `offered` all that the memory returned; `written` maps each id
    to its event's text. A claimed id is believed only where the passage shows it: the event's whole text, or an answer
    that the event holds. What must not be there (stale, forgotten) is counted by its id alone too, since a memory that
    shortens a text it should not have has it all the same.
    """
    evidence, answers = question.evidence, question.answers
    shown = [_shown(passage, answers, written) for passage in packed]
    hit = bool(shown and evidence & shown[0])
    stale = not hit and _betrays(packed[:1], question.stale, written)
    answered = any(holds(passage.text, answer) for passage in packed for answer in answers)
    return {
        "evidence_in_context": len(evidence & set().union(*shown)) / len(evidence) if evidence else None,
        "hit@1": float(hit) if evidence else None,
        "stale@1": float(stale) if question.stale else None,
        "answer_in_context": float(answered) if evidence else None,
        "forgotten_in_context": float(_betrays(offered, question.forgotten, written)) if question.forgotten else None,
    }


def _shown(passage: Passage, answers: Sequence[str], written: Mapping[str, str]) -> set[str]:
    held = [answer for answer in answers if holds(passage.text, answer)]
    return {
        id
        for id in passage.event_ids
        if written[id] in passage.text or any(holds(written[id], answer) for answer in held)
    }


def _betrays(passages: Sequence[Passage], ids: Collection[str], written: Mapping[str, str]) -> bool:
    known = {id: written[id] for id in ids if id in written}
    return any(id in passage.event_ids or text in passage.text for passage in passages for id, text in known.items())

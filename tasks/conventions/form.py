"""The form of the answers: asked for by choices or by completion, tagged, and judged by what stands at the mask."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from numpy.random import Generator

from memory_bench.metrics import exact_match
from memory_bench.task_options import check_one, check_path
from memory_bench.task_tokens import BUNDLED_TOKENIZER, covers, read_tokenizer
from memory_bench.types import Event, Query, Question
from tasks.conventions.balance import Asking
from tasks.conventions.questions import Asked, choices, completed
from tasks.conventions.rules import PACKAGE
from tasks.conventions.splits import MISLED

FORMS: Final = ("choices", "completion")


class Form:
    """How all questions of a task are asked and judged.

    answer          choices: the likeliest of four; completion: what the reader writes in place of the mask
    tokenizer       a file of the library `tokenizers`; null is the bundled reader's

    Raises BadInput for a form that there is not, and a file that is no tokenizer.
    """

    def __init__(self, *, answer: str, tokenizer: str | None) -> None:
        check_one("answer", answer, FORMS)
        check_path("tokenizer", tokenizer)
        self.answer = answer
        self.tokenizer_path = Path(tokenizer) if tokenizer else BUNDLED_TOKENIZER
        self.tokenizer = read_tokenizer(self.tokenizer_path)

    def identity(self, read: Mapping[str, str]) -> Mapping[str, str]:
        """Return what was read (name -> sha256) with the sha256 of the tokenizer and the version of Python."""
        sha256 = hashlib.sha256(self.tokenizer_path.read_bytes()).hexdigest()
        return {**read, "tokenizer": sha256, "python": platform.python_version()}

    def question(
        self,
        id: str,
        known: Asking,
        asked: Asked,
        rng: Generator,
        *,
        time: float,
        evidence: Sequence[Event],
        scope: str = "",
        stale: Sequence[Event] = (),
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> Question:
        """Return the question about a rule in this line; `tags` are those that only this task has."""
        rule = known.rule
        offered = choices(rule, asked, known.circle, rng)
        covered = any(covers(event.text, asked.cloze, asked.answer, self.tokenizer) for event in evidence)
        return Question(
            id,
            Query(asked.text, scope=scope, time=time),
            asked.cloze,
            answers=(asked.answer,),
            evidence=frozenset(event.id for event in evidence),
            stale=frozenset(event.id for event in stale),
            choices=tuple(f"{one}{asked.rest}" for one in offered) if self.answer == "choices" else (),
            tags={
                "kind": rule.kind,
                "ngram_covered": "yes" if covered else "no",
                **tags,
                "scope": "package" if rule.scope == PACKAGE else "folder",
                "answer": self.answer,
                "choices": str(len(offered)),
                "prior": asked.spelled(rule.prior, rule),
                "subject": rule.subject,
            },
        )


def score(question: Question, answer: str) -> dict[str, float]:
    """Return exact_match: 1 where what stands in place of the mask is what the rule says.

    Where something else was told that misleads, also whether it was not taken (`MISLED`): 1 for the right answer, 0 for
    the misleading one. Any other answer says nothing about that, and has no such score.
    """
    said = completed(question.tags["kind"], answer)
    right = exact_match(said, question.answers)
    misled = exact_match(said, [question.tags["instead"]]) if "instead" in question.tags else 0.0
    more = {MISLED[question.tags["split"]]: right} if "instead" in question.tags and (right or misled) else {}
    return {"exact_match": right, **more}

"""Recursive reading without a model: a fixed policy, the floor of what a model may do with the same operations.

For each question, as long as `calls` operations last:

1. find    every word of the question: it stands in h of N parts and weighs log((N + 1) / h), so rare words decide.
2. search  the question, in the memory below: its best `searched` parts are candidates, in whatever words they are;
           behind them the parts that hold a word, those of the rarest first.
3. slice   `width` letters to both sides of a candidate's rarest word: it scores what the words of the question weigh
           that stand there, each once.
4. bring   the candidates that score at least `keep` times the best: higher first, among equals the newest.

What was not looked at is not brought, nor what falls behind: a memory that ranks fills the prompt, this one narrows. It
brings what the memory below finds where no candidate scores.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from adapters.rlm.environment import Environment, Hit
from adapters.rlm.over import Over
from memory_bench.contracts import Memory
from memory_bench.errors import BadInput
from memory_bench.types import Passage, Query, Trace

WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Policy:
    """The numbers of the policy, by the names that the module gives them. Raises BadInput for those that mean nothing.

    None of them was chosen on a task.
    """

    calls: int
    searched: int
    width: int
    keep: float

    def __post_init__(self) -> None:
        for name, value in (("calls", self.calls), ("searched", self.searched), ("width", self.width)):
            if value < 1:
                raise BadInput(f"memory.policy.{name}={value}: expected a whole number >= 1")
        if not 0 < self.keep <= 1:
            raise BadInput(f"memory.policy.keep={self.keep}: expected a number in (0, 1], such as 0.5")


@dataclass(frozen=True)
class Looked:
    """What one question came to: the parts that hold its words, what these weigh (the rarest first), what each part
    scored that was looked at, and which parts are brought."""

    hits: Mapping[str, Sequence[Hit]]
    weights: Mapping[str, float]
    scores: Mapping[int, float]
    brought: Sequence[int]


class RlmScripted(Over):
    """The policy of the module over another memory."""

    def __init__(self, *, over: Memory | None, policy: Policy, top_k: int) -> None:
        super().__init__(over, top_k=top_k)
        self._policy = policy

    def read(self, query: Query) -> list[Passage]:
        environment = self.environment(query)
        looked = self._look(environment, query.text)
        brought = zip(looked.brought, environment.passages(looked.brought), strict=True)
        ranked = [replace(passage, score=looked.scores[part]) for part, passage in brought]
        return ranked[: self._top_k] or self.below(query)

    def trace(self, query: Query, prompt: str) -> list[Trace]:  # noqa: ARG002
        """Return the words of the question with what they weigh, and the parts that were looked at."""
        looked = self._look(self.environment(query), query.text)
        words = tuple((word, float(len(looked.hits[word])), weight) for word, weight in looked.weights.items())
        parts = tuple(
            (float(part), score, "yes" if part in looked.brought else "no") for part, score in looked.scores.items()
        )
        return [
            Trace("words of the question, the rarest first", ("word", "parts that hold it", "weight"), words),
            Trace("parts that were looked at", ("part", "score", "brought"), parts),
        ]

    def _look(self, environment: Environment, question: str) -> Looked:
        asked = _words(question)[: self._policy.calls]
        hits = {word: found for word in asked if (found := environment.find(word))}
        rarest_first = sorted(hits, key=lambda word: len(hits[word]))  # stable: among equals as they are asked
        weights = {word: math.log((len(environment) + 1) / len(hits[word])) for word in rarest_first}
        first: dict[int, Hit] = {}  # of each part the hit of its rarest word
        for hit in itertools.chain.from_iterable(hits[word] for word in rarest_first):
            first.setdefault(hit.part, hit)
        slices = max(0, self._policy.calls - len(asked) - 1)
        searched = environment.search(question)[: self._policy.searched]
        candidates = itertools.islice(dict.fromkeys([*searched, *first]), slices)
        scores = {part: self._score(environment, first.get(part, Hit(part, 0)), weights) for part in candidates}
        least = self._policy.keep * max(scores.values(), default=0.0)
        kept = [part for part, score in scores.items() if score >= least > 0]
        return Looked(hits, weights, scores, sorted(kept, key=lambda part: (-scores[part], part)))

    def _score(self, environment: Environment, hit: Hit, weights: Mapping[str, float]) -> float:
        seen = _words(environment.slice(hit.part, hit.at - self._policy.width, hit.at + self._policy.width))
        return sum(weights.get(word, 0.0) for word in seen)


def _words(text: str) -> list[str]:
    """Return the different words of a text, in their order."""
    return list(dict.fromkeys(WORD.findall(text.casefold())))

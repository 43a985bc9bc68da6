"""The task: a file, checked once and then played back as often as it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from memory_bench.episode_file import read_episodes, read_header
from memory_bench.metrics import begins_with, exact_match
from memory_bench.task_options import check_path, check_seed
from memory_bench.task_tokens import BUNDLED_TOKENIZER, covers, read_tokenizer
from memory_bench.types import Episode, Event, Question

EXAMPLE: Final = Path(__file__).parent / "example.jsonl"
KIND: Final = "asked"  # of a question that names none


class Qa:
    """The episodes of a file, in its order. Options and their defaults: conf/task/qa.yaml.

    path        episodes as JSON lines (memory_bench.episode_file); null is the example, tasks/qa/example.jsonl
    tokenizer   a file of the library `tokenizers`; null is the bundled reader's. It tells whether n-grams cover a
                question that does not say so itself

    Every seed plays the same file. Raises BadInput with the line and the field where the file is wrong.
    """

    version = "1"

    def __init__(self, *, path: str | None, tokenizer: str | None) -> None:
        check_path("path", path)
        check_path("tokenizer", tokenizer)
        self.path = Path(path) if path else EXAMPLE
        self.header = read_header(self.path)
        for _ in read_episodes(self.path):
            pass  # a wrong line at the end is said now, and not after an hour of answers
        self.sha256 = _sha256(self.path)
        self.tokenizer_path = Path(tokenizer) if tokenizer else BUNDLED_TOKENIZER
        self.tokenizer = read_tokenizer(self.tokenizer_path)

    def identity(self) -> Mapping[str, str]:
        return {
            "file": self.sha256,
            **vars(self.header),
            "tokenizer": _sha256(self.tokenizer_path),
        }

    def episodes(self, seed: int) -> Iterator[Episode]:
        """Yield the episodes of the file; the seed changes nothing."""
        check_seed(seed)
        return map(self.tagged, read_episodes(self.path))

    def tagged(self, episode: Episode) -> Episode:
        """Fill in `kind` and `ngram_covered` where a question does not tag itself."""
        told: dict[str, str] = {}
        steps = []
        for step in episode.steps:
            if isinstance(step, Event):
                told[step.id] = step.text
            steps.append(self.question(step, told) if isinstance(step, Question) else step)
        return replace(episode, steps=tuple(steps))

    def question(self, question: Question, told: Mapping[str, str]) -> Question:
        tags = {"kind": KIND, **question.tags}
        if "ngram_covered" not in tags:
            texts = [told[id] for id in question.evidence]
            pairs = ((text, answer) for text in texts for answer in question.answers)
            covered = any(covers(text, question.cloze, answer, self.tokenizer) for text, answer in pairs)
            tags["ngram_covered"] = "yes" if covered and tags.get("wording") != "reworded" else "no"
        return question if tags == question.tags else replace(question, tags=tags)

    def score(self, question: Question, answer: str) -> dict[str, float]:
        """Return exact_match: 1 where the answer is a right one, or `unknown` where there is none; and begins_with: 1
        where a right one comes first, whatever is said after it."""
        return {
            "exact_match": exact_match(answer, question.answers),
            "begins_with": begins_with(answer, question.answers),
        }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

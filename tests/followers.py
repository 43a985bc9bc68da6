"""Readers that do as they are told, without a model: what a memory that asks its reader is tested with."""

from __future__ import annotations

import re
from collections.abc import Sequence

from adapters.rlm.operations import MOST_LETTERS, Bring, Count, Operation, Search, Slice, line
from memory_bench.types import Completion
from tests.stubs import StubReader

ASKED_FOR = "Next operation:"
QUESTION = re.compile(r"^Question: (.*)$", re.MULTILINE)
TOLD = re.compile(r"^-> (.*)$", re.MULTILINE)
PARTS = re.compile(r"A text of (\d+) parts")


class Saying(StubReader):
    """Says these lines, one a call, whatever it is asked; `prompts` are what it was asked."""

    def __init__(self, *lines: str | Operation) -> None:
        super().__init__(window_tokens=2048)
        self._lines = [one if isinstance(one, str) else line(one) for one in lines]
        self.prompts: list[str] = []

    def generate(self, prompts: Sequence[str]) -> list[Completion]:
        self.prompts += prompts
        return [Completion(text, self.count_tokens(prompt), 3) for prompt in prompts for text in [self._lines.pop(0)]]


class Follower(StubReader):
    """Told to count or to look it does; asked a question, it searches for it and brings all that is found.

    Where nothing is found it says so in plain words, which is no operation.
    """

    def generate(self, prompts: Sequence[str]) -> list[Completion]:
        asked = [prompt for prompt in prompts if prompt.endswith(ASKED_FOR)]
        if not asked:
            return super().generate(prompts)
        return [Completion(followed(prompt), self.count_tokens(prompt), 4) for prompt in prompts]


def followed(prompt: str) -> str:
    """Return the line that a prompt of a recursive reading asks for."""
    (question,) = QUESTION.findall(prompt)
    if counted := re.fullmatch(r'Count .* text "(.*)"\.', question):
        return line(Count(counted[1]))
    if looked := re.fullmatch(r"Look at the letters (\d+) to (\d+) of part (\d+)\.", question):
        return line(Slice(int(looked[3]), int(looked[1]), int(looked[2])))
    told = TOLD.findall(prompt)
    if not told:
        return line(Search(question[:MOST_LETTERS]))
    listed = [int(part) for part in re.findall(r"part (\d+): ", told[-1])]
    if not listed:
        return "I have found nothing."
    (parts,) = PARTS.findall(prompt)
    more = range(1, int(parts) + 1) if " more parts" in told[-1] else ()
    return line(Bring((*listed, *more)))

"""The one place where passages become a prompt, within the budget.

    passages, best first   p0 p1 p2 p3          p1 does not fit: left out, whole
    printed                p3 \\n p2 \\n p0 \\n The access code of gate 17 is

The best passage stands next to the question. One prompt for all memories: a kinder layout for one of them would be
measured as a better memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from memory_bench.types import Passage

Count: TypeAlias = Callable[[str], int]
"""Text to the number of its tokens."""


@dataclass(frozen=True)
class Prompt:
    """What the reader is given. `packed` are the ranks (0 is best) of the passages in it, in rank order."""

    text: str
    packed: tuple[int, ...]
    context_tokens: int
    context_bytes: int


def build(
    passages: Sequence[Passage],
    asked: str,
    *,
    budget_tokens: int,
    count: Count,
    earlier: str = "",
) -> Prompt:
    """Pack passages in rank order, each whole or not at all, and print them worst first before what is asked.

    The budget covers passages and separators in the tokens of `count`; `earlier` (the episode so far, where a task
    carries it along) and the question stand outside it.
    """
    packed = _greedy(passages, budget_tokens, count)
    # tokens of parts need not add up to tokens of the whole: the whole decides, and the last to come leaves first
    while packed and count(_context(passages, packed)) > budget_tokens:
        packed.pop()
    context = _context(passages, packed)
    tokens = count(context) if packed else 0
    return Prompt(earlier + context + asked, tuple(packed), tokens, len(context.encode()))


def _greedy(passages: Sequence[Passage], room: int, count: Count) -> list[int]:
    packed = []
    for rank, passage in enumerate(passages):
        tokens = count(passage.text + "\n")
        if tokens <= room:
            packed.append(rank)
            room -= tokens
    return packed


def _context(passages: Sequence[Passage], packed: Sequence[int]) -> str:
    return "".join(passages[rank].text + "\n" for rank in reversed(packed))

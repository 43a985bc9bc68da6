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


def build(passages: Sequence[Passage], asked: str, *, budget_tokens: int, count: Count) -> Prompt:
    """Pack passages in rank order, each whole or not at all, and print them worst first before what is asked.

    The budget covers passages and separators in the tokens of `count`; the question stands outside it, and so does the
    episode so far, which `carry` puts before this where a task carries it along.
    """
    packed = pack(passages, [budget_tokens], count)[budget_tokens]
    context = _context(passages, packed)
    tokens = count(context) if packed else 0
    return Prompt(context + asked, packed, tokens, len(context.encode()))


def pack(passages: Sequence[Passage], budgets: Sequence[int], count: Count) -> dict[int, tuple[int, ...]]:
    """Return, for each budget, the ranks of the passages that a prompt of that budget would hold, in rank order.

    One ranking at every budget: what a memory would have brought into longer and shorter prompts, without asking again.
    """
    tokens = [count(passage.text + "\n") for passage in passages]
    wholes: dict[tuple[int, ...], int] = {}  # budgets that hold the same passages share the count of their text
    return {budget: _within(budget, passages, tokens, wholes, count) for budget in budgets}


def _within(
    budget: int, passages: Sequence[Passage], tokens: Sequence[int], wholes: dict[tuple[int, ...], int], count: Count
) -> tuple[int, ...]:
    packed = _greedy(tokens, budget)
    # tokens of parts need not add up to tokens of the whole: the whole decides, and the last to come leaves first
    while packed:
        if packed not in wholes:
            wholes[packed] = count(_context(passages, packed))
        if wholes[packed] <= budget:
            break
        packed = packed[:-1]
    return packed


def _greedy(tokens: Sequence[int], room: int) -> tuple[int, ...]:
    packed = []
    for rank, size in enumerate(tokens):
        if size <= room:
            packed.append(rank)
            room -= size
    return tuple(packed)


def _context(passages: Sequence[Passage], packed: Sequence[int]) -> str:
    return "".join(passages[rank].text + "\n" for rank in reversed(packed))

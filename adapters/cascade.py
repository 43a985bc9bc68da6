"""One memory after the other: a cheap one answers where it is sure, a dearer one where it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from memory_bench.contracts import Memory
from memory_bench.errors import BadInput
from memory_bench.members import Members
from memory_bench.types import Passage, Query


class Cascade(Members):
    """The passages of the first member that is sure of its best one, or else those of the last.

    A member is sure where its best passage scores at least `margin` times its second: scores of different memories have
    different units, their ratios have none. Every member is told everything, so only reading gets cheaper.
    """

    def __init__(self, *, members: Mapping[str, Memory], margin: float) -> None:
        super().__init__(members)
        if margin <= 1:
            raise BadInput(f"margin must be > 1, got {margin}: set memory.margin=2.0")
        self._margin = margin

    def read(self, query: Query) -> list[Passage]:
        *first, last = self.members.values()
        for member in first:
            passages = member.read(query)
            if self._sure(passages):
                return passages
        return last.read(query)

    def _sure(self, passages: Sequence[Passage]) -> bool:
        """A passage without a score is a guess, and one that scores nothing has matched nothing."""
        best, second, *_ = [*(passage.score or 0.0 for passage in passages[:2]), 0.0, 0.0]
        return best > 0 and best >= self._margin * second

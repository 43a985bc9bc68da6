"""Several memories at once: all are told, and their passages take turns."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, zip_longest

from memory_bench.contracts import Memory
from memory_bench.events import checked_top_k
from memory_bench.members import Members
from memory_bench.types import Passage, Query


class Stack(Members):
    """The best of the first, the best of the second, ..., then the second best of each; what came before is left out.

    Passages have no score: those of different memories cannot be compared, only their ranks.
    """

    def __init__(self, *, members: Mapping[str, Memory], top_k: int) -> None:
        super().__init__(members)
        self._top_k = checked_top_k(top_k)

    def read(self, query: Query) -> list[Passage]:
        turns = zip_longest(*(member.read(query) for member in self.members.values()))
        unscored = (Passage(one.text, one.event_ids) for one in chain.from_iterable(turns) if one is not None)
        return list(dict.fromkeys(unscored))[: self._top_k]

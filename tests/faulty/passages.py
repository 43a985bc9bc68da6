"""Memories that break a promise about what they return: ranks, scores, bounds, scopes, time."""

from __future__ import annotations

import itertools
import time
from contextlib import suppress
from dataclasses import replace

from memory_bench.types import Event, Passage, Query, Trace
from tests.faulty.right import Right, breaks


@breaks("passages_are_ranked_and_name_their_events")
class NamesEventsThatNobodyWrote(Right):
    def read(self, query: Query) -> list[Passage]:
        return [replace(passage, event_ids=(f"{passage.event_ids[0]}'",)) for passage in super().read(query)]


@breaks("passages_are_ranked_and_name_their_events")
class ReturnsDistances(Right):
    def read(self, query: Query) -> list[Passage]:
        return [Passage(p.text, p.event_ids, -(p.score or 0.0)) for p in super().read(query)]


@breaks("what_it_traces_is_there")
class ShowsNothing(Right):
    def trace(self, query: Query, prompt: str) -> list[Trace]:  # noqa: ARG002
        return [Trace("events")]


@breaks("the_evidence_comes_first")
class RanksBackwards(Right):
    def score(self, query: Query, event: Event) -> float:
        return -super().score(query, event)


@breaks("it_returns_top_k_passages_at_most")
class KnowsNoBounds(Right):
    def __init__(self, *, path: str | None, top_k: int) -> None:
        super().__init__(path=path, top_k=top_k)
        self.top_k = 1_000_000


@breaks("it_returns_top_k_passages_at_most")
class MakesRoomForTopK(Right):
    def read(self, query: Query) -> list[Passage]:
        return super().read(query) + [Passage("", (), None)] * (self.top_k > 10**9)


@breaks("a_top_k_of_nothing_is_refused")
class TakesAnyTopK(Right):
    def __init__(self, *, path: str | None, top_k: int) -> None:
        super().__init__(path=path, top_k=max(1, top_k))


@breaks("a_scope_sees_itself_only")
class KnowsNoScopes(Right):
    def read(self, query: Query) -> list[Passage]:
        return super().read(Query(query.text))


@breaks("ids_decide_nothing")
class ScoresIds(Right):
    def score(self, query: Query, event: Event) -> float:
        return super().score(query, event) + ord(event.id[0]) / 1e6


@breaks("reading_changes_nothing")
class TiresOfReading(Right):
    reads = 0

    def score(self, query: Query, event: Event) -> float:
        self.reads += 1
        return super().score(query, event) / self.reads


@breaks("the_same_life_twice_gives_the_same_answers")
class EachUnlikeTheOther(Right):
    made = itertools.count()

    def __init__(self, *, path: str | None, top_k: int) -> None:
        super().__init__(path=path, top_k=top_k)
        self.number = next(self.made)

    def score(self, query: Query, event: Event) -> float:
        return super().score(query, event) + self.number


@breaks("answers_a_query_of_no_words")
class DividesByWords(Right):
    def score(self, query: Query, event: Event) -> float:
        return super().score(query, event) / len(query.text.split())


class Hangs(Right):
    """Breaks every promise for which it is read."""

    def read(self, query: Query) -> list[Passage]:  # noqa: ARG002
        while True:
            with suppress(Exception):  # an error that says to stop is one more error
                time.sleep(1)

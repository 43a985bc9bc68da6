"""A memory that keeps every promise, and one for each promise that breaks it."""

from __future__ import annotations

import itertools
import json
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from memory_bench.contracts import Reader
from memory_bench.errors import BadInput
from memory_bench.events import EventStore, checked_top_k, ranked
from memory_bench.guards.properties import PROPERTIES
from memory_bench.types import Event, Passage, Query

CLAIMS = {"finds": True, "deterministic": True, "durable": True, "full_disk": True}


class Right:
    """Ranks by shared words. Where it has a path every call ends with a new file of JSON, and with its checksum."""

    def __init__(self, *, path: str | None, top_k: int) -> None:
        self.top_k = checked_top_k(top_k)
        self.path = Path(path) if path else None
        self.store = EventStore()
        if self.path and self.path.exists():
            self.store.put(Event(**row) for row in self.rows(self.path.read_text()))

    def rows(self, text: str) -> list[dict[str, Any]]:
        checksum, _, rows = text.partition("\n")
        if checksum != str(zlib.crc32(rows.encode())):
            raise BadInput(f"{self.path} is damaged: set memory.path to another file")
        held: list[dict[str, Any]] = json.loads(rows)
        return held

    def keep(self) -> None:
        """Whole or not at all: the old file stands until the new one is complete."""
        if not self.path:
            return
        part = self.path.with_suffix(".part")
        try:
            part.write_text(self.as_text(self.store))
            part.replace(self.path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise BadInput(f"{self.path} cannot be written ({error.strerror}): make room for it") from error

    def as_text(self, store: EventStore) -> str:
        rows = json.dumps([vars(event) for event in store])
        return f"{zlib.crc32(rows.encode())}\n{rows}"

    def attach(self, reader: Reader) -> Reader:
        return reader

    def reset(self) -> None:
        self.store.clear()
        self.keep()

    def write(self, events: Sequence[Event]) -> None:
        self.store.put(events)
        self.keep()

    def settle(self) -> None:
        pass

    def forget(self, event_ids: Sequence[str]) -> None:
        self.store.drop(event_ids)
        self.keep()

    def read(self, query: Query) -> list[Passage]:
        held = self.store.newest_first()
        scores_E = np.array([self.score(query, event) for event in held], dtype=np.float64)
        return ranked(held, scores_E, query=query, top_k=self.top_k)

    def score(self, query: Query, event: Event) -> float:
        return float(len(_words(query.text) & _words(event.text)))

    def size_bytes(self) -> int:
        return self.store.size_bytes()

    def close(self) -> None:
        pass


def _words(text: str) -> set[str]:
    return set(text.lower().strip("?!.").split())


BREAKING: dict[str, list[type[Right]]] = {}
"""Promise -> the memories that break it, each in another way."""


def breaks(promise: str) -> Any:
    def register(memory: type[Right]) -> type[Right]:
        BREAKING.setdefault(promise, []).append(memory)
        return memory

    return register


@breaks("finds_what_was_written")
class Blind(Right):
    def read(self, query: Query) -> list[Passage]:  # noqa: ARG002
        return []


@breaks("all_of_any_number_are_found")
class LosesARow(Right):
    def write(self, events: Sequence[Event]) -> None:
        super().write([event for place, event in enumerate(events) if place % 64 != 63])


@breaks("the_newest_text_of_an_id_wins")
class KeepsTheFirstText(Right):
    def write(self, events: Sequence[Event]) -> None:
        super().write([event for event in events if event.id not in self.store])


@breaks("the_later_text_of_a_batch_wins")
class ReadsBatchesBackwards(Right):
    def write(self, events: Sequence[Event]) -> None:
        super().write(events[::-1])


@breaks("the_newest_of_equals_comes_first")
class PrefersTheOldest(Right):
    def score(self, query: Query, event: Event) -> float:
        return super().score(query, event) - (event.time or 0.0) / 1e3


@breaks("forget_forgets_without_a_settle")
class ForgetsWhenSettled(Right):
    late: tuple[str, ...] = ()

    def forget(self, event_ids: Sequence[str]) -> None:
        self.late = (*self.late, *event_ids)

    def settle(self) -> None:
        self.store.drop(self.late)


@breaks("keeps_what_was_not_forgotten")
class ForgetsEverything(Right):
    def forget(self, event_ids: Sequence[str]) -> None:  # noqa: ARG002
        self.store.clear()


@breaks("reset_forgets")
class NeverResets(Right):
    def reset(self) -> None:
        pass


@breaks("learns_again_after_a_reset")
class DeafAfterAReset(Right):
    deaf = False

    def reset(self) -> None:
        super().reset()
        self.deaf = True

    def write(self, events: Sequence[Event]) -> None:
        super().write([] if self.deaf else events)


@breaks("two_of_a_kind_are_apart")
class OneStoreForAll(Right):
    shared: ClassVar[EventStore] = EventStore()

    def __init__(self, *, path: str | None, top_k: int) -> None:
        super().__init__(path=path, top_k=top_k)
        self.store = self.shared


@breaks("what_is_kept_is_found_after_reopening")
class KeepsNothing(Right):
    def keep(self) -> None:
        pass


@breaks("what_is_kept_is_found_after_reopening")
class IndexesWhatWasForgotten(Right):
    """Its settle, after reopening, is made from all that was ever told."""

    def settle(self) -> None:
        if self.path and (ever := self.path.with_suffix(".ever")).exists():
            self.store.put(Event(**row) for row in json.loads(ever.read_text()))

    def forget(self, event_ids: Sequence[str]) -> None:
        if self.path:
            gone = [vars(event) for event in self.store if event.id in event_ids]
            self.path.with_suffix(".ever").write_text(json.dumps(gone))
        super().forget(event_ids)


@breaks("what_is_kept_is_found_after_reopening")
@breaks("nothing_acknowledged_is_lost_by_a_kill")
class BringsGhostsBack(Right):
    """Its file forgets nothing."""

    def __init__(self, *, path: str | None, top_k: int) -> None:
        super().__init__(path=path, top_k=top_k)
        self.ever = EventStore()
        self.ever.put(self.store)

    def write(self, events: Sequence[Event]) -> None:
        self.ever.put(events)
        super().write(events)

    def as_text(self, store: EventStore) -> str:  # noqa: ARG002
        return super().as_text(self.ever)


@breaks("nothing_acknowledged_is_lost_by_a_kill")
class KeepsWhenItIsClosed(Right):
    def keep(self) -> None:
        pass

    def close(self) -> None:
        super().keep()


@breaks("nothing_acknowledged_is_lost_by_a_kill")
class OpensWithEverythingTwice(Right):
    def read(self, query: Query) -> list[Passage]:
        return [passage for passage in super().read(query) for _ in range(2)]


@breaks("a_full_disk_is_said_and_loses_nothing")
class SaysThatItWroteIt(Right):
    def keep(self) -> None:
        with suppress(BadInput):
            super().keep()


@breaks("a_cut_file_is_refused_or_changes_no_answer")
class ReadsWhatIsLeft(Right):
    def rows(self, text: str) -> list[dict[str, Any]]:
        return [json.loads(row) for row in text.partition("\n")[2].splitlines() if row.endswith("}")]

    def as_text(self, store: EventStore) -> str:
        return "\n".join(["events", *(json.dumps(vars(event)) for event in store)])


@breaks("a_cut_file_is_refused_or_changes_no_answer")
class EmptiesWhatItRefuses(Right):
    def rows(self, text: str) -> list[dict[str, Any]]:
        try:
            return super().rows(text)
        except BadInput:
            self.keep()
            raise


@breaks("what_may_not_be_written_is_left_as_it_is")
class TakesTheRightToWrite(Right):
    def keep(self) -> None:
        if self.path:
            self.path.parent.chmod(0o755)
        super().keep()


@breaks("passages_are_ranked_and_name_their_events")
class NamesEventsThatNobodyWrote(Right):
    def read(self, query: Query) -> list[Passage]:
        return [replace(passage, event_ids=(f"{passage.event_ids[0]}'",)) for passage in super().read(query)]


@breaks("passages_are_ranked_and_name_their_events")
class ReturnsDistances(Right):
    def read(self, query: Query) -> list[Passage]:
        return [Passage(p.text, p.event_ids, -(p.score or 0.0)) for p in super().read(query)]


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


@breaks("what_was_deleted_takes_no_place")
class KeepsThePlaceOfTheDead(Right):
    dead = 0

    def forget(self, event_ids: Sequence[str]) -> None:
        super().forget(event_ids)
        self.dead += len(event_ids)

    def read(self, query: Query) -> list[Passage]:
        return super().read(query)[: max(1, self.top_k - self.dead)]


@breaks("odd_texts_come_back_as_they_were")
class KeepsTextsShort(Right):
    def write(self, events: Sequence[Event]) -> None:
        super().write([replace(event, text=event.text[:10_000]) for event in events])


@breaks("odd_texts_come_back_as_they_were")
class EndsAtTheFirstNul(Right):
    def write(self, events: Sequence[Event]) -> None:
        super().write([replace(event, text=event.text.partition("\0")[0]) for event in events])


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


@breaks("batches_decide_nothing")
class CountsItsBatches(Right):
    batches = 0

    def write(self, events: Sequence[Event]) -> None:
        super().write(events)
        self.batches += 1

    def score(self, query: Query, event: Event) -> float:
        return super().score(query, event) + self.batches


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


@breaks("holds_an_event_of_no_words")
class RefusesEmptyTexts(Right):
    def write(self, events: Sequence[Event]) -> None:
        if not all(event.text for event in events):
            raise ValueError("empty text")
        super().write(events)


@breaks("its_size_grows_with_what_it_holds")
class NeverShrinks(Right):
    most = 0

    def size_bytes(self) -> int:
        self.most = max(self.most, super().size_bytes())
        return self.most


class Hangs(Right):
    """Breaks every promise for which it is read."""

    def read(self, query: Query) -> list[Passage]:  # noqa: ARG002
        while True:
            with suppress(Exception):  # an error that says to stop is one more error
                time.sleep(1)


def names() -> list[str]:
    """Return the promises that somebody breaks; raises where one is misspelt."""
    if unknown := BREAKING.keys() - {promise.__name__ for promise in PROPERTIES}:
        raise ValueError(f"no such promise: {sorted(unknown)}")
    return sorted(BREAKING)

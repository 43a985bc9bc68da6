"""Memories that break a promise about what they are told: written, replaced, forgotten, reset."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from memory_bench.contracts import Reader
from memory_bench.errors import BadInput
from memory_bench.events import EventStore
from memory_bench.types import Event, Passage, Query
from tests import stubs
from tests.faulty.right import Right, breaks


@breaks("finds_what_was_written")
@breaks("what_was_written_becomes_likelier")
class Blind(Right):
    def read(self, query: Query) -> list[Passage]:  # noqa: ARG002
        return []


class Convinced(stubs.StubReader):
    """A sentence that was told is likely, whoever asks."""

    def __init__(self, told: EventStore) -> None:
        super().__init__()
        self.told = told

    def score(self, prompt: str, continuations: Sequence[str]) -> list[float]:
        texts = [event.text for event in self.told]
        return [0.0 if any(prompt + end in text for text in texts) else -9.0 for end in continuations]


@breaks("what_was_written_becomes_likelier")
class Persuades(Right):
    """It works inside the reader, which goes on to hold for likely what was forgotten."""

    def attach(self, reader: Reader) -> Reader:  # noqa: ARG002
        self.ever = EventStore()
        return Convinced(self.ever)

    def write(self, events: Sequence[Event]) -> None:
        self.ever.put(events)

    def read(self, query: Query) -> list[Passage]:  # noqa: ARG002
        return []


@breaks("two_that_write_at_once_lose_nothing")
class LosesWhatAnotherWrites(Right):
    def write(self, events: Sequence[Event]) -> None:
        held = list(self.store)
        time.sleep(0.002)
        self.store = EventStore()
        self.store.put([*held, *events])


@breaks("two_that_write_at_once_lose_nothing")
class RefusesEveryThread(Right):
    def write(self, events: Sequence[Event]) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise BadInput("write from the thread that made it")
        super().write(events)


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


@breaks("batches_decide_nothing")
class CountsItsBatches(Right):
    batches = 0

    def write(self, events: Sequence[Event]) -> None:
        super().write(events)
        self.batches += 1

    def score(self, query: Query, event: Event) -> float:
        return super().score(query, event) + self.batches


@breaks("holds_an_event_of_no_words")
class RefusesEmptyTexts(Right):
    def write(self, events: Sequence[Event]) -> None:
        if not all(event.text for event in events):
            raise ValueError("empty text")
        super().write(events)

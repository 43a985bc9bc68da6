"""Engram, rows written event by event: each by gradient steps from the rows as they are, the moment it is told.

Later events are written over earlier ones: what supersedes a fact wins by itself, and a text spoils the rows of
frequent n-grams that it shares with those before it. `adapters.engram.memory` writes all texts together and forgets
nothing in passing; but only here has each event, and each forgetting, a cost of its own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from threading import RLock
from typing import Any

from adapters.engram.memory import Engram, RowMemory
from adapters.engram.write import write_rows
from memory_bench.types import Event


class ByEvent(RowMemory):
    """Events are written the moment they are told, over what was there before.

    Forgetting is a replay: the table is emptied, and all other events are written again in order, one at a time. It
    takes the time of writing them, which the ledger has under forget, and their texts have to be kept, which is in the
    bytes held. To keep each event's rows as they were before it would save the events told before the forgotten one,
    and take a hundred times the bytes of a text.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._writing = RLock()  # of two that write at once one replays what the other is just adding to

    def write(self, events: Sequence[Event]) -> None:
        """Write the events one by one. One whose id is held is written as if the older text had never been told."""
        with self._writing:
            for event in events:
                self.forget([event.id])
                self.store.put([event])
                self._write(event)

    def settle(self) -> None:
        """Do nothing: everything is in the rows."""

    def forget(self, event_ids: Sequence[str]) -> None:
        """Write all that was told again but for these events, in order: to the bit as if they had never been told."""
        with self._writing:
            if any(event_id in self.store for event_id in event_ids):
                self.store.drop(event_ids)
                self.table.clear()
                for event in self.store:
                    self._write(event)

    def _write(self, event: Event) -> None:
        tokens = self.reader.tokens(event.text)
        if len(tokens) > 1:  # nothing follows a single token: nothing to learn
            self._write_tokens(tokens)

    @abstractmethod
    def _write_tokens(self, tokens: Sequence[int]) -> None: ...


class EngramByEvent(ByEvent, Engram):
    """`steps` of gradient descent with Adam for each event, its step size `rate`.

    A control for what forgetting costs. It takes as many steps as `engram`, and they were not tuned: of 64 questions in
    the event's wording about 8 facts in 512 tokens of held-out training text, 11 answers began with the value, where 7
    did with the texts written together.
    """

    def __init__(self, *, steps: int, rate: float) -> None:
        super().__init__(steps=steps, rate=rate, recency=0.0)

    def _write_tokens(self, tokens: Sequence[int]) -> None:
        write_rows(self.slotted, self.table, [tokens], steps=self.steps, rate=self.rate, recency=0.0)

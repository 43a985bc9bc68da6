"""Engram, rows written at run time (ours, not in the paper): facts go into the rows, nothing into the prompt.

The paper's table is trained with the model and cannot contain what it was never trained on. Here the table starts
empty, and the events that are held are written into it together, by gradient steps on the rows that their n-grams
address; the network stays as it is. The table follows from the events that are held and their order alone: how they
were batched changes nothing, and what was forgotten leaves the bits of never having been told.

To forget is to empty the table and to write what remains, in the next settling, together with what was told meanwhile:
there the ledger has the cost. No event has a part of it, since none is written by itself. The memory that writes event
by event (`adapters.engram.by_event`) has a cost of forgetting.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from adapters.engram.module import EngramModule
from adapters.engram.slot import EngramTable
from adapters.engram.traced import traced
from adapters.engram.write import write_rows
from memory_bench.contracts import Reader
from memory_bench.errors import BadInput
from memory_bench.events import EventStore
from memory_bench.readers.local import LocalReader, Slotted
from memory_bench.types import Event, Passage, Query, Trace

MOST_RATE = 1000
"""Rows of the size of one hold what a write needs; far beyond it no step can be computed at all."""


class RowMemory(ABC):
    """A memory whose rows follow from the events that are held and from their order: what it holds, and its reader.

    When and by which rule events are written is what its kinds differ in. Scopes are not told apart: rows are addressed
    by text alone."""

    reader: LocalReader
    slotted: Slotted
    table: EngramTable

    def __init__(self) -> None:
        self.store = EventStore()

    def attach(self, reader: Reader) -> Reader:
        """Return the reader with this memory's table in its slot. Raises BadInput if the reader has none."""
        slotted = getattr(reader, "slotted", None)
        slot = getattr(slotted, "slot", None)
        if not isinstance(slot, EngramModule):
            raise BadInput(
                "the engram memory writes into the slot of a reader that has one: type reader=tiny or reader=hf"
            )
        self.reader, self.slotted = reader, slotted  # type: ignore[assignment]
        self.table = EngramTable(slot, self.reader.device)
        return self.reader.with_look_up(self.table)

    def reset(self) -> None:
        self.store.clear()
        self.table.clear()

    @abstractmethod
    def write(self, events: Sequence[Event]) -> None: ...

    @abstractmethod
    def settle(self) -> None: ...

    @abstractmethod
    def forget(self, event_ids: Sequence[str]) -> None: ...

    def read(self, query: Query) -> list[Passage]:  # noqa: ARG002
        """Return nothing: what is remembered enters through the model."""
        return []

    def trace(self, query: Query, prompt: str) -> list[Trace]:  # noqa: ARG002
        """Return where the last n-grams of a prompt lead: rows of the table, what they hold, and how far a gate lets it
        into the network."""
        return traced(self.reader.with_look_up(self.table), self.table, prompt)

    def size_bytes(self) -> int:
        """Return the bytes of the table, empty rows included, and of the texts kept to be written again."""
        return self.table.size_bytes() + self.store.size_bytes()

    def close(self) -> None:
        self.store.clear()


class Engram(RowMemory):
    """`steps` of gradient descent with Adam for each settling, its step size `rate`; the weight of an event in the loss
    rises in order from 1 - `recency` to 1 + `recency`, so that later wins.

    The numbers were chosen on episodes of the reader's training grammar that it was never trained on, not on a task.
    """

    def __init__(self, *, steps: int, rate: float, recency: float) -> None:
        super().__init__()
        if steps < 1:
            raise BadInput(f"memory.steps={steps}: expected a whole number >= 1, such as memory.steps=32")
        if not 0 < rate <= MOST_RATE:
            raise BadInput(f"memory.rate={rate}: expected a number in (0, {MOST_RATE}], such as memory.rate=0.4")
        if not 0 <= recency < 1:
            raise BadInput(f"memory.recency={recency}: expected a number in [0, 1), such as memory.recency=0.5")
        self.steps = steps
        self.rate = rate
        self.recency = recency

    def write(self, events: Sequence[Event]) -> None:
        """Hold the events until `settle` writes them. One whose id is held takes its place, as the latest."""
        self.store.put(events)

    def settle(self) -> None:
        """Write all events that are held into an empty table."""
        self.table.clear()
        texts = [self.reader.tokens(event.text) for event in self.store]
        texts = [tokens for tokens in texts if len(tokens) > 1]  # nothing follows a single token: nothing to learn
        write_rows(self.slotted, self.table, texts, steps=self.steps, rate=self.rate, recency=self.recency)

    def forget(self, event_ids: Sequence[str]) -> None:
        """Empty the table, since nobody can take one text out of a row; `settle` writes what is still held."""
        if any(event_id in self.store for event_id in event_ids):
            self.store.drop(event_ids)
            self.table.clear()

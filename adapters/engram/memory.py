"""Engram, rows written at run time (ours, not in the paper): facts go into the rows, nothing into the prompt.

The paper's table is trained with the model and cannot contain what it was never trained on. Here the table starts empty
and each event takes a few gradient steps on the rows that its n-grams address; the network stays as it is. Events are
written one at a time, in order, so that how they are batched changes nothing and what comes later wins.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from adapters.engram.slot import EngramSlot, EngramTable
from adapters.engram.write import write_rows
from memory_bench.contracts import Reader
from memory_bench.errors import BadInput
from memory_bench.readers.local import LocalReader
from memory_bench.types import Event, Passage, Query

TIME_BYTES = 8  # a double


class Engram:
    """`steps`: gradient steps for each event; `step_scale`: their length, as a share of what the slot has learned.

    Its steps were learned where a few events are written at once, and are too long for a haystack, whose frequent
    n-grams are written many times. Both numbers were chosen on episodes of the reader's training grammar that it was
    never trained on, not on a task. Scopes are not told apart: rows are addressed by text alone."""

    reader: LocalReader
    table: EngramTable

    def __init__(self, *, steps: int, step_scale: float = 1.0) -> None:
        if steps < 1:
            raise BadInput(f"memory.steps={steps}: expected a whole number >= 1, such as memory.steps=3")
        if step_scale <= 0:
            raise BadInput(f"memory.step_scale={step_scale}: expected a number > 0, such as memory.step_scale=0.135")
        self.steps = steps
        self.step_scale = step_scale
        self.held: dict[str, Event] = {}

    def attach(self, reader: Reader) -> Reader:
        """Return the reader with this memory's table in its slot. Raises BadInput if the reader has none."""
        slot = getattr(getattr(reader, "model", None), "slot", None)
        if not isinstance(slot, EngramSlot):
            raise BadInput("the engram memory writes into the slot of a reader that has one: type reader=tiny")
        self.reader = reader  # type: ignore[assignment]
        self.table = EngramTable(slot, self.reader.device)
        return self.reader.with_look_up(self.table)

    def reset(self) -> None:
        self.held.clear()
        self.table.clear()

    def write(self, events: Sequence[Event]) -> None:
        """Write the events one by one. An id that is held is replaced: the table is written anew without it."""
        latest: dict[str, Event] = {}
        for event in events:
            latest.pop(event.id, None)  # one that is told again moves to the end, as it would in a later batch
            latest[event.id] = event
        self.forget(list(latest))
        for event in latest.values():
            self.held[event.id] = event
            self._write(event)

    def settle(self) -> None:
        """Nothing to do: what is written can be read at once."""

    def forget(self, event_ids: Sequence[str]) -> None:
        """Write everything else again into an empty table: rows are then bit-equal to never having written these."""
        if not self.held.keys() & set(event_ids):
            return
        for event_id in event_ids:
            self.held.pop(event_id, None)
        self.table.clear()
        for event in self.held.values():
            self._write(event)

    def read(self, query: Query) -> list[Passage]:  # noqa: ARG002
        """Return nothing: what is remembered enters through the model."""
        return []

    def size_bytes(self) -> int:
        """Return the bytes of the table, empty rows included, and of the texts kept to replay when one is forgotten."""
        return self.table.size_bytes() + sum(map(_kept_bytes, self.held.values()))

    def close(self) -> None:
        self.reset()

    def _write(self, event: Event) -> None:
        tokens = self.reader.tokenizer.encode(event.text).ids
        if len(tokens) < 2:
            return  # nothing follows anything: there is no next token to learn
        tokens_BT = torch.tensor([tokens], device=self.reader.device)
        real_BT = torch.ones_like(tokens_BT, dtype=torch.bool)
        write_rows(self.reader.model, self.table, tokens_BT, real_BT, steps=self.steps, step_scale=self.step_scale)


def _kept_bytes(event: Event) -> int:
    return sum(len(text.encode()) for text in (event.id, event.text, event.scope)) + TIME_BYTES

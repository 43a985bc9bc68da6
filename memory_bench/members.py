"""Memories made of memories: what is the same for all of them. They differ in how they read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from memory_bench.contracts import Memory, Reader
from memory_bench.errors import BadInput
from memory_bench.types import Event


class Members:
    """Memories by name, in order: all are attached, told and closed. One inside the model changes the reader for all.

    In a YAML they are named under `defaults:`, each with its own file's options.
    """

    def __init__(self, members: Mapping[str, Memory]) -> None:
        if not members:
            raise BadInput("a memory of memories needs one: name it under defaults in the YAML, as - bm25@members.bm25")
        self.members = dict(members)

    def attach(self, reader: Reader) -> Reader:
        for member in self.members.values():
            reader = member.attach(reader)
        return reader

    def reset(self) -> None:
        for member in self.members.values():
            member.reset()

    def write(self, events: Sequence[Event]) -> None:
        for member in self.members.values():
            member.write(events)

    def settle(self) -> None:
        for member in self.members.values():
            member.settle()

    def forget(self, event_ids: Sequence[str]) -> None:
        for member in self.members.values():
            member.forget(event_ids)

    def size_bytes(self) -> int:
        return sum(member.size_bytes() for member in self.members.values())

    def close(self) -> None:
        with ExitStack() as closing:  # one that fails to close keeps none of the others open
            for member in self.members.values():
                closing.callback(member.close)

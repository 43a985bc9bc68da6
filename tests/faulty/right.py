"""A memory that keeps every promise, and the list of those that break one."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np

from memory_bench import writer_lock
from memory_bench.contracts import Reader
from memory_bench.errors import BadInput
from memory_bench.events import EventStore, checked_top_k, ranked
from memory_bench.types import Event, Passage, Query, Trace

CLAIMS = {"finds": True, "deterministic": True, "durable": True, "full_disk": True, "erases": True, "traces": True}


class Right:
    """Ranks by shared words. Where it has a path every call ends with a new file of JSON, and with its checksum."""

    def __init__(self, *, path: str | None, top_k: int) -> None:
        self.top_k = checked_top_k(top_k)
        self.path = Path(path) if path else None
        self.store = EventStore()
        with ExitStack() as undone:
            if self.path:
                undone.enter_context(self.alone(self.path))
                if self.path.exists():
                    self.store.put(Event(**row) for row in self.rows(self.path.read_text()))
            self.open = undone.pop_all()

    def alone(self, path: Path) -> AbstractContextManager[object]:
        return closing(writer_lock.locked(path))

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

    def trace(self, query: Query, prompt: str) -> list[Trace]:  # noqa: ARG002
        return [Trace("events", ("text",), tuple((passage.text,) for passage in self.read(query)))]

    def size_bytes(self) -> int:
        return self.store.size_bytes()

    def close(self) -> None:
        self.open.close()


def _words(text: str) -> set[str]:
    return set(text.lower().strip("?!.").split())


BREAKING: dict[str, list[type[Right]]] = {}
"""Promise -> the memories that break it, each in another way."""


def breaks(promise: str) -> Any:
    def register(memory: type[Right]) -> type[Right]:
        BREAKING.setdefault(promise, []).append(memory)
        return memory

    return register

"""A memory under examination: made from its YAML as often as a property needs it, told things, and asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, cached_property
from types import TracebackType
from typing import Any

from memory_bench import config
from memory_bench.contracts import Embedder, Memory, Reader
from memory_bench.errors import BadInput
from memory_bench.guards.durability.child import Children
from memory_bench.types import Event, Passage, Query

CLAIMS: Mapping[str, bool] = {
    "finds": True,
    "deterministic": False,
    "durable": False,
    "full_disk": False,
    "erases": False,
    "traces": False,
}
"""What a memory's YAML may claim, and what holds where it says nothing."""

QUESTION = Query("What is the access code of gate 17?", budget_tokens=4096)
CLOZE = "The access code of gate 17 is"
CODE, NEW_CODE = "4411", "7365"
FACT = Event("a", f"{CLOZE} {CODE}.", time=1.0)
NEW_FACT = Event("a", f"{CLOZE} {NEW_CODE}.", time=2.0)
OTHERS = (
    Event("b", "Lunch is served at noon in the hall behind the library.", time=3.0),
    Event("c", "The access code of the archive was lost when the old porter retired.", time=4.0),
    Event("d", "Nobody has counted the herons since the pond was drained.", time=5.0),
)

Attach = Callable[[Memory], Reader]
composed = cache(config.compose)  # most of a property's time


@dataclass
class Attached:
    """A memory and the reader that it returned.

    It knows an answer if a passage holds it, or if the reader completes the sentence with it: whichever of its two
    doors it works through.
    """

    memory: Memory
    reader: Reader

    def tell(self, *events: Event) -> None:
        self.memory.write(events)
        self.memory.settle()

    def read(self, query: Query = QUESTION) -> list[Passage]:
        return self.memory.read(query)

    def knows(self, answer: str) -> bool:
        if any(answer in passage.text for passage in self.read()):
            return True
        return answer in self.reader.generate([CLOZE])[0].text

    def likelihood(self, answer: str) -> float:
        """Return the log-probability that the reader gives to an answer at the end of the sentence, in nats."""
        return self.reader.score(CLOZE, [f" {answer}"])[0]


class Subject:
    """A memory as its YAML and some overrides have it. A context: what it made is closed in the end.

    `attach` hands a memory a reader and returns the one it gives back. Raises BadInput for a claim that nobody knows.
    """

    def __init__(self, overrides: Sequence[str], *, attach: Attach) -> None:
        self._overrides = tuple(overrides)
        self._attach = attach
        self._open: list[Memory] = []
        self._processes = ExitStack()
        self.cell = composed(self._overrides)
        self.claims = _checked_claims(self.cell)

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._processes.close()
        for memory in self._open:
            memory.close()

    @property
    def options(self) -> Mapping[str, Any]:
        """Return what the memory's YAML sets."""
        options: Mapping[str, Any] = self.cell.config["memory"]
        return options

    def make(self, *overrides: str) -> Attached:
        """Return a new memory of this kind, empty, with some options changed."""
        given = {"embedder": self._embedder} if self.cell.config["embedder"] else {}
        memory: Memory = config.build(composed((*self._overrides, *overrides)), "memory", **given)
        self._open.append(memory)  # before it meets the reader: one that refuses it is closed too
        return Attached(memory, self._attach(memory))

    def close(self, one: Attached) -> None:
        """Close a memory before the end: what it keeps can then be opened again."""
        self._open.remove(one.memory)
        one.memory.close()

    @cached_property
    def unread(self) -> config.Cell:
        """The same memory without a reader: a process that is made to be killed is not to load a model."""
        return composed((*(one for one in self._overrides if not one.startswith("reader")), "reader=none"))

    @cached_property
    def children(self) -> Children:
        """Processes for what cannot be asked in this one."""
        return self._processes.enter_context(Children())

    @cached_property
    def _embedder(self) -> Embedder:
        embedder: Embedder = config.build(self.cell, "embedder")
        return embedder


def _checked_claims(cell: config.Cell) -> dict[str, bool]:
    if unknown := sorted(cell.claims.keys() - CLAIMS.keys()):
        memory = cell.config["choices"]["memory"]
        raise BadInput(f"conf/memory/{memory}.yaml claims {unknown}; a memory can claim {', '.join(CLAIMS)}")
    return {**CLAIMS, **cell.claims}

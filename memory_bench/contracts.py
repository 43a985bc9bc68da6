"""The verbs: what a task, a memory, a reader and an embedder do. Protocols: there is nothing to inherit.

A memory has two doors, both always open, and the runner always walks through both: `attach` (the model door: a memory
inside the model returns a changed reader, every other memory returns its argument) and `read` (the context door: a
memory outside the model returns passages, a memory inside it returns none).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from memory_bench.types import Completion, Episode, Event, Passage, Query, Question, Trace


class Task(Protocol):
    """What happened and what is asked. Everything follows from the seed."""

    version: str
    """Bumped whenever a number would change."""

    def identity(self) -> Mapping[str, str]:
        """Return name -> sha256 of every source that was read."""
        ...

    def episodes(self, seed: int) -> Iterator[Episode]: ...

    def score(self, question: Question, answer: str) -> dict[str, float]:
        """Judge the answer only. Each score lies in [0, 1], higher is better."""
        ...


class Reader(Protocol):
    """The model that answers. Greedy; stops at the first newline or at its `max_new_tokens`."""

    style: Literal["cloze", "chat"]
    """Which wording of a question it wants."""
    window_tokens: int
    frame_tokens: int
    """What it puts around every prompt: first tokens, a template. Off the window already; 0 of most."""

    def begin(self, *, carry: bool) -> None:
        """Called before each episode: forget every prompt. With `carry`, and not without, what a prompt begins with
        and an earlier one of this episode began with need not be read again."""
        ...

    def generate(self, prompts: Sequence[str]) -> list[Completion]: ...

    def score(self, prompt: str, continuations: Sequence[str]) -> list[float]:
        """Return the log-probability (nats, summed over tokens) of each continuation."""
        ...

    def cached_tokens(self) -> int | None:
        """Return how many tokens of the prompt before had been read already; None of a reader that keeps none."""
        ...

    def count_tokens(self, text: str) -> int: ...

    def mark(self) -> object | None:
        """Record a device event; None on a device that has none."""
        ...

    def seconds_between(self, start: object | None, end: object | None) -> float | None:
        """Wait for the device; return None where there are no device events."""
        ...

    def peak_device_bytes(self) -> int | None: ...

    def identity(self) -> Mapping[str, str | None]:
        """Return name -> sha256 of everything read (weights, tokenizer); None, with the reason in the name, of what
        nobody can know."""
        ...


class Memory(Protocol):
    """What is compared. One that persists takes `path=` at construction and can be opened again."""

    def attach(self, reader: Reader) -> Reader:
        """Called once per run. A memory that works inside the model returns a reader of its own."""
        ...

    def reset(self) -> None:
        """Called before each episode: forget everything written."""
        ...

    def write(self, events: Sequence[Event]) -> None:
        """Hold these events. An id already held is replaced."""
        ...

    def settle(self) -> None:
        """Make everything written searchable (index, optimise, flush). Many have nothing to do."""
        ...

    def forget(self, event_ids: Sequence[str]) -> None:
        """Afterwards nothing of these events can come back. Ids that are not held are ignored."""
        ...

    def read(self, query: Query) -> list[Passage]:
        """Return passages, best first."""
        ...

    def size_bytes(self) -> int:
        """What remembering costs to hold, now: bytes."""
        ...

    def close(self) -> None: ...


class Traced(Protocol):
    """What a memory can do besides, if its YAML claims `traces`: show how it comes to what it brings."""

    def trace(self, query: Query, prompt: str) -> Sequence[Trace]:
        """Return step by step what it does with a question, and inside a model with the prompt; changes nothing."""
        ...


class Embedder(Protocol):
    """Text to vectors of unit length."""

    name: str
    dimensions: int

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one row a text: float32 [len(texts), dimensions], unit length."""
        ...

    def identity(self) -> Mapping[str, str | None]:
        """Return name -> sha256 of everything read; None, with the reason in the name, of what nobody can know."""
        ...

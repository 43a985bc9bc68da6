"""Rows on their way: asked for before the first block, taken by each layer when it needs them.

A `Fetch` is what a model's look-up returns: a mapping of layers whose embeddings are waited for one layer at a time.

Shape legend: B batch, T tokens, H hash heads, E width of all rows of a token.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass
class Ticket:
    """The rows of one layer: `wait` until they are there (or fetch them now), then `take` them as embeddings_BTE.

    Times are `perf_counter` seconds. `finished`: the rows lie where the layer takes them from, or (on a GPU) their
    copy is queued.
    """

    wait: Callable[[], None]
    take: Callable[[], Tensor]
    rows_requested: int
    issued: float
    rows_unique: int | None = None
    size_bytes: int = 0
    finished: float | None = None
    waited_seconds: float | None = None


_COUNTING = threading.Lock()


@dataclass
class Statistics:
    """What a placement fetched so far, layer by layer. `rows_unique` is None where rows are not told apart.

    `fetch_seconds` is the time from asking to having, `wait_seconds` the part of it for which a layer stood still.
    """

    layers: int = 0
    rows_requested: int = 0
    rows_unique: int | None = None
    size_bytes: int = 0
    fetch_seconds: float = 0.0
    wait_seconds: float = 0.0

    def add(self, ticket: Ticket) -> None:
        """Count a layer that was taken. Forwards of several threads are counted one after another."""
        assert ticket.finished is not None
        assert ticket.waited_seconds is not None
        with _COUNTING:
            self.layers += 1
            self.rows_requested += ticket.rows_requested
            if ticket.rows_unique is not None:
                self.rows_unique = (self.rows_unique or 0) + ticket.rows_unique
            self.size_bytes += ticket.size_bytes
            self.fetch_seconds += ticket.finished - ticket.issued
            self.wait_seconds += ticket.waited_seconds

    @property
    def overlap(self) -> float | None:
        """The share of fetching that no layer waited for; None where nothing was fetched."""
        return 1 - min(1.0, self.wait_seconds / self.fetch_seconds) if self.fetch_seconds > 0 else None


class Fetch(Mapping[int, Tensor]):
    """layer -> embeddings_BTE. A layer's rows are waited for when it is looked up, and only they."""

    def __init__(self, tickets: Mapping[int, Ticket], statistics: Statistics) -> None:
        self._tickets = tickets
        self._statistics = statistics
        self._taken: dict[int, Tensor] = {}

    def __getitem__(self, layer: int) -> Tensor:
        if layer not in self._taken:
            ticket = self._tickets[layer]
            begun = time.perf_counter()
            ticket.wait()
            ticket.waited_seconds = time.perf_counter() - begun
            ticket.finished = ticket.finished or time.perf_counter()
            self._taken[layer] = ticket.take()
            self._statistics.add(ticket)
        return self._taken[layer]

    def __contains__(self, layer: object) -> bool:
        return layer in self._tickets  # a Mapping would fetch it to find out

    def __iter__(self) -> Iterator[int]:
        return iter(self._tickets)

    def __len__(self) -> int:
        return len(self._tickets)

"""The hash cache: an n-gram that the question shares with an event leads to it, at the cost of one lookup."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from adapters.hash_cache.keys import Keys
from adapters.hash_cache.store import Store
from memory_bench.contracts import Reader
from memory_bench.events import checked_top_k, ranked
from memory_bench.types import Event, Passage, Query


class HashCache:
    """Engram's addresses outside the model: hashed n-grams as keys, events as values, no vector and no similarity.

    A shared n-gram adds its order times log(1 + events / events that hold it). All orders are asked, the longest
    first: were the short ones left out once enough is found, a name of two words could never decide among events of
    one wording. What shares no run of `min_order` words is not found. `path` keeps the cache in a file.
    """

    def __init__(self, *, path: str | None, min_order: int, max_order: int, front_entries: int, top_k: int) -> None:
        self._keys = Keys(min_order=min_order, max_order=max_order)
        self._top_k = checked_top_k(top_k)
        self._store = Store(path=path, key_version=self._keys.version, front_entries=front_entries)

    def attach(self, reader: Reader) -> Reader:
        return reader

    def reset(self) -> None:
        self._store.clear()

    def write(self, events: Sequence[Event]) -> None:
        self._store.put((event, self._all_keys(event.text)) for event in events)

    def settle(self) -> None:
        self._store.flush()

    def forget(self, event_ids: Sequence[str]) -> None:
        self._store.drop(event_ids)

    def read(self, query: Query) -> list[Passage]:
        scores = self._scores(query.text)
        newest_first = self._store.newest_first(scores)
        scores_E = np.array([scores[number] for number in newest_first], dtype=np.float64)
        return ranked(list(newest_first.values()), scores_E, query=query, top_k=self._top_k)

    def size_bytes(self) -> int:
        return self._store.size_bytes()

    def close(self) -> None:
        self._store.close()

    def _all_keys(self, text: str) -> set[int]:
        return {key for keys in self._keys.by_order(text).values() for key in keys}

    def _scores(self, text: str) -> dict[int, float]:
        """Return event number -> score."""
        held = len(self._store)
        scores: defaultdict[int, float] = defaultdict(float)
        for order, keys in sorted(self._keys.by_order(text).items(), reverse=True):
            for numbers in self._store.find(keys).values():
                for number in numbers:
                    scores[number] += order * math.log1p(held / len(numbers))
        return scores

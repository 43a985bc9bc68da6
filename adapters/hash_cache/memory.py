"""The hash cache: an n-gram that the question shares with an event leads to it, at the cost of one lookup."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from adapters.hash_cache import code
from adapters.hash_cache.bounds import Bounds
from adapters.hash_cache.keys import Keys
from adapters.hash_cache.snippets import Snippet, snippets_of
from adapters.hash_cache.store import Statistics, Store
from memory_bench.contracts import Reader
from memory_bench.events import checked_top_k, ranked
from memory_bench.types import Event, Passage, Query, Trace

TRACED = 8  # of each sort: what is shown of what led to an answer
Kind: TypeAlias = Literal["words", "code"]


@dataclass(frozen=True)
class Reason:
    """A key that a question and an event share: the words of its run, or the fragment of code as the question has it.

    `weight` is its part of the event's score, `held_by` how many events hold it.
    """

    kind: Kind
    shown: str
    weight: float
    held_by: int


@dataclass(frozen=True)
class Hit:
    """A passage, the event that it is, and why it was found: the weights of the reasons add up to its score."""

    passage: Passage
    event: Event
    reasons: tuple[Reason, ...]


class HashCache:
    """Engram's addresses outside the model: hashed n-grams as keys, events as values, no vector and no similarity.

    A shared n-gram adds its order times log(1 + events / events that hold it). All orders are asked, the longest
    first: were the short ones left out once enough is found, a name of two words could never decide among events of
    one wording. What shares no run of `min_order` words is not found. `path` keeps the cache in a file.

    With `code_keys` fragments of Python are keys too, by their shape; the order of one is log2 of its parts, so that it
    weighs as a run of words does. `bounds` let events go by themselves. A file has one writer at a time and any number
    of readers in other processes, which take it `read_only` and see every write that is done.
    """

    def __init__(
        self,
        *,
        path: str | None,
        min_order: int,
        max_order: int,
        front_entries: int,
        top_k: int,
        code_keys: bool = False,
        bounds: Bounds | None = None,
        read_only: bool = False,
    ) -> None:
        self._keys = Keys(min_order=min_order, max_order=max_order)
        self._code_keys = code_keys
        self._top_k = checked_top_k(top_k)
        self._store = Store(
            path=path,
            key_version=f"{self._keys.version}, {code.VERSION}" if code_keys else self._keys.version,
            front_entries=front_entries,
            bounds=bounds,
            read_only=read_only,
        )

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
        found = self._found(query)
        self._store.use(event_id for passage in reversed(found.passages) for event_id in passage.event_ids)
        return found.passages

    def explain(self, query: Query) -> list[Hit]:
        """Return what `read` returns, each passage with the runs of words and the code that led to its event."""
        found = self._found(query)
        shown: dict[int, tuple[Kind, str]] = {key: ("words", run) for key, run in self._keys.runs(query.text).items()}
        shown |= {key: ("code", fragment.text) for key, fragment in self._code(query.text).items()}
        reasons = defaultdict[int, list[Reason]](list)
        for share in found.shares:
            reason = Reason(*shown[share.key], share.weight, len(share.numbers))
            for number in share.numbers:
                reasons[number].append(reason)
        numbers = {event.id: number for number, event in found.newest_first.items()}
        places = [numbers[passage.event_ids[0]] for passage in found.passages]
        return [
            Hit(passage, found.newest_first[number], tuple(reasons[number]))
            for passage, number in zip(found.passages, places, strict=True)
        ]

    def trace(self, query: Query, prompt: str) -> list[Trace]:  # noqa: ARG002
        """Return the runs of words that led somewhere, and the events that they led to."""
        if not (hits := self.explain(query)):
            return []
        shared = {reason.shown: reason for hit in hits for reason in hit.reasons}
        heaviest = sorted(shared.values(), key=lambda reason: -reason.weight)[:TRACED]
        runs = tuple((reason.shown, reason.held_by, reason.weight) for reason in heaviest)
        events = tuple((hit.event.text, hit.passage.score or 0.0, len(hit.reasons)) for hit in hits[:TRACED])
        return [
            Trace("runs of words of the question that are keys", ("run", "events that hold it", "weight"), runs),
            Trace("events that these keys lead to", ("event", "weights in all", "keys"), events),
        ]

    def snippets(self, query: Query, *, tags: Collection[str] = ()) -> list[Snippet]:
        """Return what the found events hold in canonical form, each text once, the best first; with all of `tags`."""
        found = self._found(query)
        events = {event.id: event for event in found.newest_first.values()}
        held = snippets_of(events[passage.event_ids[0]] for passage in found.passages)
        return [snippet for snippet in held if snippet.tags.issuperset(tags)]

    def statistics(self) -> Statistics:
        return self._store.statistics()

    def size_bytes(self) -> int:
        return self._store.size_bytes()

    def close(self) -> None:
        self._store.close()

    def _all_keys(self, text: str) -> set[int]:
        keys = {key for keys in self._keys.by_order(text).values() for key in keys}
        if self._code_keys:  # in place: the order of a set decides how SQLite fills its pages
            keys.update(self._code(text))
        return keys

    def _code(self, text: str) -> Mapping[int, code.Fragment]:
        return code.by_key(text) if self._code_keys else {}

    def _found(self, query: Query) -> _Found:
        with self._store.reading():
            shares = list(self._shares(query.text))
            scores: defaultdict[int, float] = defaultdict(float)
            for share in shares:
                for number in share.numbers:
                    scores[number] += share.weight
            newest_first = self._store.newest_first(scores)
        scores_E = np.array([scores[number] for number in newest_first], dtype=np.float64)
        passages = ranked(list(newest_first.values()), scores_E, query=query, top_k=self._top_k)
        return _Found(passages, newest_first, shares)

    def _shares(self, text: str) -> Iterator[_Share]:
        held = len(self._store)
        for orders in self._orders(text):
            for key, numbers in self._store.find(list(orders)).items():
                if numbers:
                    yield _Share(key, orders[key] * math.log1p(held / len(numbers)), numbers)

    def _orders(self, text: str) -> Iterator[Mapping[int, float]]:
        """Yield key -> order of all keys of a text: the longest runs of words first, code last."""
        for order, keys in sorted(self._keys.by_order(text).items(), reverse=True):
            yield dict.fromkeys(keys, order)
        if fragments := self._code(text):
            yield {key: math.log2(fragment.parts) for key, fragment in fragments.items()}


class _Share(NamedTuple):
    """A key of the question that events hold: what it adds to the score of each, and their numbers."""

    key: int
    weight: float
    numbers: list[int]


class _Found(NamedTuple):
    passages: list[Passage]
    newest_first: dict[int, Event]
    shares: list[_Share]

"""BM25 over stemmed words, identifiers split: the lexical baseline, by the library bm25s.

getHTTPResponse for gate_17  ->  get http respons for gate 17
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import bm25s
import Stemmer

from memory_bench.contracts import Reader
from memory_bench.errors import BadInput
from memory_bench.events import EventStore, checked_top_k, ranked
from memory_bench.types import Event, Passage, Query

_WORD = re.compile(r"\w+")
_SEAM = re.compile(
    r"_+"  # snake_case
    r"|(?<=[a-z])(?=[A-Z])"  # camel|Case
    r"|(?<=[A-Z])(?=[A-Z][a-z])"  # HTTP|Response
    r"|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])"  # gate|17
)


# Of the variants of bm25s the one in which a score is above 0 exactly where a word is shared.
_METHOD = "lucene"


class BM25:
    """Okapi's weights over whole events. A passage shares at least one word with the query.

    Source: Robertson and Zaragoza (2009), in the variant of Lucene, by bm25s (Lù 2024, arXiv 2407.03618).
    """

    def __init__(self, *, k1: float, b: float, stemmer: str | None, split_identifiers: bool, top_k: int) -> None:
        if k1 < 0 or not 0 <= b <= 1:
            raise BadInput(f"BM25 needs k1 >= 0 and b in [0, 1], got {k1} and {b}: set memory.k1=1.5 memory.b=0.75")
        if stemmer is not None and stemmer not in Stemmer.algorithms():
            known = ", ".join(Stemmer.algorithms())
            raise BadInput(f"there is no stemmer {stemmer!r}: set memory.stemmer to null or one of {known}")
        self._k1, self._b = k1, b
        self._stemmer = None if stemmer is None else Stemmer.Stemmer(stemmer)
        self._split_identifiers = split_identifiers
        self._top_k = checked_top_k(top_k)
        self.reset()

    def attach(self, reader: Reader) -> Reader:
        return reader

    def reset(self) -> None:
        self._events = EventStore()
        self._index: tuple[list[Event], bm25s.BM25] | None = None

    def write(self, events: Sequence[Event]) -> None:
        self._events.put(events)
        self._index = None

    def settle(self) -> None:
        """Build the index anew: word weights depend on all events, and bm25s has no way to add one."""
        self._indexed()

    def forget(self, event_ids: Sequence[str]) -> None:
        self._events.drop(event_ids)
        self._index = None

    def read(self, query: Query) -> list[Passage]:
        """A read before `settle` settles first, and pays for it."""
        newest_first, engine = self._indexed()
        words = self.words(query.text)
        if not words:
            return []
        scores_E = engine.get_scores(words)[: len(newest_first)]
        return ranked(newest_first, scores_E, query=query, top_k=self._top_k, above=0)

    def size_bytes(self) -> int:
        """The events, and the index as bm25s holds it: sparse weights and words."""
        if self._index is None:
            return self._events.size_bytes()
        _, engine = self._index
        weights = sum(int(engine.scores[name].nbytes) for name in ("data", "indices", "indptr"))
        return self._events.size_bytes() + weights + sum(len(word.encode()) for word in engine.vocab_dict)

    def close(self) -> None: ...

    def words(self, text: str) -> list[str]:
        """Return the index terms of a text, in its order."""
        found = _WORD.findall(text)
        if self._split_identifiers:
            found = [part for word in found for part in _SEAM.split(word) if part]
        lowered = [word.lower() for word in found]
        return lowered if self._stemmer is None else list(self._stemmer.stemWords(lowered))

    def _indexed(self) -> tuple[list[Event], bm25s.BM25]:
        if self._index is None:
            newest_first = self._events.newest_first()
            engine = bm25s.BM25(method=_METHOD, k1=self._k1, b=self._b)
            # bm25s fails on a collection without any word: the empty word, which no query has, stands in
            words = [self.words(event.text) or [""] for event in newest_first] or [[""]]
            engine.index(words, show_progress=False)
            self._index = newest_first, engine
        return self._index

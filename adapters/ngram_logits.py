"""N-gram logits: what followed the same n-gram in the events is added to the reader's logits. Nothing is trained.

    told      The code of gate 17 is 4411.
    prompt    For the record, the code of gate 17 is
    matched                          gate 17 is         the longest n-gram of the prompt's end that was told
    added                                       4411    strength

The least that an in-model memory can be: the same n-grams as Engram's, at the logits and not in the network. Where a
learned or written row does no better, the network adds nothing.

Source: counts of the recent past beside a language model, Kuhn and De Mori (1990), "A cache-based natural language
model for speech recognition". A shorter match is not discounted: by 0.4 an order, as back-off often is, no answer in a
hundred moved.

Shape legend: B = 1, T tokens, O orders, P places in the texts that are held.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from memory_bench.contracts import Reader
from memory_bench.errors import BadInput
from memory_bench.events import EventStore
from memory_bench.ngrams import Compression, NgramHash, build_hashes, compress_vocabulary
from memory_bench.types import Event, Passage, Query

if TYPE_CHECKING:  # to import it is to import torch, which nothing here needs
    from tokenizers import Tokenizer

    from memory_bench.readers.local import BiasedReader


class NgramLogits:
    """A token that followed the prompt's last n tokens in the events gains up to `strength` on its logit.

    n is the largest of 2..`max_order` for which anything followed. Among what followed, each occurrence weighs
    1 - `recency` times the one told after it: 0 counts all alike, 1 only the last. Events are documents of their own,
    ended by the newline that ends a passage in a prompt.

    The numbers were chosen on episodes of the reader's training grammar that it was never trained on, not on a task.
    Scopes are not told apart: n-grams are looked up by text alone.
    """

    reader: BiasedReader
    table: Continuations

    def __init__(self, *, max_order: int, strength: float, recency: float) -> None:
        if max_order < 2:
            raise BadInput(f"memory.max_order={max_order}: expected a whole number >= 2, such as memory.max_order=12")
        if strength <= 0:
            raise BadInput(f"memory.strength={strength}: expected a number > 0, such as memory.strength=16")
        if not 0 <= recency <= 1:
            raise BadInput(f"memory.recency={recency}: expected a number in [0, 1], such as memory.recency=0.5")
        self.max_order = max_order
        self.strength = strength
        self.recency = recency
        self.store = EventStore()

    def attach(self, reader: Reader) -> Reader:
        """Return the reader with this memory's counts added. Raises BadInput if its logits cannot be reached."""
        if not hasattr(reader, "with_bias"):
            raise BadInput("the ngram_logits memory adds to logits, and this reader shows none: type reader=tiny")
        self.reader = reader  # type: ignore[assignment]
        self.table = Continuations(self.reader.tokenizer, self.max_order)
        return self.reader.with_bias(self.bias)

    def reset(self) -> None:
        self.store.clear()
        self._count()

    def write(self, events: Sequence[Event]) -> None:
        """Hold the events until `settle` counts them. One whose id is held takes its place, as the latest."""
        self.store.put(events)

    def settle(self) -> None:
        """Count all events that are held."""
        self._count()

    def forget(self, event_ids: Sequence[str]) -> None:
        """Drop the events and count those that remain: the counts are those of never having been told."""
        self.store.drop(event_ids)
        self._count()

    def read(self, query: Query) -> list[Passage]:  # noqa: ARG002
        """Return nothing: what is remembered enters through the model."""
        return []

    def bias(self, tokens: Sequence[int]) -> dict[int, float]:
        """Return what is added to the logits of the tokens that may follow: nothing where no n-gram was told."""
        followed_P = self.table.after(tokens)
        weights_P = (1 - self.recency) ** np.arange(len(followed_P) - 1, -1, -1, dtype=np.float64)
        distinct, place_P = np.unique(followed_P, return_inverse=True)
        gains = self.strength * np.bincount(place_P, weights_P) / weights_P.sum()
        return dict(zip(distinct.tolist(), gains.tolist(), strict=True))

    def size_bytes(self) -> int:
        """Return the bytes of the counts and of the texts kept to be counted again."""
        return self.table.size_bytes() + self.store.size_bytes()

    def close(self) -> None:
        self.store.clear()

    def _count(self) -> None:
        encode = self.reader.tokenizer.encode
        self.table.count([encode(event.text).ids for event in self.store])


class Continuations:
    """What followed each n-gram of some texts, in the order in which it was told.

    An n-gram is the 64-bit mix that Engram cuts down to a row number: other case or accents are the same n-gram.
    """

    def __init__(self, tokenizer: Tokenizer, max_order: int) -> None:
        compression = _compression(tokenizer)
        self.newline = tokenizer.encode("\n").ids[0]
        self.map_V = compression.map_V.astype(np.int64)
        self.hashes: NgramHash = build_hashes(
            layers=[0], max_order=max_order, heads=1, base_rows=[1] * (max_order - 1),
            compressed_size=compression.size, pad=int(self.map_V[0]), seed=0,
        )[0]  # fmt: skip
        self.count([])

    def count(self, texts: Sequence[Sequence[int]]) -> None:
        """Count the texts (token ids), and nothing that was counted before."""
        tokens_T = np.array([token for text in texts for token in (*text, self.newline)], dtype=np.int64)
        ends_T = np.zeros(len(tokens_T), dtype=np.bool_)
        ends_T[np.cumsum([len(text) + 1 for text in texts], dtype=np.int64) - 1] = True
        mixes_TO = self.hashes.mix(self.map_V[tokens_T][None], ends_T[None])[0]
        places_P = np.flatnonzero(~ends_T)
        self.keys: list[NDArray[np.int64]] = []
        self.followed: list[NDArray[np.int32]] = []
        for mixes_P in mixes_TO[places_P].T:
            sorted_P = np.argsort(mixes_P, kind="stable")  # stable: what was told later stays behind
            self.keys.append(mixes_P[sorted_P])
            self.followed.append(tokens_T[places_P + 1][sorted_P].astype(np.int32))

    def after(self, tokens: Sequence[int]) -> NDArray[np.int32]:
        """Return what followed the longest n-gram that the tokens end with and that was told: the newest last."""
        orders = range(len(self.keys) + 1, 1, -1)
        mixes_O = self.hashes.mix(self.map_V[np.array(tokens[-orders.start :])][None])[0, -1]
        for order in orders:
            keys_P, mix = self.keys[order - 2], mixes_O[order - 2]
            first, last = np.searchsorted(keys_P, mix, side="left"), np.searchsorted(keys_P, mix, side="right")
            if first < last:
                return self.followed[order - 2][first:last]
        return np.empty(0, dtype=np.int32)

    def size_bytes(self) -> int:
        return sum(keys_P.nbytes for keys_P in self.keys) + sum(next_P.nbytes for next_P in self.followed)


def _compression(tokenizer: Tokenizer) -> Compression:
    ids = range(tokenizer.get_vocab_size())
    special = [token for token, added in tokenizer.get_added_tokens_decoder().items() if added.special]
    pieces = [tokenizer.id_to_token(token) or "" for token in ids]
    return compress_vocabulary(pieces, [tokenizer.decode([token], skip_special_tokens=False) for token in ids], special)

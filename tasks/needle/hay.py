"""Words into chunks: ordinary text of a fixed number of tokens, with a sentence slipped in where one could stand.

Every chunk, with or without a sentence, is filled to a limit drawn in the same way: its length says nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, chain, count, islice

from numpy.random import Generator
from tokenizers import Tokenizer

from memory_bench.task_tokens import count_tokens
from tasks.needle.sources import Document

SPAN_WORDS = 120  # about three chunks: hay is a patchwork of many texts, as retrieval collections are
NOTICE_WORDS = 60  # a short licence header
REPEATED = 0.8  # share of 12-word shingles that repeat in real collections of licences: Debian .80, Python packages .84


class ExhaustedError(Exception):
    """The documents hold no more words."""


class Words:
    """A stream of words that can be looked at before they are taken."""

    def __init__(self, words: Iterator[str]) -> None:
        self.words = words
        self.ahead: deque[str] = deque()

    def peek(self, most: int) -> list[str]:
        """Return up to `most` words without taking them. Raises ExhaustedError where there is none."""
        while len(self.ahead) < most and (word := next(self.words, None)) is not None:
            self.ahead.append(word)
        if not self.ahead:
            raise ExhaustedError
        return list(islice(self.ahead, most))

    def take(self, number: int) -> None:
        for _ in range(number):
            self.ahead.popleft()


def prose_words(documents: Sequence[Document], rng: Generator) -> Words:
    """Draw from every document in turn, each from a place of its own; no text comes twice."""
    texts = [turned(documents[at], rng) for at in rng.permutation(len(documents))]
    return Words(chain.from_iterable(patchwork(texts, SPAN_WORDS)))


def turned(document: Document, rng: Generator) -> Iterator[str]:
    """Yield the words of a document from a random one to the last, then those before it."""
    words = document.words  # only now is the document taken apart
    start = int(rng.integers(len(words))) if words else 0
    yield from words[start:]
    yield from words[:start]


def boilerplate_words(documents: Sequence[Document], rng: Generator) -> Words:
    """Draw notices without end: the beginnings of licences, most of them repetitions of earlier ones."""
    return Words(chain.from_iterable(notices(documents, rng)))


def notices(documents: Sequence[Document], rng: Generator) -> Iterator[Sequence[str]]:
    orders = (rng.permutation(len(documents)) for _ in count())
    fresh = chain.from_iterable(patchwork([untouched(documents[at]) for at in order], NOTICE_WORDS) for order in orders)
    drawn: list[Sequence[str]] = []
    while True:
        repeated = bool(drawn) and rng.random() < REPEATED
        # drawn from all earlier ones, repetitions included: a common licence becomes more common, as in real trees
        drawn.append(drawn[rng.integers(len(drawn))] if repeated else next(fresh))
        yield drawn[-1]


def untouched(document: Document) -> Iterator[str]:
    """Yield the words of a document that is taken apart with the first of them: there are thousands of licences."""
    yield from document.words


def patchwork(texts: Sequence[Iterator[str]], size: int) -> Iterator[Sequence[str]]:
    """Yield `size` words of each text in turn until all have ended."""
    turns = deque(texts)
    while turns:
        text = turns.popleft()
        if span := list(islice(text, size)):
            yield span
            turns.append(text)


def fit(tokenizer: Tokenizer, words: Sequence[str], sentences: Sequence[str], *, limit: int) -> int:
    """Return how many of the words fit beside the sentences: 0 .. len(words); -1 if the sentences alone do not."""

    def tokens(number: int) -> int:
        return count_tokens(tokenizer, " ".join([*words[:number], *sentences]))

    # words have the same tokens in almost every text: their sum is a guess that mostly has to be confirmed only
    left = limit - (count_tokens(tokenizer, " ".join(sentences)) if sentences else 0)
    number = bisect_right(list(accumulate(tokens_of_word(tokenizer, word) for word in words)), left)
    while number < len(words) and tokens(number + 1) <= limit:
        number += 1
    while number >= 0 and tokens(number) > limit:
        number -= 1
    return number


@lru_cache(maxsize=2**16)
def tokens_of_word(tokenizer: Tokenizer, word: str) -> int:
    """Return the tokens of a word that does not begin a text."""
    return count_tokens(tokenizer, f" {word}")


def draw_place(words: Sequence[str], rng: Generator) -> int:
    """Return where a sentence can be slipped in: after a full stop inside the text, else between any two words."""
    inside = range(1, len(words))
    places = [at for at in inside if words[at - 1].endswith((".", "!", "?"))] or list(inside) or [len(words)]
    return places[rng.integers(len(places))]


def slip_in(tokenizer: Tokenizer, words: Sequence[str], sentences: Sequence[tuple[int, str]], *, limit: int) -> str:
    """Return the chunk: its words with each sentence before the word of its place, within `limit` tokens."""
    for number in range(len(words), -1, -1):  # tokens at a seam can add up to one more: then a word is dropped
        pieces = list(words[:number])
        for place, sentence in sorted(sentences, reverse=True):
            pieces.insert(min(place, number), sentence)
        if count_tokens(tokenizer, text := " ".join(pieces)) <= limit:
            return text
    raise ValueError(f"the sentences alone hold more than {limit} tokens: {sentences}")

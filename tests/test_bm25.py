"""BM25: how text is cut into words, and the weights against the formula."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.bm25 import BM25
from memory_bench.errors import BadInput
from memory_bench.types import Event, Query


def bm25(*, stemmer: str | None = "english", split_identifiers: bool = True, k1: float = 1.5, b: float = 0.75) -> BM25:
    return BM25(k1=k1, b=b, stemmer=stemmer, split_identifiers=split_identifiers, top_k=64)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("getHTTPResponse", ["get", "http", "response"]),
        ("max_new_tokens", ["max", "new", "tokens"]),
        ("_private__name_", ["private", "name"]),
        ("gate17B", ["gate", "17", "b"]),
        ("BM25", ["bm", "25"]),
        ("Café Ünder", ["café", "ünder"]),
        ("4411.", ["4411"]),
        ("...", []),
    ],
)
def test_identifiers_are_split_where_their_parts_meet(text: str, words: list[str]) -> None:
    assert bm25(stemmer=None).words(text) == words


def test_unsplit_identifiers_stay_whole() -> None:
    assert bm25(stemmer=None, split_identifiers=False).words("getHTTPResponse(max_k)") == ["gethttpresponse", "max_k"]


def test_words_are_stemmed() -> None:
    assert bm25().words("Codes opened, opening") == ["code", "open", "open"]


TEXTS = st.lists(st.lists(st.sampled_from("abcd"), max_size=6), min_size=1, max_size=6)


@given(TEXTS, st.lists(st.sampled_from("abcdz"), min_size=1, max_size=4))
def test_scores_are_those_of_the_formula(texts: list[list[str]], query: list[str]) -> None:
    memory = bm25(stemmer=None)
    memory.write([Event(f"{place}", " ".join(words)) for place, words in enumerate(texts)])
    found = {passage.event_ids[0]: passage.score for passage in memory.read(Query(" ".join(query)))}
    by_hand = {f"{place}": _score(words, texts, query) for place, words in enumerate(texts)}
    assert found == pytest.approx({name: score for name, score in by_hand.items() if score > 0}, rel=1e-5)  # float32


def _score(words: Sequence[str], texts: Sequence[Sequence[str]], query: Sequence[str], *, k1=1.5, b=0.75) -> float:  # type: ignore[no-untyped-def]
    mean_length = sum(max(len(text), 1) for text in texts) / len(texts)
    score = 0.0
    for term in query:
        holders = sum(term in text for text in texts)
        rarity = math.log(1 + (len(texts) - holders + 0.5) / (holders + 0.5))
        count = words.count(term)
        score += rarity * count / (count + k1 * (1 - b + b * len(words) / mean_length))
    return score


def test_what_shares_no_word_is_not_returned() -> None:
    memory = bm25()
    memory.write([Event("a", "The access code of gate 17 is 4411"), Event("b", "Lunch at noon")])
    assert [passage.event_ids for passage in memory.read(Query("Which gates?"))] == [("a",)]


def test_the_size_counts_the_index_once_it_stands() -> None:
    memory = bm25()
    memory.write([Event("a", "one two three")])
    before = memory.size_bytes()
    memory.settle()
    assert memory.size_bytes() > before + len("one two three")


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(BadInput, match=r"there is no stemmer 'klingon'.*english"):
        bm25(stemmer="klingon")
    with pytest.raises(BadInput, match=r"k1 >= 0 and b in \[0, 1\], got -1 and 0.75"):
        bm25(k1=-1)
    with pytest.raises(BadInput, match=r"got 1.5 and 2"):
        bm25(b=2)

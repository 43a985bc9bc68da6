"""The exact scan: what it embeds, when, and how near ties are told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.exact import Exact
from memory_bench.embedders.hashing import Hashing
from memory_bench.errors import BadInput
from memory_bench.types import Event, Query


class CountingEmbedder:
    """The hashing embedder; keeps what it was asked, and fails or makes no numbers when told to."""

    name = "counting"
    dimensions = 384

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.fails = self.spoils = False

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.fails:
            raise RuntimeError("the engine is gone")
        self.asked.append(list(texts))
        vectors_XD = Hashing(dimensions=self.dimensions).embed(texts)
        return vectors_XD * np.float32("nan") if self.spoils else vectors_XD

    def identity(self) -> Mapping[str, str]:
        return {}


@pytest.fixture
def embedder() -> CountingEmbedder:
    return CountingEmbedder()


@pytest.fixture
def memory(embedder: CountingEmbedder) -> Exact:
    return Exact(embedder=embedder, top_k=64)


def test_a_score_is_the_cosine(memory: Exact) -> None:
    memory.write([Event("a", "gate 17 is open"), Event("b", "lunch at noon")])
    question, a, b = Hashing(dimensions=384).embed(["which gate", "gate 17 is open", "lunch at noon"])
    scores = {passage.event_ids[0]: passage.score for passage in memory.read(Query("which gate"))}
    assert scores == pytest.approx({"a": float(question @ a), "b": float(question @ b)}, abs=1e-5)  # rounded there


def test_settle_embeds_what_is_new_and_nothing_twice(memory: Exact, embedder: CountingEmbedder) -> None:
    memory.write([Event("a", "one", time=1.0)])
    memory.write([Event("b", "two", time=2.0)])
    memory.settle()
    memory.write([Event("c", "three", time=3.0), Event("a", "one, again", time=4.0)])
    memory.settle()
    memory.settle()
    assert embedder.asked == [["two", "one"], ["one, again", "three"]]


def test_forgotten_and_reset_vectors_are_gone(memory: Exact) -> None:
    memory.write([Event("a", "one"), Event("b", "two")])
    memory.settle()
    both = memory.size_bytes()
    memory.forget(["a"])
    one_event = len("a") + len("one") + 8
    assert memory.size_bytes() == both - one_event - 384 * 4
    memory.reset()
    assert memory.size_bytes() == 0


def test_a_failing_engine_is_heard(memory: Exact, embedder: CountingEmbedder) -> None:
    memory.write([Event("a", "one")])
    embedder.fails = True
    with pytest.raises(RuntimeError, match="the engine is gone"):
        memory.settle()
    with pytest.raises(RuntimeError, match="the engine is gone"):
        memory.read(Query("one"))


def test_equal_texts_have_equal_scores_wherever_they_lie(memory: Exact) -> None:
    """A float32 product may differ in its last bit from row to row."""
    text = "The access code of gate 17 is 4411"
    memory.write([Event(f"{n}", text if n % 7 else f"hay {n} " * n, time=float(n)) for n in range(1, 60)])
    passages = [passage for passage in memory.read(Query("access code of gate 17")) if passage.text == text]
    assert len({passage.score for passage in passages}) == 1
    assert [int(passage.event_ids[0]) for passage in passages] == [n for n in range(59, 0, -1) if n % 7]


def test_more_than_there_is_may_be_asked_for(embedder: CountingEmbedder) -> None:
    memory = Exact(embedder=embedder, top_k=10**20)
    assert memory.read(Query("?")) == []
    memory.write([Event("a", "one"), Event("b", "two")])
    assert len(memory.read(Query("?"))) == 2


def test_a_vector_that_is_no_number_is_refused_and_what_was_there_stays(embedder: CountingEmbedder) -> None:
    """A score that is no number has no place in a ranking."""
    memory = Exact(embedder=embedder, top_k=64)
    memory.write([Event("a", "one")])
    memory.settle()
    embedder.spoils = True
    with pytest.raises(BadInput, match=r"^the embedder counting made a vector that is not finite, for 'two': choose"):
        memory.read(Query("two"))
    memory.write([Event("b", "two")])
    with pytest.raises(BadInput, match=r"not finite, for 'two'"):
        memory.settle()
    embedder.spoils = False
    memory.forget(["b"])
    assert [passage.event_ids for passage in memory.read(Query("one"))] == [("a",)]

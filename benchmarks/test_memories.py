"""What n-gram addresses, the hash cache and the adapters cost. Run: pytest benchmarks/test_memories.py

Each benchmark's `extra_info` has the cost of one token, event or query, from the median. Adapters stand beside the bare
engine on the same vectors or words: the difference is what this project adds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import bm25s
import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from adapters.bm25 import BM25
from adapters.exact import Exact
from adapters.hash_cache import HashCache
from memory_bench.contracts import Memory
from memory_bench.embedders.hashing import Hashing
from memory_bench.ngrams import build_hashes
from memory_bench.types import Event, Query

EVENTS, TOKENS, TOP_K = 1_000, 16_384, 64
QUERY = Query("What is the access code of gate 17?")
WORDS = np.array([*QUERY.text.lower().strip("?").split(), *(f"w{rank}" for rank in range(8, 4_000))])


def hay() -> list[Event]:
    """Events of 48 words by Zipf's law; the query's own words are the most frequent."""
    rng = np.random.default_rng(0)
    rarity = 1 / np.arange(1, len(WORDS) + 1)
    texts = rng.choice(WORDS, (EVENTS, 48), p=rarity / rarity.sum())
    return [Event(f"e{place}", " ".join(text), time=float(place)) for place, text in enumerate(texts)]


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return hay()


def per_item(benchmark: BenchmarkFixture, unit: str, items: int, seconds: float = 1e-9) -> None:
    """Keep the median as so many of `seconds` an item."""
    if benchmark.stats is not None:  # with --benchmark-disable nothing was timed
        benchmark.extra_info[unit] = round(benchmark.stats.stats.median / items / seconds, 2)


@pytest.mark.parametrize("heads", [4, 8])
def test_hashing(benchmark: BenchmarkFixture, heads: int) -> None:
    bases = [100_000, 100_000]
    ngram_hash = build_hashes(
        layers=[1], max_order=3, heads=heads, base_rows=bases, compressed_size=4096, pad=0, seed=0
    )[1]
    tokens_BT = np.random.default_rng(0).integers(0, 4096, (TOKENS // 512, 512))
    rows_BTH = benchmark(ngram_hash.rows, tokens_BT)
    assert rows_BTH.shape == (TOKENS // 512, 512, 2 * heads)
    per_item(benchmark, "ns_per_token", TOKENS)


@pytest.fixture(params=["RAM", "file"])
def hash_cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HashCache]:
    path = str(tmp_path / "cache") if request.param == "file" else None
    memory = HashCache(path=path, min_order=2, max_order=5, front_entries=4096, top_k=TOP_K)
    yield memory
    memory.close()


def test_hash_cache_put(benchmark: BenchmarkFixture, hash_cache: HashCache, events: list[Event]) -> None:
    """Written and settled: committed, in RAM or to a file."""
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        settled, (hash_cache, events), setup=hash_cache.reset, rounds=5
    )
    assert hash_cache.read(QUERY)
    per_item(benchmark, "us_per_event", EVENTS, 1e-6)


def settled(memory: Memory, events: list[Event]) -> Memory:
    memory.write(events)
    memory.settle()
    return memory


def test_hash_cache_get(benchmark: BenchmarkFixture, hash_cache: HashCache, events: list[Event]) -> None:
    assert benchmark(settled(hash_cache, events).read, QUERY)


def test_hash_cache_get_of_new_keys(benchmark: BenchmarkFixture, events: list[Event]) -> None:
    """Every lookup misses the front, which holds one key."""
    memory = HashCache(path=None, min_order=2, max_order=5, front_entries=1, top_k=TOP_K)
    assert benchmark(settled(memory, events).read, QUERY)
    memory.close()


class FixedEmbedder(Hashing):
    """Embeds the query once, so that a read is a search and nothing else."""

    def __init__(self) -> None:
        super().__init__(dimensions=384)
        self.query_XD = super().embed([QUERY.text])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.query_XD if list(texts) == [QUERY.text] else super().embed(texts)


def test_exact_read(benchmark: BenchmarkFixture, events: list[Event]) -> None:
    assert len(benchmark(settled(Exact(embedder=FixedEmbedder(), top_k=TOP_K), events).read, QUERY)) == TOP_K


def test_exact_read_by_numpy_alone(benchmark: BenchmarkFixture, events: list[Event]) -> None:
    embedder = FixedEmbedder()
    vectors_ED = embedder.embed([event.text for event in events])
    best = benchmark(lambda: np.argsort(-(vectors_ED @ embedder.query_XD[0]), kind="stable")[:TOP_K])
    assert len(best) == TOP_K


def bm25() -> BM25:
    return BM25(k1=1.5, b=0.75, stemmer="english", split_identifiers=True, top_k=TOP_K)


def test_bm25_read(benchmark: BenchmarkFixture, events: list[Event]) -> None:
    assert len(benchmark(settled(bm25(), events).read, QUERY)) == TOP_K


def test_bm25_read_by_bm25s_alone(benchmark: BenchmarkFixture, events: list[Event]) -> None:
    engine, words = bm25s.BM25(method="lucene", k1=1.5, b=0.75), bm25().words
    engine.index([words(event.text) for event in events], show_progress=False)
    query = [words(QUERY.text)]
    places, _ = benchmark(engine.retrieve, query, k=TOP_K, show_progress=False)
    assert places.shape == (1, TOP_K)

"""Vector memories over their real engines, for the tests: made from their YAML, closed in the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from memory_bench import config
from memory_bench.contracts import Embedder, Memory
from memory_bench.types import Event
from memory_bench.vectors import VectorMemory

NAMES = ("lancedb", "qdrant", "qdrant_bruteforce", "qdrant_server", "ruvector")
VARIANTS = (
    "lancedb_flat",
    "lancedb_ivf_flat",
    "lancedb_ivf_pq",
    "lancedb_ivf_hnsw_sq",
    "lancedb_hybrid",
    "qdrant_quantised",
)
DURABLE = ("lancedb", "qdrant")
INDEXED = ("lancedb", "qdrant")  # scan while they are small, and build a graph from `index_from_rows` on

Make = Callable[..., VectorMemory]


class Remembering:
    """An embedder that embeds no text twice: tests ask several engines about the same texts."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, NDArray[np.float32]] = {}
        self.name, self.dimensions = embedder.name, embedder.dimensions

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        for text in texts:
            if text not in self._known:
                self._known[text] = self._embedder.embed([text])[0]
        return np.array([self._known[text] for text in texts], dtype=np.float32).reshape(len(texts), self.dimensions)

    def identity(self) -> Mapping[str, str | None]:
        return self._embedder.identity()


@cache
def embedder(name: str = "hashing") -> Remembering:
    cell = config.compose(["+task=needle", "+memory=exact", f"embedder={name}"])
    return Remembering(config.build(cell, "embedder"))


def build(name: str, *overrides: str, embedder: Embedder) -> Memory:
    """Return a memory of `conf/memory`; skips where it needs a server and none is named."""
    if name == "qdrant_server" and "QDRANT_URL" not in os.environ:
        pytest.skip("no Qdrant server is named: QDRANT_URL=http://localhost:6333")
    memory: Memory = config.build(
        config.compose(["+task=needle", f"+memory={name}", *overrides]), "memory", embedder=embedder
    )
    return memory


def texts(count: int, seed: int = 0) -> list[Event]:
    """Return events of twelve words each, drawn from three hundred; no two are alike."""
    rng = np.random.default_rng(seed)
    words = [f"word{number}" for number in range(300)]
    return [Event(f"e{n}", " ".join([f"line{seed}x{n}", *rng.choice(words, 11)]), time=float(n)) for n in range(count)]

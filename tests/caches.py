"""What the tests of the hash cache share: caches with and without bounds, and a clock that stands still."""

from __future__ import annotations

from pathlib import Path

from adapters.hash_cache import Bounds, HashCache
from memory_bench.types import Query

SECRET = "the vault word is xylograph"


class Clock:
    """A time that moves when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def cache(
    path: Path | None = None,
    *,
    max_order: int = 5,
    front_entries: int = 4096,
    top_k: int = 64,
    code_keys: bool = False,
    bounds: Bounds | None = None,
    read_only: bool = False,
) -> HashCache:
    return HashCache(
        path=None if path is None else str(path),
        min_order=2,
        max_order=max_order,
        front_entries=front_entries,
        top_k=top_k,
        code_keys=code_keys,
        bounds=bounds,
        read_only=read_only,
    )


def found(memory: HashCache, text: str) -> list[str]:
    return [passage.event_ids[0] for passage in memory.read(Query(text))]

"""What one key of the hash cache costs: from RAM, from SQLite, and as the cache grows. Run: pytest benchmarks

`extra_info` has reads a second, of CPU time. What is compared is measured in one run, in turns: a busy machine slows
all sides alike. The bounds are 200,000 reads a second from RAM, 20,000 from SQLite, and a read at 10^6 entries that
takes at most twice as long as at 10^3. None is asserted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from adapters.hash_cache.store import Store
from memory_bench.types import Event

KEYS_OF_AN_EVENT = 32
STRIDE = 2**40  # keys as long as hashes, and in order, so that the large store is filled in seconds; reads jump
READS, ROUNDS = 500, 40
SMALL, LARGE = 1_000, 1_000_000  # entries: a key and an event


def key(place: int) -> int:
    return place * STRIDE


def filled(path: Path, entries: int, *, front_entries: int) -> Store:
    store = Store(path=str(path), key_version="benchmark", front_entries=front_entries, bounds=None, read_only=False)
    store.put(
        (Event(f"e{first}", "the text of an event"), [key(first + place) for place in range(KEYS_OF_AN_EVENT)])
        for first in range(0, entries, KEYS_OF_AN_EVENT)
    )
    store.flush()
    return store


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Store]]:
    """The same 10^3 entries behind a front that holds them all and behind one that holds none; 10^6 behind none."""
    folder = tmp_path_factory.mktemp("stores")
    made = {
        "RAM": filled(folder / "ram", SMALL, front_entries=2 * SMALL),
        "of_10^3": filled(folder / "small", SMALL, front_entries=1),
        "of_10^6": filled(folder / "large", LARGE, front_entries=1),
    }
    yield made
    for store in made.values():
        store.close()


def reads(store: Store, entries: int) -> Callable[[], int]:
    """Return a call that reads keys all over the store, one at a time."""
    asked = [[key(place * (entries // READS) + place % 2)] for place in range(READS)]

    def read() -> int:
        return sum(len(store.find(one)) for one in asked)

    return read


def test_single_keys_side_by_side(benchmark: BenchmarkFixture, stores: dict[str, Store]) -> None:
    sides = {name: reads(store, LARGE if name == "of_10^6" else SMALL) for name, store in stores.items()}
    for read in sides.values():
        assert read() == READS
    seconds: dict[str, list[float]] = {name: [] for name in sides}

    def turn() -> None:
        for name, read in sides.items():
            begun = time.process_time()
            read()
            seconds[name].append(time.process_time() - begun)

    benchmark.pedantic(turn, rounds=ROUNDS, warmup_rounds=2)  # type: ignore[no-untyped-call]
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, median in medians.items():
        benchmark.extra_info[f"reads_per_second {name}"] = round(READS / median)
    benchmark.extra_info["of_10^6 over of_10^3"] = round(medians["of_10^6"] / medians["of_10^3"], 2)

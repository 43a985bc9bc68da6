"""What a hash cache lets go by itself: what has expired, and what was used longest ago where there is no room."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hash_cache import Bounds, HashCache
from adapters.hash_cache.bounds import KEY_BYTES, held_bytes
from memory_bench import config
from memory_bench.errors import BadInput
from memory_bench.types import Event, Query
from tests.caches import SECRET, Clock, cache, found

NAMES = "abcdef"


def bounds(
    *,
    ttl_seconds: float | None = None,
    max_events: int | None = None,
    max_bytes: int | None = None,
    clock: Clock | None = None,
) -> Bounds:
    return Bounds(ttl_seconds=ttl_seconds, max_events=max_events, max_bytes=max_bytes, clock=clock or Clock())


def event(name: str) -> Event:
    """An event that is found by its own words and shares them with no other: one key, 25 bytes and a key."""
    return Event(name, f"{name}1 {name}2 text")


def texts(memory: HashCache) -> list[str]:
    return [name for name in NAMES if found(memory, f"{name}1 {name}2")]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["RAM", "file"])
def expiring(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[HashCache]:
    path = tmp_path / "cache.db" if request.param == "file" else None
    memory = cache(path, bounds=bounds(ttl_seconds=60, clock=clock))
    yield memory
    memory.close()


def test_an_event_is_found_until_its_time_is_over_and_not_a_moment_longer(expiring: HashCache, clock: Clock) -> None:
    expiring.write([event("a")])
    clock.now = 30
    expiring.write([event("b")])
    clock.now = math.nextafter(60, 0)
    assert texts(expiring) == ["a", "b"]
    clock.now = 60
    assert texts(expiring) == ["b"]
    assert expiring.statistics().events == 2  # nobody has written since
    expiring.settle()
    assert (expiring.statistics().events, expiring.statistics().expired) == (1, 1)


def test_what_is_written_again_lives_on(expiring: HashCache, clock: Clock) -> None:
    expiring.write([event("a")])
    clock.now = 59
    expiring.write([event("a")])
    clock.now = 118
    assert texts(expiring) == ["a"]
    clock.now = 119
    assert texts(expiring) == []


def test_a_clock_that_nobody_needs_is_not_asked() -> None:
    def broken() -> float:
        raise AssertionError("asked")

    memory = cache(bounds=Bounds(ttl_seconds=None, max_events=1, max_bytes=None, clock=broken))
    memory.write([event("a"), event("b")])
    assert texts(memory) == ["b"]
    memory.close()


def test_no_file_keeps_what_has_expired(tmp_path: Path, clock: Clock) -> None:
    memory = cache(tmp_path / "cache.db", bounds=bounds(ttl_seconds=60, clock=clock))
    memory.write([Event("a", SECRET)])
    clock.now = 60
    memory.settle()
    assert [file.name for file in tmp_path.iterdir() if b"xylograph" in file.read_bytes()] == []
    memory.close()


def test_what_was_used_longest_ago_goes_first() -> None:
    memory = cache(bounds=bounds(max_events=3))
    memory.write([event("a"), event("b"), event("c")])
    assert found(memory, "a1 a2") == ["a"]
    memory.write([event("d")])
    assert texts(memory) == ["a", "c", "d"]  # which uses them in this order
    memory.write([event("e"), event("f")])
    assert texts(memory) == ["d", "e", "f"]
    assert memory.statistics().crowded_out == 3
    memory.close()


def test_of_one_answer_the_best_passage_stays_the_longest() -> None:
    memory = cache(bounds=bounds(max_events=3))
    memory.write([Event("best", "gate 17 is open"), Event("good", "gate 17 shut"), event("c")])
    assert found(memory, "gate 17 is open") == ["best", "good"]
    memory.write([event("d"), event("e")])
    assert found(memory, "gate 17 is open") == ["best"]
    memory.close()


def test_explaining_is_not_using() -> None:
    memory = cache(bounds=bounds(max_events=2))
    memory.write([event("a"), event("b")])
    assert memory.explain(Query("a1 a2"))
    memory.write([event("c")])
    assert texts(memory) == ["b", "c"]
    memory.close()


def test_a_size_bound_counts_the_bytes_of_what_is_held() -> None:
    one = held_bytes(event("a")) + 3 * KEY_BYTES  # runs of two, two and three words
    assert held_bytes(Event("é", "ab", scope="x")) == 2 + 2 + 1 + 8
    for room, kept in ((3 * one, ["a", "b", "c"]), (3 * one - 1, ["b", "c"]), (one - 1, [])):
        memory = cache(bounds=bounds(max_bytes=room))
        memory.write([event("a"), event("b"), event("c")])
        assert texts(memory) == kept
        memory.close()


def test_an_order_of_use_is_kept_in_the_file(tmp_path: Path) -> None:
    for names in ("ab", "c", "d"):
        memory = cache(tmp_path / "cache.db", bounds=bounds(max_events=2))
        memory.write([event(name) for name in names])
        assert found(memory, "a1 a2") == ["a"]
        memory.close()
    memory = cache(tmp_path / "cache.db")
    assert texts(memory) == ["a", "d"]
    memory.close()


STEPS = st.lists(st.tuples(st.sampled_from(["write", "read", "forget", "reset"]), st.sampled_from(NAMES)), max_size=25)


@settings(deadline=None, max_examples=40)
@given(STEPS, st.integers(1, 4))
def test_what_is_held_is_what_a_plain_lru_would_hold(steps: list[tuple[str, str]], most: int) -> None:
    """The bytes of all events are one, so that both bounds keep the same."""
    room = most * (held_bytes(event("a")) + 3 * KEY_BYTES)
    memories = [cache(bounds=bounds(max_events=most)), cache(bounds=bounds(max_bytes=room))]
    model = OrderedDict[str, None]()
    for verb, name in steps:
        for memory in memories:
            if verb == "write":
                memory.write([event(name)])
            if verb == "read":
                assert found(memory, f"{name}1 {name}2") == [name] * (name in model)
            if verb == "forget":
                memory.forget([name])
            if verb == "reset":
                memory.reset()
        if verb == "write" or (verb == "read" and name in model):
            model[name] = None
            model.move_to_end(name)
        if verb == "forget":
            model.pop(name, None)
        if verb == "reset":
            model.clear()
        while len(model) > most:
            model.popitem(last=False)
    for memory in memories:
        assert texts(memory) == sorted(model)
        assert memory.statistics().events == len(model)
        memory.close()


def test_what_has_no_bounds_in_ram_pays_for_none() -> None:
    plain, bounded = cache(), cache(bounds=bounds(max_events=9))
    assert plain.size_bytes() == 7 * 4096
    assert bounded.size_bytes() > plain.size_bytes()
    plain.close()
    bounded.close()


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("ttl_seconds=0", "ttl_seconds must be > 0 and finite, got 0: set memory.bounds.ttl_seconds=3600, or null"),
        ("ttl_seconds=nan", "ttl_seconds must be > 0 and finite, got nan"),
        ("max_events=0", "max_events must be >= 1, got 0: set memory.bounds.max_events=10000, or null"),
        ("max_bytes=-5", "max_bytes must be >= 1, got -5: set memory.bounds.max_bytes=10000000, or null"),
    ],
)
def test_bounds_that_leave_no_room_are_refused(typed: str, line: str) -> None:
    with pytest.raises(BadInput, match=line):
        config.build(config.compose(["+task=needle", "+memory=hash_cache_code", f"memory.bounds.{typed}"]), "memory")

"""What the memories outside the model share: events by id, and one rule of ranking."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_bench.errors import BadInput
from memory_bench.events import EventStore, checked_top_k, ranked
from memory_bench.types import Event, Query

EVERYTHING = Query("?")


def held(*events: Event) -> EventStore:
    store = EventStore()
    store.put(events)
    return store


def newest(*events: Event) -> list[str]:
    return [event.id for event in held(*events).newest_first()]


def test_the_latest_time_is_the_newest() -> None:
    assert newest(Event("a", "", time=2.0), Event("b", "", time=3.0), Event("c", "", time=1.0)) == ["b", "a", "c"]


def test_of_equal_times_the_last_written_is_the_newest() -> None:
    assert newest(Event("b", "", time=1.0), Event("a", "", time=1.0)) == ["a", "b"]


def test_events_without_a_time_are_the_oldest_and_the_last_written_of_them_comes_first() -> None:
    assert newest(Event("x", ""), Event("y", ""), Event("z", "", time=-5.0)) == ["z", "y", "x"]


def test_a_replaced_event_counts_as_written_last() -> None:
    assert newest(Event("a", "old"), Event("b", ""), Event("a", "new")) == ["a", "b"]


def test_the_size_is_the_utf8_bytes_and_a_time() -> None:
    store = held(Event("id", "é", scope="s"))
    assert store.size_bytes() == 2 + 2 + 1 + 8
    store.drop(["id", "never held"])
    assert store.size_bytes() == 0


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), max_size=60), st.integers(1, 60))
def test_ranking_is_by_score_then_by_age(scores: list[float], top_k: int) -> None:
    events = [Event(f"{age}", "") for age in range(len(scores))]
    passages = ranked(events, np.array(scores), query=EVERYTHING, top_k=top_k)
    by_hand = sorted(range(len(scores)), key=lambda age: (-scores[age], age))
    assert [passage.event_ids for passage in passages] == [(f"{age}",) for age in by_hand[:top_k]]
    assert [passage.score for passage in passages] == [scores[age] for age in by_hand[:top_k]]


def test_other_scopes_take_no_place_among_the_best() -> None:
    events = [Event("a", "", scope="x"), Event("b", "", scope="y"), Event("c", "", scope="y")]
    passages = ranked(events, np.array([3.0, 2.0, 1.0]), query=Query("?", scope="y"), top_k=2)
    assert [passage.event_ids for passage in passages] == [("b",), ("c",)]


def test_a_score_at_the_bound_does_not_count() -> None:
    events = [Event("a", ""), Event("b", ""), Event("c", "")]
    passages = ranked(events, np.array([0.0, 0.1, -1.0]), query=EVERYTHING, top_k=3, above=0)
    assert [passage.event_ids for passage in passages] == [("b",)]


def test_a_top_k_below_one_is_refused() -> None:
    assert checked_top_k(1) == 1
    with pytest.raises(BadInput, match="top_k must be >= 1, got -3"):
        checked_top_k(-3)

"""What making the needle task costs: 1,000 questions in haystacks of 8,192 tokens within 60 s, in memory that stays."""

from __future__ import annotations

import time
import tracemalloc
from itertools import islice

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from memory_bench.types import Event, Question
from tasks.needle.schedule import KINDS
from tests.needles import needle

BOUND_SECONDS = 60
MIB = 2**20


@pytest.mark.timeout(600)
def test_a_thousand_questions_at_8k_tokens(benchmark: BenchmarkFixture) -> None:
    def make() -> int:
        start = time.process_time()  # of one thread: what else runs on the machine is not this task's
        task = needle(length_tokens=8192, episodes=250)
        questions = sum(isinstance(step, Question) for episode in task.episodes(0) for step in episode.steps)
        benchmark.extra_info["cpu_seconds"] = time.process_time() - start
        return questions

    assert benchmark.pedantic(make, rounds=1) == 1000  # type: ignore[no-untyped-call]
    assert benchmark.extra_info["cpu_seconds"] <= BOUND_SECONDS


@pytest.mark.timeout(600)
def test_memory_does_not_grow_with_the_number_of_episodes(benchmark: BenchmarkFixture) -> None:
    """Held after 60 episodes as after 20, once every source has been taken apart: episodes are made one at a time."""
    task = needle(length_tokens=2048, episodes=10**6, kinds=list(KINDS))
    assert task.prose.words + task.licences.words > 0  # takes all of them apart
    stream = task.episodes(0)

    def held(episodes: int) -> int:
        for _ in islice(stream, episodes):
            pass
        return tracemalloc.get_traced_memory()[0]

    held(20)
    tracemalloc.start()
    before = held(20)
    grown = benchmark.pedantic(held, args=(60,), rounds=1) - before  # type: ignore[no-untyped-call]
    tracemalloc.stop()
    benchmark.extra_info["grown_mib"] = grown / MIB
    assert grown < MIB


@pytest.mark.timeout(600)
def test_one_haystack_of_two_million_tokens(benchmark: BenchmarkFixture) -> None:
    """For memories without a window. The standard library's prose ends at 800,000 tokens: the rest is licences."""

    def make() -> int:
        task = needle(length_tokens=2_000_000, episodes=1, questions=9, kinds=["lexical", "latent"], boilerplate=0.7)
        (episode,) = task.episodes(0)
        return sum(isinstance(step, Event) for step in episode.steps)

    assert benchmark.pedantic(make, rounds=1) > 30_000  # type: ignore[no-untyped-call]

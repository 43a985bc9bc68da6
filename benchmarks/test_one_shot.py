"""What a fact costs that is written in one shot, on one thread. Run: pytest benchmarks/test_one_shot.py

The network is the one of `conf/twins/one_shot.yaml` before its training, which changes no time. A write is to hash the
name, to keep the rows that it replaces, and to copy its own. `extra_info` has the microseconds of a fact, from the
median.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from adapters.engram.code_book import CodeBook
from adapters.engram.one_shot import WritableRows
from adapters.engram.twins.arms import arm
from adapters.engram.twins.names import VOCABULARY, draw_names

BOUND_MICROSECONDS_A_FACT = 20


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("count", [64, 1024, 4096])
def test_one_shot_writing(benchmark: BenchmarkFixture, count: int) -> None:
    twin = arm("engram", VOCABULARY).twin(seed=0)
    assert twin.engram is not None
    table, names = WritableRows(twin, CodeBook(twin.engram, seed=0)), draw_names(count, seed=0)
    benchmark.pedantic(table.write, (names,), setup=table.restore, rounds=30)  # type: ignore[no-untyped-call]
    if benchmark.stats is not None:  # with --benchmark-disable nothing was timed
        # the fastest round: what else runs on the machine only ever adds
        benchmark.extra_info["us_a_fact"] = benchmark.stats.stats.median / count * 1e6
        assert benchmark.stats.stats.min / count * 1e6 <= BOUND_MICROSECONDS_A_FACT

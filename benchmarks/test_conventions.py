"""What mining conventions costs: all kinds of pandas and of the packages of the prior, within 90 s of one core."""

from __future__ import annotations

import time

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tasks.conventions.rules import KINDS, Mined, mine, places_of

BOUND_SECONDS = 90


@pytest.mark.timeout(600)
def test_pandas_is_mined(benchmark: BenchmarkFixture) -> None:
    def run() -> Mined:
        for kept in (mine, places_of):
            kept.cache_clear()
        start = time.process_time()  # of this process: what else runs on the machine is not this task's
        mined = mine("pandas", KINDS)
        benchmark.extra_info["cpu_seconds"] = time.process_time() - start
        return mined

    mined = benchmark.pedantic(run, rounds=1)  # type: ignore[no-untyped-call]
    benchmark.extra_info["rules"] = len(mined.rules)
    assert len(mined.rules) > 200
    assert benchmark.extra_info["cpu_seconds"] <= BOUND_SECONDS

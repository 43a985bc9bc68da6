"""256 facts in the rows of a grafted Engram, everything else frozen. Run: pytest benchmarks/test_graft.py

Two small models that have learned how facts are worded, and none of those that are written. `extra_info` has the share
that is answered; before the write none is.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from adapters.engram.grafted.facts import facts
from adapters.engram.memory import Engram
from tests.grafts import events, grafted, known, schooled

FACTS, BOUND = 256, 0.95
SLOT = {"layers": [0, 1, 2], "heads": 4, "row_width": 32, "rows": 8192}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_many_facts_are_written_and_answered(benchmark: BenchmarkFixture, family: str, tmp_path: Path) -> None:
    one = grafted(schooled(tmp_path / family, family, width=96), slot=SLOT, batch_size=64)
    memory, told = Engram(steps=64, rate=0.2, recency=0.0), facts(FACTS, seed=0)
    other = memory.attach(one)
    assert known(other, told) == 0
    memory.write(events(told))
    benchmark.pedantic(memory.settle, rounds=1)  # type: ignore[no-untyped-call]
    benchmark.extra_info["answered"] = known(other, told)
    assert benchmark.extra_info["answered"] >= BOUND

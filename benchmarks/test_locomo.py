"""What retrieval in real conversations costs: every question of the LoCoMo file, by bm25, within 60 s of a core."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from memory_bench.__main__ import main
from memory_bench.errors import Unavailable
from memory_bench.types import Question
from memory_bench.user_data import find_data
from tasks.locomo import Locomo
from tasks.locomo.conversations import CATEGORIES

DATA = "locomo/locomo10.json"
BOUND_SECONDS = 60


@pytest.fixture
def questions() -> int:
    try:
        path = find_data(None, DATA)
    except Unavailable as why:
        pytest.skip(str(why))
    task = Locomo(path=str(path), data=DATA, kinds=list(CATEGORIES.values()), captions=True, dates=False)
    return sum(isinstance(step, Question) for episode in task.episodes(0) for step in episode.steps)


@pytest.mark.timeout(600)
def test_every_question_is_retrieved_for(benchmark: BenchmarkFixture, questions: int, tmp_path: Path) -> None:
    def run() -> int:
        start = time.process_time()  # of this process: what else runs on the machine is not this task's
        code = main(["+task=locomo", "+memory=bm25", "reader=none", f"results={tmp_path}"])
        benchmark.extra_info["cpu_seconds"] = time.process_time() - start
        return code

    assert benchmark.pedantic(run, rounds=1) == 0  # type: ignore[no-untyped-call]
    (records,) = tmp_path.glob("locomo/bm25/*/records.jsonl")
    assert len(records.read_text(encoding="utf-8").splitlines()) == questions
    assert benchmark.extra_info["cpu_seconds"] <= BOUND_SECONDS

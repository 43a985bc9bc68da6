"""What a report costs at 100,000 records: the published comparison, told over. Run: pytest benchmarks/test_reports.py

Bounds: 15 seconds and 1 GB, reading, drawing and writing included. `extra_info` has the most memory that was held.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from memory_bench.reporting.command import PUBLISHED, main

RECORDS = 100_000
SECONDS, BYTES = 15.0, 10**9
ROOT = Path(__file__).parents[1]


def more_questions(rows: pd.DataFrame, facts: list[dict[str, object]], times: int) -> pd.DataFrame:
    """Tell every episode over under other names, with other luck: cells of so many times the questions."""
    del facts
    luck = np.random.default_rng(0)
    return pd.concat([_told_over(rows, number, luck) for number in range(times)], ignore_index=True)


def more_cells(rows: pd.DataFrame, facts: list[dict[str, object]], times: int) -> pd.DataFrame:
    """Tell the whole comparison over under other seeds: so many times the cells."""
    luck, cells = np.random.default_rng(0), len(facts)
    first = list(facts)
    for number in range(1, times):
        facts += [json.loads(json.dumps(fact)) for fact in first]
        for fact in facts[number * cells :]:
            fact["config"]["seed"] = number  # type: ignore[index]
    return pd.concat(
        [_told_over(rows, number, luck).assign(cell=rows["cell"] + number * cells) for number in range(times)],
        ignore_index=True,
    )


def _told_over(rows: pd.DataFrame, number: int, luck: np.random.Generator) -> pd.DataFrame:
    """Return the rows with other names of episodes and questions, and a twentieth of the answers the other way."""
    score = rows["scores.exact_match"]
    return rows.assign(
        **{name: rows[name] + f"-{number}" for name in ("episode", "question", "query")},
        **{"scores.exact_match": score.where(luck.random(len(rows)) > 0.05, 1 - score)},
    )


@pytest.mark.parametrize("grown", [more_questions, more_cells])
def test_a_report_of_100_000_records(
    benchmark: BenchmarkFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grown: type
) -> None:
    told = json.loads((ROOT / PUBLISHED / "compare.json").read_text(encoding="utf-8"))
    rows = pd.read_parquet(ROOT / PUBLISHED / "compare.parquet")
    many = grown(rows, told["cells"], -(-RECORDS // len(rows)))
    assert len(many) >= RECORDS
    (tmp_path / PUBLISHED).mkdir(parents=True)
    many.to_parquet(tmp_path / PUBLISHED / "compare.parquet", compression="zstd")
    (tmp_path / PUBLISHED / "compare.json").write_text(json.dumps(told))
    monkeypatch.chdir(tmp_path)
    seconds, cpu_seconds, held = benchmark.pedantic(_apart, rounds=1)  # type: ignore[no-untyped-call]
    benchmark.extra_info |= {
        "seconds_of_the_bound": seconds / SECONDS,
        "bytes_of_the_bound": held / BYTES,
        "cpu_seconds": cpu_seconds,
    }
    assert (tmp_path / "reports/compare.html").stat().st_size <= 5 * 10**6


def _apart() -> tuple[float, float, int]:
    """Return the seconds, those of the processor, and the most bytes of a report in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_report)


def _report() -> tuple[float, float, int]:
    start = time.perf_counter()
    assert main(["+experiment=compare", "--format=html", "--from-published"]) == 0
    return time.perf_counter() - start, time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

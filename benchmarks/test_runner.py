"""What the runner and the meter cost by themselves: at most 200 us a question, rows written to disk included, of which
the meter takes 20 us."""

from __future__ import annotations

from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from memory_bench import runner
from memory_bench.meter import Meter
from memory_bench.records import Writer
from tests.stubs import StubMemory, StubReader, StubTask

CONFIG = {"choices": {"task": "stub", "memory": "stub"}}
BOUND_SECONDS_A_QUESTION = 200e-6
BOUND_SECONDS_OF_THE_METER = 20e-6


def test_runner_and_meter(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    reader = StubReader()
    task = StubTask(episodes=50, facts=3)
    meter = Meter(reader)
    options = runner.Options(seed=0, budget_tokens=256, answer_tokens=8, limit=None, write_batch=32)

    def run() -> int:
        rows = runner.run(
            task,
            StubMemory(),
            reader,
            control=runner.Control(writes=True, packs_evidence=False),
            options=options,
            meter=meter,
        )
        with Writer(tmp_path / "stub" / "stub" / "run", config=CONFIG, provenance={}) as writer:
            for row in rows:
                writer.write(row)
            writer.finish()
        return writer.questions

    questions = benchmark(run)
    assert questions == 200
    if benchmark.stats is not None:  # with --benchmark-disable nothing was timed
        # the fastest round: what else runs on the machine only ever adds
        seconds = benchmark.stats.stats.min / questions
        benchmark.extra_info["microseconds_a_question"] = seconds * 1e6
        assert seconds <= BOUND_SECONDS_A_QUESTION


def test_meter(benchmark: BenchmarkFixture) -> None:
    """All that the meter does for a question: both regions, the tokens of its answer, and every column."""
    reader = StubReader()
    meter = Meter(reader)
    metered = meter.reader(reader)

    def question() -> dict[str, float | None]:
        read, generate = meter.region("read"), meter.region("generate")
        with read:
            pass
        with generate:
            metered.generate(["The access code of gate 17 is"])
        return meter.costs(read, generate) | meter.peaks()

    assert "energy_joules" in benchmark(question)
    if benchmark.stats is not None:
        benchmark.extra_info["microseconds_a_question"] = benchmark.stats.stats.min * 1e6
        assert benchmark.stats.stats.min <= BOUND_SECONDS_OF_THE_METER

"""The ledger: what is timed, what is taken out, what is counted where, and what is null."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Sequence
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from memory_bench import clock, tally
from memory_bench.meter import SOURCES, Meter, MeteredReader
from memory_bench.types import Completion
from tests.stubs import StubEmbedder, StubReader

LONG = 0.02  # seconds; an edge costs microseconds


def wait(seconds: float) -> None:
    """Spend time on the processor, so that both clocks see it."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


class Device(StubReader):
    """A reader with a device: a mark is a tick of its clock, one tick is a second."""

    def __init__(self) -> None:
        super().__init__()
        self.ticks = 0.0

    def mark(self) -> object | None:
        return self.ticks

    def seconds_between(self, start: object | None, end: object | None) -> float | None:
        assert isinstance(start, float)
        assert isinstance(end, float)
        return end - start

    def peak_device_bytes(self) -> int | None:
        return 4096


class SlowEmbedder(StubEmbedder):
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        wait(LONG)
        return super().embed(texts)


def test_a_region_takes_its_time_and_an_empty_one_none() -> None:
    meter = Meter(StubReader())
    with meter.region("write") as region:
        wait(LONG)
    costs = meter.costs(region)
    assert costs["write_seconds"] == pytest.approx(LONG, rel=0.5)  # other processes share the cores
    assert costs["write_cpu_seconds"] is not None
    assert costs["write_cpu_seconds"] > 0
    empty = []
    for _ in range(101):
        with meter.region("write") as region:
            pass
        empty.append(region.seconds or 0.0)
    assert float(np.median(empty)) < 1e-6  # without the correction a region costs several microseconds
    assert min(empty) >= 0.0


def test_embedding_is_taken_out_of_the_phase_around_it() -> None:
    meter = Meter(StubReader())
    embedder = meter.embedder(SlowEmbedder())
    with meter.region("write") as region:
        embedder.embed(["a", "b"])
        embedder.embed(["c"])
    costs = meter.costs(region)
    assert costs["embed_seconds"] is not None
    assert costs["embed_seconds"] >= 2 * LONG
    assert costs["write_seconds"] is not None
    assert costs["write_seconds"] < LONG


def test_embedding_that_was_not_needed_cost_nothing_and_no_embedder_costs_null() -> None:
    meter = Meter(StubReader())
    with meter.region("write") as region:
        pass
    assert meter.costs(region)["embed_seconds"] is None
    meter.embedder(StubEmbedder())
    assert meter.costs(region)["embed_seconds"] == 0.0


def test_device_seconds_come_from_the_readers_events() -> None:
    device = Device()
    meter = Meter(device)
    embedder = meter.embedder(StubEmbedder())
    with meter.region("write") as region:
        device.ticks += 2.0
        with meter.region("embed"):
            device.ticks += 0.5
    costs = meter.costs(region)
    assert (costs["write_gpu_seconds"], costs["embed_gpu_seconds"]) == (2.0, 0.5)
    assert meter.peaks()["peak_device_bytes"] == 4096
    assert meter.sources()["gpu_seconds"]["source"] == "measured"
    del embedder


def test_without_device_events_device_seconds_are_null_with_the_reason() -> None:
    meter = Meter(StubReader())
    with meter.region("generate") as region:
        pass
    assert meter.costs(region)["generate_gpu_seconds"] is None
    assert meter.sources()["gpu_seconds"] == {
        "source": "not available",
        "why": "the reader's device has no events (it is a CPU, or a server's)",
    }


def test_calls_that_a_memory_makes_are_counted_in_their_phase() -> None:
    meter = Meter(StubReader())
    reader = meter.reader(StubReader())
    with meter.region("write") as write:
        reader.generate(["summarise gate 1", "and gate 2 too"])
    with meter.region("generate") as generate:
        reader.generate(["gate 1 is"])
    costs = meter.costs(write, generate)
    assert (costs["write_prompt_tokens"], costs["write_completion_tokens"]) == (7, 2)
    assert (costs["prompt_tokens"], costs["completion_tokens"]) == (3, 1)
    assert (costs["write_calls"], costs["calls"]) == (2, 1)


def test_a_stretch_of_unknown_length_leaves_what_is_timed_around_it_without_one() -> None:
    meter = Meter(StubReader())
    with meter.region("read") as read, meter.region("embed"):
        clock.charge(clock.now_ns(), None)
    with meter.region("generate") as generate:
        wait(LONG)
    costs = meter.costs(read, generate)
    assert [costs["read_seconds"], costs["read_cpu_seconds"]] == [None, None]
    assert costs["generate_seconds"] is not None
    assert costs["generate_seconds"] > LONG / 2


def test_what_a_plug_in_counts_is_a_column_of_the_phase_in_which_it_does() -> None:
    meter = Meter(StubReader())
    meter.embedder(StubEmbedder())
    tally.count("retries", 9)  # nobody is timed
    with meter.region("read") as read:
        tally.count("retries", 1)
        with meter.region("embed"):
            tally.count("retries", 2)
        tally.count("retries", 4)
    with meter.region("generate") as generate:
        tally.count("retries", 0)
    costs = meter.costs(read, generate)
    assert [costs[f"{phase}retries"] for phase in ("read_", "embed_", "")] == [5, 2, 0]
    with meter.region("write") as write:
        pass
    assert not [column for column in meter.costs(write) if "retries" in column]


def test_a_reader_around_a_metered_one_is_not_counted_twice() -> None:
    meter = Meter(StubReader())
    inner = meter.reader(StubReader())

    class Twice(StubReader):
        def generate(self, prompts: Sequence[str]) -> list[Completion]:
            return [inner.generate(prompts)[0] for _ in range(2)][:1]

    with meter.region("generate") as region:
        meter.reader(Twice()).generate(["gate 1 is"])
    assert meter.costs(region)["prompt_tokens"] == 6  # two calls of three tokens


def test_scored_texts_are_read() -> None:
    meter = Meter(StubReader())
    with meter.region("generate") as region:
        meter.reader(StubReader()).score("gate 1 is", [" a", " b c"])
    costs = meter.costs(region)
    assert (costs["prompt_tokens"], costs["completion_tokens"]) == (3 + 1 + 2, 0)


def test_a_region_that_was_never_entered_is_null() -> None:
    meter = Meter(StubReader())
    assert set(meter.costs(meter.region("read")).values()) == {None}


def test_the_resident_peak_belongs_to_a_cell_that_is_alone() -> None:
    assert (Meter(StubReader()).peaks()["peak_rss_bytes"] or 0) > 1_000_000
    shared = Meter(StubReader(), alone=False)
    assert shared.peaks()["peak_rss_bytes"] is None
    assert "share a process" in shared.sources()["peak_rss_bytes"]["why"]


def test_a_metered_reader_is_metered_once_and_shows_what_the_bare_one_has() -> None:
    class Local(StubReader):
        model = "weights"

    meter = Meter(StubReader())
    metered = meter.reader(Local())
    assert meter.reader(metered) is metered
    assert metered.model == "weights"
    copied = copy.copy(metered)
    assert isinstance(copied, MeteredReader)
    assert copied.model == "weights"
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = metered.no_such_thing


NVML = """
class NVMLError(Exception):
    pass

counter = 5000  # millijoules of each of two GPUs

def nvmlInit(): ...
def nvmlShutdown(): ...
def nvmlDeviceGetCount():
    return 2
def nvmlDeviceGetHandleByIndex(number):
    return number
def nvmlDeviceGetTotalEnergyConsumption(handle):
    if COUNTS:
        return counter
    raise NVMLError("Not Supported")
"""


@pytest.mark.parametrize("counts", [True, False])
def test_energy_is_what_every_gpu_took_since_the_cell_began_or_why_it_is_not_known(
    counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a stand-in for NVML's package with its names: no GPU is here."""
    stand_in = ModuleType("pynvml")
    exec(NVML.replace("COUNTS", str(counts)), vars(stand_in))
    monkeypatch.setitem(sys.modules, "pynvml", stand_in)
    meter = Meter(Device())
    if counts:
        sys.modules["pynvml"].counter += 1500  # type: ignore[attr-defined]
        assert meter.peaks()["energy_joules"] == 3.0
        assert meter.sources()["energy_joules"]["source"] == "measured"
    else:
        assert meter.peaks()["energy_joules"] is None
        assert meter.sources()["energy_joules"]["why"] == "NVML does not count energy here: Not Supported"


def test_a_reader_on_a_cpu_has_no_energy_and_says_why() -> None:
    meter = Meter(StubReader())
    assert meter.peaks()["energy_joules"] is None
    assert meter.sources()["energy_joules"]["why"] == "NVML counts GPUs, and the reader's device is none"


def test_every_column_of_the_ledger_has_a_source() -> None:
    meter = Meter(StubReader())
    meter.embedder(StubEmbedder())
    for phase in ("attach", "reset", "write", "settle", "forget", "read", "generate"):
        for column in [*meter.costs(meter.region(phase)), *meter.peaks()]:
            assert any(column.endswith(known) for known in SOURCES), column

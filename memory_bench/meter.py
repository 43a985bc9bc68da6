"""The ledger: what remembering and answering cost, in seconds by phase, tokens and bytes.

Every region of the walk is timed by one clock (`perf_counter_ns`, as `clock` reads it) in the calling thread, with the
reader's device idle at both edges, and the median cost of an empty region is subtracted. Embedding is a phase of its
own: it is taken out of the region around it. The reader and the embedder are wrapped, so that calls which a memory
makes are counted too, in the phase in which they happen.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from memory_bench import clock, tally
from memory_bench.contracts import Embedder, Reader
from memory_bench.energy import GpuEnergy
from memory_bench.types import Completion

Phase = Literal["attach", "reset", "write", "settle", "forget", "read", "embed", "generate"]
STATUS = Path("/proc/self/status")
EMPTY_REGIONS = 501  # odd, so that the median is a value that was seen

SOURCES: Mapping[str, tuple[str, str]] = {
    "seconds": ("measured", "perf_counter_ns, device idle at both edges, less the median empty region, less embedding"),
    "cpu_seconds": ("measured", "CPU time of the process, all its threads"),
    "gpu_seconds": ("measured", "events of the reader's device"),
    "embed_seconds": (
        "measured",
        "as seconds; inside the phase of its row and taken out of it; of what an embedder keeps, when it was asked",
    ),
    "calls": ("counted", "prompts that the reader was given, to answer or to score, a memory's own under their phase"),
    "prompt_tokens": ("counted", "by the reader in every call, a memory's own calls under their phase"),
    "completion_tokens": ("counted", "by the reader in every call, a memory's own calls under their phase"),
    "cached_tokens": (
        "counted",
        "by the reader: of the prompt, read in an earlier turn that is carried; null where it has no prefix cache",
    ),
    "first_token_seconds": ("measured", "by the reader, null where it does not say"),
    "retries": ("counted", "requests to a busy server that had to be made again; no second holds them or the pauses"),
    "kept_answers": (
        "counted",
        "answers kept from an earlier request: nothing was asked, so that the seconds of their phase are null",
    ),
    "server_prompt_tokens": ("counted", "by the reader's server, of the requests that it answered now"),
    "server_completion_tokens": ("counted", "by the reader's server, of the requests that it answered now"),
    "context_tokens": ("counted", "the packed passages with separators, in the reader's tokens"),
    "repeated_tokens": (
        "counted",
        "passages in the prompt that stood in an earlier one of the episode, or twice in it",
    ),
    "dangling_ids": ("counted", "ids in the prompt without the text that defines them, null where texts have no ids"),
    "write_tokens": ("counted", "the texts of the events, in the reader's tokens"),
    "context_bytes": ("counted", "UTF-8"),
    "prompt_bytes": ("counted", "UTF-8"),
    "write_bytes": ("counted", "UTF-8"),
    "size_bytes": ("counted", "by the memory, after reset, settle and forget; null elsewhere"),
    "peak_device_bytes": ("measured", "by the reader, highest since the episode began"),
    "peak_rss_bytes": (
        "measured",
        "VmHWM, or getrusage where the system has none (macOS), highest since the process began",
    ),
    "energy_joules": ("measured", "NVML, all GPUs of the machine, since the cell began"),
}
"""Where each column of the ledger comes from: the end of a column's name (`write_gpu_seconds`) decides."""


class Region:
    """A timed stretch of one phase: `with meter.region("write") as region: ...`, then `meter.costs(region)`.

    A region inside another (embedding inside a read) is taken out of the outer one.
    """

    def __init__(self, phase: Phase, meter: Meter) -> None:
        self.phase = phase
        self.meter = meter
        self.inner: list[Region] = []
        self.calls = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.scored: list[str] = []  # texts whose tokens are counted when the clock has stopped
        self.counts: Counter[str] = Counter()
        self.closed = False
        self.seconds: float | None = 0.0  # None: nobody can say, as of an answer that was kept
        self.cpu_seconds: float | None = 0.0
        self.gpu_seconds: float | None = None

    def __enter__(self) -> Region:
        self._outer, self.meter.current = self.meter.current, self
        self.counts = tally.begin()
        self._unknown = clock.unknown()
        self._mark = self.meter.device.mark()
        self._cpu = time.process_time_ns()
        self._start = clock.now_ns()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # waits for the device, so it stands before the clock is read
        gpu_seconds = self.meter.device.seconds_between(self._mark, self.meter.device.mark())
        seconds = (clock.now_ns() - self._start) / 1e9 - self.meter.empty_seconds
        cpu_seconds = (time.process_time_ns() - self._cpu) / 1e9 - self.meter.empty_cpu_seconds
        if clock.unknown() > self._unknown:
            self.seconds = self.cpu_seconds = None
        else:
            self.seconds = max(0.0, seconds - sum(region.seconds or 0.0 for region in self.inner))
            self.cpu_seconds = max(0.0, cpu_seconds - sum(region.cpu_seconds or 0.0 for region in self.inner))
        if gpu_seconds is not None:
            self.gpu_seconds = gpu_seconds - sum(region.gpu_seconds or 0.0 for region in self.inner)
        tally.end()
        self.closed = True
        self.meter.current = self._outer
        if self._outer is not None:
            self._outer.inner.append(self)


class Meter:
    """Makes regions, and wraps what a memory is handed. `device` is the bare reader: it owns the device's events.

    `alone` says whether this cell has the process to itself: only then does the resident peak belong to it.
    """

    def __init__(self, device: Reader, *, alone: bool = True) -> None:
        self.device = device
        self.alone = alone
        self.embeds = False
        self.current: Region | None = None
        self._outgrew_its_parent = False
        self.energy = GpuEnergy() if device.mark() is not None else None  # what has no events is no GPU
        self.empty_seconds = self.empty_cpu_seconds = 0.0
        empty = [self._empty() for _ in range(EMPTY_REGIONS)]
        self.empty_seconds = statistics.median(region.seconds or 0.0 for region in empty)
        self.empty_cpu_seconds = statistics.median(region.cpu_seconds or 0.0 for region in empty)

    def region(self, phase: Phase) -> Region:
        return Region(phase, self)

    def reader(self, reader: Reader) -> MeteredReader:
        """Return a reader that counts its tokens here; one that already does is returned as it is."""
        return reader if isinstance(reader, MeteredReader) else MeteredReader(reader, self)

    def embedder(self, embedder: Embedder) -> MeteredEmbedder:
        self.embeds = True
        return MeteredEmbedder(embedder, self)

    def costs(self, *regions: Region) -> dict[str, float | None]:
        """Return the ledger's columns of some regions, named after their phases; embedding is summed over them.

        A region that was never entered has null columns: nothing was measured.
        """
        columns: dict[str, float | None] = {}
        for region in regions:
            own = _seconds(region.phase, [region]) | self._tokens(region)
            columns |= own if region.closed else dict.fromkeys(own)
            columns |= {f"{_prefix(region.phase)}{what}": number for what, number in region.counts.items()}
        inner = [region for outer in regions for region in outer.inner]
        embedded: Counter[str] = Counter()
        for region in inner:
            embedded.update(region.counts)
        columns |= {f"embed_{what}": number for what, number in embedded.items()}
        return columns | (_seconds("embed", inner) if self.embeds else dict.fromkeys(_seconds("embed", inner)))

    def peaks(self) -> dict[str, float | None]:
        """Return the highest bytes so far, on the device and resident, and the energy of the device so far."""
        return {
            "peak_device_bytes": self.device.peak_device_bytes(),
            "peak_rss_bytes": self._peak_rss_bytes() if self.alone else None,
            "energy_joules": self.energy.joules() if self.energy else None,
        }

    def _peak_rss_bytes(self) -> int:
        """Return the resident peak of this process alone: beyond an exec getrusage keeps what the process held that
        started this one. Once this one has held more, it tells the same in a fiftieth of the time."""
        peak = _resident_peak()
        if not self._outgrew_its_parent:
            high = _high_water()
            self._outgrew_its_parent = high is None or high >= peak
            return high or peak
        return peak

    def sources(self) -> dict[str, dict[str, str]]:
        """Return column -> how its values came about, or why they are null in this cell."""
        sources = {column: {"source": source, "how": how} for column, (source, how) in SOURCES.items()}
        return sources | {
            column: {"source": "not available", "why": why} for column, why in self._not_available().items()
        }

    def _not_available(self) -> dict[str, str]:
        reasons = {}
        if self.device.mark() is None:
            reasons["gpu_seconds"] = reasons["embed_gpu_seconds"] = (
                "the reader's device has no events (it is a CPU, or a server's)"
            )
        if reason := "NVML counts GPUs, and the reader's device is none" if not self.energy else self.energy.missing:
            reasons["energy_joules"] = reason
        if self.device.peak_device_bytes() is None:
            reasons["peak_device_bytes"] = "the reader's device does not count its bytes"
        if not self.embeds:
            for column in ("embed_seconds", "embed_cpu_seconds", "embed_gpu_seconds"):
                reasons[column] = "the memory uses no embedder"
        if not self.alone:
            reasons["peak_rss_bytes"] = (
                "cells of a sweep share a process, whose peak belongs to none of them; isolate=true gives each its own"
            )
        return reasons

    def _tokens(self, region: Region) -> dict[str, float | None]:
        phase = _prefix(region.phase)
        scored = sum(self.device.count_tokens(text) for text in region.scored)
        return {
            f"{phase}calls": region.calls,
            f"{phase}prompt_tokens": region.prompt_tokens + scored,
            f"{phase}completion_tokens": region.completion_tokens,
        }

    def _empty(self) -> Region:
        with self.region("read") as region:
            pass
        return region


class MeteredReader:
    """A reader whose tokens are counted in the region in which it is called. All else is the wrapped reader's own."""

    def __init__(self, reader: Reader, meter: Meter) -> None:
        self.wrapped = reader
        self.meter = meter
        self.style = reader.style
        self.window_tokens = reader.window_tokens
        self.frame_tokens = reader.frame_tokens

    def __getattr__(self, name: str) -> Any:
        if name == "wrapped":  # asked for by `copy`, before there is one
            raise AttributeError(name)
        # a memory that works inside a model finds the model, the tokenizer and the device here as on the bare reader
        return getattr(self.wrapped, name)

    def generate(self, prompts: Sequence[str]) -> list[Completion]:
        region, before = self.meter.current, self._counted()
        completions = self.wrapped.generate(prompts)
        if region is not None and self._counted() == before:  # else a metered reader within has counted them
            region.calls += len(completions)
            region.prompt_tokens += sum(completion.prompt_tokens for completion in completions)
            region.completion_tokens += sum(completion.completion_tokens for completion in completions)
        return completions

    def score(self, prompt: str, continuations: Sequence[str]) -> list[float]:
        region, before = self.meter.current, self._counted()
        scores = self.wrapped.score(prompt, continuations)
        if region is not None and self._counted() == before:
            region.calls += 1
            region.prompt_tokens += self.frame_tokens
            region.scored += (prompt, *continuations)  # read and not generated: tokens of a prompt
        return scores

    def _counted(self) -> tuple[int, int]:
        region = self.meter.current
        return (region.prompt_tokens, len(region.scored)) if region is not None else (0, 0)

    # the rest of the contract, spelt out for the type checker

    def begin(self, *, carry: bool) -> None:
        self.wrapped.begin(carry=carry)

    def cached_tokens(self) -> int | None:
        return self.wrapped.cached_tokens()

    def count_tokens(self, text: str) -> int:
        return self.wrapped.count_tokens(text)

    def mark(self) -> object | None:
        return self.wrapped.mark()

    def seconds_between(self, start: object | None, end: object | None) -> float | None:
        return self.wrapped.seconds_between(start, end)

    def peak_device_bytes(self) -> int | None:
        return self.wrapped.peak_device_bytes()

    def identity(self) -> Mapping[str, str | None]:
        return self.wrapped.identity()


class MeteredEmbedder:
    """An embedder whose time is a phase of its own."""

    def __init__(self, embedder: Embedder, meter: Meter) -> None:
        self.wrapped = embedder
        self.meter = meter
        self.name = embedder.name
        self.dimensions = embedder.dimensions

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        with self.meter.region("embed"):
            return self.wrapped.embed(texts)

    def identity(self) -> Mapping[str, str | None]:
        return self.wrapped.identity()


def _prefix(phase: Phase) -> str:
    # the answer is what a run is about: what is counted of it goes by plain names
    return "" if phase == "generate" else f"{phase}_"


def _seconds(phase: Phase, regions: Sequence[Region]) -> dict[str, float | None]:
    on_device = [region.gpu_seconds for region in regions if region.gpu_seconds is not None]
    return {
        f"{phase}_seconds": _sum(region.seconds for region in regions),
        f"{phase}_cpu_seconds": _sum(region.cpu_seconds for region in regions),
        f"{phase}_gpu_seconds": sum(on_device) if on_device else None,
    }


def _sum(values: Iterable[float | None]) -> float | None:
    """Return the sum; None where one is not known."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def _resident_peak() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes, but on macOS


def _high_water() -> int | None:
    lines = STATUS.read_text().splitlines() if STATUS.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)

"""What a call ran and held: the operators that torch's profiler saw, on a GPU the kernels, and the bytes at most.

A name that was set proves nothing, since torch takes another kernel without a word where it may.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

OPERATORS = "aten::_scaled_dot_product"
"""What the operators of torch's own attention begin with, one for each kernel."""


@dataclass(frozen=True)
class Proof:
    """What one profiled call ran: the operator, and on a GPU the kernel."""

    operator: str | None
    kernel: str | None


@dataclass(frozen=True)
class Observed:
    """The names of everything that a call ran, and the most bytes that it held at once beyond what was held before.

    On a GPU by the allocator's own count; on a CPU from every allocation that the profiler saw, summed up in the order
    of time: nothing is sampled, and what the process holds beside does not count. None where neither is to be had.
    """

    ran: list[str]
    peak_bytes: int | None


def observe(call: Callable[[], object], device: torch.device) -> Observed:
    """Return what one profiled call ran and held."""
    on_gpu = device.type == "cuda"
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler writes to stderr that it starts and stops
    before = torch.cuda.memory_allocated(device) if on_gpu else 0
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities, profile_memory=device.type == "cpu") as seen:
        call()
        if on_gpu:
            torch.cuda.synchronize(device)
    ran = [event.key for event in seen.key_averages()]
    if on_gpu:
        return Observed(ran, torch.cuda.max_memory_allocated(device) - before)
    return Observed(ran, _peak(seen) if device.type == "cpu" else None)


def find(ran: list[str], operator: str, kernel: str, *, on_gpu: bool) -> Proof | str:
    """Return the proof that this operator ran, on a GPU with this kernel, and no other operator of attention beside it;
    else what is missing or too much. Both are parts of names; an empty one is not asked for."""
    if foreign := [name for name in ran if name.startswith(OPERATORS) and not (operator and operator in name)]:
        return f"{operator or kernel} did not run alone, but {', '.join(foreign)}"
    operators = [name for name in ran if operator and operator in name]
    kernels = [name for name in ran if "::" not in name[:6] and kernel in name] if on_gpu and kernel else []
    if (operator and not operators) or (on_gpu and kernel and not kernels):
        missing = kernel if operators or not operator else operator
        return f"{missing} did not run, but {', '.join(ran)}"
    return Proof(operators[0] if operators else None, kernels[0] if kernels else None)


def _peak(seen: profile) -> int:
    kept: Any = seen.profiler  # torch's own types leave it open
    events = kept.kineto_results.events()
    held = most = 0
    for _, change in sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"):
        held += change
        most = max(most, held)
    return most

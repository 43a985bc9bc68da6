"""Attention on and off for the GPU command: the same bench as `memory_bench.readers.attention_costs`, with what is left
of the time. Torch and NumPy alone, so what the bundled reader answers is not asked here."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch

from benchmarks.gpu.offload import OUT_OF_TIME
from memory_bench.readers.attention_costs.bench import NOTHING, Limits, measure, shorter
from memory_bench.readers.attention_costs.subject import CALL, DECODE, NETWORK, PREFILL, Setting

KERNELS = {
    "cuda": ("off_math", "fa2_sdpa", "cudnn_sdpa", "sdpa_efficient", "fa2_pkg", "fa4_pkg"),
    "cpu": ("off_math", "cpu_flash"),
    "mps": ("off_math",),  # torch has one kernel there
}
LIMITS = Limits(seconds=0.0, call_seconds=20.0, rounds=60, call_bytes=float("inf"), waited=3.0)


def settings(dtype: str, lengths: Sequence[int], *, layers: int, heads: int, width: int) -> list[Setting]:
    """Return the call alone and the network, read at once and a token after, each from short to long."""
    return [
        Setting(
            subject=subject, phase=phase, dtype=dtype, tokens=tokens, heads=heads, head_width=width // heads,
            layers=layers if subject == NETWORK else 0,
        )
        for subject, phase, tokens in itertools.product((CALL, NETWORK), (PREFILL, DECODE), sorted(lengths))
    ]  # fmt: skip


def sweep(
    chosen: Sequence[Setting], kernels: Sequence[str], device: torch.device, *, seconds: float
) -> Iterator[dict[str, Any]]:
    """Yield a row for each setting. They share what is left of the time; those that get none say so."""
    end = time.perf_counter() + seconds
    done: list[dict[str, Any]] = []
    for number, setting in enumerate(chosen):
        left = end - time.perf_counter()
        if left <= 0:
            found: dict[str, Any] = {"arms": {name: {"why": OUT_OF_TIME} for name in kernels}, **NOTHING}
        else:
            # gate, proof and warming up take as long as the rounds do
            limits = replace(LIMITS, seconds=left / (len(chosen) - number) / 2)
            found = measure(setting, kernels, device, limits, shorter=shorter(setting, done))
        done.append({"key": asdict(setting), **found})
        yield done[-1]


def line(row: dict[str, Any]) -> str:
    """Return a row as a person reads it."""
    key = row["key"]
    parts = []
    for name, arm in row["arms"].items():
        faster = arm.get("speed_up")
        shown = f", {faster['median']:.2f}x" if faster else ""
        parts.append(f"{name} {arm['seconds'] * 1e3:.3g} ms{shown}" if "seconds" in arm else f"{name}: {arm['why']}")
    return f"attention, {key['subject']}, {key['phase']}, {key['tokens']} tokens: {'; '.join(parts)}"

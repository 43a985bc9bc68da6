"""Attention on and off, timed side by side: every kernel is gated and proved first, in the call that is timed.

A round times every kernel once, in an order drawn anew, and the one that is off twice: what two runs of one thing
differ by is the null. A kernel that cannot run here, that fails its proof or its gate, that runs out of memory or would
take longer than a call may, is kept with the reason. Imports torch and NumPy alone.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from memory_bench.errors import Unavailable
from memory_bench.paired import LEAST_ROUNDS, ratio
from memory_bench.readers.attention import REFUSALS, AttentionKernel, choose
from memory_bench.readers.attention_costs.subject import PREFILL, Setting, forward
from memory_bench.readers.attention_equivalence import equivalence
from memory_bench.readers.attention_proof import observe
from memory_bench.readers.random_weights import DTYPES

OFF = "off_math"
AGAIN = f"{OFF} again"
MOST_TRIES = 4 * LEAST_ROUNDS
"""How often a setting is tried beyond its time, where rounds are dropped, for as many as an interval needs."""
LEAST_SECONDS, MOST_REPEATS = 0.005, 200
"""What is shorter is called several times in a row, every kernel as often, and counts once."""
NOTHING = {"null_ratio": None, "rounds": 0, "dropped": 0, "repeats": 0, "waited": None}
Arm = dict[str, Any]


@dataclass(frozen=True)
class Limits:
    """How long a setting may be timed and a call may last, how many rounds there are at most, and what a call may hold.

    A round in which a call on a CPU waited for the processor, so that it took `waited` times what it ran, is dropped:
    what ran in between has emptied its caches.
    """

    seconds: float
    call_seconds: float
    rounds: int
    call_bytes: float
    waited: float


def measure(
    setting: Setting,
    kernels: Sequence[str],
    device: torch.device,
    limits: Limits,
    *,
    shorter: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return what a setting took with each kernel. `shorter` are rows of the same subject at fewer tokens: how they
    grew says what would take too long."""
    arms: dict[str, Arm] = {name: _expected(name, setting, limits, shorter) for name in kernels}
    run = None
    for name, arm in arms.items():
        if "why" in arm:
            continue
        try:
            run = run or forward(setting, device)
            arms[name] = _admitted(choose(name), setting, device, run)
        except (Unavailable, *REFUSALS) as error:
            arms[name] = {"why": refused(error)}
            empty_cache(device)
    able = [name for name, arm in arms.items() if "why" not in arm]
    if run is None or not able:
        return {"arms": arms, **NOTHING}
    try:
        rounds = _rounds(run, [*able, *([AGAIN] if OFF in able else [])], device, limits)
    except RuntimeError as error:  # what just had room may have none any more
        why = said(error)
        empty_cache(device)
        return {"arms": arms | {name: {"why": why} for name in able}, **NOTHING}
    judged = {name: arm | _judged(name, arm, arms, rounds, setting) for name, arm in arms.items()}
    return {"arms": judged, **rounds.facts}


def shorter(setting: Setting, done: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows of the same subject at fewer tokens."""
    same = asdict(setting) | {"tokens": None}
    return [row for row in done if row["key"] | {"tokens": None} == same and row["key"]["tokens"] < setting.tokens]


def _expected(name: str, setting: Setting, limits: Limits, shorter: Sequence[Mapping[str, Any]]) -> Arm:
    """Return why a kernel is not run at this length, by how it grew up to here; nothing where it is."""
    power = 2 if setting.phase == PREFILL else 1
    for row in reversed(shorter):
        arm = row["arms"].get(name, {})
        if "seconds" not in arm:
            continue
        growth = (setting.tokens / row["key"]["tokens"]) ** power
        if arm["seconds"] * growth > limits.call_seconds:
            return {
                "why": f"time: a call would take about {arm['seconds'] * growth:.2g} s by how it grew up to "
                f"{row['key']['tokens']:,} tokens, and may take {limits.call_seconds:g} s"
            }
        if (arm["peak_bytes"] or 0) * growth > limits.call_bytes:
            return {
                "why": f"memory: a call would hold about {arm['peak_bytes'] * growth / 2**30:.1f} GiB by how it grew "
                f"up to {row['key']['tokens']:,} tokens, and may hold {limits.call_bytes / 2**30:.1f} GiB"
            }
        break
    return {}


@torch.inference_mode()
def _admitted(kernel: AttentionKernel, setting: Setting, device: torch.device, run: Callable[..., Tensor]) -> Arm:
    """Return proof, errors and bytes of a kernel in the call that will be timed. Raises Unavailable where it is not the
    one that is named, or does not compute attention."""
    dtype = DTYPES[setting.dtype]
    kernel.ready(device, dtype, head_width=setting.head_width)
    found = equivalence(kernel, device, dtype, keys=setting.tokens, head_width=setting.head_width)
    if not found.passes:
        raise Unavailable(f"attention={kernel.name} is not equivalent to float64, so it is not timed: {found}")
    seen = observe(lambda: run(kernel), device)
    return {"proof": asdict(kernel.proves(seen, device)), "gate": asdict(found), "peak_bytes": seen.peak_bytes}


@dataclass(frozen=True)
class _Rounds:
    """Seconds of each kernel, round by round; `facts` are those of the row."""

    seconds: Mapping[str, list[float]]
    facts: Mapping[str, Any]


@torch.inference_mode()
def _rounds(run: Callable[..., Tensor], names: Sequence[str], device: torch.device, limits: Limits) -> _Rounds:
    draw, order = random.Random(0), list(names)
    kernels = {name: choose(OFF if name == AGAIN else name) for name in names}
    warm = min(_timed(run, kernel, device, 1)[0] for kernel in kernels.values())
    repeats = max(1, min(MOST_REPEATS, int(LEAST_SECONDS / warm)))
    kept: dict[str, list[float]] = {name: [] for name in names}
    waits: list[float] = []
    dropped, end = 0, time.perf_counter() + limits.seconds
    while len(waits) - dropped < limits.rounds:
        enough = len(waits) - dropped > LEAST_ROUNDS or len(waits) >= MOST_TRIES
        if enough and time.perf_counter() >= end:
            break
        draw.shuffle(order)
        found = {name: _timed(run, kernels[name], device, repeats) for name in order}
        waits.append(max(waited for _, waited in found.values()))
        if waits[-1] > limits.waited:
            dropped += 1
            continue
        for name, (seconds, _) in found.items():
            kept[name].append(seconds)
    null = ratio(kept[AGAIN], kept[OFF]) if AGAIN in kept else None
    return _Rounds(
        kept,
        {
            "null_ratio": null and asdict(null), "rounds": len(waits) - dropped, "dropped": dropped,
            "repeats": repeats, "waited": statistics.median(waits),
        },
    )  # fmt: skip


def _timed(
    run: Callable[..., Tensor], kernel: AttentionKernel, device: torch.device, repeats: int
) -> tuple[float, float]:
    """Return what a call took, the mean of some in a row, and how many times that it lasted.

    On a GPU by the wall clock, the device idle at both edges. On a CPU it is the time of the processor: with one thread
    that is what a call lasts on a machine of its own, and on a shared one the time of others is not in it.
    """
    synchronize(device)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        run(kernel)
    synchronize(device)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return (cpu / repeats, wall / cpu) if device.type == "cpu" else (wall / repeats, 1.0)


def _judged(name: str, arm: Arm, arms: Mapping[str, Arm], rounds: _Rounds, setting: Setting) -> Arm:
    if "why" in arm:
        return {}
    seconds = rounds.seconds[name]
    if not seconds:
        return {"why": "the processor was not free: in every round a call waited too long for it"}
    median = statistics.median(seconds)
    off = arms.get(OFF, {})
    faster = ratio(rounds.seconds[OFF], seconds) if OFF in rounds.seconds and name != OFF else None
    both = arm["peak_bytes"] and off.get("peak_bytes") and name != OFF
    return {
        "seconds": median,
        "quartiles": [float(np.quantile(seconds, share)) for share in (0.25, 0.75)],
        "tokens_per_second": setting.batch * setting.tokens_read / median,
        "speed_up": faster and asdict(faster),
        "memory_ratio": off["peak_bytes"] / arm["peak_bytes"] if both else None,
    }


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def empty_cache(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def said(error: Exception) -> str:
    """Return why there are no numbers. Raises what is no lack of a kernel or of memory."""
    if isinstance(error, Unavailable) or _of_memory(error):
        return refused(error)
    raise error


def refused(error: Exception) -> str:
    """Return in a line why a kernel cannot do what a reader asks for: other libraries say it by errors of their own."""
    text = " ".join(str(error).split())
    if isinstance(error, Unavailable):
        return text
    return f"{'out of memory' if _of_memory(error) else type(error).__name__}: {text.partition('. ')[0]}"


def _of_memory(error: Exception) -> bool:
    """Told by its words too: not every device has an error of its own for it."""
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text

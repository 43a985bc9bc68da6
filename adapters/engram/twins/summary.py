"""From rows of a plan to figures with intervals: one for each arm and number of steps, and paired differences.

Seeds are what is resampled: an arm is another one on another seed. A difference is paired by seed, since arms of one
seed share their names, the order of their batches and the beginning of their backbone. It counts only where it is more
than twice as large as the spread between seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from memory_bench.plans import Row
from memory_bench.statistics import Interval, clustered_interval

REACHED = 0.9
NO_SEED = "not measured: its plan was not run to a first seed"


@dataclass(frozen=True)
class Gap:
    """A paired difference over seeds. It `counts` where its interval holds no 0 and it is larger than twice `spread`,
    the standard deviation over seeds of either side, whichever is larger."""

    interval: Interval
    spread: float

    @property
    def counts(self) -> bool:
        held = self.interval.low <= 0.0 <= self.interval.high
        return not held and abs(self.interval.mean) > 2 * self.spread


def arms(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return arm -> its rows of the seeds that count, in the order of the file."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["key"]["purpose"] == "seed":
            found.setdefault(row["key"]["arm"], []).append(row)
    return found


def mean(values: Mapping[int, float], bounds: tuple[float, float] = (0.0, 1.0)) -> Interval:
    """Return the mean of seed -> value with its interval over seeds."""
    return clustered_interval(list(values.values()), [str(seed) for seed in values], bounds=bounds)


def gap(ours: Mapping[int, float], theirs: Mapping[int, float], bounds: tuple[float, float] = (0.0, 1.0)) -> Gap | None:
    """Return ours - theirs over the seeds that both have; None where that are fewer than two."""
    seeds = sorted(set(ours) & set(theirs))
    if len(seeds) < 2:
        return None
    reach = bounds[1] - bounds[0]
    differences = {seed: ours[seed] - theirs[seed] for seed in seeds}
    spread = max(float(np.std([side[seed] for seed in seeds], ddof=1)) for side in (ours, theirs))
    return Gap(mean(differences, (-reach, reach)), spread)


def at(rows: Sequence[Row], step: int, score: str = "accuracy") -> dict[int, float]:
    """Return seed -> a score at a step, of the seeds whose curve has it."""
    found = {row["key"]["seed"]: {point["step"]: point[score] for point in row["curve"]} for row in rows}
    return {seed: curve[step] for seed, curve in found.items() if step in curve}


def steps_to(rows: Sequence[Row], share: float = REACHED, *, axis: str = "step") -> dict[int, float]:
    """Return seed -> the step (or seconds, or flops) at which the accuracy first reaches a share, on a line between
    measurements; nothing for a seed that does not reach it: a number of its own would be made up."""
    found = {}
    for row in rows:
        before = (0.0, 0.0)
        for point in row["curve"]:
            after = (float(point[axis]), float(point["accuracy"]))
            if after[1] >= share:
                rise = (share - before[1]) / (after[1] - before[1])
                found[int(row["key"]["seed"])] = before[0] + rise * (after[0] - before[0])
                break
            before = after
    return found


def known(rows: Sequence[Row], part: str, name: str | int | None = None) -> dict[int, float]:
    """Return seed -> a number that a row holds, of those that hold it."""
    held = {row["key"]["seed"]: row[part] if name is None else _within(row[part], name) for row in rows}
    return {seed: float(value) for seed, value in held.items() if value is not None and math.isfinite(value)}


def _within(part: Mapping[str, float] | Sequence[float] | None, name: str | int) -> float | None:
    if isinstance(part, Mapping):
        return part.get(str(name))
    return part[int(name)] if part is not None and int(name) < len(part) else None

"""First a rate for each arm on a development seed, then all arms on other seeds: the order of runs of most plans."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from memory_bench.plans import Job, Row


@dataclass(frozen=True, kw_only=True)
class SweptPlan(ABC):
    """Each arm is trained for `sweep_steps` at each of the `rates` on `development_seed`, and then for `steps` on each
    of the `seeds` at the rate whose loss was the lowest there. A single rate needs no sweep."""

    arms: Sequence[str]
    steps: int
    sweep_steps: int
    rates: Sequence[float]
    development_seed: int
    seeds: Sequence[int]

    @abstractmethod
    def trained(self, name: str, *, seed: int, rate: float, steps: int) -> dict[str, Any]:
        """Train one arm and return what was measured: a `curve` at least."""

    def jobs(self, done: Sequence[Row]) -> Iterator[Job]:
        """Yield the sweep, and then all arms of a seed before those of the next: what is cut off has whole seeds."""
        if len(self.rates) > 1:
            for rate in self.rates:
                for name in self.arms:
                    yield self._job("sweep", name, self.development_seed, rate, self.sweep_steps)
        for seed in self.seeds:
            for name in self.arms:
                yield self._job("seed", name, seed, best_rate(done, name, self.rates), self.steps)

    def _job(self, purpose: str, name: str, seed: int, rate: float, steps: int) -> Job:
        key = {"purpose": purpose, "arm": name, "seed": seed, "rate": rate}
        return Job(key, lambda: self.trained(name, seed=seed, rate=rate, steps=steps))


def best_rate(done: Sequence[Row], name: str, rates: Sequence[float]) -> float:
    """Return the rate whose loss was the lowest at the end of an arm's sweep; the only one where there is one."""
    if len(rates) == 1:
        return rates[0]
    swept = [row for row in done if row["key"]["purpose"] == "sweep" and row["key"]["arm"] == name]
    losses = {row["key"]["rate"]: row["curve"][-1]["loss"] for row in swept}
    return min(rates, key=lambda rate: losses[rate] if math.isfinite(losses[rate]) else math.inf)

"""First a rate for each arm on a development seed, then all arms on other seeds: the order of runs of most plans."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from adapters.engram.twins.runs import Job, Row


class Swept(Protocol):
    """Each arm is trained for `sweep_steps` at each of the `rates` on `development_seed`, and then for `steps` on each
    of the `seeds` at the rate whose loss was the lowest there. A single rate needs no sweep."""

    @property
    def arms(self) -> Sequence[str]: ...
    @property
    def steps(self) -> int: ...
    @property
    def sweep_steps(self) -> int: ...
    @property
    def rates(self) -> Sequence[float]: ...
    @property
    def development_seed(self) -> int: ...
    @property
    def seeds(self) -> Sequence[int]: ...

    def trained(self, name: str, *, seed: int, rate: float, steps: int) -> dict[str, Any]:
        """Train one arm and return what was measured: a `curve` at least."""
        ...


def swept_jobs(plan: Swept, done: Sequence[Row]) -> Iterator[Job]:
    """Yield the sweep, and then all arms of a seed before those of the next: what is cut off has whole seeds."""
    if len(plan.rates) > 1:
        for rate in plan.rates:
            for name in plan.arms:
                yield _job(plan, "sweep", name, plan.development_seed, rate, plan.sweep_steps)
    for seed in plan.seeds:
        for name in plan.arms:
            yield _job(plan, "seed", name, seed, best_rate(done, name, plan.rates), plan.steps)


def _job(plan: Swept, purpose: str, name: str, seed: int, rate: float, steps: int) -> Job:
    key = {"purpose": purpose, "arm": name, "seed": seed, "rate": rate}
    return Job(key, lambda: plan.trained(name, seed=seed, rate=rate, steps=steps))


def best_rate(done: Sequence[Row], name: str, rates: Sequence[float]) -> float:
    """Return the rate whose loss was the lowest at the end of an arm's sweep; the only one where there is one."""
    if len(rates) == 1:
        return rates[0]
    swept = [row for row in done if row["key"]["purpose"] == "sweep" and row["key"]["arm"] == name]
    losses = {row["key"]["rate"]: row["curve"][-1]["loss"] for row in swept}
    return min(rates, key=lambda rate: losses[rate] if math.isfinite(losses[rate]) else math.inf)

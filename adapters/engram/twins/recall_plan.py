"""The plan of entity recall: a rate for each arm on one seed, then the whole curves of all arms on other seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.engram.twins.arms import arm
from adapters.engram.twins.names import VOCABULARY, draw_names
from adapters.engram.twins.probes import collisions, gates, without_rows
from adapters.engram.twins.recall import Recall, lens, tensors
from adapters.engram.twins.runs import Job, Row
from adapters.engram.twins.train import Course, train


@dataclass(frozen=True)
class RecallPlan:
    """`names` to know; `arms`; `steps` of `batch` names with a row of the curve each `every`, asking the first `asked`.

    Each arm is trained for `sweep_steps` at each of the `rates` on `development_seed`, and then on each of the `seeds`
    at the rate whose loss was the lowest there. A single rate needs no sweep.
    """

    names: int
    arms: Sequence[str]
    steps: int
    sweep_steps: int
    rates: Sequence[float]
    development_seed: int
    seeds: Sequence[int]
    batch: int = 512
    every: int = 5
    asked: int = 1024

    def jobs(self, done: Sequence[Row]) -> Iterator[Job]:
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

    def trained(self, name: str, *, seed: int, rate: float, steps: int) -> dict[str, Any]:
        """Train one arm and probe what has become of it."""
        names = draw_names(self.names, seed=seed)
        lesson = Recall(names, steps=steps, batch=self.batch, asked=min(self.asked, self.names), seed=seed)
        twin = arm(name, VOCABULARY).twin(seed=seed)
        curve = list(train(twin, lesson, Course(steps=steps, rate=rate, every=self.every)))
        tokens_NT, targets_N = tensors(names)
        layers = lens(twin, tokens_NT, targets_N)
        opened = gates(twin, tokens_NT[: self.asked])
        return {
            "curve": curve,
            "order": lesson.digest,
            "sizes": {**twin.sizes(), "forward_flops": twin.forward_flops(tokens_NT.shape[1])},
            "accuracy": layers[-1],
            "lens": layers,
            "without_rows": without_rows(twin, tokens_NT[: self.asked], targets_N[: self.asked]),
            "gates": {layer: gate_BT.mean(0).tolist() for layer, gate_BT in opened.items()},
            "collisions": collisions(twin.engram, tokens_NT[:, :-1]) if twin.engram is not None else None,
        }


def best_rate(done: Sequence[Row], name: str, rates: Sequence[float]) -> float:
    """Return the rate whose loss was the lowest at the end of an arm's sweep; the only one where there is one."""
    if len(rates) == 1:
        return rates[0]
    swept = [row for row in done if row["key"]["purpose"] == "sweep" and row["key"]["arm"] == name]
    losses = {row["key"]["rate"]: row["curve"][-1]["loss"] for row in swept}
    return min(rates, key=lambda rate: losses[rate] if math.isfinite(losses[rate]) else math.inf)

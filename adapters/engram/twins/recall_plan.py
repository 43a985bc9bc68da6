"""The plan of entity recall: a rate for each arm on one seed, then the whole curves of all arms on other seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.engram.twins.arms import arm
from adapters.engram.twins.names import VOCABULARY, draw_names
from adapters.engram.twins.probes import collisions, gates, without_rows
from adapters.engram.twins.recall import Recall, lens, tensors
from adapters.engram.twins.runs import Job, Row
from adapters.engram.twins.sweep import swept_jobs
from adapters.engram.twins.train import Course, train


@dataclass(frozen=True)
class RecallPlan:
    """`names` to know; a row of the curve each `every` steps of `batch`, asking the first `asked`: see `Swept`."""

    names: int
    arms: Sequence[str]
    steps: int
    sweep_steps: int
    rates: Sequence[float]
    development_seed: int
    seeds: Sequence[int]
    batch: int = 512
    every: int = 5
    asked: int = 512

    def jobs(self, done: Sequence[Row]) -> Iterator[Job]:
        return swept_jobs(self, done)

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
            "sizes": {**twin.sizes(), "forward_flops": twin.forward_flops(tokens_NT.shape[1], read=1)},
            "accuracy": layers[-1],
            "lens": layers,
            "without_rows": without_rows(twin, tokens_NT[: self.asked], targets_N[: self.asked]),
            "gates": {layer: gate_BT.mean(0).tolist() for layer, gate_BT in opened.items()},
            "collisions": collisions(twin.engram, tokens_NT[:, :-1]) if twin.engram is not None else None,
        }

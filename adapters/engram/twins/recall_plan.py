"""The plan of entity recall: a rate for each arm on one seed, then the whole curves of all arms on other seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adapters.engram.twins.arms import arm
from adapters.engram.twins.names import VOCABULARY, draw_names
from adapters.engram.twins.probes import collisions, gates, without_rows
from adapters.engram.twins.recall import Recall, lens, tensors
from adapters.engram.twins.sweep import SweptPlan
from adapters.engram.twins.train import Course, learned


@dataclass(frozen=True, kw_only=True)
class RecallPlan(SweptPlan):
    """`names` to know; a row of the curve each `every` steps of `batch`, asking the first `asked`."""

    names: int
    batch: int = 512
    every: int = 5
    asked: int = 512

    def trained(self, name: str, *, seed: int, rate: float, steps: int) -> dict[str, Any]:
        """Train one arm and probe what has become of it."""
        names = draw_names(self.names, seed=seed)
        lesson = Recall(names, steps=steps, batch=self.batch, asked=min(self.asked, self.names), seed=seed)
        twin = arm(name, VOCABULARY).twin(seed=seed)
        measured = learned(twin, lesson, Course(steps=steps, rate=rate, every=self.every))
        tokens_NT, targets_N = tensors(names)
        layers = lens(twin, tokens_NT, targets_N)
        opened = gates(twin, tokens_NT[: self.asked])
        return {
            **measured,
            "accuracy": layers[-1],
            "lens": layers,
            "without_rows": without_rows(twin, tokens_NT[: self.asked], targets_N[: self.asked]),
            "gates": {layer: gate_BT.mean(0).tolist() for layer, gate_BT in opened.items()},
            "collisions": collisions(twin.engram, tokens_NT[:, :-1]) if twin.engram is not None else None,
        }

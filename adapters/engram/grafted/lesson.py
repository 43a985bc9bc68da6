"""What Engram does in a model of your own, in three figures: invented facts are taught, with Engram and without.

    lora           small matrices beside the model's own learn
    engram         rows and their projections learn, the model is frozen
    lora_engram    both learn

All arms see the same facts in the same order. A row of `lesson.jsonl` is one arm of one seed: its accuracy against
steps, what is left of it with Engram switched off, and how early in the network the values can be read.

Source of the three questions: Engram (arXiv 2601.07372), its figures of loss, of knowledge without the module, and of
effective depth.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
from torch import Tensor

from adapters.engram.grafted import lora
from adapters.engram.grafted.facts import Asked, asked, depths, facts, known
from adapters.engram.grafted.graft import Graft
from adapters.engram.grafted.overlay import Overlay
from adapters.engram.table import TrainedTable, parameter_groups
from adapters.engram.twins.names import order, order_digest
from memory_bench import plans
from memory_bench.errors import BadInput
from memory_bench.plans import Job, Row
from memory_bench.readers.hf import HfReader
from memory_bench.readers.model import LookUp

ARMS = {"lora": ("lora",), "engram": ("engram",), "lora_engram": ("lora", "engram")}
"""arm -> what learns"""


@dataclass(frozen=True)
class Lesson:
    """`facts` are taught in `steps` of `batch` at `rate` (rows learn faster, as in the paper), measured after each
    `every` of them. `lora`: its rank. Raises BadInput on numbers that mean nothing."""

    facts: int
    steps: int
    batch: int
    rate: float
    every: int
    lora: int
    seeds: Sequence[int]

    def __post_init__(self) -> None:
        for name in ("facts", "steps", "batch", "every", "lora"):
            if (value := getattr(self, name)) < 1:
                raise BadInput(f"--{name} {value}: expected a whole number >= 1")
        if not 0 < self.rate < 1:
            raise BadInput(f"--rate {self.rate}: expected a number in (0, 1), such as --rate 0.002")


def run(lesson: Lesson, make: Callable[[], HfReader], out: Path, *, told: Callable[[Row], None]) -> list[Row]:
    """Teach what `out` does not hold yet, and return all rows. `make` loads the model anew for each arm. Overlays of
    the first seed stay there. Raises BadInput where `out` holds rows of another lesson or another model."""
    identity = {name.rpartition("/")[2]: digest for name, digest in make().identity().items()}
    shared = {"plan": "lesson", "options": asdict(lesson), "model": identity}
    return plans.run(shared, lambda _: jobs(lesson, make, out), out / "lesson.jsonl", told=told)


def jobs(lesson: Lesson, make: Callable[[], HfReader], out: Path) -> Iterator[Job]:
    for seed in lesson.seeds:
        for arm in ARMS:
            file = out / f"{arm}.safetensors" if seed == lesson.seeds[0] else None
            key = {"purpose": "seed", "arm": arm, "seed": seed}
            yield Job(key, partial(taught, lesson, arm, seed, make, file))


def taught(lesson: Lesson, arm: str, seed: int, make: Callable[[], HfReader], file: Path | None) -> Row:
    """Teach the facts to one arm. Return its curve, the share known without Engram (None where it has none), and the
    share that is read out after each layer."""
    reader = make()
    pupil = Pupil(reader, ARMS[arm], rank=lesson.lora, rate=lesson.rate, seed=seed)
    questions = asked(reader, facts(lesson.facts, seed=seed))
    order_SB = order(lesson.facts, steps=lesson.steps, batch=min(lesson.batch, lesson.facts), seed=seed)
    curve = list(pupil.learn(questions, torch.from_numpy(order_SB), every=lesson.every))
    if file is not None:
        pupil.overlay().save(file, identity=reader.identity())
    return {
        "curve": curve,
        "order": order_digest(order_SB),
        "off": known(pupil.graft, questions, None) if pupil.look_up else None,
        "depth": depths(pupil.graft, questions, pupil.look_up),
        **plans.where(("torch", "transformers", "peft")),
    }


class Pupil:
    """A model of which some parts learn: `look_up`, the rows, where they do."""

    def __init__(self, reader: HfReader, parts: Sequence[str], *, rank: int, rate: float, seed: int) -> None:
        assert isinstance(reader.slotted, Graft)
        self.graft = reader.slotted
        self.settings: Mapping[str, Any] = {}
        self.table: TrainedTable | None = None
        self.look_up: LookUp | None = None
        self.optimizers: list[torch.optim.Optimizer] = []
        if "lora" in parts:
            self.settings = lora.settings(rank)
            lora.insert(reader.model, self.settings, seed=seed)
            self.optimizers.append(torch.optim.Adam(lora.weights(reader.model).values(), lr=rate))
        if "engram" in parts:
            self.table = TrainedTable(self.graft.slot).to(reader.device)
            self.look_up = self._found
            self.graft.slot.requires_grad_(True)
            rows, rest = parameter_groups(self.graft.slot, self.table, rate=rate, weight_decay=0.0)
            self.optimizers += [torch.optim.SparseAdam(rows), torch.optim.Adam(rest)]

    def learn(self, questions: Asked, order_SB: Tensor, *, every: int) -> Iterator[dict[str, float]]:
        """Yield a point before the first step and after each `every`: step, seconds (CPU time of the steps), loss (nats
        a token, of the last step; none at first) and accuracy on all facts."""
        seconds, loss = 0.0, None
        for step, chosen_B in enumerate(order_SB.to(questions.tokens_BT.device)):
            if step % every == 0:
                yield self._point(step, seconds, loss, questions)
            started = time.process_time()
            loss = self._step(questions[chosen_B])
            seconds += time.process_time() - started
        yield self._point(len(order_SB), seconds, loss, questions)

    def overlay(self) -> Overlay:
        held = [] if self.table is None else self.table.rows_RC.items()
        rows = {int(layer): rows_RC.detach() for layer, rows_RC in held}
        return Overlay(self.graft.slot, rows=rows, lora=lora.weights(self.graft.model), settings=self.settings)

    def _found(self, tokens_BT: Tensor) -> Mapping[int, Tensor]:
        assert self.table is not None
        found: Mapping[int, Tensor] = self.table(self.graft.slot.rows(tokens_BT))
        return found

    def _point(self, step: int, seconds: float, loss: float | None, questions: Asked) -> dict[str, Any]:
        accuracy = known(self.graft, questions, self.look_up)
        return {"step": step, "seconds": round(seconds, 3), "loss": loss, "accuracy": accuracy}

    def _step(self, part: Asked) -> float:
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        logits_BTV = self.graft(part.tokens_BT, self.look_up)[:, :-1]
        loss = F.cross_entropy(logits_BTV[part.asked_BT[:, 1:]].float(), part.tokens_BT[:, 1:][part.asked_BT[:, 1:]])
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in self.optimizers:
            optimizer.step()
        return float(loss.detach())

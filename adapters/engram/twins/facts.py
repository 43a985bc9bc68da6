"""New facts into a network that is trained: by the rows that they address, by all of its weights, or by LoRA.

One Engram network learns the old names. Then copies of it are taught new names, all in one batch, again and again:

    rows   only table rows that the new names address move; everything else is frozen
    full   everything moves, the table too
    lora   the network is frozen, and small matrices beside its own learn (`peft`)

How many steps it takes until the new names are known is one question, how many of the old ones are still known then
is the other. Every way tries as many rates on the development seed.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from adapters.engram.twins.arms import arm
from adapters.engram.twins.names import VOCABULARY, Names, draw_names
from adapters.engram.twins.recall import Recall, accuracy, tensors
from adapters.engram.twins.train import BETAS, NOTHING, Course, mean_loss, train
from adapters.engram.twins.twin import Twin
from memory_bench.errors import Unavailable
from memory_bench.plans import Job, Row

LORA_RANK = 8
KNOWN = 0.95
"""New names count as written from this share on."""
ASKED = 1024
"""So many of the old names are asked after each step."""


@dataclass(frozen=True)
class FactsPlan:
    """`old` names are learned in `pretraining_steps` at `pretraining_rate`, then `new` ones are taught for `steps`.

    `ways`: way -> the rates that are tried on the development seed; the best mean of new and old names known decides.
    """

    old: int
    new: int
    pretraining_steps: int
    pretraining_rate: float
    ways: Mapping[str, Sequence[float]]
    development_seed: int
    seeds: Sequence[int]
    steps: int = 12

    def jobs(self, done: Sequence[Row]) -> Iterator[Job]:
        trained: dict[int, Twin] = {}
        for way, rates in self.ways.items():
            for rate in rates:
                yield self._job("sweep", way, self.development_seed, rate, trained)
        for seed in self.seeds:
            for way in self.ways:
                yield self._job("seed", way, seed, best_rate(done, way), trained)

    def _job(self, purpose: str, way: str, seed: int, rate: float, trained: dict[int, Twin]) -> Job:
        key = {"purpose": purpose, "arm": way, "seed": seed, "rate": rate}
        return Job(key, lambda: self.taught(way, seed=seed, rate=rate, trained=trained))

    def taught(self, way: str, *, seed: int, rate: float, trained: dict[int, Twin]) -> dict[str, Any]:
        """Teach new names to a copy of the network that knows the old ones; `trained` keeps that one by seed."""
        names = draw_names(self.old + self.new, seed=seed)
        old, new = names[: self.old], names[self.old :]
        if seed not in trained:
            trained.clear()
            trained[seed] = self._pretrained(old, seed)
        twin = copy.deepcopy(trained[seed])
        before = {"old": accuracy(twin, *tensors(old[:ASKED])), "new": accuracy(twin, *tensors(new))}
        optimizers = WAYS[way](twin, rate)
        return {"before": before, "curve": list(teach(twin, optimizers, old=old, new=new, steps=self.steps))}

    def _pretrained(self, old: Names, seed: int) -> Twin:
        twin = arm("engram", VOCABULARY).twin(seed=seed)
        lesson = Recall(old, steps=self.pretraining_steps, batch=512, asked=1, seed=seed)
        course = Course(self.pretraining_steps, self.pretraining_rate, every=self.pretraining_steps)
        for _ in train(twin, lesson, course):
            pass
        return twin


def teach(
    twin: Twin, optimizers: Sequence[torch.optim.Optimizer], *, old: Names, new: Names, steps: int
) -> Iterator[dict[str, float]]:
    """Yield after each step, seconds (CPU), loss and the shares of new and of old names that are known."""
    tokens_BT, targets_B = tensors(new)
    targets_BT = torch.full_like(tokens_BT, NOTHING)
    targets_BT[:, -1] = targets_B
    seconds = 0.0
    for step in range(steps):
        started = time.process_time()
        twin.zero_grad()
        loss = mean_loss(twin, tokens_BT, targets_BT)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
        seconds += time.process_time() - started
        known = {"new": accuracy(twin, *tensors(new)), "old": accuracy(twin, *tensors(old[:ASKED]))}
        yield {"step": step + 1, "seconds": round(seconds, 3), "loss": loss.item(), **known}


def rows_only(twin: Twin, rate: float) -> list[torch.optim.Optimizer]:
    """Freeze everything but the table. Its gradients are sparse: rows that no new name addresses keep their bits."""
    assert twin.table is not None
    twin.requires_grad_(False)
    twin.table.requires_grad_(True)
    return [torch.optim.SparseAdam(twin.table.parameters(), lr=rate, betas=BETAS)]


def everything(twin: Twin, rate: float) -> list[torch.optim.Optimizer]:
    return twin.optimizers(rate, betas=BETAS)


def low_rank(twin: Twin, rate: float) -> list[torch.optim.Optimizer]:
    """Freeze the network and put LoRA beside every matrix of its blocks. Raises Unavailable without `peft`.

    Source: LoRA (arXiv 2106.09685)."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise Unavailable("LoRA needs its engine: pip install 'memory-bench-suite[twins]'") from error
    twin.requires_grad_(False)
    chosen = LoraConfig(r=LORA_RANK, lora_alpha=2 * LORA_RANK, target_modules=["qkv", "out", "up", "down"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(twin.seed)
        blocks: nn.Module = inject_adapter_in_model(chosen, twin.backbone.blocks)
    learning: list[Tensor] = [weight for weight in blocks.parameters() if weight.requires_grad]
    return [torch.optim.Adam(learning, lr=rate, betas=BETAS)]


WAYS: Mapping[str, Callable[[Twin, float], list[torch.optim.Optimizer]]] = {
    "rows": rows_only,
    "full": everything,
    "lora": low_rank,
}


def best_step(curve: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """Return the first step at which the new names are known (`KNOWN`), or else the one that knows most of both."""
    known = [row for row in curve if row["new"] >= KNOWN]
    return known[0] if known else max(curve, key=lambda row: row["new"] + row["old"])


def best_rate(done: Sequence[Row], way: str) -> float:
    """Return the rate of a way's sweep whose best step knows most of the new and the old names."""
    swept = [row for row in done if row["key"]["purpose"] == "sweep" and row["key"]["arm"] == way]
    reached = {row["key"]["rate"]: best_step(row["curve"]) for row in swept}
    return float(max(reached, key=lambda rate: reached[rate]["new"] + reached[rate]["old"]))

"""One training for all arms: the same batches in the same order, the same number of steps, the same schedule.

What an arm may change is its network alone. The rate grows over the first steps and then stays, so that a curve does
not depend on how long the training was going to be.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
from torch import Tensor

from adapters.engram.twins.twin import Twin

NOTHING = -100
"""The target of a token after which nothing is asked."""
WARM_UP = 10
BETAS = (0.9, 0.95)


@dataclass(frozen=True)
class Course:
    """`steps` of gradient descent at `rate`; a row of the curve after each `every` of them."""

    steps: int
    rate: float
    every: int


class Lesson(Protocol):
    """What is learned, the same for every arm. `digest`: of the order of its data."""

    digest: str

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return tokens_BT and targets_BT of step 0, 1, ...: `NOTHING` where nothing is asked."""

    def scores(self, twin: Twin) -> Mapping[str, float]:
        """Return what the network has learned so far, by name."""


def learned(twin: Twin, lesson: Lesson, course: Course) -> dict[str, Any]:
    """Train a network to the end. Return its curve, what it learned in which order, and its sizes: `forward_flops` are
    those of one sequence."""
    tokens_BT, targets_BT = lesson.batch(0)
    return {
        "curve": list(train(twin, lesson, course)),
        "order": lesson.digest,
        "sizes": {**twin.sizes(), "forward_flops": _forward_flops(twin, tokens_BT, targets_BT)},
    }


def train(twin: Twin, lesson: Lesson, course: Course) -> Iterator[dict[str, float]]:
    """Yield a row a measurement: step, updates (as the optimizers count them), seconds, flops, loss (nats, mean since
    the row before) and the lesson's scores.

    `seconds` are those of the process's CPU time that went into steps, measuring not included; `flops` are by formula:
    three forward passes a step.
    """
    optimizers = twin.optimizers(course.rate, betas=BETAS)
    rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    seconds, flops, losses = 0.0, 0, []
    for step in range(course.steps):
        started = time.process_time()
        for optimizer, full in zip(optimizers, rates, strict=True):
            for group, rate in zip(optimizer.param_groups, full, strict=True):
                group["lr"] = rate * min(1.0, (step + 1) / WARM_UP)
        tokens_BT, targets_BT = lesson.batch(step)
        losses.append(_step(twin, optimizers, tokens_BT, targets_BT))
        seconds += time.process_time() - started
        flops += 3 * len(tokens_BT) * _forward_flops(twin, tokens_BT, targets_BT)
        if (step + 1) % course.every == 0 or step + 1 == course.steps:
            loss, losses = sum(losses) / len(losses), []
            row = {
                "step": step + 1,
                "updates": _updates(optimizers),
                "seconds": round(seconds, 3),
                "flops": flops,
                "loss": loss,
            }
            yield {**row, **lesson.scores(twin)}


def _step(twin: Twin, optimizers: list[torch.optim.Optimizer], tokens_BT: Tensor, targets_BT: Tensor) -> float:
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss = mean_loss(twin, tokens_BT, targets_BT)
    loss.backward()  # type: ignore[no-untyped-call]
    for optimizer in optimizers:
        optimizer.step()
    return float(loss.detach())


def _forward_flops(twin: Twin, tokens_BT: Tensor, targets_BT: Tensor) -> int:
    """Return the operations of one forward pass over one sequence of a batch."""
    read = int((targets_BT[0] != NOTHING).sum())  # of every sequence as many
    return twin.forward_flops(tokens_BT.shape[1], read=read)


def _updates(optimizers: list[torch.optim.Optimizer]) -> int:
    """Return how often every parameter was updated. Raises ValueError where one was more often than another."""
    counts = {int(state["step"]) for optimizer in optimizers for state in optimizer.state.values()}
    if len(counts) != 1:
        raise ValueError(f"expected every parameter to be updated equally often, got {sorted(counts)}")
    return counts.pop()


def mean_loss(twin: Twin, tokens_BT: Tensor, targets_BT: Tensor) -> Tensor:
    """Return the mean loss, in nats, over the tokens that have a target."""
    with quick(tokens_BT.device):
        asked_BT = targets_BT != NOTHING
        logits_QV = twin.logits(twin(tokens_BT)[-1][asked_BT])
    return F.cross_entropy(logits_QV.float(), targets_BT[asked_BT])


def quick(device: torch.device) -> torch.autocast:
    """Return autocast to bfloat16 where the processor multiplies it: twice as fast on the CPU that this was made on."""
    able = torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=able)

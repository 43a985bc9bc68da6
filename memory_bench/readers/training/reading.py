"""The reader learns to read: language modelling on real text with facts in it, and answers at the end.

Muon for the matrices of the blocks, AdamW for the rest. The loss is the mean over answer tokens, plus a share of the
mean over their first tokens alone, plus a share of the mean over other tokens. At the first token it is decided which
value is copied, or that none is; what follows is mere copying, and ten times as many tokens.

A checkpoint holds everything that the next step needs: a run that was cut off goes on where it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from memory_bench.errors import Unavailable
from memory_bench.readers.model import TinyModel
from memory_bench.readers.training.batches import Batch, Batches
from memory_bench.readers.training.ranks import ALONE, Ranks


@dataclass(frozen=True)
class Schedule:
    """How long and how fast. `pieces`: (steps, share of the full rates at the beginning, at the end), straight lines
    between; over the first `warmup_steps` rates rise from zero."""

    pieces: Sequence[tuple[int, float, float]]
    warmup_steps: int
    matrix_rate: float
    other_rate: float
    first_weight: float
    lm_weight: float
    log_every: int
    checkpoint_every: int
    workers: int

    @property
    def steps(self) -> int:
        return sum(steps for steps, _, _ in self.pieces)

    def share(self, step: int) -> float:
        """Return the share of the full rates that step number `step` (from 1) takes."""
        warm, left = min(1.0, step / self.warmup_steps), step
        for steps, begin, end in self.pieces:
            if left <= steps:
                return warm * (begin + (end - begin) * (left - 1) / steps)
            left -= steps
        raise ValueError(f"the pieces end {left} steps before step {step}")


def train_reading(
    model: TinyModel,
    batches: Batches,
    schedule: Schedule,
    *,
    device: torch.device,
    folder: Path,
    ranks: Ranks = ALONE,
) -> Iterator[dict[str, float]]:
    """Train in place; yield a row of the loss curve every `log_every` steps. `folder` keeps checkpoint and curve, both
    by the first of the processes."""
    model.to(device).train()
    optimizers = make_optimizers(model, schedule)
    checkpoint = folder / "checkpoint.pt"
    done = _resume(checkpoint, model, optimizers, device)
    if ranks.first:
        _cut_curve(folder / "log.jsonl", done)
    ranks.wait()
    rows = DataLoader(
        Subset(batches, range(done, schedule.steps)),
        batch_size=None,
        num_workers=schedule.workers,
        prefetch_factor=4 if schedule.workers else None,
        pin_memory=device.type == "cuda",
    )
    before = logged(folder, done)
    begun, seen = time.perf_counter() - before["seconds"], int(before["tokens"])
    sums, summed = torch.zeros(4, device=device), 0
    for step, batch in enumerate(rows, start=done + 1):
        sums += torch.stack(train_step(model, batch.to(device), optimizers, schedule, step, ranks))
        summed += 1
        seen += batch.tokens_BT.numel()
        if step % schedule.log_every == 0 or step == schedule.steps:
            answer, first, lm, exact = (sums / summed).tolist()
            seconds = time.perf_counter() - begun
            row = {
                "step": step,
                "answer_nll": answer,
                "first_nll": first,
                "lm_nll": lm,
                "token_accuracy": exact,
                "seconds": seconds,
                "tokens": seen,
            }
            if ranks.first:
                _log(folder / "log.jsonl", row)
            sums, summed = torch.zeros_like(sums), 0
            yield row
        if ranks.first and (step % schedule.checkpoint_every == 0 or step == schedule.steps):
            _save(checkpoint, model, optimizers, step)


def train_step(
    model: TinyModel,
    batch: Batch,
    optimizers: Mapping[str, torch.optim.Optimizer],
    schedule: Schedule,
    step: int,
    ranks: Ranks = ALONE,
) -> tuple[Tensor, ...]:
    """Take one step; return the mean loss (nats) of answer tokens, of their first tokens, of other tokens, and the
    share of answer tokens that had more than half of the probability."""
    batch = ranks.share(batch)
    share = schedule.share(step)
    for name, rate in (("matrices", schedule.matrix_rate), ("others", schedule.other_rate)):
        for group in optimizers[name].param_groups:
            group["lr"] = rate * share
    with torch.autocast(batch.tokens_BT.device.type, dtype=torch.bfloat16):
        hidden_BTD = model(batch.tokens_BT)
        nll_BQ = -model.target_log_probs(hidden_BTD, batch.tokens_BT, batch.positions_BQ, batch.targets_BQ)
    others_BQ = batch.real_BQ & ~batch.answer_BQ
    answer_nll, first_nll, lm_nll = (
        (nll_BQ * chosen_BQ).sum() / ranks.total(chosen_BQ.sum()).clamp_min(1)
        for chosen_BQ in (batch.answer_BQ, batch.first_BQ, others_BQ)
    )
    loss = answer_nll + schedule.first_weight * first_nll + schedule.lm_weight * lm_nll
    loss.backward()  # type: ignore[no-untyped-call]
    ranks.add_gradients(model)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers.values():
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    right = ((nll_BQ.detach() < 0.693) & batch.answer_BQ).sum() / ranks.total(batch.answer_BQ.sum()).clamp_min(1)
    return tuple(ranks.total(own.detach()) for own in (answer_nll, first_nll, lm_nll, right))


def make_optimizers(model: TinyModel, schedule: Schedule) -> dict[str, torch.optim.Optimizer]:
    """Return Muon for the matrices of the blocks and AdamW for everything else. Raises Unavailable on an old torch."""
    if not hasattr(torch.optim, "Muon"):
        raise Unavailable(
            f"training needs torch.optim.Muon (torch >= 2.9, found {torch.__version__}): pip install -U torch"
        )
    matrices = [m.weight for m in model.blocks.modules() if isinstance(m, nn.Linear)]
    named = {id(parameter) for parameter in matrices}
    slot = set() if model.slot is None else {id(parameter) for parameter in model.slot.parameters()}
    others = [p for p in model.parameters() if id(p) not in named and id(p) not in slot]
    return {
        "matrices": torch.optim.Muon(matrices, lr=schedule.matrix_rate, weight_decay=0.01),
        "others": torch.optim.AdamW(others, lr=schedule.other_rate, betas=(0.9, 0.98), weight_decay=0.0),
    }


def _save(path: Path, model: TinyModel, optimizers: Mapping[str, torch.optim.Optimizer], step: int) -> None:
    state: dict[str, Any] = {"step": step, "model": model.state_dict()}
    state["optimizers"] = {name: optimizer.state_dict() for name, optimizer in optimizers.items()}
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)  # a run that dies while writing keeps the checkpoint before


def _log(curve: Path, row: Mapping[str, float]) -> None:
    with curve.open("a", encoding="utf-8") as log:
        log.write(json.dumps({key: round(value, 5) for key, value in row.items()}) + "\n")


def _cut_curve(curve: Path, step: int) -> None:
    """Take out what was logged after a step, and of the slot: both are done and logged again."""
    if not curve.exists():
        return
    lines = curve.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line).get("step", step + 1) <= step]
    curve.write_text("".join(kept), encoding="utf-8")


def logged(folder: Path, step: int) -> dict[str, float]:
    """Return the seconds and tokens that the curve shows up to a step."""
    curve = folder / "log.jsonl"
    rows = [json.loads(line) for line in curve.read_text(encoding="utf-8").splitlines()] if curve.exists() else []
    return max(
        (row for row in rows if row.get("step", step + 1) <= step),
        key=lambda row: row["step"],
        default={"seconds": 0.0, "tokens": 0.0},
    )


def _resume(path: Path, model: TinyModel, optimizers: Mapping[str, torch.optim.Optimizer], device: torch.device) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, map_location=device, weights_only=True)
    model.load_state_dict(state["model"])
    for name, optimizer in optimizers.items():
        optimizer.load_state_dict(state["optimizers"][name])
    return int(state["step"])

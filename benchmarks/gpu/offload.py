"""The placement of Engram's table, measured: all arms in one process, interleaved round by round, paired.

The network has random weights; the rows that a batch addresses are found before the clock runs, the same for all arms
(what finding them costs stands apart, by the token). Before anything is timed, every arm's rows are compared with those
of the host's table bit by bit, and the attention is proved and compared with float64.

Shape legend: B batch, T tokens, H hash heads, V vocabulary.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.engram.placement.arms import ShapeSlot, host_table, made_slot, opened, placed
from adapters.engram.placement.fetch import Statistics
from adapters.engram.placement.places import Placement, Staged, gather
from memory_bench.errors import BadInput, Unavailable
from memory_bench.paired import penalty, ratio, shown
from memory_bench.readers.attention import choose
from memory_bench.readers.attention_costs.bench import empty_cache, said, synchronize
from memory_bench.readers.attention_equivalence import equivalence
from memory_bench.readers.model import Past, Shape, TinyModel
from memory_bench.readers.random_weights import random_model

PHASES = ("prefill", "decode")
"""A prompt read at once, or one token after it: the shortest time in which rows can arrive."""
GATHERED_ON_DEVICE = ("B", "C1", "C2")
NULL = "A again"
"""The arm without Engram, measured twice a round: what two runs of one thing differ by."""
OUT_OF_TIME = "no time was left for it: give --minutes more"


@dataclass(frozen=True)
class Plan:
    """The sizes of the network and of the table: one for all settings."""

    width: int
    layers: int
    heads: int
    vocabulary: int
    insertions: tuple[int, ...]
    hash_heads: int
    row_width: int
    rows: int
    threads: int
    dtype: torch.dtype
    folder: Path | None


@dataclass(frozen=True)
class Setting:
    batch: int
    prompt_tokens: int
    ids: str
    attention: str
    phase: str

    @property
    def tokens_read(self) -> int:
        """How many tokens of each text a forward reads: all of a prompt, or one after it."""
        return self.prompt_tokens if self.phase == "prefill" else 1


class Bench:
    """The network, the table and its placements. An arm that cannot run here is kept with the reason."""

    def __init__(self, plan: Plan, arms: tuple[str, ...], device: torch.device) -> None:
        self.plan = plan
        self.device = device
        self.model: TinyModel = random_model(
            Shape(vocabulary=plan.vocabulary, width=plan.width, layers=plan.layers, heads=plan.heads, pointer=False),
            device,
            plan.dtype,
        )
        slot = made_slot(
            layers=plan.insertions, heads=plan.hash_heads, row_width=plan.row_width, rows=plan.rows, width=plan.width,
            vocabulary=plan.vocabulary,
        )  # fmt: skip
        self.slot: ShapeSlot = slot.to(device, plan.dtype)
        self.model.slot = self.slot
        self.table = host_table(self.slot, plan.dtype, pinned=device.type == "cuda")
        self.placements: dict[str, Placement] = {}
        self.missing: dict[str, str] = {}
        for arm in arms:
            try:
                if arm != "A":
                    self.placements[arm] = self._placed(arm)
            except (BadInput, Unavailable) as error:
                self.missing[arm] = str(error)
        self.arms = ["A", NULL, *self.placements]

    def _placed(self, arm: str) -> Placement:
        if arm != "D":
            return placed(arm, self.table, self.device, threads=self.plan.threads)
        if self.plan.folder is None:
            raise Unavailable("arm D reads a file: give --folder")
        return Staged(opened(self.slot, self.plan.folder, self.plan.dtype), self.device, threads=self.plan.threads)

    def measure(self, setting: Setting, seconds: float, rounds: int | None) -> dict[str, Any]:
        """Return what a setting took, or why it has no numbers; see `_rounds` for how long it may take."""
        torch.manual_seed(0)
        try:
            attention = self._attention(setting)
            batch = self._batch(setting)
            equal = {arm: self._rows_equal(arm, batch) for arm in self.placements}
            if wrong := [arm for arm, same in equal.items() if not same]:
                raise AssertionError(f"arms {wrong} gave other rows than the table holds")
            peaks = {arm: self._peak(arm, batch) for arm in self.arms}
            times = self._rounds(batch, seconds, rounds)
        except (Unavailable, RuntimeError) as error:
            why = said(error)
            empty_cache(self.device)
            return {**asdict(setting), "why": why}
        return {
            **asdict(setting), "why": None, "attention_proof": attention, "rows_equal": equal,
            "hash_ns_per_token": batch.hash_seconds / batch.tokens_BT.numel() * 1e9,
            "rounds": len(times["A"]), **self._judged(setting, times, peaks),
        }  # fmt: skip

    def _attention(self, setting: Setting) -> dict[str, Any]:
        kernel, head_width = choose(setting.attention), self.plan.width // self.plan.heads
        self.model.attend_with(kernel.ready(self.device, self.plan.dtype, head_width=head_width))
        proof = kernel.proved(self.device, self.plan.dtype, head_width=head_width)
        found = equivalence(kernel, self.device, self.plan.dtype, keys=setting.prompt_tokens, head_width=head_width)
        if not found.passes:
            raise Unavailable(f"attention={kernel.name} is not equivalent to float64, so it is not timed: {found}")
        return {**asdict(proof), **asdict(found)}

    def _batch(self, setting: Setting) -> Batch:
        drawn_BT = torch.from_numpy(drawn_tokens(setting, self.plan.vocabulary))
        count = setting.tokens_read
        begun = time.perf_counter()
        rows = self.slot.rows(drawn_BT[:, -(count + self.slot.max_order - 1) :])
        hash_seconds = time.perf_counter() - begun
        host = {layer: torch.from_numpy(rows_BTH[:, -count:].copy()) for layer, rows_BTH in rows.items()}
        on_device = {layer: rows_BTH.to(self.device) for layer, rows_BTH in host.items()}
        drawn_BT = drawn_BT.to(self.device)
        past = self._past(drawn_BT[:, :-count]) if setting.phase == "decode" else None
        return Batch(drawn_BT[:, -count:], past, host, on_device, hash_seconds)

    @torch.inference_mode()
    def _past(self, tokens_BT: Tensor) -> Past:
        """Return what the network keeps of a prompt: the same for all arms, no row went into it."""
        past = Past()
        self.model(tokens_BT, None, past)
        return past

    def _rows_equal(self, arm: str, batch: Batch) -> bool:
        """Whether an arm gives the table's own rows, bit for bit."""
        fetch = self.placements[arm](batch.rows(arm))
        return all(
            torch.equal(
                fetch[layer].cpu().view(torch.uint8), gather(self.table[layer], rows).flatten(-2).view(torch.uint8)
            )
            for layer, rows in batch.host.items()
        )

    @torch.inference_mode()
    def _forward(self, arm: str, batch: Batch) -> Tensor:
        """Return the log-probabilities of the token after each text."""
        placement = self.placements.get(arm)
        look_up = None if placement is None else lambda _: placement(batch.rows(arm))
        past = None if batch.past is None else replace(batch.past)  # a forward puts its token into the one that it gets
        hidden_BTD = self.model(batch.tokens_BT, look_up, past)
        last_B1 = torch.full((len(hidden_BTD), 1), hidden_BTD.shape[1] - 1, device=self.device)
        return self.model.next_log_probs(hidden_BTD, batch.tokens_BT, last_B1)

    def _seconds(self, arm: str, batch: Batch) -> float:
        synchronize(self.device)
        begun = time.perf_counter()
        self._forward(arm, batch)
        synchronize(self.device)
        return time.perf_counter() - begun

    def _rounds(self, batch: Batch, seconds: float, rounds: int | None) -> dict[str, list[float]]:
        """Time all arms once a round, in an order drawn anew, until the seconds are over, or for so many `rounds`.

        One round before the first warms up.
        """
        order, draw = list(self.arms), random.Random(0)
        times: dict[str, list[float]] = {arm: [] for arm in self.arms}
        end = time.perf_counter() + seconds
        for arm in order:
            self._seconds(arm, batch)
        for placement in self.placements.values():
            placement.statistics = Statistics()
        while len(times["A"]) < (rounds or 1) or (rounds is None and time.perf_counter() < end):
            draw.shuffle(order)
            for arm in order:
                times[arm].append(self._seconds(arm, batch))
        return times

    def _peak(self, arm: str, batch: Batch) -> int | None:
        if self.device.type != "cuda":
            return None
        torch.cuda.reset_peak_memory_stats(self.device)
        self._forward(arm, batch)
        synchronize(self.device)
        return torch.cuda.max_memory_allocated(self.device)

    def _judged(
        self, setting: Setting, times: Mapping[str, list[float]], peaks: Mapping[str, int | None]
    ) -> dict[str, Any]:
        null = ratio(times[NULL], times["A"])
        base = times.get("B")
        tokens = setting.batch * setting.tokens_read
        arms: dict[str, Any] = {}
        for arm in self.arms:
            seconds = times[arm]
            lost = penalty(seconds, base) if base and arm not in ("A", NULL, "B") else None
            on_paper = penalty(seconds, times["A"]) if arm not in ("A", NULL) else None
            arms[arm] = {
                "seconds_median": statistics.median(seconds),
                "seconds_quartiles": [float(np.quantile(seconds, share)) for share in (0.25, 0.75)],
                "tokens_per_second": tokens / statistics.median(seconds),
                "peak_device_bytes": peaks[arm],
                "offload_penalty": lost and {**asdict(lost), "shown": shown(lost, null)},
                "paper_penalty": on_paper and {**asdict(on_paper), "shown": shown(on_paper, null)},
                "fetched": self._fetched(arm),
            }
        cost = ratio(base, times["A"]) if base else None
        return {
            "null_ratio": null and asdict(null),
            "engram_cost": cost and asdict(cost),
            "arms": arms | {arm: {"why": why} for arm, why in self.missing.items()},
        }

    def _fetched(self, arm: str) -> dict[str, Any] | None:
        if arm not in self.placements:
            return None
        found = self.placements[arm].statistics
        return {**asdict(found), "overlap": found.overlap}

    def close(self) -> None:
        for placement in self.placements.values():
            placement.close()


@dataclass(frozen=True)
class Batch:
    """Tokens that a forward reads, what is kept of those before them, and the rows that they address, on the host and
    on the device: arms gather here or there."""

    tokens_BT: Tensor
    past: Past | None
    host: Mapping[int, Tensor]
    on_device: Mapping[int, Tensor]
    hash_seconds: float

    def rows(self, arm: str) -> Mapping[int, Tensor]:
        return self.on_device if arm in GATHERED_ON_DEVICE else self.host


def drawn_tokens(setting: Setting, vocabulary: int) -> NDArray[np.int64]:
    """Return tokens_BT: uniform, or with shares that fall as 1 / rank (Zipf)."""
    draw, shape = np.random.default_rng(0), (setting.batch, setting.prompt_tokens)
    if setting.ids == "uniform":
        return draw.integers(0, vocabulary, shape)
    shares = 1 / np.arange(1, vocabulary + 1)
    return draw.choice(vocabulary, shape, p=shares / shares.sum())


def sweep(bench: Bench, settings: Sequence[Setting], *, seconds: float, rounds: int | None) -> Iterator[dict[str, Any]]:
    """Yield what each setting took. Settings share what is left of the time; those that get none say so.

    With `rounds` each takes so many, whatever time that needs.
    """
    end = time.perf_counter() + seconds
    for number, setting in enumerate(settings):
        left = end - time.perf_counter()
        if left <= 0 and rounds is None:
            yield {**asdict(setting), "why": OUT_OF_TIME}
            continue
        # a slow setting takes longer to begin than its rounds do: half of its share is for that
        yield bench.measure(setting, left / (len(settings) - number) / 2, rounds)

"""What is measured of attention on and off: a file of `conf/attention_costs`, made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar

import torch

from memory_bench.plans import Job, Row
from memory_bench.readers.attention_costs import answers
from memory_bench.readers.attention_costs.bench import Limits, measure, shorter
from memory_bench.readers.attention_costs.subject import Setting
from memory_bench.readers.buffers import keep_large_buffers
from memory_bench.readers.tiny import choose_device

GROUP = "attention_costs"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Kernels on a device, the first of them off, over settings whose `tokens` are a list each.

    `questions` of the task `needle`, with contexts of `context_tokens`, are answered by the bundled reader.
    """

    device: str
    kernels: Sequence[str]
    settings: Sequence[Mapping[str, Any]]
    limits: Mapping[str, float]
    questions: int
    context_tokens: int
    keeps_buffers: ClassVar[bool] = True
    """Whether the process keeps large buffers that were freed, as a reader does. It cannot be taken back."""

    def jobs(self, done: Sequence[Row]) -> Iterator[Job]:
        """Yield the answers first, then short contexts before long ones: what is shorter says what would not end."""
        device = choose_device(self.device)
        if self.keeps_buffers:
            keep_large_buffers()
        if self.questions:
            key = {"subject": "answers", "questions": self.questions, "context_tokens": self.context_tokens}
            yield Job(key, partial(answers.compare, self.kernels, device, self.questions, self.context_tokens))
        for setting in self.every():
            yield Job(asdict(setting), partial(self._run, setting, device, done))

    def every(self) -> list[Setting]:
        return [Setting(**{**line, "tokens": tokens}) for line in self.settings for tokens in line["tokens"]]

    def _run(self, setting: Setting, device: torch.device, done: Sequence[Row]) -> Row:
        limits = Limits(**self.limits)  # type: ignore[arg-type]
        return measure(setting, self.kernels, device, limits, shorter=shorter(setting, done))


class FreshPlan(Plan):
    """The same in a process that gives large buffers back, as one does that is no reader of ours. It has no questions,
    since the reader that answers them would keep buffers."""

    keeps_buffers: ClassVar[bool] = False

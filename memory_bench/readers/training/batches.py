"""Training prompts as tensors. Batch number n of a seed is always the same, in any process: so training resumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import Dataset

from memory_bench.readers import checkpoint
from memory_bench.readers.training.prompts import Prompt, PromptFactory
from memory_bench.readers.training.tokenizer import PAD

MOST_QUESTIONS = 14
TOKENS_PER_FACT = 40  # about what a stated fact and its share of hay take


@dataclass(frozen=True)
class Batch:
    """B prompts of T tokens; at Q chosen positions the next token is a target.

    `tokens_BT`, `positions_BQ`, `targets_BQ`: int64; `answer_BQ`: the target is part of an answer; `first_BQ`: it is
    the first token of one; `real_BQ`: it counts.
    """

    tokens_BT: Tensor
    positions_BQ: Tensor
    targets_BQ: Tensor
    answer_BQ: Tensor
    first_BQ: Tensor
    real_BQ: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in vars(self).values()))


class Batches(Dataset[Batch]):
    """`factories`: (until which step, what draws its prompts), in order. `lengths`: tokens a prompt -> share of the
    batches. `targets`: share of the tokens that the loss on text sees."""

    def __init__(
        self,
        factories: Sequence[tuple[int, PromptFactory]],
        *,
        seed: int,
        tokens: int,
        lengths: Mapping[int, float],
        targets: float,
    ) -> None:
        self.factories = factories
        self.seed = seed
        self.tokens = tokens
        self.lengths = lengths
        self.targets = targets
        self.tokenizer = Tokenizer.from_file(str(checkpoint.TOKENIZER))
        self.pad = self.tokenizer.token_to_id(PAD)

    def __len__(self) -> int:
        return self.factories[-1][0]

    def __getitem__(self, step: int) -> Batch:
        random = Random(f"{self.seed}/{step}")
        length = random.choices(list(self.lengths), list(self.lengths.values()))[0]
        factory = next(factory for until, factory in self.factories if step < until)
        rows = [self._row(factory, random, length) for _ in range(max(1, self.tokens // length))]
        arrays = (np.stack(column) for column in zip(*rows, strict=True))
        return Batch(*(torch.from_numpy(array) for array in arrays))

    def _row(
        self, factory: PromptFactory, random: Random, length: int
    ) -> tuple[NDArray[np.int64] | NDArray[np.bool_], ...]:
        tokens, spans = self._encoded(factory, random, length)
        answers = [i - 1 for i, inside in enumerate(spans) if inside and i > 0]
        count = int(self.targets * length) + 48
        others = random.sample(range(len(tokens) - 1), min(len(tokens) - 1, max(0, count - len(answers))))
        chosen = sorted({*answers[:count], *others})
        is_answer = set(answers)
        padding = count - len(chosen)
        return (
            np.array([*tokens, *[self.pad] * (length - len(tokens))]),
            np.array([*chosen, *[0] * padding]),
            np.array([*(tokens[i + 1] for i in chosen), *[self.pad] * padding]),
            np.array([*(i in is_answer for i in chosen), *[False] * padding]),
            np.array([*(i in is_answer and i - 1 not in is_answer for i in chosen), *[False] * padding]),
            np.array([*[True] * len(chosen), *[False] * padding]),
        )

    def _encoded(self, factory: PromptFactory, random: Random, length: int) -> tuple[list[int], list[bool]]:
        """Return the tokens of a prompt that fits, and which of them belong to an answer."""
        while True:
            most = max(1, min(32, length // TOKENS_PER_FACT))
            facts = random.randint(1, most) if random.random() < 0.9 else 1
            wanted = int(length * random.uniform(0.85, 1.1))
            questions = random.randint(1, min(MOST_QUESTIONS, max(3, length // 40)))
            scene = factory.draw(random, tokens=wanted, questions=questions, facts=facts)
            tokens, inside = encode(self.tokenizer, scene.prompt())
            if len(tokens) <= length:
                return tokens, inside


def encode(tokenizer: Tokenizer, prompt: Prompt) -> tuple[list[int], list[bool]]:
    """Return the prompt's token ids, and for each whether it belongs to an answer."""
    encoding = tokenizer.encode(prompt.text)
    return encoding.ids, _inside(encoding.offsets, prompt.answers)


def _inside(offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> list[bool]:
    return [any(start < end_of_span and end > begin for begin, end_of_span in spans) for start, end in offsets]

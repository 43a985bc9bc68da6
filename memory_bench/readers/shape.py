"""A reader in the shape of a model, with random weights: its times and bytes count, its answers are not judged.

The network is the bundled reader's, in any size and without the pointer; it reads with the same tokenizer, and always
writes `max_new_tokens`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import torch
from tokenizers import Tokenizer
from torch import Tensor

from memory_bench.errors import BadInput, NoAnswer
from memory_bench.readers import checkpoint
from memory_bench.readers.attention import AttentionKernel
from memory_bench.readers.buffers import keep_large_buffers
from memory_bench.readers.device import check_sizes
from memory_bench.readers.model import Shape, Slot
from memory_bench.readers.prefix import PrefixCache
from memory_bench.readers.random_weights import DTYPES, random_model
from memory_bench.readers.tiny import TinyReader, choose_device
from memory_bench.readers.training.tokenizer import PAD
from memory_bench.types import Completion

WHY = "the weights of reader=shape are random: its times count, and what it says does not"
NO_TOKEN = -1


class Insertion(Protocol):
    """An Engram to be timed: where the network takes it in, and the look-up of its rows."""

    slot: Slot

    def __call__(self, tokens_BT: Tensor) -> Mapping[int, Tensor]: ...


class ShapeReader(TinyReader):
    """`shape`: width, layers and heads. `engram` makes an insertion for this network, or None for a network without.

    On a CPU the network computes in float32. Raises BadInput where the weights have no room, before they are made.
    """

    def __init__(
        self,
        shape: Mapping[str, int],
        *,
        device: str,
        dtype: str,
        window_tokens: int,
        max_new_tokens: int,
        attention: AttentionKernel,
        prefix_bytes: int,
        engram: Callable[..., Insertion | None],
    ) -> None:
        check_sizes(window_tokens, max_new_tokens)
        keep_large_buffers()
        self.device = choose_device(device)
        self.dtype = _dtype(dtype, self.device)
        self.window_tokens = window_tokens
        self.max_new_tokens = max_new_tokens
        self.tokenizer: Tokenizer = Tokenizer.from_file(str(checkpoint.TOKENIZER))
        self.newline = NO_TOKEN  # random weights would end some answers early, and times could not be compared
        self.pad = self.tokenizer.token_to_id(PAD)
        self.biases = ()
        self.prefixes = PrefixCache(prefix_bytes)
        vocabulary = self.tokenizer.get_vocab_size()
        self.model = random_model(
            Shape(vocabulary=vocabulary, pointer=False, **_checked(shape)), self.device, self.dtype
        )
        self.model.attend_with(attention.ready(self.device, self.dtype, head_width=shape["width"] // shape["heads"]))
        inserted = engram(width=shape["width"], vocabulary=vocabulary, device=self.device, dtype=self.dtype)
        self.model.slot = None if inserted is None else inserted.slot
        self.look_up = inserted

    def generate(self, prompts: Sequence[str]) -> list[Completion]:
        """Return completions that say why they are not to be judged."""
        return [replace(completion, unjudged=WHY) for completion in super().generate(prompts)]

    def score(self, prompt: str, continuations: Sequence[str]) -> list[float]:  # noqa: ARG002
        raise NoAnswer(WHY)

    def identity(self) -> Mapping[str, str]:
        """Return what was read: the weights follow from the options alone."""
        return {"tokenizer.json": checkpoint.sha256(checkpoint.TOKENIZER)}


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name not in DTYPES:
        raise BadInput(f"reader.dtype={name}: expected one of {', '.join(DTYPES)}")
    if device.type == "cpu" and name != "float32":
        raise BadInput(f"reader.dtype={name}: on a CPU this network computes in float32: type reader.dtype=float32")
    return DTYPES[name]


def _checked(shape: Mapping[str, int]) -> Mapping[str, int]:
    """Raises BadInput for a size that no network has."""
    for name in ("width", "layers", "heads"):
        if shape[name] < 1:
            raise BadInput(f"reader.shape.{name}={shape[name]}: expected a whole number >= 1")
    if shape["width"] % shape["heads"]:
        raise BadInput(
            f"reader.shape.width={shape['width']} is no multiple of reader.shape.heads={shape['heads']}: "
            f"type reader.shape.width={shape['heads'] * 64}"
        )
    return shape

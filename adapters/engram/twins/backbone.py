"""A small dense transformer for experiments with Engram: pre-norm, rotary positions, causal attention by SDPA.

It is no reader: nothing here copies, and nothing is shared with the bundled one. What enters the residual stream before
a block's attention is handed in by the caller, so that all arms run through the same lines.

Shape legend: B batch, T tokens, D width, H heads, C head width, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
from torch import Tensor, nn

EPSILON = 1e-6
BASE = 10_000.0  # of the rotary angles

Added = Callable[[int, Tensor], Tensor]
"""(layer, hidden_BTD) -> hidden_BTD with what enters before that layer's attention."""


@dataclass(frozen=True)
class Size:
    """The dense part: `hidden` is the width between the two matrices of a block's feed-forward part."""

    vocabulary: int
    width: int = 128
    layers: int = 4
    heads: int = 4
    hidden: int = 512

    @property
    def parameters(self) -> int:
        """How many numbers the dense part has, embeddings, read-out and norms included."""
        block = 4 * self.width**2 + 2 * self.width * self.hidden + 2 * self.width
        return self.layers * block + 2 * self.vocabulary * self.width + self.width

    def forward_flops(self, tokens: int, *, read: int) -> int:
        """Return the operations of one forward pass over a sequence, read out at so many of its tokens.

        Two for each weight of a matrix and token, and 4 D for each pair of tokens that attention compares; causal
        attention compares T (T + 1) / 2 pairs. Norms, rotations and activations are left out, as is usual.
        """
        block = 2 * tokens * (4 * self.width**2 + 2 * self.width * self.hidden)
        pairs = tokens * (tokens + 1) // 2
        return self.layers * (block + 4 * self.width * pairs) + 2 * read * self.vocabulary * self.width


class Block(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads = size.heads
        self.attention_norm = nn.RMSNorm(size.width, eps=EPSILON)
        self.qkv = nn.Linear(size.width, 3 * size.width, bias=False)
        self.out = nn.Linear(size.width, size.width, bias=False)
        self.mlp_norm = nn.RMSNorm(size.width, eps=EPSILON)
        self.up = nn.Linear(size.width, size.hidden, bias=False)
        self.down = nn.Linear(size.hidden, size.width, bias=False)

    def forward(self, hidden_BTD: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
        batch, length, width = hidden_BTD.shape
        qkv = self.qkv(self.attention_norm(hidden_BTD)).view(batch, length, 3, self.heads, width // self.heads)
        query_BHTC, key_BHTC, value_BHTC = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        on_cpu = hidden_BTD.device.type == "cpu"
        if on_cpu:  # over short rows its fused kernel takes 1.6 times as long in bfloat16 as in fp32
            query_BHTC, key_BHTC, value_BHTC = query_BHTC.float(), key_BHTC.float(), value_BHTC.float()
        with torch.autocast(hidden_BTD.device.type, enabled=not on_cpu and torch.is_autocast_enabled()):
            mixed_BHTC = F.scaled_dot_product_attention(
                rotated(query_BHTC, turns), rotated(key_BHTC, turns), value_BHTC, is_causal=True
            )
        hidden_BTD = hidden_BTD + self.out(mixed_BHTC.transpose(1, 2).reshape(batch, length, width))
        added_BTD: Tensor = self.down(F.relu(self.up(self.mlp_norm(hidden_BTD))).square())
        return hidden_BTD + added_BTD


class Backbone(nn.Module):
    """Tokens to hidden states, and hidden states to logits."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        self.embedding = nn.Embedding(size.vocabulary, size.width)
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.norm = nn.RMSNorm(size.width, eps=EPSILON)
        self.read_out = nn.Linear(size.width, size.vocabulary, bias=False)
        self._initialise()

    def forward(self, tokens_BT: Tensor, added: Added | None = None) -> list[Tensor]:
        """Return hidden_BTD after the embedding and after each block: L + 1 of them, the last is what is read out."""
        states = [self.embedding(tokens_BT)]
        turns = rotations(tokens_BT.shape[1], self.size.width // self.size.heads, tokens_BT.device)
        for layer, block in enumerate(self.blocks):
            hidden_BTD = states[-1] if added is None else added(layer, states[-1])
            states.append(block(hidden_BTD, turns))
        return states

    def logits(self, hidden: Tensor) -> Tensor:
        """Return logits [..., V] of hidden states [..., D] of any layer: of an early one it is the logit lens."""
        return self.read_out(self.norm(hidden))  # type: ignore[no-any-return]

    def _initialise(self) -> None:
        """What is added to the residual stream starts small, so that the depth of the network does not blow it up."""
        nn.init.normal_(self.embedding.weight, std=1.0)
        nn.init.normal_(self.read_out.weight, std=1 / math.sqrt(self.size.width))
        depth = 2 * self.size.layers  # each block adds twice
        for name, weight in self.blocks.named_parameters():
            if weight.dim() == 2:
                ends = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(weight, std=1 / math.sqrt(weight.shape[1] * (depth if ends else 1)))


def rotations(length: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return cosines and sines [T, C / 2] of each position. Source: RoFormer (arXiv 2104.09864)."""
    speeds_C = BASE ** (-torch.arange(0, width, 2, device=device) / width)
    angles_TC = torch.arange(length, device=device)[:, None] * speeds_C
    return angles_TC.cos(), angles_TC.sin()


def rotated(vectors_BHTC: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Return queries or keys turned by their positions: their products depend on distances alone."""
    cosines, sines = (turn.to(vectors_BHTC.dtype) for turn in turns)
    first, second = vectors_BHTC.chunk(2, dim=-1)
    return torch.cat([first * cosines - second * sines, first * sines + second * cosines], dim=-1)

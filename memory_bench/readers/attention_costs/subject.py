"""What is timed: one call of attention, or a forward of the network of `reader=shape`. Imports torch alone.

Shape legend: B batch, H heads, Q queries, T keys, C head width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from memory_bench.readers.attention import Attend
from memory_bench.readers.model import Past, Shape, TinyModel
from memory_bench.readers.random_weights import DTYPES, random_model

CALL, NETWORK = "call", "network"
PREFILL, DECODE = "prefill", "decode"
VOCABULARY = 4096


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A subject at a length: a prompt of `tokens` read at once (prefill), or one token after so many (decode).

    `layers` are the network's; a call has none.
    """

    subject: str
    phase: str
    dtype: str
    tokens: int
    layers: int = 0
    heads: int = 8
    head_width: int = 64
    batch: int = 1

    @property
    def tokens_read(self) -> int:
        """How many tokens of each text a forward reads."""
        return self.tokens if self.phase == PREFILL else 1


def forward(setting: Setting, device: torch.device) -> Callable[[Attend], Tensor]:
    """Return what is timed, of the attention that computes it: the same inputs and weights for every attention."""
    return (_call if setting.subject == CALL else _network)(setting, device)


def _call(setting: Setting, device: torch.device) -> Callable[[Attend], Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (setting.batch, setting.heads, setting.tokens, setting.head_width)
    query_BHTC, key_BHTC, value_BHTC = (
        torch.randn(shape, generator=generator).to(device, DTYPES[setting.dtype]) for _ in range(3)
    )
    prefill = setting.phase == PREFILL
    asked_BHQC = query_BHTC if prefill else query_BHTC[:, :, -1:]  # the last token sees every key
    return lambda attend: attend(asked_BHQC, key_BHTC, value_BHTC, is_causal=prefill)


def _network(setting: Setting, device: torch.device) -> Callable[[Attend], Tensor]:
    model = _model(setting.layers, setting.heads, setting.head_width, DTYPES[setting.dtype], device)
    generator = torch.Generator().manual_seed(0)
    tokens_BT = torch.randint(VOCABULARY, (setting.batch, setting.tokens + 1), generator=generator).to(device)
    past = Past()
    if setting.phase == DECODE:
        with torch.inference_mode():
            model(tokens_BT[:, :-1], None, past)
    read_BT = tokens_BT[:, -1:] if setting.phase == DECODE else tokens_BT[:, :-1]
    last_B1 = torch.full((setting.batch, 1), read_BT.shape[1] - 1, device=device)

    def run(attend: Attend) -> Tensor:
        model.attend_with(attend)
        # a forward puts its token into the past that it gets, and leaves the one that was kept as it is
        hidden_BTD = model(read_BT, None, replace(past))
        return model.next_log_probs(hidden_BTD, read_BT, last_B1)

    return run


@cache  # lengths of one network follow each other
def _model(layers: int, heads: int, head_width: int, dtype: torch.dtype, device: torch.device) -> TinyModel:
    shape = Shape(vocabulary=VOCABULARY, width=heads * head_width, layers=layers, heads=heads, pointer=False)
    return random_model(shape, device, dtype)

"""A small decoder-only transformer that reads: no positions, a short convolution, an optional copying pointer.

Shape legend: B batch, T tokens, Q chosen positions, D width, H heads, C head width, V vocabulary, P pointer width,
M lengths of exact match, U tokens of a line, N neighbourhoods, O orders.

The pointer (an explicit copy mechanism, named as such wherever the reader is) mixes the language model with a copy of a
token of the *context*: p(y) = sum_s a_s ((1 - e_s) [x_s = y] + e_s [y = newline]) + a_sink p_lm(y), where e_s is how
much the text from s on is no longer what is being copied. It holds nothing between questions, so it is not a memory;
but it favours questions in the wording of the event.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
from torch import Tensor, nn

from memory_bench.readers.attention import lower_right

NEVER = -1e4
"""A score whose share is 0 in fp32. Not -inf: of nothing but these, the derivative of a logsumexp is no number."""

EPSILON = 1e-6
"""Added to a mean square before its root is taken."""

LookUp = Callable[[Tensor], Mapping[int, Tensor]]
"""tokens_BT -> layer -> embeddings_BTE: what a run-time table holds for each token (see `adapters/engram`)."""


class Slot(nn.Module, ABC):
    """A place in the network for what is written at run time (see `adapters/engram`)."""

    @abstractmethod
    def forward(self, layer: int, hidden_BTD: Tensor, embeddings_BTE: Tensor) -> Tensor:
        """Return what is added to hidden_BTD before the layer's attention: exactly 0 where the embedding is 0."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return everything that defines an address (JSON values): it is kept with the weights and must agree."""


@dataclass(frozen=True)
class Shape:
    """The architecture. Everything that a checkpoint must agree with."""

    vocabulary: int = 4096
    width: int = 128
    layers: int = 4
    heads: int = 4
    taps: int = 4
    pointer: bool = True
    pointer_width: int = 64
    match_length: int = 16
    newline: int = 0


@dataclass
class LayerPast:
    """What one layer keeps of earlier tokens: the inputs of its convolution, behind the zeros that stand before a text,
    and its keys and values."""

    inputs_BLD: Tensor
    key_BHTC: Tensor
    value_BHTC: Tensor

    def head(self, length: int) -> LayerPast:
        zeros = self.inputs_BLD.shape[1] - self.key_BHTC.shape[2]
        return LayerPast(
            self.inputs_BLD[:, : zeros + length], self.key_BHTC[:, :, :length], self.value_BHTC[:, :, :length]
        )


@dataclass
class Past:
    """What a model keeps of the tokens that it has read, so that the next ones cost only themselves.

    `entered` is what the look-up had for each of them: with the tokens, all that the rest follows from.
    `TinyModel.forward` extends it in place; empty to begin with.
    """

    tokens_BT: Tensor | None = None
    hidden_BTD: Tensor | None = None
    layers: list[LayerPast] = field(default_factory=list)
    entered: Mapping[int, Tensor] = field(default_factory=dict)

    @property
    def length(self) -> int:
        return 0 if self.tokens_BT is None else self.tokens_BT.shape[1]

    def head(self, length: int) -> Past:
        """Return the past of the first `length` tokens, as it was when they had just been read."""
        if not length or self.tokens_BT is None or self.hidden_BTD is None:
            return Past()
        return Past(
            self.tokens_BT[:, :length],
            self.hidden_BTD[:, :length],
            [layer.head(length) for layer in self.layers],
            {layer: embeddings_BTE[:, :length] for layer, embeddings_BTE in self.entered.items()},
        )


class Attention(nn.Module):
    """Causal attention without positions. Queries grow with the logarithm of the length, so that long contexts stay
    sharp (scalable softmax, arXiv 2501.19399)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.out = nn.Linear(shape.width, shape.width, bias=False)
        self.sharpness_H = nn.Parameter(torch.full((shape.heads,), 1.0))
        self.attend: Callable[..., Tensor] = F.scaled_dot_product_attention

    def forward(self, hidden_BTD: Tensor, past: LayerPast | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is added, and key_BHTC and value_BHTC of all tokens, those of the past included."""
        batch, length, width = hidden_BTD.shape
        qkv = self.qkv(hidden_BTD).view(batch, length, 3, self.heads, width // self.heads)
        query_BHTC, key_BHTC, value_BHTC = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        key_BHTC = unit_rms(key_BHTC)
        before = 0
        if past is not None:
            before = past.key_BHTC.shape[2]
            key_BHTC = torch.cat([past.key_BHTC, key_BHTC], dim=2)
            value_BHTC = torch.cat([past.value_BHTC, value_BHTC], dim=2)
        longer = log_length(before + length, hidden_BTD)[before:]
        query_BHTC = unit_rms(query_BHTC) * (self.sharpness_H[:, None] * longer)[..., None]
        # on a CPU the fused kernel takes twice as long in bfloat16 as in fp32 for the short prompts of training
        on_cpu = hidden_BTD.device.type == "cpu"
        dtype = torch.float32 if on_cpu else value_BHTC.dtype
        seen = None if not before or length == 1 else lower_right(length, before + length)
        with torch.autocast(hidden_BTD.device.type, enabled=not on_cpu and torch.is_autocast_enabled()):
            mixed_BHTC = self.attend(
                query_BHTC.to(dtype), key_BHTC.to(dtype), value_BHTC.to(dtype), attn_mask=seen, is_causal=not before
            )
        return self.out(mixed_BHTC.transpose(1, 2).reshape(batch, length, width)), key_BHTC, value_BHTC


class ShortConvolution(nn.Module):
    """Causal depthwise convolution over the last few tokens, as shifted multiply-adds (quicker than Conv1d on a CPU).

    Random (not zero) initial lags are what lets a small model without positions learn to read at all.
    """

    def __init__(self, width: int, taps: int) -> None:
        super().__init__()
        self.weight_KD = nn.Parameter(torch.randn(taps, width) / math.sqrt(taps))

    def forward(self, hidden_BTD: Tensor, before_BLD: Tensor | None = None) -> Tensor:
        """`before_BLD`: the inputs before these, as many as it reaches or more; zeros where the text begins."""
        reach = len(self.weight_KD) - 1
        if before_BLD is None:
            before_BLD = torch.zeros_like(hidden_BTD[:, :1]).expand(-1, reach, -1)
        reached_BKD = before_BLD[:, before_BLD.shape[1] - reach :]
        length, all_BTD = hidden_BTD.shape[1], torch.cat([reached_BKD, hidden_BTD], dim=1)
        mixed_BTD = hidden_BTD * self.weight_KD[0]
        for lag in range(1, len(self.weight_KD)):
            mixed_BTD = mixed_BTD + all_BTD[:, reach - lag : reach - lag + length] * self.weight_KD[lag]
        return mixed_BTD


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.width, eps=EPSILON)
        self.convolution = ShortConvolution(shape.width, shape.taps)
        self.attention = Attention(shape)
        self.mlp_norm = nn.RMSNorm(shape.width, eps=EPSILON)
        self.up = nn.Linear(shape.width, 4 * shape.width, bias=False)
        self.down = nn.Linear(4 * shape.width, shape.width, bias=False)

    def forward(self, hidden_BTD: Tensor, past: LayerPast | None = None) -> tuple[Tensor, LayerPast]:
        """Return hidden_BTD, and the past with these tokens in it."""
        normed_BTD = self.attention_norm(hidden_BTD)
        before_BLD = None if past is None else past.inputs_BLD
        convolved_BTD = self.convolution(normed_BTD, before_BLD)
        added_BTD, key_BHTC, value_BHTC = self.attention(convolved_BTD, past)
        hidden_BTD = hidden_BTD + added_BTD
        hidden_BTD = hidden_BTD + self.down(F.relu(self.up(self.mlp_norm(hidden_BTD))).square())
        if before_BLD is None:
            inputs_BLD = F.pad(normed_BTD, (0, 0, len(self.convolution.weight_KD) - 1, 0))
        else:
            inputs_BLD = torch.cat([before_BLD, normed_BTD], dim=1)
        return hidden_BTD, LayerPast(inputs_BLD, key_BHTC, value_BHTC)


class Pointer(nn.Module):
    """Scores of copying from each earlier position, of having come to the end there, and of not copying at all.

    A score is the sum of four terms, each with a weight that the query chooses:
    content   a learned query and key;
    match     how many of the last tokens stand before the source as well (lengths 1..M);
    overlap   how much of the query's own line (its tokens, pairs and triples, weighted by a learned importance) stands
              around the source, in earlier lines: names are found again whatever the words around them are; the best
              overlap of all also weighs on not copying;
    recency   how late the source stands: where two values contradict each other, later wins.

    Whether a copy ends before a source is judged from the source and the token after it. Without this, a long match
    outweighs every sign that the value is over.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.match_length = shape.match_length
        self.newline = shape.newline
        self.query = nn.Linear(shape.width, shape.pointer_width, bias=False)
        self.key = nn.Linear(shape.width, shape.pointer_width, bias=False)
        self.end_query = nn.Linear(shape.width, shape.pointer_width, bias=False)
        self.end_key = nn.Linear(2 * shape.width, shape.pointer_width, bias=False)
        self.sizes = [shape.match_length, len(NEIGHBOURHOODS), len(NEIGHBOURHOODS), 1, 1, 1]
        self.terms = nn.Linear(shape.width, sum(self.sizes))  # match, overlap, coverage, recency, end, sink
        self.importance = nn.Linear(shape.width, ORDERS)
        nn.init.zeros_(self.terms.weight)
        nn.init.zeros_(self.terms.bias)
        nn.init.constant_(self.terms.bias[shape.match_length :][: len(NEIGHBOURHOODS)], 2.0)
        nn.init.constant_(self.terms.bias[-2], -4.0)

    def forward(self, hidden_BTD: Tensor, tokens_BT: Tensor, positions_BQ: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return scores_BQT (NEVER from the position on), ends_BQT (the logit of e_s) and sink_BQ, in fp32."""
        chosen_BQD = hidden_BTD.gather(1, positions_BQ[..., None].expand(-1, -1, hidden_BTD.shape[2]))
        terms_BQM = self.terms(chosen_BQD).float()
        match_BQM, near_BQN, covered_BQN, recency_BQ1, end_BQ1, sink_BQ1 = terms_BQM.split_with_sizes(
            self.sizes, dim=-1
        )
        overlap_BQT, best_BQN = self._overlap(hidden_BTD, tokens_BT, positions_BQ, near_BQN)
        sharp_BQ = torch.log(positions_BQ.float() + 2) / math.log(512)
        content_BQT = torch.einsum("bqp,btp->bqt", self.query(chosen_BQD), self.key(hidden_BTD)).float()
        sources_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
        scores_BQT = (
            content_BQT * (sharp_BQ / math.sqrt(self.query.out_features))[..., None]
            + self._match(tokens_BT, positions_BQ, match_BQM)
            + overlap_BQT
            + recency_BQ1 * (sources_T + 1.0) / (positions_BQ[..., None] + 1.0)
        )
        # the token after a source is read too: so the position itself, whose next token is the target, is no source
        next_BTD = F.pad(hidden_BTD, (0, 0, 0, 1))[:, 1:]
        end_keys_BTP = self.end_key(torch.cat([hidden_BTD, next_BTD], dim=-1))
        ends_BQT = torch.einsum("bqp,btp->bqt", self.end_query(chosen_BQD), end_keys_BTP).float()
        ends_BQT = ends_BQT / math.sqrt(self.end_query.out_features) + end_BQ1
        sink_BQ = sink_BQ1[..., 0] + (covered_BQN * best_BQN).sum(-1)
        return scores_BQT.masked_fill(sources_T >= positions_BQ[..., None], NEVER), ends_BQT, sink_BQ

    def _match(self, tokens_BT: Tensor, positions_BQ: Tensor, weights_BQM: Tensor) -> Tensor:
        """Return, for each source s, the sum of the weights of all lengths j with x[s-j:s] == x[t-j+1:t+1]."""
        reach = self.match_length
        padded = F.pad(tokens_BT, (reach, 0), value=-1)  # padded[i + reach] = token i
        total_BQT = torch.zeros_like(weights_BQM[..., :1])
        running = torch.ones((), dtype=torch.bool, device=tokens_BT.device)
        for j in range(reach):
            before_source_BT = padded[:, reach - 1 - j : reach - 1 - j + tokens_BT.shape[1]]
            at_query_BQ = padded.gather(1, positions_BQ + reach - j)
            same = (before_source_BT[:, None, :] == at_query_BQ[..., None]) & (before_source_BT[:, None, :] >= 0)
            running = running & same
            total_BQT = total_BQT + weights_BQM[..., j, None] * running
        return total_BQT

    def _overlap(
        self, hidden_BTD: Tensor, tokens_BT: Tensor, positions_BQ: Tensor, near_BQN: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return, for each source, the share of the query's line that stands within each neighbourhood, weighted: BQT;
        and the largest share that any source has: BQN. Where nothing overlaps there is nothing to copy."""
        starts_BQ = line_starts(tokens_BT, self.newline).gather(1, positions_BQ)
        first = int(starts_BQ.min())  # tokens before it are in no chosen line
        importance_BUO = F.softplus(self.importance(hidden_BTD[:, first:])).float()
        mass_BUT = torch.zeros((), device=tokens_BT.device)
        same = torch.ones((), dtype=torch.bool, device=tokens_BT.device)
        for order in range(ORDERS):
            shifted_BT = F.pad(tokens_BT, (order, 0), value=-1)[:, : tokens_BT.shape[1]]
            same = same & (shifted_BT[:, first:, None] == shifted_BT[:, None, :])
            mass_BUT = mass_BUT + importance_BUO[..., order, None] * same
        total_BU1 = importance_BUO.sum(-1, keepdim=True)
        line_BQT = _of_line(mass_BUT, starts_BQ - first, positions_BQ - first)
        share_BQT = line_BQT / _of_line(total_BU1, starts_BQ - first, positions_BQ - first).clamp_min(1e-6)
        sources_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
        up_to_BQT = F.pad((share_BQT * (sources_T < starts_BQ[..., None])).cumsum(-1), (1, 0))
        scores_BQT = torch.zeros_like(share_BQT)
        best = []
        for i, (before, after) in enumerate(NEIGHBOURHOODS):
            high_T = (sources_T + after).clamp_max(len(sources_T))
            low_T = (sources_T - before).clamp_min(0)
            near_BQT = up_to_BQT[..., high_T] - up_to_BQT[..., low_T]
            scores_BQT = scores_BQT + near_BQN[..., i, None] * near_BQT
            best.append(near_BQT.amax(-1))
        return scores_BQT, torch.stack(best, dim=-1)


NEIGHBOURHOODS = ((6, 1), (12, 1), (24, 1), (48, 1), (0, 24))
"""(tokens before, tokens from the source on) in which the overlap is counted."""
ORDERS = 3
"""Single tokens, pairs and triples count as overlap."""


def line_starts(tokens_BT: Tensor, newline: int) -> Tensor:
    """Return for each token the position at which its line begins; a newline belongs to the line that it ends."""
    positions_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
    after_BT = F.pad(tokens_BT == newline, (1, -1), value=True)
    return torch.where(after_BT, positions_T, 0).cummax(1).values


def _of_line(values_BUX: Tensor, starts_BQ: Tensor, positions_BQ: Tensor) -> Tensor:
    """Return the sum over the line of each position, up to the position: [B, Q, X]."""
    up_to_BUX = F.pad(values_BUX.cumsum(1), (0, 0, 1, 0))
    width = values_BUX.shape[-1]
    end = up_to_BUX.gather(1, (positions_BQ + 1)[..., None].expand(-1, -1, width))
    return end - up_to_BUX.gather(1, starts_BQ[..., None].expand(-1, -1, width))


class TinyModel(nn.Module):
    """Tokens in, log-probabilities of the next token out. It keeps no state; a run-time table comes as `look_up`."""

    def __init__(self, shape: Shape, slot: Slot | None = None) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocabulary, shape.width)
        nn.init.normal_(self.embed.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.final_norm = nn.RMSNorm(shape.width, eps=EPSILON)
        self.logit_scale = nn.Parameter(torch.tensor(1.0))
        self.pointer = Pointer(shape) if shape.pointer else None
        self.slot = slot
        for block in self.blocks:  # each block starts as the identity
            nn.init.zeros_(block.get_submodule("attention.out").weight)  # type: ignore[arg-type]
            nn.init.zeros_(block.get_submodule("down").weight)  # type: ignore[arg-type]

    def attend_with(self, attend: Callable[..., Tensor]) -> None:
        """Let all blocks compute attention by `attend` (see `attention.py`), and no longer as torch chooses."""
        for block in self.blocks:
            block.get_submodule("attention").attend = attend  # type: ignore[assignment]

    def forward(self, tokens_BT: Tensor, look_up: LookUp | None = None, past: Past | None = None) -> Tensor:
        """Return hidden_BTD of the tokens. With `look_up`, the slot adds what the table holds before the attention of
        its layers. With `past`, the tokens go on from what it holds, and are in it afterwards."""
        past = past or Past()
        all_BT = tokens_BT if past.tokens_BT is None else torch.cat([past.tokens_BT, tokens_BT], dim=1)
        written = {} if look_up is None else look_up(all_BT)
        hidden_BTD: Tensor = unit_rms(self.embed(tokens_BT))
        kept: list[LayerPast] = []
        for layer, block in enumerate(self.blocks):
            if layer in written and self.slot is not None:
                hidden_BTD = hidden_BTD + self.slot(layer, hidden_BTD, written[layer][:, -tokens_BT.shape[1] :])
            hidden_BTD, layer_past = block(hidden_BTD, past.layers[layer] if past.layers else None)
            kept.append(layer_past)
        hidden_BTD = self.final_norm(hidden_BTD)
        earlier = [] if past.hidden_BTD is None else [past.hidden_BTD]
        past.tokens_BT, past.layers, past.entered = all_BT, kept, written
        past.hidden_BTD = torch.cat([*earlier, hidden_BTD], dim=1) if earlier else hidden_BTD
        return hidden_BTD

    def target_log_probs(
        self, hidden_BTD: Tensor, tokens_BT: Tensor, positions_BQ: Tensor, targets_BQ: Tensor
    ) -> Tensor:
        """Return log p(target) at each position, fp32 [B, Q]: nothing of size V times T is built."""
        lm_BQ = self._lm(hidden_BTD, positions_BQ).gather(2, targets_BQ[..., None])[..., 0]
        if self.pointer is None:
            return lm_BQ
        scores_BQT, ends_BQT, sink_BQ = self.pointer(hidden_BTD, tokens_BT, positions_BQ)
        everything_BQ = log_add(scores_BQT.logsumexp(-1), sink_BQ)
        going_on_BQT = scores_BQT + F.logsigmoid(-ends_BQT)
        copied_BQ = going_on_BQT.masked_fill(tokens_BT[:, None, :] != targets_BQ[..., None], NEVER).logsumexp(-1)
        ended_BQ = (scores_BQT + F.logsigmoid(ends_BQT)).logsumexp(-1)
        ended_BQ = ended_BQ.masked_fill(targets_BQ != self.shape.newline, NEVER)
        return log_add(copied_BQ, ended_BQ, sink_BQ + lm_BQ) - everything_BQ

    def next_log_probs(self, hidden_BTD: Tensor, tokens_BT: Tensor, positions_BQ: Tensor) -> Tensor:
        """Return the log-probabilities of every next token, fp32 [B, Q, V]."""
        lm_BQV = self._lm(hidden_BTD, positions_BQ)
        if self.pointer is None:
            return lm_BQV
        scores_BQT, ends_BQT, sink_BQ = self.pointer(hidden_BTD, tokens_BT, positions_BQ)
        shares = torch.cat([scores_BQT, sink_BQ[..., None]], dim=-1).softmax(-1)
        over_BQT = ends_BQT.sigmoid()
        sources_BQT = tokens_BT[:, None, :].expand(-1, shares.shape[1], -1)
        mixed_BQV = shares[..., -1:] * lm_BQV.exp()
        mixed_BQV = mixed_BQV.scatter_add(2, sources_BQT, shares[..., :-1] * (1 - over_BQT))
        mixed_BQV[..., self.shape.newline] += (shares[..., :-1] * over_BQT).sum(-1)
        return mixed_BQV.clamp_min(1e-38).log()

    def _lm(self, hidden_BTD: Tensor, positions_BQ: Tensor) -> Tensor:
        chosen_BQD = hidden_BTD.gather(1, positions_BQ[..., None].expand(-1, -1, hidden_BTD.shape[2]))
        logits_BQV = F.linear(chosen_BQD, self.embed.weight).float() * self.logit_scale
        return logits_BQV.log_softmax(-1)


def log_add(*terms: Tensor) -> Tensor:
    """Return log(exp(a) + exp(b) + ...)."""
    return torch.stack(terms).logsumexp(0)


def unit_rms(hidden: Tensor) -> Tensor:
    return hidden * torch.rsqrt(hidden.square().mean(-1, keepdim=True) + EPSILON)


def log_length(length: int, like: Tensor) -> Tensor:
    """Return log(t + 2) / log(512) for every position t: [T]."""
    return torch.log(torch.arange(length, device=like.device, dtype=torch.float32) + 2) / math.log(512)

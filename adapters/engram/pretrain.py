"""The slot learns to be written: simulated writes, then questions with nothing in the context.

The backbone stays frozen, so reading is untouched and an empty table stays the identity. Each step writes the events of
a few episodes into empty tables by the write rule itself (`write.py`), asks for their facts with the question alone as
the prompt, and follows the answers' loss back through the write (second derivatives) into how rows enter the network
and into the step sizes. Facts that were not written are asked too, and are `unknown`.

The questions know where the facts are; the write does not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from adapters.engram.slot import EngramSlot
from adapters.engram.write import TouchedRows, descend
from memory_bench.readers.model import TinyModel
from memory_bench.readers.training.prompts import PromptFactory, Scene


def pretrain_slot(
    model: TinyModel,
    factory: PromptFactory,
    tokenizer: Tokenizer,
    *,
    steps: int,
    write_steps: int,
    episodes: int,
    facts: int,
    tokens: int,
    rate: float,
    log_rate: float,
    seed: int,
    log_every: int,
) -> Iterator[dict[str, float]]:
    """Train the model's slot in place; yield a row of the loss curve every `log_every` steps.

    `rate` is the outer learning rate, `log_rate` the logarithm of the step size of a write to begin with.
    """
    slot = model.slot
    if not isinstance(slot, EngramSlot):
        raise TypeError(f"the model has no Engram slot, but {type(slot).__name__}")
    model.requires_grad_(False).eval()
    slot.requires_grad_(True)
    for log_rate_of_layer in slot.log_rate.values():
        log_rate_of_layer.data.fill_(log_rate)
    optimizer = torch.optim.AdamW(slot.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    begun, sums = time.perf_counter(), torch.zeros(2)
    for step in range(1, steps + 1):
        optimizer.param_groups[0]["lr"] = rate * min(1.0, step / 20) * (steps - step + 1) / steps
        random = Random(f"slot/{seed}/{step}")
        scenes = [factory.draw(random, tokens=tokens, questions=facts, facts=facts) for _ in range(episodes)]
        nll, right = _outer_loss(model, slot, tokenizer, scenes, write_steps)
        optimizer.zero_grad(set_to_none=True)
        nll.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(slot.parameters(), 1.0)
        optimizer.step()
        sums += torch.stack([nll.detach(), right]).cpu()
        if step % log_every == 0 or step == steps:
            answer_nll, accuracy = (sums / ((step - 1) % log_every + 1)).tolist()
            sums.zero_()
            rates = {f"rate_{layer}": rate.item() for layer, rate in slot.rates().items()}
            seconds = time.perf_counter() - begun
            yield {"slot_step": step, "answer_nll": answer_nll, "token_accuracy": accuracy, **rates, "seconds": seconds}
    model.requires_grad_(False)


def _outer_loss(
    model: TinyModel, slot: EngramSlot, tokenizer: Tokenizer, scenes: Sequence[Scene], write_steps: int
) -> tuple[Tensor, Tensor]:
    """Return the mean loss of answer tokens after the write, and the share that had most of the probability."""
    device = next(slot.parameters()).device
    events = [(i, tokenizer.encode(text).ids) for i, scene in enumerate(scenes) for text in scene.passages]
    tokens_BT, real_BT = pad([ids for _, ids in events], device)
    touched = TouchedRows(slot, tokens_BT, [i for i, _ in events])
    empty = {
        layer: torch.zeros(len(found), slot.row_width, device=device, requires_grad=True)
        for layer, found in touched.found.items()
    }
    # fused attention has no second derivative
    with sdpa_kernel([SDPBackend.MATH]):
        values = descend(model, touched, empty, tokens_BT, real_BT, steps=write_steps, differentiable=True)
        asked = [(i, question, answer) for i, scene in enumerate(scenes) for question, answer in scene.questions]
        starts = [len(tokenizer.encode(question).ids) for _, question, _ in asked]
        asked_BT, asked_real_BT = pad([tokenizer.encode(f"{q} {a}\n").ids for _, q, a in asked], device)
        embeddings = touched.elsewhere(values, asked_BT, [i for i, _, _ in asked])
        hidden_BTD = model(asked_BT, lambda _: embeddings)
        positions_BQ = torch.arange(asked_BT.shape[1] - 1, device=device).expand(len(asked_BT), -1)
        nll_BQ = -model.target_log_probs(hidden_BTD, asked_BT, positions_BQ, asked_BT[:, 1:])
    answer_BQ = asked_real_BT[:, 1:] & (positions_BQ >= torch.tensor(starts, device=device)[:, None] - 1)
    right = ((nll_BQ.detach() < 0.693) & answer_BQ).sum() / answer_BQ.sum()
    return (nll_BQ * answer_BQ).sum() / answer_BQ.sum(), right


def pad(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return tokens_BT padded on the right, and real_BT: which of them are tokens."""
    length = max(len(row) for row in rows)
    tokens_BT = torch.tensor([[*row, *[0] * (length - len(row))] for row in rows], device=device)
    lengths_B = torch.tensor([len(row) for row in rows], device=device)
    return tokens_BT, torch.arange(length, device=device) < lengths_B[:, None]

"""A code book: for each value, what to put into the rows of a name so that the network answers with that value.

It is learned once, with the network, by simulated writes: half of each batch are names that are known, and half are new
ones, drawn for this batch alone, whose rows of the longest n-gram at the last token are replaced by the code of a value
drawn for it. A write later on is a copy of one code: no gradient, no loss, no step.

Some rows lost at random in training, as they are in a full table (up to 4 in 10), changed nothing after 1,024 writes;
after 4,096 they changed the shares of new and old names that are known from .98 and .68 to .97 and .77. Left out.

What makes it easy, and is not so in text: where a name ends is known, and the values are a closed set.

Shape legend: B batch, T tokens, V values, H heads of the longest order, C width of a row, E width of all rows of a
token, W of those of the longest order.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
from torch import Tensor, nn

from adapters.engram.module import EngramModule
from adapters.engram.table import TABLE_RATE
from adapters.engram.twins.draws import below
from adapters.engram.twins.names import (
    ASKS,
    BLANK,
    FIRST_PART,
    FIRST_VALUE,
    LONGEST,
    PARTS,
    SHORTEST,
    VALUES,
    Names,
    order,
)
from adapters.engram.twins.recall import tensors
from adapters.engram.twins.train import BETAS, WARM_UP, Course, quick
from adapters.engram.twins.twin import Twin
from memory_bench.errors import BadInput

NAME_ENDS = LONGEST - 1
"""Where the last token of a name stands; the question mark is after it."""
START_STD = 0.02


class CodeBook(nn.Module):
    """layer -> codes_VHC: what each head of the longest order holds for each value."""

    def __init__(self, engram: EngramModule, *, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        shape = (VALUES, engram.heads, engram.row_width)
        self.codes_VHC = nn.ParameterDict(
            {str(layer): nn.Parameter(torch.randn(shape, generator=generator) * START_STD) for layer in engram.layers}
        )

    def forward(self, embeddings: Mapping[int, Tensor], values_B: Tensor) -> dict[int, Tensor]:
        """Return layer -> embeddings_BTE with the codes of these values (0..V-1) in the rows of the last names: as many
        as there are values."""
        changed = {layer: embeddings_BTE.clone() for layer, embeddings_BTE in embeddings.items()}
        for layer, embeddings_BTE in changed.items():
            codes_BW = self.codes_VHC[str(layer)][values_B].flatten(1)
            embeddings_BTE[-len(values_B) :, NAME_ENDS, -codes_BW.shape[1] :] = codes_BW
        return changed


def learn(twin: Twin, names: Names, course: Course, *, batch: int, seed: int) -> tuple[CodeBook, dict[str, float]]:
    """Train the network on half batches of `names` and half batches of simulated writes.

    Return the code book, and what it cost: seconds of CPU time, and operations by formula; a fixed cost of all writes
    that follow. Raises BadInput where the twin has no Engram.
    """
    if twin.engram is None:
        raise BadInput("one-shot writing needs rows to write into: take an arm with Engram, such as engram")
    book = CodeBook(twin.engram, seed=seed)
    optimizers = twin.optimizers(course.rate, betas=BETAS)
    optimizers.append(torch.optim.Adam(book.parameters(), lr=TABLE_RATE * course.rate, betas=BETAS))
    rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    known_NT, known_N = tensors(names)
    order_SB = torch.from_numpy(order(len(names), steps=course.steps, batch=batch // 2, seed=seed))
    started = time.process_time()
    for step in range(course.steps):
        for optimizer, full in zip(optimizers, rates, strict=True):
            optimizer.zero_grad()
            for group, rate in zip(optimizer.param_groups, full, strict=True):
                group["lr"] = rate * min(1.0, (step + 1) / WARM_UP)
        new_BT, values_B = novel(batch // 2, seed=seed, step=step)
        tokens_BT = torch.cat([known_NT[order_SB[step]], new_BT])
        targets_B = torch.cat([known_N[order_SB[step]], values_B + FIRST_VALUE])
        embeddings = book(twin.embeddings(tokens_BT), values_B)
        with quick(tokens_BT.device):
            logits_BV = twin.logits(twin(tokens_BT, embeddings)[-1][:, -1])
        F.cross_entropy(logits_BV.float(), targets_B).backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
    flops = 3 * course.steps * batch * twin.forward_flops(LONGEST + 1, read=1)
    return book.requires_grad_(False), {"seconds": time.process_time() - started, "flops": float(flops)}


def novel(count: int, *, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """Return tokens_BT of names of 3 or 4 random tokens, and a random value (0..V-1) for each."""
    tokens_BT = torch.full((count, LONGEST + 1), ASKS)
    for place in range(LONGEST):
        tokens_BT[:, place] = torch.from_numpy(FIRST_PART + below(PARTS, count, "novel", place, step, seed))
    short_B = torch.from_numpy(below(2, count, "novel length", step, seed)) == 0
    tokens_BT[short_B, : LONGEST - SHORTEST] = BLANK
    return tokens_BT, torch.from_numpy(below(VALUES, count, "novel value", step, seed))

"""From n-grams to rows to gates, for a prompt: what Engram did while a reader went through it.

Shape legend: B batch, T tokens, D width of the model, E width of all rows of a token, H hash heads of all orders.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from adapters.engram.slot import EngramTable
from memory_bench.readers.local import LocalReader
from memory_bench.types import Trace

TRACED, HEADS = 8, 4  # tokens at the end of a prompt, and of the rows of each those that are named


@torch.no_grad()
def traced(reader: LocalReader, table: EngramTable, prompt: str) -> list[Trace]:
    """Return one step for each layer: the n-grams at the end of the prompt, their rows, their lengths, their gates."""
    seen: dict[int, tuple[Tensor, Tensor]] = {}

    def look(_: torch.nn.Module, given: tuple[Any, ...]) -> None:
        layer, hidden_BTD, embeddings_BTE = given
        seen[layer] = hidden_BTD, embeddings_BTE

    watched = table.slot.register_forward_pre_hook(look)
    try:
        reader.score(prompt, [" "])
    finally:
        watched.remove()
    ids = reader.encode(prompt)
    rows = table.slot.rows(torch.tensor([ids]))
    return [_layer(reader, table, ids, layer, rows[layer][0], seen[layer]) for layer in table.slot.layers]


def _layer(
    reader: LocalReader, table: EngramTable, ids: list[int], layer: int, rows_TH: Any, seen: tuple[Tensor, Tensor]
) -> Trace:
    gates_T = table.slot.gates(layer, *seen)[0, :, 0]
    lengths_T = seen[1][0].norm(dim=-1)
    found = []
    for place in range(max(0, len(ids) - TRACED), len(ids)):
        ngram = reader.tokenizer.decode(ids[max(0, place - table.slot.max_order + 1) : place + 1])
        named = ", ".join(str(row) for row in rows_TH[place][:HEADS])
        found.append((ngram, f"{named}, ...", float(lengths_T[place]), float(gates_T[place])))
    heads = ("n-gram of tokens", f"rows of {len(rows_TH[0])} heads", "length of what they hold", "gate")
    return Trace(f"before block {layer}: n-grams lead to rows, a gate lets them in", heads, tuple(found))

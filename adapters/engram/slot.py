"""The slot of the bundled reader, and the table that a memory writes: the Engram module with projections that nobody
trained and rows that are empty at first.

Shape legend: B batch, T tokens, E width of all rows of a token, R rows of a layer's table, C width of a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from adapters.engram.module import EngramModule
from memory_bench.ngrams import Compression, compress_vocabulary
from memory_bench.readers.checkpoint import TOKENIZER
from memory_bench.readers.model import Slot


class EngramSlot(EngramModule, Slot):
    """How rows enter the network: random projections, kept with the weights. The rows themselves are a table of the
    memory's, empty at first.

    Nothing of the slot is trained: rows written into random projections were recalled as well as rows written into
    projections that had learned, through simulated writes, to be written (.71 and .71 of 24 questions, asked in the
    event's wording beside 11 other facts in 2,048 tokens; 0 of 24 and .04 in another wording).

    `layers`: before the attention of which blocks (0-based); `max_order` N: n-grams of 2..N tokens; `heads` for each
    order; `row_width` numbers a row; `rows`: about how many rows a head has (the next free prime).
    """

    def __init__(
        self, *, width: int, layers: Sequence[int], max_order: int, heads: int, row_width: int, rows: int, seed: int
    ) -> None:
        super().__init__(
            width=width,
            layers=layers,
            max_order=max_order,
            heads=heads,
            row_width=row_width,
            rows=rows,
            seed=seed,
            compression=_compression(TOKENIZER),
        )


def _compression(path: Path) -> Compression:
    tokenizer = Tokenizer.from_file(str(path))
    ids = range(tokenizer.get_vocab_size())
    special = [token for token, added in tokenizer.get_added_tokens_decoder().items() if added.special]
    pieces = [tokenizer.id_to_token(i) or "" for i in ids]
    decoded = [tokenizer.decode([i], skip_special_tokens=False) for i in ids]
    return compress_vocabulary(pieces, decoded, special)


class EngramTable:
    """What was written: one matrix [R, C] a layer, all zero at first. Called by the model for what to add."""

    def __init__(self, slot: EngramModule, device: torch.device) -> None:
        self.slot = slot
        self.rows = {layer: torch.zeros(slot.table_rows(layer), slot.row_width, device=device) for layer in slot.layers}

    def __call__(self, tokens_BT: Tensor) -> Mapping[int, Tensor]:
        found = self.slot.rows(tokens_BT)
        return {
            layer: self.rows[layer][torch.from_numpy(rows_BTH).to(tokens_BT.device)].flatten(2)
            for layer, rows_BTH in found.items()
        }

    def clear(self) -> None:
        for rows_RC in self.rows.values():
            rows_RC.zero_()

    def size_bytes(self) -> int:
        return sum(rows.numel() * rows.element_size() for rows in self.rows.values())

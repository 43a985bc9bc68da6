"""The Engram module: hashed n-grams address rows, a gate decides how much of what they hold enters the network.

Source: Engram (arXiv 2601.07372), section 2.2 and 2.3. Two departures from its text: the gate takes the signed square
root of its score, as the released code does, and there is no short convolution, as in later practice.

Shape legend: B batch, T tokens, D width of the model, E width of all rows of a token, H hash heads of all orders, C
width of a row, R rows of a layer's table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from memory_bench.ngrams import Compression, NgramHash, build_hashes, compress_vocabulary
from memory_bench.readers.checkpoint import TOKENIZER
from memory_bench.readers.model import Slot, unit_rms

HASH_VERSION = "portable-1"


class EngramSlot(Slot):
    """How rows enter the network: random projections, kept with the weights. The rows themselves are a table of the
    memory's, empty at first.

    Nothing of the slot is trained: rows written into random projections were recalled as well as rows written into
    projections that had learned, through simulated writes, to be written (.71 and .71 of 24 questions, asked in the
    event's wording beside 11 other facts in 2,048 tokens; 0 of 24 and .04 in another wording).

    `layers`: before the attention of which blocks (0-based); `max_order` N: n-grams of 2..N tokens; `heads` for each
    order; `row_width` numbers a row; `rows`: about how many rows a head has (the next free prime).
    """

    map_V: Tensor

    def __init__(
        self, *, width: int, layers: Sequence[int], max_order: int, heads: int, row_width: int, rows: int, seed: int
    ) -> None:
        super().__init__()
        self.width = width
        self.layers = tuple(layers)
        self.max_order = max_order
        self.heads = heads
        self.row_width = row_width
        self.base_rows = rows
        self.seed = seed
        self.embedding_width = (max_order - 1) * heads * row_width
        # persisted with the weights, not rebuilt: case folding follows the Unicode version of the machine
        self.register_buffer("map_V", torch.from_numpy(_compression_map(TOKENIZER)))
        self.key = nn.ModuleDict({str(layer): nn.Linear(self.embedding_width, width, bias=False) for layer in layers})
        self.value = nn.ModuleDict({str(layer): nn.Linear(self.embedding_width, width, bias=False) for layer in layers})
        self.gain_D = nn.ParameterDict({str(layer): nn.Parameter(torch.ones(width)) for layer in layers})
        for weight in (*self.key.parameters(), *self.value.parameters()):
            nn.init.normal_(weight, std=1 / math.sqrt(self.embedding_width))

    def forward(self, layer: int, hidden_BTD: Tensor, embeddings_BTE: Tensor) -> Tensor:
        """Return gate * value: exactly 0 where the rows are 0. Equations 3 and 4 of the paper, gate in fp32."""
        key_BTD = unit_rms(self.key[str(layer)](embeddings_BTE).float()) * self.gain_D[str(layer)]
        query_BTD = unit_rms(hidden_BTD.float())
        gate_BT = signed_sqrt_gate((query_BTD * key_BTD).sum(-1) / math.sqrt(hidden_BTD.shape[-1]))
        return gate_BT[..., None] * self.value[str(layer)](embeddings_BTE)  # type: ignore[no-any-return]

    def rows(self, tokens_BT: Tensor) -> dict[int, NDArray[np.int64]]:
        """Return layer -> rows_BTH of the n-grams that end at each token. Row t depends on tokens t-N+1..t only."""
        compressed_BT = self._map[tokens_BT.cpu().numpy()]
        return {layer: self.hashes[layer].rows(compressed_BT) for layer in self.layers}

    def table_rows(self, layer: int) -> int:
        return self.hashes[layer].total_rows

    @cached_property
    def _map(self) -> NDArray[np.int64]:
        return self.map_V.cpu().numpy().astype(np.int64)

    @cached_property
    def hashes(self) -> dict[int, NgramHash]:
        return build_hashes(
            layers=self.layers,
            max_order=self.max_order,
            heads=self.heads,
            base_rows=[self.base_rows] * (self.max_order - 1),
            compressed_size=int(self._map.max()) + 1,
            pad=int(self._map[0]),
            seed=self.seed,
        )

    def describe(self) -> dict[str, Any]:
        """Return everything that defines an address: kept with the weights, and compared when they are loaded."""
        compression = Compression(self._map.astype(np.int32), int(self._map.max()) + 1)
        return {
            "hash_version": HASH_VERSION,
            "arguments": {
                "width": self.width,
                "layers": list(self.layers),
                "max_order": self.max_order,
                "heads": self.heads,
                "row_width": self.row_width,
                "rows": self.base_rows,
                "seed": self.seed,
            },
            "compressed_size": compression.size,
            "compression_sha256": compression.digest,
            "multipliers": {str(layer): hashes.multipliers.tolist() for layer, hashes in self.hashes.items()},
            "primes": {str(layer): hashes.primes.tolist() for layer, hashes in self.hashes.items()},
        }


def signed_sqrt_gate(score: Tensor) -> Tensor:
    """Return sigmoid(sign(s) * sqrt(max(|s|, 1e-6))): 0.5 at s = 0, and steeper near it than sigmoid(s)."""
    return torch.sigmoid(torch.sign(score) * torch.sqrt(score.abs().clamp_min(1e-6)))


def _compression_map(path: Path) -> NDArray[np.int32]:
    tokenizer = Tokenizer.from_file(str(path))
    ids = range(tokenizer.get_vocab_size())
    special = [token for token, added in tokenizer.get_added_tokens_decoder().items() if added.special]
    pieces = [tokenizer.id_to_token(i) or "" for i in ids]
    decoded = [tokenizer.decode([i], skip_special_tokens=False) for i in ids]
    return np.array(compress_vocabulary(pieces, decoded, special).map_V)


class EngramTable:
    """What was written: one matrix [R, C] a layer, all zero at first. Called by the model for what to add."""

    def __init__(self, slot: EngramSlot, device: torch.device) -> None:
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

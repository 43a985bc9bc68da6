"""The Engram module: hashed n-grams address rows, a gate decides how much of what they hold enters the network.

    engram = EngramModule(width=128, layers=[1, 2], max_order=3, heads=8, row_width=16, rows=4096, seed=0,
                          compression=no_compression(64))
    table = TrainedTable(engram)                                # or any other table
    embeddings = table(engram.rows(tokens_BT))                  # once a forward, before the first block
    hidden_BTD = hidden_BTD + engram(1, hidden_BTD, embeddings[1])  # before the attention of block 1

Source: Engram (arXiv 2601.07372), section 2.2 and 2.3, with one residual branch. By default the gate takes the signed
square root of its score, as the released code does, and there is no short convolution, as in later practice.

Shape legend: B batch, T tokens, D width of the model, E width of all rows of a token, H hash heads of all orders, C
width of a row, R rows of a layer's table, W taps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
from numpy.typing import NDArray
from torch import Tensor, nn

from adapters.engram.address import UNNAMED
from adapters.engram.convolution import convolved
from adapters.engram.decoding import DecodeState
from memory_bench.errors import BadInput
from memory_bench.ngrams import Compression, Mode, NgramHash, build_hashes
from memory_bench.readers.model import unit_rms

HASH_VERSIONS: dict[Mode, str] = {"portable": "portable-1", "compat": "compat-1"}
TAPS = 4

Gate: TypeAlias = Literal["signed_sqrt", "plain", "constant", "off"]
Rows: TypeAlias = Mapping[int, NDArray[np.int64]]
"""layer -> rows_BTH"""


class Table(Protocol):
    """Where the rows are: on a device, in a file, in a parameter."""

    def __call__(self, rows: Rows) -> Mapping[int, Tensor]:
        """Return layer -> embeddings_BTE, for rows_BTH of each layer."""
        ...


def signed_sqrt_gate(score: Tensor) -> Tensor:
    """Return sigmoid(sign(s) * sqrt(max(|s|, 1e-6))): 0.5 at s = 0, and steeper near it than sigmoid(s)."""
    return torch.sigmoid(torch.sign(score) * torch.sqrt(score.abs().clamp_min(1e-6)))


SCORED: Mapping[str, Callable[[Tensor], Tensor]] = {"signed_sqrt": signed_sqrt_gate, "plain": torch.sigmoid}
"""Gates that compare a key with the hidden state. `constant` is one learned number a layer, `off` is 1."""


@dataclass(frozen=True)
class Init:
    """The spread of the rows and of the projection to values at the start; None: 1 / sqrt(E).

    Where both are 0, neither ever has a gradient: refused.
    """

    table_std: float
    value_std: float | None

    def __post_init__(self) -> None:
        if self.table_std == 0 and self.value_std == 0:
            raise BadInput(
                "engram init: rows and values that both start at 0 stay there: give table_std or value_std a number > 0"
            )


INITS: Mapping[str, Init] = {
    "identity": Init(table_std=0.0, value_std=None),
    "value_zero": Init(table_std=0.02, value_std=0.0),
    "paper_like": Init(table_std=0.02, value_std=None),
}
"""The first two leave the network as it is at first, and the first has gradients for its rows from the first step on;
`paper_like` changes it from the start, and is for ablations."""


class EngramModule(nn.Module):
    """Addresses, and how rows enter the network. The rows themselves are a table: see `TrainedTable`.

    `layers`: before the attention of which blocks (0-based); n-grams of `min_order` to `max_order` N tokens; `heads`
    for each order; `row_width` numbers a row; `rows`: about how many rows a head has (the next free prime), one number,
    or one for each order; of 1, each head has one row and nothing is told apart (a control). `compression` says which
    token ids are one. `pad_id` stands where no token is; `boundary_ids` stand between documents. `multipliers` of each
    layer: those of a checkpoint in `compat` mode, which another NumPy would not draw again.
    """

    map_V: Tensor

    def __init__(
        self,
        *,
        width: int,
        layers: Sequence[int],
        max_order: int,
        heads: int,
        row_width: int,
        rows: int | Sequence[int],
        seed: int,
        compression: Compression,
        min_order: int = 2,
        mode: Mode = "portable",
        gate: Gate = "signed_sqrt",
        conv: Literal["on", "off"] = "off",
        init: str = "identity",
        pad_id: int = 0,
        boundary_ids: Sequence[int] = (),
        multipliers: Mapping[int, Sequence[int]] | None = None,
    ) -> None:
        super().__init__()
        _check_known("mode", mode, HASH_VERSIONS)
        _check_known("gate", gate, (*SCORED, "constant", "off"))
        _check_known("conv", conv, ("on", "off"))
        _check_known("init", init, INITS)
        for token in (pad_id, *boundary_ids):
            if not 0 <= token < len(compression.map_V):
                raise BadInput(
                    f"engram pad_id and boundary_ids: expected 0 to {len(compression.map_V) - 1}, got {token}"
                )
        self.width = width
        self.layers = tuple(layers)
        self.min_order = min_order
        self.max_order = max_order
        self.heads = heads
        self.row_width = row_width
        self.base_rows = rows if isinstance(rows, int) else list(rows)
        self.seed = seed
        self.mode: Mode = mode
        self.gate = gate
        self.conv = conv
        self.init = init
        self.pad_id = pad_id
        self.boundary_ids = list(boundary_ids)
        self.multipliers = multipliers
        self.silent: frozenset[int] = frozenset()
        self.silenced = 0
        self.embedding_width = (max_order - min_order + 1) * heads * row_width
        # persisted with the weights, not rebuilt: case folding follows the Unicode version of the machine
        self.register_buffer("map_V", torch.from_numpy(np.array(compression.map_V)))
        self._make_projections(INITS[init])
        self.register_load_state_dict_post_hook(_forget_addresses)  # type: ignore[no-untyped-call]

    def _make_projections(self, init: Init) -> None:
        layers = [str(layer) for layer in self.layers]
        keyed = layers if self.gate in SCORED else []
        self.key = nn.ModuleDict({layer: nn.Linear(self.embedding_width, self.width, bias=False) for layer in keyed})
        self.value = nn.ModuleDict({layer: nn.Linear(self.embedding_width, self.width, bias=False) for layer in layers})
        # of the norms of query and key: only the product of their gains enters the score
        self.gain_D = nn.ParameterDict({layer: nn.Parameter(torch.ones(self.width)) for layer in keyed})
        std = 1 / math.sqrt(self.embedding_width)
        for weight in self.key.parameters():
            nn.init.normal_(weight, std=std)
        for weight in self.value.parameters():
            nn.init.normal_(weight, std=std if init.value_std is None else init.value_std)
        scaled = layers if self.gate == "constant" else []
        self.scale = nn.ParameterDict({layer: nn.Parameter(torch.tensor(0.5)) for layer in scaled})
        mixed = layers if self.conv == "on" else []
        self.taps_WD = nn.ParameterDict({layer: nn.Parameter(torch.zeros(TAPS, self.width)) for layer in mixed})
        self.conv_gain_D = nn.ParameterDict({layer: nn.Parameter(torch.ones(self.width)) for layer in mixed})

    # From rows to the network

    def forward(
        self,
        layer: int,
        hidden_BTD: Tensor,
        embeddings_BTE: Tensor,
        *,
        boundary_BT: Tensor | None = None,
        dead_BT: Tensor | None = None,
        state: DecodeState | None = None,
    ) -> Tensor:
        """Return what is added to hidden_BTD: exactly 0 where the rows are 0. Equations 3 to 5 of the paper.

        `boundary_BT` marks tokens between documents, over which a convolution does not reach, and `dead_BT` tokens that
        are none (padding), to which nothing is added. With `state`, these tokens go on from what it holds; `rows` was
        told the same tokens, and where documents end.
        """
        gate_BT1 = self.gates(layer, hidden_BTD, embeddings_BTE)
        if dead_BT is not None:
            gate_BT1 = gate_BT1.masked_fill(dead_BT[..., None], 0.0)
        gated_BTD: Tensor = gate_BT1 * self.value[str(layer)](embeddings_BTE)
        if self.conv == "off":
            return gated_BTD
        return gated_BTD + F.silu(self._convolved(layer, gated_BTD, boundary_BT, state))

    def gates(self, layer: int, hidden_BTD: Tensor, embeddings_BTE: Tensor) -> Tensor:
        """Return how much of each token's value enters, gate_BT1, in fp32."""
        if layer in self.silent:
            self.silenced += 1
            return hidden_BTD.new_zeros((*hidden_BTD.shape[:2], 1), dtype=torch.float32)
        if self.gate == "off":
            return hidden_BTD.new_ones((*hidden_BTD.shape[:2], 1), dtype=torch.float32)
        if self.gate == "constant":
            scale: Tensor = self.scale[str(layer)]
            return scale.float().expand(*hidden_BTD.shape[:2], 1)
        key_BTD = unit_rms(self.key[str(layer)](embeddings_BTE).float()) * self.gain_D[str(layer)]
        query_BTD = unit_rms(hidden_BTD.float())
        score_BT = (query_BTD * key_BTD).sum(-1) / math.sqrt(hidden_BTD.shape[-1])
        return SCORED[self.gate](score_BT)[..., None]

    def _convolved(
        self, layer: int, gated_BTD: Tensor, boundary_BT: Tensor | None, state: DecodeState | None
    ) -> Tensor:
        inputs_BLD = unit_rms(gated_BTD.float()) * self.conv_gain_D[str(layer)]
        if state is not None:
            inputs_BLD, boundary_BT = state.convolution_inputs(layer, inputs_BLD)
        elif self.boundary_ids and boundary_BT is None:
            raise ValueError("the convolution must know where documents end: boundary_BT=engram.boundaries(tokens_BT)")
        return convolved(
            inputs_BLD,
            self.taps_WD[str(layer)],
            dilation=self.max_order,
            length=gated_BTD.shape[1],
            boundary_BL=boundary_BT,
        )

    @contextmanager
    def suppressed(self, layers: Collection[int] | None = None) -> Iterator[None]:
        """Close the gates of these layers (of all, if not given) while it lasts, and touch nothing else. `silenced`
        counts how often a closed gate was asked, for a result to say that it was made without this memory."""
        before, self.silent = self.silent, frozenset(self.layers if layers is None else layers)
        if unknown := self.silent - set(self.layers):
            self.silent = before
            raise BadInput(f"layers {sorted(unknown)} cannot be suppressed: the module is in {list(self.layers)}")
        try:
            yield
        finally:
            self.silent = before

    @property
    def reach(self) -> int:
        """How many tokens back the convolution reads."""
        return (TAPS - 1) * self.max_order if self.conv == "on" else 0

    # From tokens to rows

    def rows(
        self,
        tokens_BT: Tensor,
        boundary_BT: Tensor | None = None,
        *,
        salt_B: NDArray[np.int64] | None = None,
        state: DecodeState | None = None,
    ) -> dict[int, NDArray[np.int64]]:
        """Return layer -> rows_BTH of the n-grams that end at each token. Row t depends on tokens t-N+1..t only, as far
        as they stand in the same document.

        `boundary_BT`: which tokens stand between documents (padding does); not given, those of `boundary_ids`.
        `salt_B`: numbers >= 0 that give every sequence rows of its own (a control). `state`: these tokens go on from
        those that it holds.
        """
        marks_BT = self.boundaries(tokens_BT) if boundary_BT is None else boundary_BT
        boundary_BL = None if marks_BT is None else marks_BT.cpu().numpy()
        compressed_BL = self.compressed(tokens_BT)
        if state is not None:
            compressed_BL, boundary_BL = state.extended(compressed_BL, boundary_BL)
        before = compressed_BL.shape[1] - tokens_BT.shape[1]
        found = {layer: self.hashes[layer].rows(compressed_BL, boundary_BL, salt_B) for layer in self.layers}
        return {layer: rows_BLH[:, before:] for layer, rows_BLH in found.items()}

    def boundaries(self, tokens_BT: Tensor) -> Tensor | None:
        """Return which tokens stand between documents; None where no token id does."""
        if not self.boundary_ids:
            return None
        return torch.isin(tokens_BT, torch.tensor(self.boundary_ids, device=tokens_BT.device))

    def compressed(self, tokens_BT: Tensor) -> NDArray[np.int64]:
        """Return int64 compressed ids. Raises BadInput on a token that the compression does not have."""
        tokens: NDArray[np.int64] = tokens_BT.cpu().numpy()
        low, high = tokens.min(initial=0), tokens.max(initial=0)
        if low < 0 or high >= len(self._map):
            raise BadInput(
                f"token id {low if low < 0 else high}: the engram compression has ids 0 to {len(self._map) - 1}; "
                "give it the vocabulary of the tokenizer that made the tokens"
            )
        return self._map[tokens]

    def table_rows(self, layer: int) -> int:
        return self.hashes[layer].total_rows

    @cached_property
    def _map(self) -> NDArray[np.int64]:
        return self.map_V.cpu().numpy().astype(np.int64)

    @property
    def compression(self) -> Compression:
        return Compression(self._map.astype(np.int32), int(self._map.max()) + 1)

    @cached_property
    def hashes(self) -> dict[int, NgramHash]:
        orders = self.max_order - self.min_order + 1
        return build_hashes(
            layers=self.layers,
            min_order=self.min_order,
            max_order=self.max_order,
            heads=self.heads,
            base_rows=[self.base_rows] * orders if isinstance(self.base_rows, int) else self.base_rows,
            compressed_size=self.compression.size,
            pad=int(self._map[self.pad_id]),
            seed=self.seed,
            mode=self.mode,
            multipliers=self.multipliers,
        )

    def describe(self) -> dict[str, Any]:
        """Return everything that defines an address: kept with the weights, and compared when they are loaded."""
        compression = self.compression
        named = {name: getattr(self, name) for name, value in UNNAMED.items() if getattr(self, name) != value}
        return {
            "hash_version": HASH_VERSIONS[self.mode],
            "arguments": {
                "width": self.width,
                "layers": list(self.layers),
                "max_order": self.max_order,
                "heads": self.heads,
                "row_width": self.row_width,
                "rows": self.base_rows,
                "seed": self.seed,
                **named,
            },
            "compressed_size": compression.size,
            "compression_sha256": compression.digest,
            "multipliers": {str(layer): hashes.multipliers.tolist() for layer, hashes in self.hashes.items()},
            "primes": {str(layer): hashes.primes.tolist() for layer, hashes in self.hashes.items()},
        }


def _forget_addresses(engram: nn.Module, _: object) -> None:
    """Weights were loaded, and their map with them: addresses follow from it."""
    for name in ("_map", "hashes"):
        engram.__dict__.pop(name, None)


def _check_known(name: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise BadInput(f"engram {name}={value}: expected one of {', '.join(known)}")

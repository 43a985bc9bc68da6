"""What a trained Engram does: where it opens its gate, what is left without its rows, and which n-grams share them.

Shape legend: B batch, T tokens, E width of all rows of a token, H heads of all orders, O orders.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from adapters.engram.module import EngramModule
from adapters.engram.twins.draws import permutation
from adapters.engram.twins.recall import Changed, lens
from adapters.engram.twins.train import quick
from adapters.engram.twins.twin import Twin


def without_rows(twin: Twin, tokens_NT: Tensor, targets_N: Tensor) -> dict[str, float]:
    """Return the accuracy with rows changed after training: all of them zero, all their mean, those of other names, and
    those of one layer left out. Nothing for a network without a table."""
    if twin.engram is None:
        return {}
    ways: dict[str, Changed] = {"zero": _zero, "mean": _mean, "shuffled": _shuffled}
    for layer in twin.engram.layers:
        ways[f"layer {layer} off"] = lambda found, layer=layer: {at: rows for at, rows in found.items() if at != layer}  # type: ignore[misc]
    return {name: lens(twin, tokens_NT, targets_N, changed)[-1] for name, changed in ways.items()}


def _zero(found: dict[int, Tensor]) -> Mapping[int, Tensor]:
    return {layer: torch.zeros_like(rows_BTE) for layer, rows_BTE in found.items()}


def _mean(found: dict[int, Tensor]) -> Mapping[int, Tensor]:
    return {layer: rows_BTE.mean((0, 1)).expand_as(rows_BTE) for layer, rows_BTE in found.items()}


def _shuffled(found: dict[int, Tensor]) -> Mapping[int, Tensor]:
    return {layer: rows_BTE[permutation(len(rows_BTE), "shuffled", layer)] for layer, rows_BTE in found.items()}


@torch.no_grad()
def gates(twin: Twin, tokens_BT: Tensor) -> dict[str, Tensor]:
    """Return layer -> gate_BT: how much of what the rows say enters at each token."""
    if twin.engram is None:
        return {}
    with quick(tokens_BT.device):
        embeddings = twin.embeddings(tokens_BT)
        states = twin(tokens_BT, embeddings)
        return {
            str(layer): twin.engram.gates(layer, states[layer], rows_BTE)[..., 0]
            for layer, rows_BTE in embeddings.items()
        }


def collisions(engram: EngramModule, tokens_BT: Tensor) -> dict[str, float]:
    """Return, for the longest order of the first layer: how many distinct n-grams stand in these tokens, how many rows
    a head has for each of them, which share of n-grams shares its row with another one (mean over heads), and which
    share does so in every head at once."""
    hashes = engram.hashes[engram.layers[0]]
    compressed_BT = engram.compressed(tokens_BT)
    mixes = hashes.mix(compressed_BT)[..., -1].ravel()
    rows_UH = hashes.rows(compressed_BT).reshape(len(mixes), -1)[:, -hashes.primes.shape[1] :]
    _, first = np.unique(mixes, return_index=True)
    rows_UH = rows_UH[first]
    shared_UH = np.stack([_repeated(rows_U) for rows_U in rows_UH.T], axis=1)
    _, same = np.unique(rows_UH, axis=0, return_inverse=True)
    return {
        "ngrams": len(first),
        "rows_per_ngram": float(hashes.primes[-1].mean()) / len(first),
        "shared": float(shared_UH.mean()),
        "shared_in_all_heads": float(_repeated(same.ravel()).mean()),
    }


def _repeated(
    values_U: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    _, inverse, counts = np.unique(values_U, return_inverse=True, return_counts=True)
    repeated: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = counts[inverse] > 1
    return repeated

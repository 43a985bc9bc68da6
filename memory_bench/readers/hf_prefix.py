"""Keys and values of a model of `transformers` as a `Past`, which is kept and compared as the bundled reader's is.

A layer that keeps all of a text can be cut where two texts part. One that keeps a part of it (a sliding window, a
state) cannot: a model with such a layer keeps nothing from one prompt to the next.

Shape legend: B batch, H heads, T tokens, C width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from memory_bench.readers.model import LayerPast, LookUp, Past


def can_be_cut(config: Any) -> bool:
    """Return whether every layer of a model keeps keys and values of all that was read."""
    from transformers.cache_utils import DynamicCache, DynamicLayer

    shares = getattr(config.get_text_config(), "num_kv_shared_layers", 0)  # some layers have none of their own
    return not shares and all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)


def past_of(cache: Any, tokens_BT: Tensor, look_up: LookUp | None) -> Past:
    """Return what is kept of tokens that were read, one row of them."""
    nothing_BTC = torch.empty(*tokens_BT.shape, 0, device=tokens_BT.device)
    layers = [LayerPast(nothing_BTC, layer.keys, layer.values) for layer in cache.layers]
    return Past(tokens_BT, nothing_BTC, layers, {} if look_up is None else look_up(tokens_BT))


def cache_of(past: Past, config: Any, *, rows: int) -> Any:
    """Return a cache in which so many rows begin with what was kept. None of what is kept is written over."""
    from transformers.cache_utils import DynamicCache

    cache = DynamicCache(config=config)
    for number, layer in enumerate(past.layers):
        cache.update(layer.key_BHTC.expand(rows, -1, -1, -1), layer.value_BHTC.expand(rows, -1, -1, -1), number)
    return cache

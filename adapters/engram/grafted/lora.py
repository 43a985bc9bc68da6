"""LoRA beside the matrices of a model, in the model itself: no name of the model changes but those of these matrices.

Source: LoRA (arXiv 2106.09685), by `peft`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from memory_bench.errors import BadInput, Unavailable

if TYPE_CHECKING:
    from adapters.engram.grafted.overlay import Overlay

MARK = "lora_"


def settings(rank: int) -> dict[str, Any]:
    """Return what makes the matrices: beside every matrix of the layers. Raises BadInput on a rank below 1."""
    if rank < 1:
        raise BadInput(f"--lora {rank}: expected a whole number >= 1, such as --lora 8")
    return {"r": rank, "lora_alpha": 2 * rank, "target_modules": "all-linear"}


def insert(model: Any, options: Mapping[str, Any], *, seed: int = 0) -> None:
    """Put matrices into the model; it answers as before. Raises Unavailable without `peft`."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise Unavailable("LoRA needs its engine: pip install 'memory-bench-suite[hf]'") from error
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(LoraConfig(**options), model)
    model.eval()


def weights(model: Any) -> dict[str, Tensor]:
    """Return name -> parameter of the matrices that are in a model."""
    return {name: parameter for name, parameter in model.named_parameters() if MARK in name}


def add_lora(model: Any, held: Overlay) -> None:
    """Put the matrices of an overlay into the model, if it has some."""
    if not held.lora:
        return
    insert(model, held.settings)
    places = weights(model)
    if places.keys() != held.lora.keys():
        raise BadInput(f"the overlay's LoRA has {len(held.lora)} matrices, the model places for {len(places)}")
    with torch.no_grad():
        for name, parameter in places.items():
            parameter.copy_(held.lora[name])
            parameter.requires_grad_(False)

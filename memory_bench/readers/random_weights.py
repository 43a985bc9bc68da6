"""The bundled network in any size, with random weights: what costs are measured on. Imports torch alone."""

from __future__ import annotations

import math

import torch

from memory_bench.readers.model import Shape, TinyModel
from memory_bench.readers.room import check_memory

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def random_model(shape: Shape, device: torch.device, dtype: torch.dtype) -> TinyModel:
    """Return a frozen network, the same one each time. Raises BadInput where its weights have no room on the device."""
    with torch.device("meta"):
        model = TinyModel(shape).to(dtype)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    check_memory(
        f"a model of {parameters / 1e6:,.1f} M parameters",
        parameters * dtype.itemsize,
        device,
        mend="type a smaller reader.shape.width or reader.shape.layers",
    )
    model = model.to_empty(device=device).eval().requires_grad_(False)
    generator = torch.Generator(device).manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.normal_(std=1 / math.sqrt(parameter.shape[-1]), generator=generator)
        else:
            parameter.fill_(1.0)
    return model

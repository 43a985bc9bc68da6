"""A file of tensors that is written whole or not at all: half of one would be taken for damage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor


def save_whole(tensors: Mapping[str, Tensor], file: Path, *, metadata: Mapping[str, str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    try:
        save_file(dict(tensors), part, metadata=dict(metadata))
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)

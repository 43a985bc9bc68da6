"""What was grafted into a model, as one small file: its slot, the rows that hold something, and LoRA where it was used.

    overlay.safetensors    slot.*                    projections, and which token ids are one
                           rows.1.places, .values    of layer 1: the rows that are not zero, with their numbers
                           lora.*                    what was trained beside the model's own matrices
                           metadata                  which model it is for, by the sha256 of its files; what was paid

The model's own weights are in none of it. Loaded, the model answers to the bit as it did when it was saved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from adapters.engram.module import EngramModule
from adapters.engram.slot import EngramTable
from adapters.engram.table import described_by
from adapters.engram.whole import save_whole
from memory_bench.errors import BadInput

MAKE = "python -m adapters.engram.grafted learn"
DEFINING = ("config.json", "tokenizer.json")
WEIGHTS = (".safetensors", ".model")
"""Files of a model that an overlay is for: these by name, those by their ending. Another chat template is no matter."""
Parts = dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class Overlay:
    """`rows`: layer -> rows_RC, zero where nothing is; none of an overlay without. `lora`: name -> tensor, with the
    `settings` that made the places for them. `cost`: seconds of CPU time, steps, tokens of its training."""

    slot: EngramModule
    rows: Mapping[int, Tensor] = field(default_factory=dict)
    lora: Mapping[str, Tensor] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)

    def save(self, file: Path, *, identity: Mapping[str, str]) -> None:
        """Write it, whole or not at all, for the model of this identity."""
        tensors = {f"slot.{name}": tensor for name, tensor in self.slot.state_dict().items()}
        tensors |= {f"lora.{name}": tensor for name, tensor in self.lora.items()}
        for layer, rows_RC in self.rows.items():
            places_U = rows_RC.any(1).nonzero()[:, 0]
            tensors |= {f"rows.{layer}.places": places_U, f"rows.{layer}.values": rows_RC[places_U]}
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        kept = {
            "model": defining(identity),
            "slot": self.slot.describe(),
            "settings": dict(self.settings),
            "cost": dict(self.cost),
            "sha256": _digest(tensors),
        }
        save_whole(tensors, file, metadata={name: json.dumps(value) for name, value in kept.items()})

    def table(self, device: torch.device) -> EngramTable | None:
        """Return a table with the rows; None where there are none."""
        if not self.rows:
            return None
        table = EngramTable(self.slot, device)
        for layer, rows_RC in self.rows.items():
            table.rows[layer].copy_(rows_RC)
        return table


def load(file: Path, *, identity: Mapping[str, str]) -> Overlay:
    """Return the overlay of a file. Raises BadInput where there is none, where it is damaged, or where it was made for
    another model than that of this identity."""
    if not file.is_file():
        raise BadInput(f"reader.overlay={file}: no such file; make one ({MAKE}), or type reader.overlay=null")
    try:
        with safe_open(file, framework="pt") as opened:
            kept = {name: json.loads(text) for name, text in opened.metadata().items()}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        whole = _digest(tensors) == kept["sha256"]
        model, cost, settings, described = kept["model"], kept["cost"], kept["settings"], kept["slot"]
    except (SafetensorError, AttributeError, KeyError, ValueError) as error:
        raise BadInput(f"reader.overlay={file} holds no overlay ({error}): restore the file, or {MAKE}") from error
    if not whole:
        raise BadInput(f"reader.overlay={file} was altered: its tensors are not those saved; restore the file")
    _check_model(file, here=defining(identity), kept=model)
    parts: Parts = {"slot": {}, "rows": {}, "lora": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    slot = described_by(described, parts["slot"]["map_V"])
    slot.load_state_dict(parts["slot"])
    return Overlay(slot.requires_grad_(False), _rows(slot, parts["rows"]), parts["lora"], settings, cost)


def defining(identity: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of a reader's identity that say which model it is, whatever its folder is called."""
    files = {name.rpartition("/")[2]: digest for name, digest in identity.items()}
    return {name: digest for name, digest in files.items() if name in DEFINING or name.endswith(WEIGHTS)}


def _check_model(file: Path, *, here: Mapping[str, str], kept: Mapping[str, str]) -> None:
    for name in sorted({*here, *kept}):
        if here.get(name) != kept.get(name):
            mine, theirs = (str(digests.get(name))[:12] for digests in (here, kept))
            raise BadInput(
                f"reader.overlay={file} was made for another model: {name} has sha256 {mine}... here, {theirs}... "
                f"there; give that model, or make an overlay for this one ({MAKE})"
            )


def _rows(slot: EngramModule, kept: Mapping[str, Tensor]) -> dict[int, Tensor]:
    rows = {}
    for layer in slot.layers if kept else ():
        rows[layer] = torch.zeros(slot.table_rows(layer), slot.row_width)
        rows[layer][kept[f"{layer}.places"]] = kept[f"{layer}.values"]
    return rows


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 of all names and bytes: the library does not see that a number was altered."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

"""Weights in and out: a folder with `model.safetensors` and `config.json`, tied together by a sha256.

config.json   shape, slot, sha256 of the weights and of the tokenizer, how they were trained
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from memory_bench.errors import BadInput
from memory_bench.readers.model import Shape, Slot, TinyModel

WEIGHTS = Path(__file__).parent / "weights"
TOKENIZER = WEIGHTS / "tokenizer.json"
RESTORE = "restore the file (git checkout) or train again (python -m memory_bench train)"


def sha256(path: Path) -> str:
    with path.open("rb") as file:  # may be larger than memory
        return hashlib.file_digest(file, "sha256").hexdigest()


def find(weights: str) -> Path:
    """Return the folder of weights given by the name of bundled ones or by a path. Raises BadInput if there is none."""
    for folder in (WEIGHTS / weights, Path(weights)):
        if (folder / "config.json").is_file():
            return folder
    bundled = ", ".join(sorted(path.parent.name for path in WEIGHTS.glob("*/config.json")))
    raise BadInput(
        f"reader.weights={weights}: no such weights; bundled are {bundled}, or give a folder with config.json"
    )


def save(folder: Path, model: TinyModel, training: Mapping[str, Any]) -> None:
    """Write the weights (fp16: rounding changed no answer) and everything that they must agree with."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    save_file(halved, folder / "model.safetensors")
    config = {
        "shape": asdict(model.shape),
        "slot": None if model.slot is None else model.slot.describe(),
        "model_sha256": sha256(folder / "model.safetensors"),
        "tokenizer_sha256": sha256(TOKENIZER),
        "training": training,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def load(folder: Path, make_slot: Callable[..., Slot] | None) -> TinyModel:
    """Return the model in fp32. `make_slot` is called with the arguments that were kept with the weights.

    Raises BadInput if weights, tokenizer or slot are not those that the config names.
    """
    config = _read_config(folder)
    for key, path in (("model_sha256", folder / "model.safetensors"), ("tokenizer_sha256", TOKENIZER)):
        if not path.is_file():
            raise BadInput(f"{path.name} is missing, {folder.name} needs it: {RESTORE}")
        if (found := sha256(path)) != config[key]:
            raise BadInput(
                f"{path.name} of {folder.name} has sha256 {found[:12]}..., {config[key][:12]}... was expected: "
                + RESTORE
            )
    if (config["slot"] is None) != (make_slot is None):
        raise BadInput(
            f"the weights {folder.name} have {'no' if config['slot'] is None else 'a'} slot, the reader's YAML names "
            f"{'none' if make_slot is None else 'one'}: see slot in conf/reader"
        )
    slot = make_slot(**config["slot"]["arguments"]) if make_slot else None
    model = TinyModel(Shape(**config["shape"]), slot)
    tensors = load_file(folder / "model.safetensors")
    model.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in tensors.items()})
    if slot is not None:
        _check_slot(folder, found=slot.describe(), kept=config["slot"])
    return model.eval().requires_grad_(False)


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"config.json of {folder.name} is not JSON ({error}): {RESTORE}") from error
    return config


def _check_slot(folder: Path, *, found: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
    """An address must mean the row that it meant in training."""
    for key in found:
        if found[key] != kept.get(key):
            raise BadInput(
                f"the slot of {folder.name} addresses other rows than those it was trained with: "
                f"{key} is {found[key]}, {kept.get(key)} was expected: {RESTORE}"
            )

"""What a checkpoint says about addresses, and whether it means the rows that this module means.

Text that is kept as a tensor, so that it travels with the weights in any format and cannot be lost from them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from memory_bench.errors import BadInput

Description = Mapping[str, Any]

UNNAMED: Mapping[str, Any] = {
    "min_order": 2,
    "gate": "signed_sqrt",
    "conv": "off",
    "init": "identity",
    "pad_id": 0,
    "boundary_ids": [],
}
"""Arguments that a description of version 1 names only where they are not these: what it does not name had this value
when the version was new. It belongs to the version: a changed value needs another version."""


def to_tensor(description: Description) -> Tensor:
    return torch.tensor(list(json.dumps(description).encode()), dtype=torch.uint8)


def from_tensor(text: Tensor) -> dict[str, Any]:
    """Return the description. Raises BadInput where the text was damaged."""
    try:
        description: dict[str, Any] = json.loads(bytes(text.cpu().tolist()))
    except ValueError as error:
        raise BadInput(f"engram checkpoint: its addresses are not JSON ({error}): restore the file") from error
    return description


def check_address(*, here: Description, kept: Description) -> None:
    """Raises BadInput on the first thing that differs, with both values."""
    mine, theirs = dict(_leaves(_complete(here))), dict(_leaves(_complete(kept)))
    for name in [*mine, *(name for name in theirs if name not in mine)]:
        if mine.get(name) != theirs.get(name):
            what = "another tokenizer" if name.startswith("compress") else "other addresses"
            raise BadInput(
                f"engram checkpoint of {what}: {name} is {mine.get(name)} here and {theirs.get(name)} in the "
                "checkpoint; build the module as the checkpoint describes it"
            )


def _complete(description: Description) -> Description:
    return {**description, "arguments": {**UNNAMED, **description.get("arguments", {})}}


def _leaves(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value

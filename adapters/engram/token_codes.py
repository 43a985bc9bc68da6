"""Codes of tokens: what the rows of an n-gram have to hold for the bundled reader to say a token next.

    codes_tiny.safetensors    layer -> codes_VW, fp16; metadata: the weights and the slot that they were learned
                              against, and what learning them cost

They are learned once, by gradient, against a reader that stays as it is (`learn_codes`). To write is to copy them.

Shape legend: V vocabulary, W width of all rows of the longest order, R rows of a layer's table, P places of texts, T
tokens, H heads of an order, C width of a row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from adapters.engram.address import check_address
from adapters.engram.module import EngramModule
from adapters.engram.slot import EngramTable
from adapters.engram.whole import save_whole
from memory_bench.errors import BadInput

FOLDER = Path(__file__).parent
LEARN = "python -m adapters.engram.learn_codes"


@dataclass(frozen=True)
class TokenCodes:
    """`codes`: layer -> codes_VW. `weights_sha256` and `slot`: of the reader that they were learned against. `cost`: of
    learning them, a fixed cost of all writes: seconds of CPU time, steps, tokens, operations."""

    codes: Mapping[int, Tensor]
    weights_sha256: str
    slot: Mapping[str, Any]
    cost: Mapping[str, float]

    def save(self, file: Path) -> str:
        """Write them, rounded to fp16, and return the sha256 of the file."""
        kept = {"weights_sha256": self.weights_sha256, "slot": json.dumps(self.slot), "cost": json.dumps(self.cost)}
        tensors = {str(layer): codes_VW.half().cpu().contiguous() for layer, codes_VW in self.codes.items()}
        save_whole(tensors, file, metadata=kept)
        return _sha256(file)

    def check(self, slot: EngramModule, weights_sha256: str) -> None:
        """Raises BadInput where they were learned against another slot, or against other weights."""
        check_address(here=slot.describe(), kept=self.slot)
        if self.weights_sha256 != weights_sha256:
            raise BadInput(
                f"the codes of tokens were learned against weights with sha256 {self.weights_sha256[:12]}..., the "
                f"reader's have {weights_sha256[:12]}...: learn them again ({LEARN})"
            )

    def write(self, table: EngramTable, tokens: Sequence[int]) -> None:
        """Let the rows of the longest n-gram that ends at each token hold the code of the token after it; where two
        n-grams share a row, it holds the later one's. Nothing else moves."""
        following_P = torch.tensor(tokens[1:])
        found = table.slot.rows(torch.tensor([tokens[:-1]]))
        heads, width = table.slot.heads, table.slot.row_width
        for layer, rows_BTH in found.items():
            rows_RC, codes_PHC = table.rows[layer], self.codes[layer][following_P].view(-1, heads, width)
            for head in range(heads):
                rows_P = rows_BTH[0, :, head - heads]
                # each row once, from its last place: with a row named twice torch may copy either
                distinct_U, last_U = np.unique(rows_P[::-1], return_index=True)
                places_U = torch.from_numpy(len(rows_P) - 1 - last_U)
                rows_RC[torch.from_numpy(distinct_U).to(rows_RC.device)] = codes_PHC[places_U, head].to(rows_RC.device)

    def size_bytes(self) -> int:
        return sum(codes_VW.nbytes for codes_VW in self.codes.values())


def weights_sha256(identity: Mapping[str, str | None]) -> str:
    """Return the sha256 of a reader's weights by its identity; where they are in several files, of those of all."""
    found = sorted(str(digest) for name, digest in identity.items() if name.endswith((".safetensors", "/overlay")))
    return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()


def bundled(name: str) -> Path:
    return FOLDER / f"codes_{name}.safetensors"


def load(name: str, sha256: str) -> TokenCodes:
    """Return the bundled codes of that name, or those of a file.

    Raises BadInput where there are none, or where they are not those that `sha256` names.
    """
    file = bundled(name)
    file = file if file.is_file() else Path(name)
    if not file.is_file():
        known = ", ".join(sorted(path.stem.removeprefix("codes_") for path in FOLDER.glob("codes_*.safetensors")))
        raise BadInput(f"memory.codes={name}: no such codes; bundled are {known}, or give a file that {LEARN} wrote")
    if (found := _sha256(file)) != sha256:
        raise BadInput(
            f"{file.name} has sha256 {found[:12]}..., memory.sha256={sha256[:12]}... was expected: restore the "
            f"file, or learn the codes again ({LEARN}) and type the sha256 that it says"
        )
    try:
        with safe_open(file, framework="pt") as opened:
            kept = opened.metadata()
            codes = {int(layer): opened.get_tensor(layer).float() for layer in opened.keys()}  # noqa: SIM118
        return TokenCodes(codes, kept["weights_sha256"], json.loads(kept["slot"]), json.loads(kept["cost"]))
    except (SafetensorError, TypeError, KeyError, ValueError) as error:
        raise BadInput(f"{file.name} holds no codes of tokens ({error}): learn them ({LEARN})") from error


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()

"""What the tests of grafted Engram share: a small slot for models of `transformers`, its table, facts, and a model that
knows how facts are worded."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
from torch import Tensor

from adapters.engram.grafted.facts import facts
from adapters.engram.grafted.graft import Graft, graft
from adapters.engram.slot import EngramTable
from adapters.engram.write import pad
from memory_bench.contracts import Reader
from memory_bench.readers.hf import HfReader
from memory_bench.types import Event
from tests import checkpoints

SLOT: dict[str, Any] = {
    "layers": None,
    "layers_path": None,
    "max_order": 3,
    "heads": 2,
    "row_width": 8,
    "rows": 512,
    "seed": 0,
}


def grafted(folder: Path, *, slot: dict[str, Any] | None = None, **options: Any) -> HfReader:
    """Return the reader of a checkpoint, with a slot in it."""
    return checkpoints.made(folder, slot=partial(graft, **(SLOT | (slot or {}))), **options)


def overlaid(one: HfReader, file: Path) -> HfReader:
    """Return another reader of the same checkpoint, with what an overlay holds."""
    return grafted(one.folder, overlay=str(file))


def graft_of(one: HfReader) -> Graft:
    assert isinstance(one.slotted, Graft)
    return one.slotted


def table_of(one: HfReader, *, filled: bool = False) -> EngramTable:
    """Return a table for the slot of a reader: empty, or with something in every row."""
    table = EngramTable(graft_of(one).slot, one.device)
    for rows_RC in table.rows.values() if filled else ():
        rows_RC.normal_(generator=torch.Generator().manual_seed(0))
    return table


@torch.no_grad()
def logits(model: Any, tokens: list[int]) -> Tensor:
    """Return logits_TV of a pass that keeps nothing."""
    found: Tensor = model(torch.tensor([tokens]), use_cache=False).logits[0]
    return found


def events(told: Mapping[str, str]) -> list[Event]:
    return [Event(str(number), f"{cloze}{value}") for number, (cloze, value) in enumerate(told.items())]


def schooled(folder: Path, family: str, *, width: int = 64, layers: int = 3, steps: int = 80) -> Path:
    """Return the folder with a small model that has learned how facts are worded, from facts that nobody will ask."""
    lines = [event.text for event in events(facts(8 * steps, seed=-1))]
    sizes: dict[str, Any] = {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers}
    one = checkpoints.made(checkpoints.save(folder, family, lines=lines[:256], vocabulary=600, **sizes))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        one.model.init_weights()
    rows = [one.tokens(line) for line in lines]
    optimizer = torch.optim.AdamW(one.model.requires_grad_(True).parameters(), lr=3e-3)
    random = Random(0)
    for _ in range(steps):
        tokens_BT, real_BT = pad(random.sample(rows, 32), one.device)
        logits_BTV = one.model(input_ids=tokens_BT, use_cache=False).logits[:, :-1]
        losses_BT = F.cross_entropy(logits_BTV.transpose(1, 2), tokens_BT[:, 1:], reduction="none")
        optimizer.zero_grad()
        losses_BT[real_BT[:, 1:]].mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    one.model.save_pretrained(folder)
    return folder


def known(one: Reader, told: Mapping[str, str]) -> float:
    """Return the share of facts whose value an answer begins with."""
    answers = one.generate(list(told))
    right = [answer.text.startswith(value.strip()) for answer, value in zip(answers, told.values(), strict=True)]
    return sum(right) / len(right)

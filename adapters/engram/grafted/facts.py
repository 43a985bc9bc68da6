"""Invented facts that no model can know, and how many of them one does: names of syllables, values of four digits.

    The code of Zukato is 4411.

Shape legend: B facts, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor, nn

from adapters.engram.grafted.graft import Graft
from adapters.engram.write import pad
from memory_bench.readers.hf import HfReader
from memory_bench.readers.model import LookUp

SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
AT_ONCE = 64
"""So many facts are asked together."""


def facts(count: int, *, seed: int) -> dict[str, str]:
    """Return clozes with their values; fewer facts of a seed are the first of more."""
    random, found = Random(f"{seed}/facts"), dict[str, str]()
    while len(found) < count:
        name = "".join(random.choice(SYLLABLES) for _ in range(3)).capitalize()
        found.setdefault(f"The code of {name} is", f" {random.randrange(1000, 10000)}.")
    return found


@dataclass(frozen=True, eq=False)
class Asked:
    """tokens_BT, padded on the right, and asked_BT: which of them are of a value."""

    tokens_BT: Tensor
    asked_BT: Tensor

    def __len__(self) -> int:
        return len(self.tokens_BT)

    def __getitem__(self, chosen: slice | Tensor) -> Asked:
        return Asked(self.tokens_BT[chosen], self.asked_BT[chosen])


def asked(reader: HfReader, told: dict[str, str]) -> Asked:
    """Return the facts as tokens of a reader."""
    whole = [reader.tokens(cloze + value) for cloze, value in told.items()]
    tokens_BT, real_BT = pad(whole, reader.device)
    starts_B = torch.tensor([len(reader.tokens(cloze)) for cloze in told], device=reader.device)
    places_T = torch.arange(tokens_BT.shape[1], device=reader.device)
    return Asked(tokens_BT, real_BT & (places_T >= starts_B[:, None]))


def known(graft: Graft, questions: Asked, look_up: LookUp | None) -> float:
    """Return the share of facts of whose value each token is the likeliest, after those before it."""
    return _share((graft(part.tokens_BT, look_up), part) for part in _parts(questions))


def depths(graft: Graft, questions: Asked, look_up: LookUp | None) -> list[float]:
    """Return that share for a read-out after each layer: how early in the network the values stand there.

    The model itself reads out: its last layer gives back, in the place of its own, what stood behind an earlier one.
    """
    return [
        _share((_read_out(graft, part, depth, look_up), part) for part in _parts(questions))
        for depth in range(len(graft.blocks))
    ]


def _read_out(graft: Graft, part: Asked, depth: int, look_up: LookUp | None) -> Tensor:
    kept: list[Tensor] = []

    def keep(_: nn.Module, __: object, out: Tensor | tuple[Tensor, ...]) -> None:
        kept.append(out[0] if isinstance(out, tuple) else out)

    def give_back(_: nn.Module, __: object, out: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        return (kept[0], *out[1:]) if isinstance(out, tuple) else kept[0]

    hooks = [graft.blocks[depth].register_forward_hook(keep), graft.blocks[-1].register_forward_hook(give_back)]
    try:
        return graft(part.tokens_BT, look_up)
    finally:
        for hook in hooks:
            hook.remove()


def _parts(questions: Asked) -> Iterator[Asked]:
    for start in range(0, len(questions), AT_ONCE):
        yield questions[start : start + AT_ONCE]


@torch.no_grad()
def _share(read: Iterable[tuple[Tensor, Asked]]) -> float:
    """`read` is iterated here, so that no gradient is kept, and no more than one part's logits at once."""
    right = total = 0
    for logits_BTV, part in read:
        found_BT = logits_BTV[:, :-1].argmax(-1) == part.tokens_BT[:, 1:]
        right += int((found_BT | ~part.asked_BT[:, 1:]).all(1).sum())
        total += len(part)
    return right / total

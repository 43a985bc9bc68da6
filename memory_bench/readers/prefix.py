"""Prompts that were read: one that begins as an earlier one of its episode did is read from where the two part.

    prompt 0   A B C D q            nothing was read before: 0 cached tokens
    prompt 1   A B C D q a E r      begins as prompt 0, which was carried: 5 cached tokens; a E r are read
    prompt 2   A B X s              begins as prompt 1 up to B: 2 cached tokens

Only within an episode that carries its turns, where every memory's prompts grow alike. Anywhere else a question would
cost less for what others before it had cost, and its seconds would say in which order they were asked.

Nothing here can be stale. What the network makes of a text follows from its tokens and from what a memory's table had
for each of them, and both are compared: whatever was written, forgotten or replaced in between, a token for which the
table now has anything else is read again, and so is all that follows it. What is added to logits is never kept.

Shape legend: B = 1, T tokens, E width of what a table holds for a token.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from torch import Tensor

from memory_bench.errors import BadInput
from memory_bench.readers.model import LookUp, Past


class PrefixCache:
    """Pasts of prompts, at most `most_bytes` of them: the one that helped longest ago goes first. Of 0, it keeps and
    counts nothing. `carries`: whether prompts are kept; `cached_tokens`: of the prompt that was counted last."""

    def __init__(self, most_bytes: int) -> None:
        if most_bytes < 0:
            raise BadInput(f"reader.prefix_bytes={most_bytes}: expected a whole number >= 0; 0 keeps nothing")
        self.most_bytes = most_bytes
        self.carries = False
        self.cached_tokens = 0 if most_bytes else None
        self._pasts: list[Past] = []  # the one that helped last stands last

    def begin(self, *, carry: bool) -> None:
        """Forget everything. From now on prompts are kept if the episode carries them."""
        self._pasts.clear()
        self.carries = carry and self.most_bytes > 0
        self.cached_tokens = 0 if self.most_bytes else None

    def head(self, tokens_BT: Tensor, look_up: LookUp | None) -> Past:
        """Return the past of the longest head of the tokens that was read before, empty where there is none. The last
        token is always left: what follows it is asked for."""
        if not self._pasts:
            return Past()
        entering = {} if look_up is None else look_up(tokens_BT)
        shared = [_shared(past, tokens_BT, entering) for past in self._pasts]
        best = max(range(len(shared)), key=shared.__getitem__)
        if not shared[best]:
            return Past()
        self._pasts.append(self._pasts.pop(best))
        return self._pasts[-1].head(min(shared[best], tokens_BT.shape[1] - 1))

    def count(self, head: Past) -> None:
        self.cached_tokens = head.length if self.most_bytes else None

    def keep(self, past: Past) -> None:
        """Keep a prompt that was read, in the place of those that it begins with."""
        if not self.carries or _size_bytes(past) > self.most_bytes or past.tokens_BT is None:
            return
        # a table may hand out the numbers that it will write over
        entered = {layer: embeddings_BTE.clone() for layer, embeddings_BTE in past.entered.items()}
        others = [old for old in self._pasts if _shared(old, past.tokens_BT, entered) < old.length]
        self._pasts = [*others, replace(past, entered=entered)]
        while self.size_bytes() > self.most_bytes:
            del self._pasts[0]

    def size_bytes(self) -> int:
        return sum(map(_size_bytes, self._pasts))


def _shared(past: Past, tokens_BT: Tensor, entering: Mapping[int, Tensor]) -> int:
    """Return how many tokens from the first on are the same, and bring the same into the network."""
    assert past.tokens_BT is not None
    if past.entered.keys() != entering.keys():
        return 0
    length = min(past.length, tokens_BT.shape[1])
    same_T = past.tokens_BT[0, :length] == tokens_BT[0, :length]
    for layer, before_BTE in past.entered.items():
        same_T = same_T & (before_BTE[0, :length] == entering[layer][0, :length]).all(-1)
    return int(same_T.long().cumprod(0).sum())


def _size_bytes(past: Past) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in _tensors(past))


def _tensors(past: Past) -> Iterator[Tensor]:
    yield from (tensor for tensor in (past.tokens_BT, past.hidden_BTD) if tensor is not None)
    yield from past.entered.values()
    for layer in past.layers:
        yield from (layer.inputs_BLD, layer.key_BHTC, layer.value_BHTC)

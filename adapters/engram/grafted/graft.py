"""A slot in somebody else's model: hooks add what a table holds to the residual stream before chosen decoder layers.

    grafted = graft(model, tokenizer, layers=[1, 15], ...)
    with grafted.entering(table(tokens_BT)):    # layer -> embeddings_BTE of the tokens that are read
        model(tokens_BT)
    grafted.remove()                            # the model is what it was

A layer is wrapped by a hook and not by a module of ours: names and weights stay those of the checkpoint, so that what
knows the model by its names (saving, LoRA, quantisation) still does. Outside of `entering` the hooks do nothing.

Shape legend: B batch, T tokens, Q chosen positions, D width of the model, E width of all rows of a token, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from adapters.engram.grafted.layers import chosen, find_layers
from adapters.engram.grafted.lora import add_lora
from adapters.engram.grafted.overlay import load
from adapters.engram.module import EngramModule
from adapters.engram.slot import EngramTable
from memory_bench.errors import BadInput
from memory_bench.ngrams import Compression, compress_vocabulary
from memory_bench.readers.model import LookUp
from memory_bench.readers.room import check_memory

Alone: TypeAlias = Callable[[], AbstractContextManager[object]]
PROBED = 64
"""So many tokens, from all over the vocabulary, are read to know how large the residual stream is."""


def graft(
    model: Any,
    tokenizer: Any,
    *,
    layers: Sequence[int] | None,
    layers_path: str | None,
    max_order: int,
    heads: int,
    row_width: int,
    rows: int,
    seed: int,
    alone: Alone,
    identity: Mapping[str, str],
    overlay: str | None,
) -> Graft:
    """Return a model with a slot in it, whose projections are random, as those of the bundled reader's slot.

    `layers`: before which rows enter (0-based), null: the second and the one in the middle. `layers_path`: the name of
    the model's list of layers, null: found. `alone`: the context in which the model computes its attention. The rest
    are those of `EngramModule`. With an `overlay` for the model of this `identity`, the slot is the one that it holds.
    Raises BadInput where the layers are not found, or the overlay is not what it should be.
    """
    blocks = find_layers(model, layers_path)
    if overlay is not None:
        held = load(Path(overlay), identity=identity)
        add_lora(model, held)
        made = Graft(model, held.slot, blocks, alone=alone)
        made.look_up = held.table(model.device)
        return made
    _check(max_order=max_order, heads=heads, row_width=row_width, rows=rows)
    text = model.config.get_text_config()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        slot = EngramModule(
            width=text.hidden_size,
            layers=chosen(layers, len(blocks)),
            max_order=max_order,
            heads=heads,
            row_width=row_width,
            rows=rows,
            seed=seed,
            compression=compression(tokenizer, text.vocab_size),
        )
    numbers = sum(slot.table_rows(layer) for layer in slot.layers) * row_width
    check_memory(f"a table of {numbers:,} numbers", 4 * numbers, model.device, mend="type a smaller reader.slot.rows")
    made = Graft(model, slot, blocks, alone=alone)
    made.fit()
    return made


def _check(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < (least := 2 if name == "max_order" else 1):
            raise BadInput(f"reader.slot.{name}={value}: expected a whole number >= {least}")


class Graft:
    """`slot`: how rows enter. `blocks`: the model's decoder layers. `look_up`: the rows that came with the slot."""

    def __init__(self, model: Any, slot: EngramModule, blocks: nn.ModuleList, *, alone: Alone = nullcontext) -> None:
        self.model = model
        self.slot = slot.requires_grad_(False).to(model.device)
        self.alone = alone
        self.look_up: EngramTable | None = None
        self.blocks = blocks
        self._entered: Mapping[int, Tensor] = {}
        self._hooks = self._before_each(self._enter)

    @contextmanager
    def entering(self, embeddings: Mapping[int, Tensor]) -> Iterator[None]:
        """Let layer -> embeddings_BTE enter the model while it lasts: of the tokens that a pass is given, not of those
        whose keys and values it was given."""
        before, self._entered = self._entered, embeddings
        try:
            yield
        finally:
            self._entered = before

    def __call__(self, tokens_BT: Tensor, look_up: LookUp | None = None) -> Tensor:
        """Return logits_BTV, by a pass that keeps nothing. Tokens may be padded on the right."""
        with self.alone(), self.entering({} if look_up is None else look_up(tokens_BT)):
            logits_BTV: Tensor = self.model(input_ids=tokens_BT, use_cache=False).logits
        return logits_BTV

    def target_log_probs(
        self,
        logits_BTV: Tensor,
        tokens_BT: Tensor,  # noqa: ARG002 (the bundled reader's pointer copies from them)
        positions_BQ: Tensor,
        targets_BQ: Tensor,
    ) -> Tensor:
        """Return log p(target) at each position, fp32 [B, Q]."""
        chosen_BQV = logits_BTV.gather(1, positions_BQ[..., None].expand(-1, -1, logits_BTV.shape[2]))
        log_probs_BQV = chosen_BQV.float().log_softmax(-1)
        return log_probs_BQV.gather(2, targets_BQ[..., None])[..., 0]

    def remove(self) -> None:
        """Take everything out of the model."""
        for hook in self._hooks:
            hook.remove()

    def _enter(self, layer: int, _: object, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if layer not in self._entered:
            return None
        hidden_BTD = _residual(given, named)
        hidden_BTD = hidden_BTD + self.slot(layer, hidden_BTD, self._entered[layer]).to(hidden_BTD.dtype)
        return ((hidden_BTD, *given[1:]), named) if given else (given, {**named, "hidden_states": hidden_BTD})

    def _before_each(self, hook: Callable[..., Any]) -> list[RemovableHandle]:
        """Let a hook with the number of its layer run before each layer that rows enter."""
        return [
            self.blocks[layer].register_forward_pre_hook(partial(hook, layer), with_kwargs=True)
            for layer in self.slot.layers
        ]

    @torch.no_grad()
    def fit(self) -> None:
        """Scale what enters to the residual stream, by the median over tokens, since the first one may be huge: so the
        step size of a write means the same in every model."""

        def fit(layer: int, _: object, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            size = _residual(given, named).float().square().mean(-1).sqrt().median()
            for weight_DE in self.slot.value[str(layer)].parameters():
                weight_DE.mul_(size)

        watched = self._before_each(fit)
        try:
            self(torch.arange(PROBED, device=self.model.device)[None] * len(self.slot.map_V) // PROBED)
        finally:
            for hook in watched:
                hook.remove()


def _residual(given: tuple[Any, ...], named: Mapping[str, Any]) -> Tensor:
    """Return what a decoder layer is given: by place, or by the name that it has in `transformers`."""
    residual: Tensor = given[0] if given else named["hidden_states"]
    return residual


def compression(tokenizer: Any, size: int) -> Compression:
    """Return which of a model's `size` token ids are one. Ids that the tokenizer does not have, with which a model may
    be padded, stay apart."""
    added = tokenizer.added_tokens_decoder
    held = len(tokenizer)
    ids = range(max(size, held))
    pieces = [tokenizer.convert_ids_to_tokens(token) if token < held else None for token in ids]
    apart = {token for token in ids if pieces[token] is None or (token in added and added[token].special)}
    decoded = ["" if token in apart else tokenizer.decode([token], clean_up_tokenization_spaces=False) for token in ids]
    return compress_vocabulary([piece or "" for piece in pieces], decoded, apart)

"""What is paid once, before any event: a slot that takes rows in, and a code for every token of the vocabulary.

By simulated writes, as for the bundled reader (`adapters.engram.learn_codes`); the model stays as it is. With LoRA,
small matrices beside its own learn as well.

    OUT/overlay.safetensors    the slot, and LoRA: reader.overlay=OUT/overlay.safetensors
    OUT/codes.safetensors      what `engram_one_shot` copies: memory.codes=OUT/codes.safetensors memory.sha256=...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from torch import Tensor

from adapters.engram.grafted import lora
from adapters.engram.grafted.graft import Graft
from adapters.engram.grafted.overlay import Overlay
from adapters.engram.learn_codes import paid
from adapters.engram.token_codes import TokenCodes, weights_sha256
from memory_bench.errors import BadInput
from memory_bench.readers import checkpoint
from memory_bench.readers.hf import HfReader

LONGEST_PIECE = 4000
"""Characters of prose that are made tokens at once."""


def learn(
    reader: HfReader, prose: Iterable[str], *, steps: int, rank: int, seed: int, out: Path
) -> tuple[Path, Path, str]:
    """Return the overlay and the codes that were learned, and the sha256 of the codes. `rank`: of LoRA, 0: none.

    Raises BadInput on numbers that mean nothing, and where the reader has an overlay already."""
    if steps < 1:
        raise BadInput(f"--steps {steps}: expected a whole number >= 1, such as --steps 700")
    graft = reader.slotted
    assert isinstance(graft, Graft)
    options = lora.settings(rank) if rank else {}
    if rank:
        lora.insert(reader.model, options, seed=seed)
    learning: list[Tensor] = [*graft.slot.parameters(), *lora.weights(reader.model).values()]
    for parameter in learning:
        parameter.requires_grad_(True)
    codes, cost = paid(
        reader,
        list(pieces(prose, min(LONGEST_PIECE, reader.window_tokens))),
        embedding_VD=reader.model.get_input_embeddings().weight,
        steps=steps,
        seed=seed,
        also=learning,
    )
    for parameter in learning:
        parameter.requires_grad_(False)
    overlay, book = out / "overlay.safetensors", out / "codes.safetensors"
    made = Overlay(graft.slot, lora=lora.weights(reader.model), settings=options, cost=cost)
    made.save(overlay, identity=reader.identity())
    weights = weights_sha256({**reader.identity(), "/overlay": checkpoint.sha256(overlay)})
    return overlay, book, TokenCodes(codes.all(), weights, graft.slot.describe(), cost).save(book)


def pieces(prose: Iterable[str], characters: int) -> Iterator[str]:
    """Yield the prose in pieces that a model can read: a letter of ASCII is a token at most."""
    for text in prose:
        plain = text.encode("ascii", "ignore").decode()
        yield from (plain[start : start + characters] for start in range(0, len(plain), characters))

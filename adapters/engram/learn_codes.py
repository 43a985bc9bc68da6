"""Learns a code for every token against the bundled reader, whose weights stay as they are.

    python -m adapters.engram.learn_codes                       as the bundled codes were learned
    python -m adapters.engram.learn_codes --steps 100 --out codes.safetensors

By simulated writes: from some place on, the rows of each token of a text hold the code of the token after it, and the
reader has to say that token. Half of the texts are prose, with random tokens for half of their own: a reader could
guess the others. The other half are facts of the reader's own training grammar. As in a table that fills up, some heads
hold the code of another token, in the text that is written and in what stands before it; there the reader has to go on
as it would have.

Shape legend: B texts, T tokens, V vocabulary, D width of the model, W width of all rows of the longest order, E of all
orders, H heads of an order.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn

from adapters.engram.module import EngramModule
from adapters.engram.slot import EngramSlot
from adapters.engram.token_codes import TokenCodes, bundled, weights_sha256
from memory_bench.errors import BadInput, Unavailable
from memory_bench.readers.local import LocalReader, Slotted
from memory_bench.readers.model import unit_rms
from memory_bench.readers.tiny import TinyReader
from memory_bench.readers.training.corpus import read_corpus
from memory_bench.readers.training.evaluation import PLAIN
from memory_bench.readers.training.names import Names
from memory_bench.readers.training.prompts import PromptFactory, common_words
from memory_bench.readers.training.wordings import load_grammar

PACKAGES = ("networkx",)
BATCH, LENGTH = 16, 64
MOST_BEFORE = 40
"""From so late a token on, at most, a text is written."""
REPLACED = 0.5
"""So many tokens of written prose are random ones."""
MOST_LOST = 0.25
"""Up to so many heads hold the code of another token."""
START_STD = 0.02
SHARED_RATE, OWN_RATE = 0.02, 0.1
"""Of Adam: for the map from a token's embedding to its code, which all tokens share, and for what each adds."""
TOLD = 50
"""The loss is printed each so many steps, as their mean."""
ALSO_RATE = 0.001
"""For what else learns: projections of a slot, low-rank matrices."""
COOLED = 0.4
"""The share of the steps, at the end, over which the rates fall to 0."""


class Codes(nn.Module):
    """A code is a map of the token's embedding, shared by all tokens and quick to learn, and something of its own."""

    def __init__(self, embedding_VD: Tensor, slot: EngramModule, *, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        vocabulary, width = embedding_VD.shape
        wide = slot.heads * slot.row_width
        self.embedded_VD = unit_rms(embedding_VD.detach().float())
        self.shared_DW = nn.ParameterDict(
            {
                str(layer): nn.Parameter(torch.randn(width, wide, generator=generator) * START_STD)
                for layer in slot.layers
            }
        )
        self.own_VW = nn.ParameterDict(
            {str(layer): nn.Parameter(torch.zeros(vocabulary, wide)) for layer in slot.layers}
        )
        self.to(embedding_VD.device)

    def of(self, layer: int, tokens: Tensor) -> Tensor:
        """Return codes [..., W] of tokens [...]."""
        name = str(layer)
        return self.embedded_VD[tokens] @ self.shared_DW[name] + self.own_VW[name][tokens]  # type: ignore[no-any-return]

    def all(self) -> dict[int, Tensor]:
        tokens_V = torch.arange(len(self.embedded_VD), device=self.embedded_VD.device)
        return {int(name): self.of(int(name), tokens_V).detach() for name in self.own_VW}

    def optimizer(self) -> torch.optim.Optimizer:
        shared, own = list(self.shared_DW.parameters()), list(self.own_VW.parameters())
        return torch.optim.Adam([{"params": shared, "lr": SHARED_RATE}, {"params": own, "lr": OWN_RATE}])


class Texts:
    """Batches of texts, each with the place from which on it is written. Everything follows from the seed."""

    def __init__(self, reader: LocalReader, prose: Sequence[str], *, seed: int) -> None:
        self.first = reader.tokens("")
        self.reader = reader
        encoded = [self._plain(text) for text in prose]
        self.prose = [ids for ids in encoded if len(ids) > LENGTH]
        self.words = common_words(prose)
        self.factory = PromptFactory(load_grammar(held_out=False), prose, self.words, PLAIN)
        self.vocabulary = _slot(reader).map_V.numel()
        self.random = Random(f"{seed}/codes")

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return tokens_BT and written_BT: whether the rows of a token are."""
        starts = [self.random.randint(0, MOST_BEFORE) for _ in range(BATCH)]
        texts = [self._facts(start) if number % 2 else self._replaced(start) for number, start in enumerate(starts)]
        before, length = len(self.first), len(self.first) + LENGTH
        written_BT = torch.arange(length) >= before + torch.tensor(starts)[:, None]
        return torch.tensor([[*self.first, *text] for text in texts]), written_BT

    def _plain(self, text: str) -> list[int]:
        """Return the tokens of a text that stands among others."""
        return self.reader.tokens(text)[len(self.first) :]

    def _cut(self, length: int) -> list[int]:
        ids: list[int] = self.random.choice(self.prose)
        start = self.random.randrange(len(ids) - length + 1)
        return ids[start : start + length]

    def _replaced(self, start: int) -> list[int]:
        text = self._cut(LENGTH)
        for place in range(start + 1, LENGTH):
            if self.random.random() < REPLACED:
                text[place] = self.random.randrange(self.vocabulary)
        return text

    def _facts(self, start: int) -> list[int]:
        names, text = Names(self.random, self.words), self._cut(start)
        while len(text) < LENGTH:
            text += self._plain(self.factory.fact(self.random, names).sentence + "\n")
        return text[:LENGTH]


def learn(
    reader: LocalReader,
    texts: Texts,
    *,
    embedding_VD: Tensor,
    steps: int,
    seed: int,
    told: Callable[[float], None],
    also: Sequence[Tensor] = (),
) -> Codes:
    """Return the codes; `told` gets each step's loss (nats a token). `embedding_VD`: of the reader's tokens; `also`:
    parameters that learn beside the codes. Raises BadInput where the reader has no slot."""
    slotted, slot = reader.slotted, _slot(reader)
    assert slotted is not None
    codes = Codes(embedding_VD, slot, seed=seed)
    optimizer, generator = codes.optimizer(), torch.Generator().manual_seed(seed)
    if also:
        optimizer.add_param_group({"params": list(also), "lr": ALSO_RATE})
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (1 - step / steps) / COOLED))
    for _ in range(steps):
        tokens_BT, written_BT = (part_BT.to(reader.device) for part_BT in texts.batch())
        embeddings = simulated(codes, slot, tokens_BT, written_BT, generator=generator)
        loss = _loss(slotted, tokens_BT, embeddings)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        told(float(loss.detach()))
    return codes


def simulated(
    codes: Codes, slot: EngramModule, tokens_BT: Tensor, written_BT: Tensor, *, generator: torch.Generator
) -> dict[int, Tensor]:
    """Return layer -> embeddings_BTE: of the longest order the code of the next token where a text is written, and in
    some heads that of a random token; nothing in the rows of shorter n-grams."""
    shape = tokens_BT.shape
    lost = MOST_LOST * float(torch.rand((), generator=generator))
    next_BT = tokens_BT.roll(-1, 1)
    embeddings = {}
    for layer in slot.layers:
        others_BT = torch.randint(len(codes.embedded_VD), shape, generator=generator).to(tokens_BT.device)
        lost_BTH1 = (torch.rand(*shape, slot.heads, 1, generator=generator) < lost).to(tokens_BT.device)
        heads = (*shape, slot.heads, slot.row_width)
        right = (codes.of(layer, next_BT) * written_BT[..., None]).view(heads)
        found = torch.where(lost_BTH1, codes.of(layer, others_BT).view(heads), right).flatten(2)
        shorter = found.new_zeros(*shape, slot.embedding_width - found.shape[-1])
        embeddings[layer] = torch.cat([shorter, found], dim=-1)
    return embeddings


def _slot(reader: LocalReader) -> EngramModule:
    slot = getattr(reader.slotted, "slot", None)
    if not isinstance(slot, EngramModule):
        raise BadInput("codes of tokens are for the slot of a reader that has one: type reader=tiny")
    return slot


def _loss(model: Slotted, tokens_BT: Tensor, embeddings: Mapping[int, Tensor]) -> Tensor:
    hidden_BTD = model(tokens_BT, lambda _: embeddings)
    positions_BQ = torch.arange(tokens_BT.shape[1] - 1, device=tokens_BT.device).expand(len(tokens_BT), -1)
    return -model.target_log_probs(hidden_BTD, tokens_BT, positions_BQ, tokens_BT[:, 1:]).mean()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m adapters.engram.learn_codes", description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a file, and not the bundled one")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        if given.steps < 1:
            raise BadInput(f"--steps {given.steps}: expected a whole number >= 1, such as --steps 700")
        reader = TinyReader("tiny", device="cpu", window_tokens=8192, max_new_tokens=48, slot=partial(EngramSlot))
        sha256 = learned(reader, steps=given.steps, seed=given.seed, out=given.out or bundled("tiny"))
    except (BadInput, Unavailable) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"memory.codes={given.out or 'tiny'} memory.sha256={sha256}")
    return 0


def learned(reader: TinyReader, *, steps: int, seed: int, out: Path) -> str:
    """Learn the codes, save them with what they cost, and return the sha256 of the file."""
    codes, cost = paid(reader, list(prose()), embedding_VD=reader.model.embed.weight, steps=steps, seed=seed)
    return TokenCodes(codes.all(), weights_sha256(reader.identity()), _slot(reader).describe(), cost).save(out)


def prose() -> Iterator[str]:
    """Yield what is learned from: docstrings of installed packages."""
    yield from (document.text for document in read_corpus(PACKAGES) if not document.held_out)


def paid(
    reader: LocalReader,
    prose: Sequence[str],
    *,
    embedding_VD: Tensor,
    steps: int,
    seed: int,
    also: Sequence[Tensor] = (),
) -> tuple[Codes, dict[str, float]]:
    """Learn the codes, print the loss, and return them with what they cost."""
    started, losses = time.process_time(), list[float]()

    def told(loss: float) -> None:
        losses.append(loss)
        if len(losses) % TOLD == 0 or len(losses) == steps:
            last = losses[-TOLD:]
            print(f"step {len(losses)}  loss {sum(last) / len(last):.2f} nats a token", flush=True)

    texts = Texts(reader, prose, seed=seed)
    codes = learn(reader, texts, embedding_VD=embedding_VD, steps=steps, seed=seed, told=told, also=also)
    return codes, {"seconds": time.process_time() - started, "steps": steps, "tokens": steps * BATCH * LENGTH}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

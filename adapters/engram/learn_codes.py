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
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn

from adapters.engram.slot import EngramSlot
from adapters.engram.token_codes import TokenCodes, bundled
from memory_bench.errors import BadInput, Unavailable
from memory_bench.readers.local import LocalReader
from memory_bench.readers.model import TinyModel, unit_rms
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
COOLED = 0.4
"""The share of the steps, at the end, over which the rates fall to 0."""


class Codes(nn.Module):
    """A code is a map of the token's embedding, shared by all tokens and quick to learn, and something of its own."""

    def __init__(self, model: TinyModel, slot: EngramSlot, *, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        vocabulary, width = model.embed.weight.shape
        wide = slot.heads * slot.row_width
        self.embedded_VD = unit_rms(model.embed.weight)
        self.shared_DW = nn.ParameterDict(
            {
                str(layer): nn.Parameter(torch.randn(width, wide, generator=generator) * START_STD)
                for layer in slot.layers
            }
        )
        self.own_VW = nn.ParameterDict(
            {str(layer): nn.Parameter(torch.zeros(vocabulary, wide)) for layer in slot.layers}
        )

    def of(self, layer: int, tokens: Tensor) -> Tensor:
        """Return codes [..., W] of tokens [...]."""
        name = str(layer)
        return self.embedded_VD[tokens] @ self.shared_DW[name] + self.own_VW[name][tokens]  # type: ignore[no-any-return]

    def all(self) -> dict[int, Tensor]:
        tokens_V = torch.arange(len(self.embedded_VD))
        return {int(name): self.of(int(name), tokens_V).detach() for name in self.own_VW}

    def optimizer(self) -> torch.optim.Optimizer:
        shared, own = list(self.shared_DW.parameters()), list(self.own_VW.parameters())
        return torch.optim.Adam([{"params": shared, "lr": SHARED_RATE}, {"params": own, "lr": OWN_RATE}])


class Texts:
    """Batches of texts, each with the place from which on it is written. Everything follows from the seed."""

    def __init__(self, reader: LocalReader, prose: Sequence[str], *, seed: int) -> None:
        encoded = [reader.tokenizer.encode(text).ids for text in prose]
        self.prose = [ids for ids in encoded if len(ids) > LENGTH]
        self.words = common_words(prose)
        self.factory = PromptFactory(load_grammar(held_out=False), prose, self.words, PLAIN)
        self.reader = reader
        self.vocabulary = reader.tokenizer.get_vocab_size()
        self.random = Random(f"{seed}/codes")

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return tokens_BT and written_BT: whether the rows of a token are."""
        starts = [self.random.randint(0, MOST_BEFORE) for _ in range(BATCH)]
        texts = [self._facts(start) if number % 2 else self._replaced(start) for number, start in enumerate(starts)]
        return torch.tensor(texts), torch.arange(LENGTH) >= torch.tensor(starts)[:, None]

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
            text += self.reader.tokens(self.factory.fact(self.random, names).sentence + "\n")
        return text[:LENGTH]


def learn(reader: LocalReader, texts: Texts, *, steps: int, seed: int, told: Callable[[float], None]) -> Codes:
    """Return the codes; `told` gets each step's loss (nats a token). Raises BadInput where the reader has no slot."""
    model = reader.model
    if not isinstance(model.slot, EngramSlot):
        raise BadInput("codes of tokens are for the slot of a reader that has one: type reader=tiny")
    codes = Codes(model, model.slot, seed=seed)
    optimizer, generator = codes.optimizer(), torch.Generator().manual_seed(seed)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (1 - step / steps) / COOLED))
    for _ in range(steps):
        tokens_BT, written_BT = texts.batch()
        embeddings = simulated(codes, model.slot, tokens_BT, written_BT, generator=generator)
        loss = _loss(model, tokens_BT, embeddings)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        told(float(loss.detach()))
    return codes


def simulated(
    codes: Codes, slot: EngramSlot, tokens_BT: Tensor, written_BT: Tensor, *, generator: torch.Generator
) -> dict[int, Tensor]:
    """Return layer -> embeddings_BTE: of the longest order the code of the next token where a text is written, and in
    some heads that of a random token; nothing in the rows of shorter n-grams."""
    shape = tokens_BT.shape
    lost = MOST_LOST * float(torch.rand((), generator=generator))
    next_BT = tokens_BT.roll(-1, 1)
    embeddings = {}
    for layer in slot.layers:
        others_BT = torch.randint(len(codes.embedded_VD), shape, generator=generator)
        lost_BTH1 = torch.rand(*shape, slot.heads, 1, generator=generator) < lost
        heads = (*shape, slot.heads, slot.row_width)
        right = (codes.of(layer, next_BT) * written_BT[..., None]).view(heads)
        found = torch.where(lost_BTH1, codes.of(layer, others_BT).view(heads), right).flatten(2)
        shorter = found.new_zeros(*shape, slot.embedding_width - found.shape[-1])
        embeddings[layer] = torch.cat([shorter, found], dim=-1)
    return embeddings


def _loss(model: TinyModel, tokens_BT: Tensor, embeddings: Mapping[int, Tensor]) -> Tensor:
    hidden_BTD = model(tokens_BT, lambda _: embeddings)
    positions_BQ = torch.arange(tokens_BT.shape[1] - 1).expand(len(tokens_BT), -1)
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
    started, losses = time.process_time(), list[float]()

    def told(loss: float) -> None:
        losses.append(loss)
        if len(losses) % TOLD == 0 or len(losses) == steps:
            last = losses[-TOLD:]
            print(f"step {len(losses)}  loss {sum(last) / len(last):.2f} nats a token", flush=True)

    prose = [document.text for document in read_corpus(PACKAGES) if not document.held_out]
    codes = learn(reader, Texts(reader, prose, seed=seed), steps=steps, seed=seed, told=told)
    cost = {"seconds": time.process_time() - started, "steps": steps, "tokens": steps * BATCH * LENGTH}
    slot = reader.model.slot
    assert slot is not None
    weights = next(digest for name, digest in reader.identity().items() if name.endswith("model.safetensors"))
    return TokenCodes(codes.all(), weights, slot.describe(), cost).save(out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

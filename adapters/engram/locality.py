"""Locality: what becomes of text that has nothing to do with what was written into the table.

Sequences none of whose n-grams addresses a written row get the same logits, to the bit: `identical` counts them, and
any other number than `untouched` would be a fault. For the others it says how far the next token's distribution moves
(KL divergence from that of the empty table, in nats a token) and how often the likeliest token is another one.

A token reads rows of many heads. One that reads any written row is `exposed`; one that ends an n-gram all of whose
heads are written is `shared`: it was told, or as good as. The others read rows of other n-grams, by their hashes.

Neutral text is the prose of installed packages that the reader was not trained on; facts are those of its training
grammar, in wordings that were held out. They are written by memories of `conf/memory`, as they stand there.

Run: python -m adapters.engram.twins locality
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.resources import files
from random import Random
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
import yaml
from torch import Tensor

from adapters.engram.memory import RowMemory
from adapters.engram.slot import EngramSlot, EngramTable
from memory_bench.errors import BadInput
from memory_bench.plans import Job, Row
from memory_bench.readers.local import LocalReader
from memory_bench.readers.model import LookUp
from memory_bench.readers.tiny import TinyReader
from memory_bench.readers.training.corpus import Document, read_corpus
from memory_bench.readers.training.evaluation import PLAIN
from memory_bench.readers.training.names import Names
from memory_bench.readers.training.prompts import PromptFactory, common_words
from memory_bench.readers.training.wordings import load_grammar
from memory_bench.types import Event

NEUTRAL = ("jinja2", "pyarrow", "rich")
LENGTH = 64
AT_ONCE = 16
"""So many sequences go through the model together."""


def measure(reader: LocalReader, table: EngramTable, sequences_ST: Tensor) -> dict[str, float]:
    """Return how many of the tokens and sequences address a written row, and what that does to the next token."""
    exposed_ST, shared_ST = _read(table, sequences_ST)
    identical, moved, nats = 0, 0.0, 0.0
    for part_BT, exposed_BT in zip(torch.split(sequences_ST, AT_ONCE), torch.split(exposed_ST, AT_ONCE), strict=True):
        before_BTV, after_BTV = _log_probs(reader, part_BT, None), _log_probs(reader, part_BT, table)
        untouched_B = ~exposed_BT.any(1)
        same_B = torch.tensor([torch.equal(a, b) for a, b in zip(before_BTV, after_BTV, strict=True)])
        identical += int((same_B & untouched_B).sum())
        moved += float((before_BTV.argmax(-1) != after_BTV.argmax(-1)).sum())
        nats += float(F.kl_div(after_BTV, before_BTV, reduction="sum", log_target=True))
    written = {layer: int(rows_RC.any(1).sum()) for layer, rows_RC in table.rows.items()}
    return {
        "rows_written": sum(written.values()) / sum(len(rows_RC) for rows_RC in table.rows.values()),
        "tokens": sequences_ST.numel(),
        "tokens_exposed": float(exposed_ST.float().mean()),
        "tokens_shared": float(shared_ST.float().mean()),
        "sequences": len(sequences_ST),
        "untouched": int((~exposed_ST.any(1)).sum()),
        "identical": identical,
        "kl_nats": nats / sequences_ST.numel(),
        "top_1_changed": moved / sequences_ST.numel(),
    }


def _read(table: EngramTable, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Return which tokens read a row that holds something, in any layer; and which read nothing but such rows for some
    order, in some layer."""
    heads = table.slot.heads
    exposed_BT = shared_BT = torch.zeros(tokens_BT.shape, dtype=torch.bool)
    for layer, rows_BTH in table.slot.rows(tokens_BT).items():
        holds_BTH = table.rows[layer].any(1).cpu()[torch.from_numpy(rows_BTH)]
        exposed_BT = exposed_BT | holds_BTH.any(-1)
        shared_BT = shared_BT | holds_BTH.view(*tokens_BT.shape, -1, heads).all(-1).any(-1)
    return exposed_BT, shared_BT


@torch.inference_mode()
def _log_probs(reader: LocalReader, tokens_BT: Tensor, look_up: LookUp | None) -> Tensor:
    positions_BT = torch.arange(tokens_BT.shape[1], device=tokens_BT.device).expand(len(tokens_BT), -1)
    found: Tensor = reader.model.next_log_probs(reader.model(tokens_BT, look_up), tokens_BT, positions_BT)
    return found


def neutral_text(reader: LocalReader, documents: Sequence[Document], *, sequences: int, seed: int) -> Tensor:
    """Return sequences_ST of tokens cut from the documents at random. Raises BadInput where they are too short."""
    tokens = [reader.tokenizer.encode(document.text).ids for document in documents]
    long = [ids for ids in tokens if len(ids) >= LENGTH]
    if not long:
        raise BadInput(f"no document has {LENGTH} tokens: install {', '.join(NEUTRAL)}")
    random = Random(f"{seed}/neutral")
    chosen = random.choices(long, weights=[len(ids) for ids in long], k=sequences)
    starts = [random.randrange(len(ids) - LENGTH + 1) for ids in chosen]
    return torch.tensor([ids[start : start + LENGTH] for ids, start in zip(chosen, starts, strict=True)])


def facts(count: int, words: Sequence[str], *, seed: int) -> list[Event]:
    """Return facts in wordings that the reader was never trained on. Fewer facts of a seed are the first of more."""
    random = Random(f"{seed}/facts")
    factory = PromptFactory(load_grammar(held_out=True), [], words, PLAIN)
    names = Names(random, words)
    return [Event(str(number), factory.fact(random, names).sentence) for number in range(count)]


def made(name: str) -> RowMemory:
    """Return a memory of `conf/memory` by its name: one that writes rows."""
    file = files("memory_bench.conf") / "memory" / f"{name}.yaml"
    options = {key: value for key, value in yaml.safe_load(file.read_text(encoding="utf-8")).items() if key != "claims"}
    module, _, target = options.pop("_target_").rpartition(".")
    memory: RowMemory = getattr(import_module(module), target)(**options)
    return memory


@dataclass(frozen=True)
class LocalityPlan:
    """Each of the `memories` is told each number of `facts` of a seed, into an empty table, and `sequences` of neutral
    text are read before and after."""

    memories: Sequence[str]
    facts: Sequence[int]
    sequences: int
    seeds: Sequence[int]

    def jobs(self, done: Sequence[Row]) -> Iterator[Job]:  # noqa: ARG002 (nothing is swept)
        for seed in self.seeds:
            for name in self.memories:
                key = {"purpose": "seed", "arm": name, "seed": seed}
                yield Job(key, lambda name=name, seed=seed: self.measured(name, seed))  # type: ignore[misc]

    def measured(self, name: str, seed: int) -> dict[str, Any]:
        """Return what the reader is, and a point for each number of facts."""
        reader = TinyReader("tiny", device="cpu", window_tokens=8192, max_new_tokens=48, slot=partial(EngramSlot))
        memory = made(name)
        memory.attach(reader)
        return {"reader": dict(reader.identity()), "curve": list(self.points(reader, memory, seed))}

    def points(self, reader: LocalReader, memory: RowMemory, seed: int) -> Iterator[dict[str, Any]]:
        """`memory` is attached to the reader. `write_seconds` are of CPU time, for all facts."""
        documents = read_corpus(NEUTRAL)
        # words of names come from other files than the text that is measured: else each would hold the other's n-grams
        halves = [[document for document in documents if int(document.sha256, 16) % 2 == half] for half in (0, 1)]
        words = common_words([document.text for document in halves[0]])
        sequences_ST = neutral_text(reader, halves[1], sequences=self.sequences, seed=seed).to(reader.device)
        for count in self.facts:
            told = facts(count, words, seed=seed)
            memory.reset()
            started = time.process_time()
            memory.write(told)
            memory.settle()
            seconds = round(time.process_time() - started, 3)
            # step: of gradient, it is the memory's own matter; the plans that train have it there
            yield {"step": 0, "facts": count, "write_seconds": seconds, **measure(reader, memory.table, sequences_ST)}

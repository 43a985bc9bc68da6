"""Train a bundled reader: `python -m memory_bench train train=tiny seed=1`.

Reads text (`training/corpus.py`), learns to read (`training/reading.py`), saves the weights with their sha256, and
measures what the reader can read (`training/evaluation.py`). A run that was cut off goes on from its checkpoint. The
weights are used by `reader.weights=training/tiny`. Under `torchrun`, several processes share the work
(`training/ranks.py`).
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from tokenizers import Tokenizer

from memory_bench import config
from memory_bench.errors import BadInput
from memory_bench.readers import checkpoint
from memory_bench.readers.model import Shape, TinyModel
from memory_bench.readers.tiny import TinyReader, choose_device
from memory_bench.readers.training.batches import Batches
from memory_bench.readers.training.corpus import RUN, Document, load_corpus, repeated
from memory_bench.readers.training.evaluation import bits_per_byte, evaluate
from memory_bench.readers.training.prompts import Mix, PromptFactory, common_words
from memory_bench.readers.training.ranks import ALONE, Ranks, joined
from memory_bench.readers.training.reading import Schedule, logged, train_reading
from memory_bench.readers.training.tokenizer import train_tokenizer
from memory_bench.readers.training.wordings import load_grammar

FREE = ("log_every", "checkpoint_every", "workers")
"""What may be another when a training goes on: none of it changes a weight."""


def main(arguments: list[str]) -> int:
    """Train what the overrides name; return the exit code."""
    options = config.training(arguments)
    _check(options["train"])
    if options["threads"] is not None:
        torch.set_num_threads(options["threads"])
    with joined(choose_device(options["device"])) as ranks:
        _run(options, ranks)
    return 0


def _run(options: Mapping[str, Any], ranks: Ranks) -> None:
    console = Console(highlight=False, quiet=not ranks.first)
    folder = Path(options["out"]) / options["train"]["weights"]
    with ranks.in_turn():
        folder.mkdir(parents=True, exist_ok=True)
        keep_plan(folder, options)
        documents = load_corpus(options["train"]["packages"], Path(options["out"]) / "corpus.jsonl")
        _ensure_tokenizer(documents)
    console.print(f"{len(documents)} files, {sum(len(d.text) for d in documents) / 1e6:.1f} MB of prose")
    train(options, documents, folder, console, ranks)
    if not ranks.first:
        return
    node = {**options["reader"], "weights": str(folder), "device": options["device"]}
    measure(
        config.build_training(node), documents, folder, console, questions=options["questions"], seed=options["seed"]
    )
    console.print(f"use it with reader.weights={folder}")


def train(
    options: Mapping[str, Any], documents: list[Document], folder: Path, console: Console, ranks: Ranks = ALONE
) -> None:
    """Train and save the weights with everything that they must agree with, and the list of files that were read."""
    plan, seed = options["train"], options["seed"]
    device = choose_device(options["device"])
    tokenizer = Tokenizer.from_file(str(checkpoint.TOKENIZER))
    texts = [document.text for document in documents if not document.held_out]
    grammar, words = load_grammar(held_out=False), common_words(texts)
    schedule = Schedule(**plan["reading"])
    untils = accumulate(steps for steps, _ in plan["mixes"])
    factories = [
        (until, PromptFactory(grammar, texts, words, Mix(**mix)))
        for until, (_, mix) in zip(untils, plan["mixes"], strict=True)
    ]
    batches = Batches(factories, seed=seed, **plan["prompts"])
    torch.manual_seed(seed)
    shape = Shape(**plan["shape"], newline=tokenizer.encode("\n").ids[0])
    slot = config.build_training(plan["slot"], width=shape.width, seed=seed) if plan["slot"] else None
    model = TinyModel(shape, slot)
    for row in train_reading(model, batches, schedule, device=device, folder=folder, ranks=ranks):
        console.print(_line(row, schedule.steps))
    if not ranks.first:
        return
    seconds = logged(folder, schedule.steps)["seconds"]
    made = {
        "options": dict(options),
        "seconds": round(seconds, 1),
        "parameters": sum(p.numel() for p in model.parameters()),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        **({"processes": ranks.count} if ranks.count > 1 else {}),
    }
    checkpoint.save(folder, model, made)
    sources = {document.source: document.sha256 for document in documents if not document.held_out}
    (folder / "sources.json").write_text(json.dumps(sources, indent=0) + "\n", encoding="utf-8")


def measure(
    reader: TinyReader, documents: list[Document], folder: Path, console: Console, *, questions: int, seed: int
) -> None:
    """Write `figures.json`: exact match by wording, length and number of facts, bits per byte of held-out text, and how
    much of that was trained on."""
    held_out = [document.text for document in documents if document.held_out]
    words = common_words([document.text for document in documents if not document.held_out])
    figures = []
    for figure in evaluate(reader, held_out, words, questions=questions, seed=seed):
        figures.append(asdict(figure))
        cell = f"{figure.wording:20s} {figure.context_tokens:5d} tokens {figure.facts:3d} facts"
        console.print(f"{cell}  {figure.exact_match:.3f}")
    trained = (reader.tokenizer.encode(document.text).ids for document in documents if not document.held_out)
    asked = (reader.tokenizer.encode(text).ids for text in held_out)
    bits, share = bits_per_byte(reader, held_out), repeated(trained, asked)
    kept = {"figures": figures, "bits_per_byte": bits, "repeated": share, "seed": seed}
    (folder / "figures.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    console.print(
        f"bits per byte of held-out text: {bits:.3f}; {share:.0%} of its runs of {RUN} tokens were trained on"
    )


def keep_plan(folder: Path, options: Mapping[str, Any]) -> None:
    """Write `plan.json`, or find there the same plan: a training goes on as what it was begun as, or not at all.

    Raises BadInput where the folder holds a training by another plan, or seed.
    """
    reading = {key: value for key, value in options["train"]["reading"].items() if key not in FREE}
    plan = json.loads(json.dumps({"seed": options["seed"], **options["train"], "reading": reading}))
    path = folder / "plan.json"
    begun = (folder / "checkpoint.pt").exists()
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if begun and kept != plan:
        other = ", ".join(key for key in plan if kept.get(key) != plan[key])
        raise BadInput(
            f"out={options['out']}: {folder} holds a training that was begun with another {other}: "
            f"name another folder (out={options['out']}_2), or delete this one"
        )
    path.write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")


def _check(plan: Mapping[str, Any]) -> None:
    mixed, timed = sum(steps for steps, _ in plan["mixes"]), Schedule(**plan["reading"]).steps
    if mixed != timed:
        raise BadInput(f"train.mixes last {mixed} steps and train.reading.pieces {timed}: make them equal")


def _ensure_tokenizer(documents: list[Document]) -> None:
    if not checkpoint.TOKENIZER.exists():
        texts = (document.text for document in documents if not document.held_out)
        train_tokenizer(texts, Shape().vocabulary).save(str(checkpoint.TOKENIZER))


def _line(row: Mapping[str, float], steps: int) -> str:
    left = row["seconds"] / row["step"] * (steps - row["step"])
    return (
        f"step {row['step']}/{steps}  answers {row['answer_nll']:.3f} nats, right {row['token_accuracy']:.3f}  "
        f"text {row['lm_nll']:.3f} nats  {left:.0f} s left"
    )

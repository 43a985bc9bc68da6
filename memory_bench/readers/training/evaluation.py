"""What the reader can read: exact match on names, values and text that it was never trained on.

A cell is a wording (of the event; another one; each trained or held out), a length and a number of stated facts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

import torch

from memory_bench.contracts import Reader
from memory_bench.metrics import exact_match
from memory_bench.readers.tiny import TinyReader
from memory_bench.readers.training.prompts import UNKNOWN, Mix, PromptFactory
from memory_bench.readers.training.wordings import load_grammar

PLAIN = Mix(random_wording=0.0, unknown=0.0, nothing=0.0, updated=0.0, block=0.0)
WORDINGS = {
    "event, trained": (replace(PLAIN, reworded=0.0), False),
    "event, unseen": (replace(PLAIN, reworded=0.0), True),
    "reworded, trained": (replace(PLAIN, reworded=1.0), False),
    "reworded, unseen": (replace(PLAIN, reworded=1.0), True),
    "unknown, trained": (replace(PLAIN, reworded=0.5, unknown=1.0), False),
    "unknown, unseen": (replace(PLAIN, reworded=0.5, unknown=1.0), True),
    "updated, unseen": (replace(PLAIN, reworded=0.5, updated=1.0), True),
}
SIZES = ((0, 4), (512, 1), (512, 4), (512, 16), (2048, 4))  # tokens of context (0: the facts alone), facts


@dataclass(frozen=True)
class Figure:
    """Exact match over n questions, one a prompt."""

    wording: str
    context_tokens: int
    facts: int
    exact_match: float
    questions: int


def evaluate(
    reader: Reader, texts: Sequence[str], words: Sequence[str], *, questions: int, seed: int
) -> Iterator[Figure]:
    """Yield one figure a cell. `texts` is hay that the reader was not trained on."""
    for wording, (mix, held_out) in WORDINGS.items():
        factory = PromptFactory(load_grammar(held_out=held_out), texts, words, mix)
        for tokens, facts in SIZES:
            random = Random(f"{seed}/{wording}/{tokens}/{facts}")
            prompts = [_draw(factory, random, tokens, facts, verbatim=mix.reworded == 0) for _ in range(questions)]
            scores = []
            step = max(1, 65536 // (tokens + 512))
            for start in range(0, questions, step):
                chunk = prompts[start : start + step]
                completions = reader.generate([question for question, _ in chunk])
                scores += [exact_match(c.text, [gold]) for c, (_, gold) in zip(completions, chunk, strict=True)]
            yield Figure(wording, tokens, facts, sum(scores) / questions, questions)


def _draw(factory: PromptFactory, random: Random, tokens: int, facts: int, *, verbatim: bool) -> tuple[str, str]:
    """Return a prompt that ends with one question, and its answer."""
    while True:
        scene = factory.draw(random, tokens=tokens, questions=1, facts=facts)
        ((question, answer),) = scene.questions
        stated = any(question in passage for passage in scene.passages)
        if answer == UNKNOWN or verbatim == stated or factory.mix.reworded not in (0.0, 1.0):
            return "\n".join((*scene.passages, question)), answer


def bits_per_byte(reader: TinyReader, texts: Sequence[str], *, windows: int = 64, length: int = 512) -> float:
    """Return the mean loss on held-out text in bits per byte of UTF-8, over windows of `length` tokens."""
    nats, size = 0.0, 0
    for text in texts[:windows]:
        tokens = reader.tokenizer.encode(text).ids[:length]
        tokens_BT = reader.batch([tokens])
        with torch.inference_mode():
            positions_BQ = torch.arange(len(tokens) - 1, device=reader.device)[None]
            hidden_BTD = reader.model(tokens_BT)
            nats -= reader.model.target_log_probs(hidden_BTD, tokens_BT, positions_BQ, tokens_BT[:, 1:]).sum().item()
        size += len(reader.tokenizer.decode(tokens[1:]).encode())
    return nats / math.log(2) / size

"""Where memory meets attention: the prompt that a memory leaves, and what a reader takes for it with attention off and
on.

Tokens and seconds of memories are those of published records, of the bundled reader. The reader's seconds are those of
`reader=shape` in all its layers, derived from a few of them: layers are alike, and take turns. What a memory adds
inside the model is not in them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from memory_bench.plans import Row
from memory_bench.provenance import ROOT
from memory_bench.readers.attention_costs.subject import DECODE, NETWORK, PREFILL

LAYERS = 24
RECORDS, TASK, BUDGET = Path("results/published/compare.parquet"), "needle", 256
FULL, RIGHT = "full_context", "scores.exact_match"
COLUMNS = {
    "costs.prompt_tokens": "prompt_tokens",
    "costs.completion_tokens": "completion_tokens",
    "costs.read_seconds": "read_seconds",
    "costs.embed_seconds": "embed_seconds",
    "episode.write_seconds": "write_seconds",
    "episode.embed_seconds": "write_embed_seconds",
}


@dataclass(frozen=True)
class Memory:
    """Medians of a memory's questions, and of its episodes for what is written."""

    name: str
    right: float
    """The share of its answers that are."""
    prompt_tokens: float
    completion_tokens: float
    find_seconds: float
    """Of a question: looking up, and embedding it."""
    write_seconds: float
    """Of an episode: writing, and embedding it."""


@dataclass(frozen=True)
class Curve:
    """Seconds of a forward by the tokens of its context, of all layers, with one kernel."""

    prefill: Mapping[int, float]
    decode: Mapping[int, float]

    def seconds(self, prompt_tokens: float, completion_tokens: float) -> float | None:
        """Return the seconds of an answer: the prompt is read, and each further token written. None outside of what
        was measured."""
        read, each = between(self.prefill, prompt_tokens), between(self.decode, prompt_tokens)
        return None if read is None or each is None else read + each * max(0.0, completion_tokens - 1)

    def length(self, seconds: float, completion_tokens: float, *, least: float) -> float | None:
        """Return from which prompt on an answer takes longer than that; None where none that was measured does."""
        low, high = least, float(min(max(self.prefill), max(self.decode)))
        most = self.seconds(high, completion_tokens)
        if most is None or most < seconds:
            return None
        while high - low > 0.5:
            middle = (low + high) / 2
            taken = self.seconds(middle, completion_tokens)
            low, high = (low, middle) if taken is not None and taken > seconds else (middle, high)
        return high


@dataclass(frozen=True)
class Meeting:
    """Seconds of an answer with a memory's prompt and with the whole context, off and on, and what follows from
    them."""

    memory: Memory
    off: float
    on: float
    full_off: float
    full_on: float
    even_off: float | None
    even_on: float | None

    @property
    def memory_alone(self) -> float:
        return 1 - self.off / self.full_off

    @property
    def flash_alone(self) -> float:
        return 1 - self.full_on / self.full_off

    @property
    def both(self) -> float:
        return 1 - self.on / self.full_off

    @property
    def memorys_share(self) -> float:
        """The memory's part of what both save: the mean of going first and of going second."""
        saved = self.full_off - self.on
        return ((self.full_off - self.off) + (self.full_on - self.on)) / 2 / saved

    def questions(self, *, on: bool) -> float | None:
        """Return after how many questions the time of a write is repaid; None where none is."""
        spared = (self.full_on - self.on if on else self.full_off - self.off) - self.memory.find_seconds
        return self.memory.write_seconds / spared if spared > 0 else None


def between(points: Mapping[int, float], tokens: float) -> float | None:
    """Return a value on straight lines between measured points, both axes logarithmic; None outside of them."""
    for low, high in zip(sorted(points), sorted(points)[1:], strict=False):
        if low <= tokens <= high:
            share = math.log(tokens / low) / math.log(high / low)
            return math.exp((1 - share) * math.log(points[low]) + share * math.log(points[high]))
    return None


def curve(rows: Sequence[Row], kernel: str) -> Curve:
    """Return the seconds of all layers, from the network of the fewest that was measured at several lengths."""
    found: dict[str, dict[int, float]] = {}
    for phase in (PREFILL, DECODE):
        own = [row for row in rows if row["key"]["subject"] == NETWORK and row["key"]["phase"] == phase]
        layers = min((row["key"]["layers"] for row in own), default=0)
        found[phase] = {
            row["key"]["tokens"]: row["arms"][kernel]["seconds"] * LAYERS / layers
            for row in own
            if row["key"]["layers"] == layers and "seconds" in row["arms"].get(kernel, {})
        }
    return Curve(found[PREFILL], found[DECODE])


def collect() -> list[Memory]:
    """Return the memories of the published records, fewest prompt tokens first."""
    chosen = ["choices.task", "choices.memory", "choices.control", "budget_tokens", RIGHT, *COLUMNS]
    records = pd.read_parquet(ROOT / RECORDS, columns=chosen).rename(columns=COLUMNS)
    budget = records["budget_tokens"].isna() | (records["budget_tokens"] == BUDGET)
    records = records[(records["choices.task"] == TASK) & (records["choices.control"] == "none") & budget]
    found = []
    for name, own in records.groupby("choices.memory"):
        medians = {key: float(value) for key, value in own[list(COLUMNS.values())].median().fillna(0.0).items()}
        # no embedder: nothing was embedded, and that takes no time
        found.append(
            Memory(
                str(name), float(own[RIGHT].mean()), medians["prompt_tokens"], medians["completion_tokens"],
                medians["read_seconds"] + medians["embed_seconds"],
                medians["write_seconds"] + medians["write_embed_seconds"],
            )
        )  # fmt: skip
    return sorted(found, key=lambda memory: (memory.prompt_tokens, memory.name))


def publish(file: Path) -> None:
    """Keep what is collected beside the rows: records that are published anew leave the page as it is."""
    file.write_text(json.dumps([asdict(memory) for memory in collect()], indent=1) + "\n", encoding="utf-8")


def published(file: Path) -> list[Memory]:
    """Return what was kept, none where nothing was."""
    held = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    return [Memory(**one) for one in held]


def meetings(memories: Sequence[Memory], off: Curve, on: Curve) -> list[Meeting]:
    """Return what each memory saves of reading everything; none where that length was not measured."""
    full = next((memory for memory in memories if memory.name == FULL), None)
    found: list[Meeting] = []
    if full is None:
        return found
    for memory in memories:
        seconds = [
            one.seconds(tokens, memory.completion_tokens)
            for tokens in (memory.prompt_tokens, full.prompt_tokens)
            for one in (off, on)
        ]
        if memory is full or None in seconds:
            continue
        with_off, with_on, full_off, full_on = (float(one or 0) for one in seconds)
        even = [
            one.length(taken + memory.find_seconds, memory.completion_tokens, least=memory.prompt_tokens)
            for one, taken in ((off, with_off), (on, with_on))
        ]
        found.append(Meeting(memory, with_off, with_on, full_off, full_on, *even))
    return found

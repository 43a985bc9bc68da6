"""The capacity curve: how many bits of what it was told a memory gives back for each byte that it holds.

python -m tasks.entity.capacity bm25 hash_cache                      64 to 2^20 facts, 300 seconds for each
python -m tasks.entity.capacity exact --embedder hashing --most 4096 --seconds 60 --json

A fact is a badge of a synthetic name of five tokens: log2 of the number of badges is what it is worth. A sample of 512
names is asked for, and a fact counts as given back where the first passage says the badge: no reader is asked. What a
guesser would say by chance is taken off. Below the memories stand the same facts as compressed lines and in SQLite,
which give back everything; a trained model is said to hold 2 bits a parameter (Allen-Zhu and Li, arXiv 2404.05405),
one bit a byte in half precision.
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
import sqlite3
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import takewhile

from numpy.random import PCG64, Generator, SeedSequence

from memory_bench import config
from memory_bench.contracts import Memory
from memory_bench.errors import BadInput, Unavailable
from memory_bench.metrics import RETRIEVAL_BUDGETS, holds
from memory_bench.task_options import check_seed
from memory_bench.task_tokens import BUNDLED_TOKENIZER, read_tokenizer
from memory_bench.types import Event, Query
from tasks.entity.synthetic import BADGES, whole_words
from tasks.entity.templates import BADGE

FEWEST, MOST = 2**6, 2**20
SAMPLE = 512
NAME_WORDS = 5
WRITE_BATCH = 1024
STREAM = 2**34  # of facts; names and values of the task have their own
BUDGETS = {"64 KB": 2**16, "1 MB": 2**20, "16 MB": 2**24, "256 MB": 2**28}
TIME, SILENT = "time", "no passage: it does not work through the context"
Pair = tuple[str, str]


@dataclass(frozen=True)
class Point:
    """One size of one memory. What was not measured is None, and `why` says so."""

    memory: str
    facts: int
    right: float | None = None
    bits: float | None = None
    size_bytes: int | None = None
    write_seconds: float | None = None
    why: str = ""

    @property
    def bits_per_byte(self) -> float | None:
        return None if self.bits is None or not self.size_bytes else self.bits / self.size_bytes

    def row(self) -> dict[str, object]:
        return {**asdict(self), "bits_per_byte": self.bits_per_byte}


def recovered_bits(right: int, asked: int, *, values: int, facts: int) -> float:
    """Return the bits that `facts` facts gave back, judged by a sample: log2(values) for each right one, without the
    share that a guess is right, (right / asked - 1 / values) / (1 - 1 / values); never below 0."""
    if not 0 <= right <= asked or asked < 1 or values < 2:
        raise ValueError(f"0 <= right <= asked, asked >= 1 and values >= 2 are needed, got {right}, {asked}, {values}")
    chance = 1 / values
    return facts * math.log2(values) * max(0.0, (right / asked - chance) / (1 - chance))


def drawn_facts(number: int, *, seed: int) -> list[Pair]:
    """Return different names with their badges, which may be equal. Fewer facts of a seed are the first of more."""
    check_seed(seed)
    words = whole_words(read_tokenizer(BUNDLED_TOKENIZER))
    rng = Generator(PCG64(SeedSequence([seed, STREAM])))
    facts: dict[str, str] = {}
    while len(facts) < number:
        places, badge = rng.integers(len(words), size=NAME_WORDS), int(rng.integers(len(BADGES)))
        facts.setdefault(" ".join(words[at] for at in places), str(BADGES[badge]))
    return list(facts.items())


def curve(name: str, memory: Memory, facts: Sequence[Pair], *, seconds: float, seed: int) -> Iterator[Point]:
    """Yield one point a size; from the first that takes longer than `seconds` to write on, points without a number."""
    late = False
    for size in sizes(len(facts)):
        point = Point(name, size, why=TIME) if late else measure(name, memory, facts[:size], seconds=seconds, seed=seed)
        late = point.why == TIME
        yield point


def sizes(most: int) -> list[int]:
    return list(takewhile(lambda size: size <= most, (FEWEST * 4**step for step in range(20))))


def measure(name: str, memory: Memory, facts: Sequence[Pair], *, seconds: float, seed: int) -> Point:
    """Tell a memory all facts, and ask for some. A call is not cut short: the clock is read between calls."""
    memory.reset()
    start = time.perf_counter()
    cloze, _ = BADGE.events[0].cloze, BADGE.events[0].text
    for first in range(0, len(facts), WRITE_BATCH):
        batch = enumerate(facts[first : first + WRITE_BATCH], start=first)
        memory.write(
            [Event(f"{at:08x}", f"{cloze.format(name=who)} {badge}.", time=float(at)) for at, (who, badge) in batch]
        )
        if time.perf_counter() - start > seconds:
            return Point(name, len(facts), why=TIME)
    memory.settle()
    taken = time.perf_counter() - start
    if taken > seconds:
        return Point(name, len(facts), why=TIME)
    size_bytes = memory.size_bytes()  # before reading: what is kept of questions is no memory of facts
    rng = Generator(PCG64(SeedSequence([seed, STREAM, len(facts)])))
    asked = rng.choice(len(facts), size=min(SAMPLE, len(facts)), replace=False)
    found = [first_says(memory, *facts[at], now=len(facts)) for at in asked]
    if all(one is None for one in found):
        return Point(name, len(facts), size_bytes=size_bytes, write_seconds=taken, why=SILENT)
    right = sum(one is True for one in found)
    bits = recovered_bits(right, len(asked), values=len(BADGES), facts=len(facts))
    return Point(name, len(facts), right / len(asked), bits, size_bytes, taken)


def first_says(memory: Memory, who: str, badge: str, *, now: int) -> bool | None:
    """Return whether the first passage says the badge; None where there is no passage."""
    query = Query(BADGE.events[0].text.format(name=who), time=float(now), budget_tokens=max(RETRIEVAL_BUDGETS))
    passages = memory.read(query)
    return holds(passages[0].text, badge) if passages else None


def references(facts: Sequence[Pair]) -> Iterator[Point]:
    """Yield what the same facts take where nothing has to be searched: as compressed lines, and as a table."""
    for name, stored in (("lines, zlib", zlib_bytes), ("lines, lzma", lzma_bytes), ("SQLite table", sqlite_bytes)):
        for size in sizes(len(facts)):
            bits = recovered_bits(1, 1, values=len(BADGES), facts=size)
            yield Point(name, size, 1.0, bits, stored(facts[:size]))


def lines(facts: Sequence[Pair]) -> bytes:
    return "".join(f"{who}\tbadge\t{badge}\n" for who, badge in facts).encode()


def zlib_bytes(facts: Sequence[Pair]) -> int:
    return len(zlib.compress(lines(facts), 9))


def lzma_bytes(facts: Sequence[Pair]) -> int:
    return len(lzma.compress(lines(facts)))


def sqlite_bytes(facts: Sequence[Pair]) -> int:
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE fact (name TEXT PRIMARY KEY, badge INTEGER) WITHOUT ROWID")
        db.executemany("INSERT INTO fact VALUES (?, ?)", facts)
        pages, page = (db.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
    return int(pages * page)


def within(points: Sequence[Point], budget: int) -> float | None:
    """Return the most bits that a measured size gave back in so many bytes; None where none is as small."""
    return max((one.bits for one in points if one.bits is not None and (one.size_bytes or 0) <= budget), default=None)


def table(points: Sequence[Point]) -> str:
    """Return all points, and below them the bits within each budget, as two Markdown tables."""
    rows = ["| memory | facts | right | bits | bytes | bits a byte | write, s |", "|:--|--:|--:|--:|--:|--:|--:|"]
    for one in points:
        shown: list[tuple[float | None, Callable[[float], str]]] = [
            (one.right, "{:.3f}".format),
            (one.bits, "{:,.0f}".format),
            (one.size_bytes, "{:,}".format),
            (one.bits_per_byte, "{:.4f}".format),
            (one.write_seconds, "{:.2f}".format),
        ]
        cells = [f"null ({one.why or 'not timed'})" if value is None else form(value) for value, form in shown]
        rows.append(f"| {one.memory} | {one.facts:,} | {' | '.join(cells)} |")
    rows += ["", f"| bits within | {' | '.join(BUDGETS)} |", "|:--|" + "--:|" * len(BUDGETS)]
    for name in dict.fromkeys(one.memory for one in points):
        own = [one for one in points if one.memory == name]
        most = [within(own, budget) for budget in BUDGETS.values()]
        rows.append(
            f"| {name} | {' | '.join('null (too large)' if bits is None else f'{bits:,.0f}' for bits in most)} |"
        )
    return "\n".join(rows)


def points_of(
    names: Sequence[str], facts: Sequence[Pair], *, embedder: str, seconds: float, seed: int
) -> Iterator[Point]:
    for name in names:
        cell = config.compose(["+task=entity", f"+memory={name}", f"embedder={embedder}"])
        given = {"embedder": config.build(cell, "embedder")} if cell.config["embedder"] else {}
        for one in given.values():
            one.embed(["Ready"])  # a first call loads weights, which no memory should be charged for
        memory: Memory = config.build(cell, "memory", **given)
        title = f"{name}, {embedder}" if given else name
        with closing(memory):
            yield from curve(title, memory, facts, seconds=seconds, seed=seed)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tasks.entity.capacity", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("memories", nargs="+", metavar="MEMORY", help="names of conf/memory")
    parser.add_argument("--embedder", default="minilm", help="of conf/embedder, for memories that compare vectors")
    parser.add_argument("--most", type=int, default=MOST, help="facts, 64 or more")
    parser.add_argument("--seconds", type=float, default=300.0, help="to write one size; larger ones are null (time)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="a line a point")
    typed = parser.parse_args(arguments)
    try:
        if not FEWEST <= typed.most <= MOST:
            raise BadInput(f"--most {typed.most}: expected a number of facts from {FEWEST} to {MOST:,}")
        facts = drawn_facts(sizes(typed.most)[-1], seed=typed.seed)
        points = list(points_of(typed.memories, facts, embedder=typed.embedder, seconds=typed.seconds, seed=typed.seed))
    except (BadInput, Unavailable) as error:
        print(error, file=sys.stderr)
        return 2
    points += references(facts)
    print("\n".join(json.dumps(one.row()) for one in points) if typed.json else table(points))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

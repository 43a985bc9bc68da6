"""Facts are told and asked for: one point a size for each memory, and what the same facts take elsewhere."""

from __future__ import annotations

import lzma
import math
import sqlite3
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import count, takewhile

from numpy.random import PCG64, Generator, SeedSequence

from memory_bench import config
from memory_bench.contracts import Memory
from memory_bench.errors import Unavailable
from memory_bench.metrics import RETRIEVAL_BUDGETS, holds
from memory_bench.task_options import check_seed
from memory_bench.task_tokens import BUNDLED_TOKENIZER, read_tokenizer
from memory_bench.types import Event, Query
from tasks.entity.capacity.points import QUOTED, SILENT, STORES, TIME, Point, PointFile, recovered_bits
from tasks.entity.sets import default_dials, read_set
from tasks.entity.synthetic import BADGES, whole_words
from tasks.entity.templates import BADGE

FEWEST, MOST = 2**6, 2**20
SAMPLE = 512
NAME_WORDS = 5
WRITE_BATCH = 1024
STREAM = 2**34  # of facts; names and values of the task have their own
DRAWN = "synthetic"
QUOTED_BITS, BYTES_OF_PARAMETER = 2, 2
Pair = tuple[str, str]


def drawn_facts(number: int, *, seed: int, names: str = DRAWN) -> list[Pair]:
    """Return different names with their badges, which may be equal. Fewer facts of a seed are the first of more.

    `names` is one of tasks.entity.sets.SETS: its names come first, in an order of the seed's. Raises Unavailable where
    this machine does not have the set.
    """
    check_seed(seed)
    rng = Generator(PCG64(SeedSequence([seed, STREAM])))
    facts: dict[str, str] = {}
    for name in real_names(names, rng)[:number]:
        facts.setdefault(name, str(BADGES[int(rng.integers(len(BADGES)))]))
    words = whole_words(read_tokenizer(BUNDLED_TOKENIZER))
    while len(facts) < number:
        places, badge = rng.integers(len(words), size=NAME_WORDS), int(rng.integers(len(BADGES)))
        facts.setdefault(" ".join(words[at] for at in places), str(BADGES[badge]))
    return list(facts.items())


def real_names(names: str, rng: Generator) -> list[str]:
    if names == DRAWN:
        return []
    found = read_set(names, read_tokenizer(BUNDLED_TOKENIZER), default_dials()).names
    return [found[at].text for at in rng.permutation(len(found))]


def sizes(most: int) -> list[int]:
    """Return the numbers of facts that are told: 64, four times as many, and so on, and `most`."""
    return [*takewhile(lambda size: size < most, (FEWEST * 4**step for step in count())), most]


def curve(
    name: str, memory: Memory, facts: Sequence[Pair], *, seconds: float, seed: int, file: PointFile
) -> Iterator[Point]:
    """Yield one point a size; those that stand in the file are not measured again."""
    before: Point | None = None
    for size in sizes(len(facts)):
        point = (
            file.known(name, size)
            or hopeless(before, size, seconds=seconds)
            or measure(name, memory, facts[:size], seconds=seconds, seed=seed)
        )
        yield point
        before = point


def hopeless(before: Point | None, size: int, *, seconds: float) -> Point | None:
    """Return a point without a number where the size before says that this one would take too long: writing takes at
    least in proportion to what is written, and one call may take an hour."""
    if before is None:
        return None
    if before.why.startswith(TIME):
        return Point(before.memory, size, why=before.why)
    if before.write_seconds is None or before.write_seconds * size / before.facts <= seconds:
        return None
    return Point(before.memory, size, why=f"{TIME}: {before.facts:,} took {before.write_seconds:.0f} s")


def measure(name: str, memory: Memory, facts: Sequence[Pair], *, seconds: float, seed: int) -> Point:
    """Tell a memory all facts, and ask for some. A call is not cut short: the clock is read between calls. Asking may
    take as long again as telling: a share of what was asked in time would be a sample of the quickest."""
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
    found, start = [], time.perf_counter()
    for at in asked:
        found.append(first_says(memory, *facts[at], now=len(facts)))
        if time.perf_counter() - start > seconds:
            why = f"{TIME}: {len(found)} of {len(asked)} were asked"
            return Point(name, len(facts), size_bytes=size_bytes, write_seconds=taken, why=why)
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
    """Yield what the same facts take where nothing has to be searched, as compressed lines and as a table; and in a
    trained model, by what was found of others."""
    for name, stored in zip(STORES, (zlib_bytes, lzma_bytes, sqlite_bytes), strict=True):
        for size in sizes(len(facts)):
            yield Point(name, size, 1.0, all_bits(size), stored(facts[:size]))
    for size in sizes(len(facts)):
        quoted = math.ceil(all_bits(size) / QUOTED_BITS * BYTES_OF_PARAMETER)
        yield Point(QUOTED, size, None, all_bits(size), quoted, why="quoted")


def all_bits(facts: int) -> float:
    return recovered_bits(1, 1, values=len(BADGES), facts=facts)


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


def points_of(
    cells: Sequence[config.Cell], facts: Sequence[Pair], *, seconds: float, seed: int, file: PointFile
) -> Iterator[Point]:
    """Yield the curves of all memories, then the references. A memory without its engine has points without numbers."""
    for cell in cells:
        name = ", ".join(filter(None, (cell.config["choices"][part] for part in ("memory", "embedder"))))
        try:
            with closing(built(cell)) as memory:
                yield from curve(name, memory, facts, seconds=seconds, seed=seed, file=file)
        except Unavailable as error:
            yield from (Point(name, size, why=str(error)) for size in sizes(len(facts)))
    yield from references(facts)


def built(cell: config.Cell) -> Memory:
    given = {"embedder": config.build(cell, "embedder")} if cell.config["embedder"] else {}
    for one in given.values():
        one.embed(["Ready"])  # a first call loads weights, which no memory should be charged for
    memory: Memory = config.build(cell, "memory", **given)
    return memory

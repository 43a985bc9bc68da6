"""What a child process does with a memory: it lives, or it opens what another one left behind and looks."""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from memory_bench import config
from memory_bench.contracts import Memory, Reader
from memory_bench.guards.durability.life import Held, Pair, Step
from memory_bench.types import Event, Query

_CAPABILITY_VERSION_3, _CAP_DAC_OVERRIDE = 0x20080522, 1 << 1  # linux/capability.h
LATER = Event("later", "whoever comes later is told this and finds it too", time=1e6)


@dataclass(frozen=True)
class Seen:
    """What a memory returned that was opened again and asked for every text by itself.

    `first` are those that came first for their own text, `twice` the ids that came twice in one answer.
    """

    found: frozenset[Pair]
    first: frozenset[Pair]
    twice: frozenset[str]
    open_seconds: float
    open_cpu_seconds: float


@dataclass(frozen=True)
class Amiss:
    """Counts of events, by id and text: acknowledged and missing, forgotten or replaced and back, twice in one answer,
    never told."""

    lost: int = 0
    ghosts: int = 0
    duplicates: int = 0
    altered: int = 0

    def in_words(self) -> list[str]:
        return [f"{count} {name}" for name, count in vars(self).items() if count]


def amiss(held: Held, seen: Seen) -> Amiss:
    """Return what was found that was not to be, and what was not that was."""
    return Amiss(
        lost=len(held.must - seen.found),
        ghosts=len(held.gone & seen.found),
        duplicates=len(seen.twice),
        altered=len(seen.found - held.must - held.may - held.gone),
    )


class Opener:
    """Opens the memory of a cell at a path, with all that it needs loaded before: that is no part of opening it."""

    def __init__(self, cell: config.Cell) -> None:
        self._cell = cell
        self._given = {"embedder": config.build(cell, "embedder")} if cell.config["embedder"] else {}
        self._reader: Reader = config.build(cell, "reader")

    def open(self, path: Path) -> Memory:
        """Return the memory, attached. Raises BadInput where it refuses the path."""
        options = {**self._cell.config["memory"], "path": str(path)}
        here = replace(self._cell, config={**self._cell.config, "memory": options})
        memory: Memory = config.build(here, "memory", **self._given)
        memory.attach(self._reader)
        return memory


def live(
    cell: config.Cell, path: Path, steps: Sequence[Step], full_after: int | None = None, room_bytes: int = 0
) -> Iterator[tuple[int, float]]:
    """Yield 0 when the memory is there, and after each call that has returned how many have; and how long it took, in
    seconds. Close it in the end.

    After `full_after` calls no file of this process can hold more than `room_bytes`: the kernel refuses as a full
    disk does, also in the middle of a write.
    """
    memory = Opener(cell).open(path)
    yield 0, 0.0
    for number, step in enumerate(steps, start=1):
        if number - 1 == full_after:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, resource.RLIM_INFINITY))
        start = time.perf_counter()
        take(memory, step)
        yield number, time.perf_counter() - start
    memory.close()


def take(memory: Memory, step: Step) -> None:
    if step.write:
        memory.write(step.write)
    elif step.forget:
        memory.forget(step.forget)
    else:
        memory.settle()


def look(cell: config.Cell, path: Path, texts: Sequence[str]) -> Iterator[Seen]:
    """Yield what is found at a path. Nothing is written but what opening and closing write."""
    importlib.import_module(cell.config["memory"]["_target_"].rpartition(".")[0])  # loading the engine is no recovery
    opener = Opener(cell)
    start, cpu = time.perf_counter(), time.process_time()
    memory = opener.open(path)
    memory.read(Query(LATER.text))  # some do the work of opening when they are first asked
    taken = time.perf_counter() - start, time.process_time() - cpu
    seen = seen_in(memory, texts)
    memory.close()
    yield replace(seen, open_seconds=taken[0], open_cpu_seconds=taken[1])


def look_without_leave(cell: config.Cell, path: Path, texts: Sequence[str]) -> Iterator[Seen]:
    """Yield what is found where nothing may be written, and once more should it take an event even so."""
    _obey_permissions()
    memory = Opener(cell).open(path)
    yield seen_in(memory, texts)
    memory.write([LATER])
    memory.settle()
    yield seen_in(memory, texts)


def seen_in(memory: Memory, texts: Sequence[str]) -> Seen:
    found: set[Pair] = set()
    first: set[Pair] = set()
    twice: set[str] = set()
    for text in texts:
        passages = memory.read(Query(text))
        found |= {(event_id, passage.text) for passage in passages for event_id in passage.event_ids}
        first |= {
            (event_id, text) for passage in passages[:1] if passage.text == text for event_id in passage.event_ids
        }
        counts = Counter(event_id for passage in passages for event_id in passage.event_ids)
        twice |= {event_id for event_id, count in counts.items() if count > 1}
    return Seen(frozenset(found), frozenset(first), frozenset(twice), 0.0, 0.0)


def go_on(cell: config.Cell, path: Path) -> Iterator[bool]:
    """Yield whether a memory that is opened once more takes another event and finds it."""
    memory = Opener(cell).open(path)
    memory.write([LATER])
    memory.settle()
    found = any(LATER.id in passage.event_ids for passage in memory.read(Query(LATER.text)))
    memory.close()
    yield found


def _obey_permissions() -> None:
    """Root may write whatever the permissions say: from here on this process, and its threads, may not."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, low words first
    if libc.capget(header, sets) == 0:
        for word in range(3):
            sets[word] &= ~_CAP_DAC_OVERRIDE
    if libc.capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "the right to write anywhere cannot be given up")

"""Two revisions take turns: fresh processes of both, warm, asked one at a time and in random order within each pair.

What a run took is told row by row of its ledger, a row being an operation or a question. A pair is made of several runs
of each side: of each row the least time counts, since all that can happen to it on a shared machine is that it takes
longer. A burst spoils the rows that it falls into, and not the run.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

from memory_bench.errors import Unavailable

WORKER = Path(__file__).with_name("worker.py")

Run = Mapping[str, Sequence[float]]
"""`seconds` by the clock and `cpu_seconds` of the processor, a number a row of the ledger."""


@dataclass(frozen=True)
class Side:
    """One revision: what it is called, the folder of its source and the Python that has what it needs."""

    name: str
    tree: Path
    python: str = sys.executable


@dataclass
class Seconds:
    """Seconds of one subject on both sides, paired by place: by the clock, and of the processor."""

    head: list[float] = field(default_factory=list)
    base: list[float] = field(default_factory=list)
    head_cpu: list[float] = field(default_factory=list)
    base_cpu: list[float] = field(default_factory=list)

    def __add__(self, other: Seconds) -> Seconds:
        """Return the pairs of both."""
        return Seconds(
            self.head + other.head,
            self.base + other.base,
            self.head_cpu + other.head_cpu,
            self.base_cpu + other.base_cpu,
        )


class Process:
    """A worker of one side. Raises Unavailable where it ends, or cannot run what it is asked for."""

    def __init__(self, side: Side) -> None:
        self.side = side
        paths = [str(side.tree), str(side.tree / "src"), os.environ.get("PYTHONPATH")]  # before what is installed
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [side.python, "-c", WORKER.read_text(encoding="utf-8")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
            cwd=side.tree,
        )  # fmt: skip

    def warm(self, cells: Sequence[Sequence[str]]) -> None:
        """Run each cell once: what is imported and compiled at first use is no part of a pair."""
        self._check_tree(cells[0])
        for overrides in cells:
            self.run(overrides)

    def run(self, overrides: Sequence[str], *, slower: float = 0.0) -> Run:
        return self._ask({"overrides": list(overrides), "slower": slower})

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            with suppress(BrokenPipeError):  # what was not sent any more
                pipe.close()

    def _check_tree(self, overrides: Sequence[str]) -> None:
        places = self._ask({"overrides": list(overrides)})
        ours = places["core"] if (self.side.tree / "memory_bench").is_dir() else []
        for found in (*ours, *places["memory"]):
            if not Path(found).resolve().is_relative_to(self.side.tree.resolve()):
                raise Unavailable(
                    f"{self.side.name} cannot be timed: its process reads {found}, and not {self.side.tree}"
                )

    def _ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.kill()
            assert self._process.stderr is not None
            said = self._process.stderr.read().strip().splitlines()
            raise Unavailable(f"{self.side.name} cannot be timed: its process ended: {said[-1] if said else 'silent'}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Unavailable(f"{self.side.name} cannot be timed: {' '.join(answer['error'].split())}")
        return answer


def take_turns(
    head: Side,
    base: Side,
    subjects: Mapping[str, Sequence[str]],
    *,
    processes: int,
    rounds: int,
    repeats: int,
    slower: float = 0.0,
    seed: int | None = None,
) -> dict[str, Seconds]:
    """Return the seconds of each subject (name -> overrides), `processes` times `rounds` pairs of each.

    A pair is made of `repeats` runs of each side. `slower` slows head down by a share, for a calibration. Raises
    Unavailable where a side cannot run a subject.
    """
    chance = random.Random(seed)
    found = {name: Seconds() for name in subjects}
    for _ in range(processes):
        with _both(head, base, list(subjects.values())) as (ours, theirs):
            for name in chance.sample(list(subjects) * rounds, len(subjects) * rounds):
                runs: dict[Process, list[Run]] = {ours: [], theirs: []}
                for _ in range(repeats):
                    for one in chance.sample((ours, theirs), 2):
                        runs[one].append(one.run(subjects[name], slower=slower if one is ours else 0.0))
                found[name].head.append(undisturbed(runs[ours], "seconds"))
                found[name].base.append(undisturbed(runs[theirs], "seconds"))
                found[name].head_cpu.append(undisturbed(runs[ours], "cpu_seconds"))
                found[name].base_cpu.append(undisturbed(runs[theirs], "cpu_seconds"))
    return found


def undisturbed(runs: Sequence[Run], which: str) -> float:
    """Return the sum over rows of the least that any run took. Raises Unavailable where runs differ in their rows."""
    lengths = sorted({len(run[which]) for run in runs})
    if len(lengths) > 1:
        raise Unavailable(
            f"runs of one cell have {' and '.join(map(str, lengths))} rows: what it does is not the same each time"
        )
    return sum((min(row) for row in zip(*(run[which] for run in runs), strict=True)), start=0.0)


@contextmanager
def _both(head: Side, base: Side, cells: Sequence[Sequence[str]]) -> Iterator[tuple[Process, Process]]:
    ours, theirs = Process(head), Process(base)
    try:
        with ThreadPoolExecutor() as pool:  # nothing is timed yet, so both may start at once
            list(pool.map(Process.warm, (ours, theirs), repeat(cells)))
        yield ours, theirs
    finally:
        for one in (ours, theirs):
            one.close()

"""Two revisions take turns: fresh processes of both, warm, asked one at a time and in random order within each pair."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memory_bench.errors import Unavailable

WORKER = Path(__file__).with_name("worker.py")


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


class Process:
    """A worker of one side, for cells of these overrides. Raises Unavailable where it ends, or cannot run them."""

    def __init__(self, side: Side, overrides: Sequence[str]) -> None:
        self.side = side
        paths = [str(side.tree), str(side.tree / "src"), os.environ.get("PYTHONPATH")]  # before what is installed
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [side.python, "-c", WORKER.read_text(encoding="utf-8")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
            cwd=side.tree,
        )  # fmt: skip
        try:
            self._check_tree(overrides)
        except Unavailable:
            self.close()
            raise

    def run(self, overrides: Sequence[str], *, slower: float = 0.0) -> Mapping[str, float]:
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
    slower: float = 0.0,
    seed: int | None = None,
) -> dict[str, Seconds]:
    """Return the seconds of each subject (name -> overrides), `processes` times `rounds` pairs of each.

    `slower` slows head down by a share, for a calibration. Raises Unavailable where a side cannot run a subject.
    """
    chance = random.Random(seed)
    found = {name: Seconds() for name in subjects}
    for _ in range(processes):
        with _both(head, base, next(iter(subjects.values()))) as (ours, theirs):
            for overrides in subjects.values():  # what is imported and compiled at first use is no part of a pair
                ours.run(overrides)
                theirs.run(overrides)
            for name in chance.sample(list(subjects) * rounds, len(subjects) * rounds):
                order = chance.sample((ours, theirs), 2)
                took = {one: one.run(subjects[name], slower=slower if one is ours else 0.0) for one in order}
                found[name].head.append(took[ours]["seconds"])
                found[name].base.append(took[theirs]["seconds"])
                found[name].head_cpu.append(took[ours]["cpu_seconds"])
                found[name].base_cpu.append(took[theirs]["cpu_seconds"])
    return found


@contextmanager
def _both(head: Side, base: Side, overrides: Sequence[str]) -> Iterator[tuple[Process, Process]]:
    with ExitStack() as stack:
        started = []
        for side in (head, base):
            started.append(Process(side, overrides))
            stack.callback(started[-1].close)
        yield started[0], started[1]

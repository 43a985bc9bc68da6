"""What the gate for time is worth on this machine: base against itself, and against itself slowed down on purpose.

A trial is a whole verdict. `results/gate/speed.jsonl` has a line a trial: a calibration that was cut off goes on.
Trials can be run while another process computes, as on a machine that is shared.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from memory_bench import plans, provenance
from memory_bench.guards.speed.gate import SpeedGate
from memory_bench.guards.speed.rounds import Side
from memory_bench.guards.speed.rule import Timing
from memory_bench.plans import Job, Row

LEVELS = (0.0, 0.03, 0.05, 0.10, 0.20)
FOUND = 0.9
"""Share of trials in which a slowdown has to be found for the gate to count as one that sees it."""
FILE = Path("results/gate/speed.jsonl")
RULE = ("gate.py", "rounds.py", "rule.py", "worker.py")
"""What a verdict comes from: trials of another rule say nothing of this one."""
NEIGHBOUR = """import os, sys, numpy
a = numpy.ones((1000, 1000))
while os.getppid() == int(sys.argv[1]): a @ a
"""
"""What computes beside loaded trials: it takes a core, and the memory's bandwidth with it. It ends with its parent,
which may be killed."""


@dataclass(frozen=True)
class Calibration:
    """Of each level (0 is base against itself): the share of verdicts that are alarms, or inconclusive, over `trials`.

    `floor` is the least one that no trial of base against itself would have crossed.
    """

    trials: Mapping[float, int]
    alarms: Mapping[float, float]
    inconclusive: Mapping[float, float]
    floor: float | None

    @property
    def detectable(self) -> float | None:
        """The smallest slowdown from which on all that were tried are found; None where none is."""
        seen = None
        for level in sorted((level for level in self.alarms if level > 0), reverse=True):
            if self.alarms[level] < FOUND:
                break
            seen = level
        return seen

    def blind(self, slowdown: float) -> bool:
        """Whether a slowdown of this size was tried here, or a larger one, and not found."""
        return any(share < FOUND for level, share in self.alarms.items() if level >= slowdown)


def run(
    gate: SpeedGate,
    side: Side,
    *,
    trials: int,
    file: Path,
    told: Callable[[Row], None],
    levels: Sequence[float] = LEVELS,
    loaded: bool = False,
) -> list[Row]:
    """Return the rows of all trials: what the file holds already, and what was missing. `side` is both sides.

    `loaded` trials have another process beside them that computes all the time.
    """

    def jobs(_: Sequence[Row]) -> Iterator[Job]:
        for trial in range(trials):  # levels in turn: a machine that changes while this runs changes all of them
            for level in levels:
                key = {"slower": level, "trial": trial, "loaded": loaded}
                yield Job(key, partial(_trial, gate, side, level, loaded=loaded))

    return plans.run(shared(gate), jobs, file, told=told)


def shared(gate: SpeedGate) -> Row:
    """Return what all trials of a file have in common: the gate, its rule, and the machine that it was tried on."""
    rule = hashlib.sha256(b"".join((Path(__file__).parent / name).read_bytes() for name in RULE)).hexdigest()
    return {"gate": asdict(gate), "rule": rule, "cpu": provenance.cpu_name(), "cores": provenance.usable_cores()}


def read(gate: SpeedGate, file: Path) -> Calibration | None:
    """Return what is known of this gate on this machine; None where nothing is."""
    own = json.loads(json.dumps(shared(gate)))
    rows = [row for row in plans.read(file) if all(row.get(key) == value for key, value in own.items())]
    return summary(rows) if rows else None


def summary(rows: Sequence[Row]) -> Calibration:
    by_level: dict[float, list[Row]] = {}
    for row in rows:
        for subject in row["subjects"].values():
            by_level.setdefault(row["key"]["slower"], []).append(subject)
    crossed = [one["ratio"]["low"] - 1 for one in by_level.get(0.0, ()) if one["ratio"] is not None]
    return Calibration(
        trials={level: len(found) for level, found in by_level.items()},
        alarms={level: _share(found, "fail") for level, found in by_level.items()},
        inconclusive={level: _share(found, "inconclusive") for level, found in by_level.items()},
        floor=max(0.0, math.ceil(max(crossed) * 200) / 200) if crossed else None,
    )


def _trial(gate: SpeedGate, side: Side, level: float, *, loaded: bool) -> Row:
    with neighbour() if loaded else nullcontext():
        begun = time.perf_counter()
        found: dict[str, Timing] = gate.judge(side, side, slower=level)
        took = time.perf_counter() - begun
    subjects = {name: asdict(timing) for name, timing in found.items()}
    facts = {"seconds": took, "load": os.getloadavg()[0], "when": provenance.now()}
    return {"subjects": subjects, **facts, **plans.where(["numpy", "scipy"])}


@contextmanager
def neighbour() -> Iterator[None]:
    """Keep a core busy meanwhile."""
    process = subprocess.Popen([sys.executable, "-c", NEIGHBOUR, str(os.getpid())])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _share(found: Sequence[Row], word: str) -> float:
    return sum(1 for one in found if one["word"] == word) / len(found)

"""What `gate` does where time is asked for: the flags, the verdicts a line each, and the calibration."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table

from memory_bench import plans, terminal
from memory_bench.errors import BadInput, Unavailable
from memory_bench.guards.speed import benchmarks, calibrate, revisions
from memory_bench.guards.speed.calibrate import FILE, Calibration
from memory_bench.guards.speed.gate import SpeedGate
from memory_bench.guards.speed.page import publish
from memory_bench.guards.speed.rule import Timing, judge
from memory_bench.guards.verdict_files import Line
from memory_bench.plans import Row

DONE = 0
GATE = "speed"


@dataclass(frozen=True)
class Typed:
    """The flags about time, and what is left for the gate of answers."""

    base: str | None
    benchmarks: tuple[Path, Path] | None
    calibrate: bool
    trials: int
    levels: Sequence[float]
    loaded: bool
    publish: bool
    gate: str
    memory: str | None
    markdown: Path | None
    junit: Path | None
    left: Sequence[str]

    @property
    def answers(self) -> bool:
        """Whether answers are judged too."""
        return self.benchmarks is None and self.memory is None

    @property
    def timed(self) -> bool:
        return self.base is not None or self.benchmarks is not None


def parse(argv: Sequence[str]) -> Typed:
    """Return what was typed. Raises BadInput for a flag without its value, and flags that exclude each other."""
    parser = argparse.ArgumentParser(prog="gate", add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--base", metavar="REVISION")
    parser.add_argument("--benchmarks", nargs=2, type=Path, metavar=("BASE", "HEAD"))
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--levels", type=float, nargs="+", default=calibrate.LEVELS, metavar="SHARE")
    parser.add_argument("--loaded", action="store_true")
    parser.add_argument("--publish", action="store_true")
    parser.add_argument("--gate", default=GATE)
    parser.add_argument("--memory")
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--junit", type=Path)
    try:
        given, left = parser.parse_known_args(list(argv))
    except (argparse.ArgumentError, SystemExit) as error:
        raise BadInput(f"gate: {error}; see gate --help") from None
    if given.trials < 1:
        raise BadInput(f"--trials {given.trials}: expected at least 1")
    if wrong := [level for level in given.levels if not 0 <= level <= 10]:
        raise BadInput(f"--levels {wrong[0]:g}: expected shares such as 0 (base against itself) and 0.1 (10 % slower)")
    asked = [name for name in ("base", "benchmarks", "calibrate") if getattr(given, name)]
    if len(asked) > 1:
        raise BadInput(f"gate takes one of --{' and --'.join(asked)} at a time")
    pair = None if given.benchmarks is None else (given.benchmarks[0], given.benchmarks[1])
    return Typed(**{**vars(given), "benchmarks": pair}, left=left)


def lines(typed: Typed) -> list[Line]:
    """Judge time, print a line a verdict, and return them. What cannot be timed is no data, with the reason."""
    console, found = terminal.stdout(), []
    for line in _judged(typed):
        found.append(line)
        console.print(f"{line.word:<12}  {line.name:<24}  {line.reason}", markup=False, soft_wrap=True)
    if unsure := sum(line.word == "inconclusive" for line in found):
        console.print(f"warning: {unsure} of {len(found)} verdicts on time are inconclusive", soft_wrap=True)
    return found


def calibrated(typed: Typed) -> int:
    """Run the trials that are missing and print what the gate is worth here, or make the page of those that ran."""
    if typed.left:
        raise BadInput(f"gate --calibrate does not take {typed.left[0]!r}; see gate --help")
    console = terminal.stdout()
    if typed.publish:
        console.print(f"written: {publish(FILE)}", soft_wrap=True)
        return DONE

    def told(row: Row) -> None:
        words = ", ".join(f"{name} {timing['word']}" for name, timing in row["subjects"].items())
        key = row["key"]
        console.print(
            f"{key['slower']:.0%} slower{', loaded' * key['loaded']}, trial {key['trial'] + 1}: {words} "
            f"({row['seconds']:.0f} s)",
            soft_wrap=True,
        )

    gate = _gate(typed)
    rows = calibrate.run(
        gate, revisions.head(revisions.root()), trials=typed.trials, file=FILE, told=told, levels=typed.levels,
        loaded=typed.loaded,
    )  # fmt: skip
    found = calibrate.summary(rows)
    console.print(_table(found))
    seen = "none that was tried" if found.detectable is None else f"{found.detectable:.0%}"
    floor = "no figure" if found.floor is None else f"{found.floor:.1%}"
    console.print(f"smallest slowdown that is found in {calibrate.FOUND:.0%} of trials: {seen}", soft_wrap=True)
    console.print(f"least floor that no trial of base against itself crosses: {floor} (set: {gate.floor:.1%})")
    console.print(f"trials       {FILE}", soft_wrap=True)
    return DONE


def _judged(typed: Typed) -> Iterator[Line]:
    gate = _gate(typed)
    try:
        if typed.benchmarks is not None:
            for name, seconds in benchmarks.pairs(*typed.benchmarks).items():
                timing = judge(seconds.head, seconds.base, gate.limits())
                yield Line("benchmarks", name, timing.word, timing.reason)
            return
        assert typed.base is not None
        root = revisions.root()
        with revisions.side(typed.base, root) as base:
            head, known = revisions.head(root), calibrate.read(gate, FILE)
            for name, timing in gate.judge(head, base).items():
                found = _as_calibrated(timing, gate, known)
                yield Line("time", name, found.word, f"{found.reason}; {head.name} against {base.name}")
    except Unavailable as error:
        yield Line("time", typed.base or "benchmarks", "no data", str(error))


def _as_calibrated(timing: Timing, gate: SpeedGate, known: Calibration | None) -> Timing:
    """Return the verdict: a pass is none where this machine was shown not to see what matters."""
    if timing.word == "pass" and known is not None and known.blind(gate.matters):
        seen = f"this machine was shown to miss slowdowns of {gate.matters:.0%} (gate --calibrate)"
        return Timing("inconclusive", f"{timing.reason}; {seen}", timing.ratio)
    return timing


def _gate(typed: Typed) -> SpeedGate:
    made: SpeedGate = plans.make("gate", typed.gate)
    return made if typed.memory is None else replace(made, memories=[typed.memory])


def _table(found: Calibration) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("slower by", "verdicts", "called slower", "inconclusive"):
        table.add_column(heading, justify="right", no_wrap=True)
    shares: Mapping[float, int] = found.trials
    for level in sorted(shares):
        name = "0% (false alarms)" if level == 0 else f"{level:.0%}"
        table.add_row(name, str(shares[level]), f"{found.alarms[level]:.2f}", f"{found.inconclusive[level]:.2f}")
    return table

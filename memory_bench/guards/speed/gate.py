"""The gate for time: pairs of two revisions, a verdict a subject, and a second run of what does not pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from memory_bench.errors import BadInput
from memory_bench.guards.speed.rounds import Seconds, Side, take_turns
from memory_bench.guards.speed.rule import LEAST_PAIRS, Limits, Timing, judge


@dataclass(frozen=True)
class SpeedGate:
    """Limits, and what is timed: `processes` fresh processes a side with `rounds` pairs each of every subject.

    A pair is made of `repeats` runs of each side. A subject is a memory in the `cell` of these overrides. Raises
    BadInput for limits that are none, and too few pairs.
    """

    confidence: float
    floor: float
    matters: float
    processes: int
    rounds: int
    repeats: int
    memories: Sequence[str]
    cell: Sequence[str]

    @property
    def subjects(self) -> dict[str, tuple[str, ...]]:
        """Return memory -> the overrides of its cell."""
        return {memory: (*self.cell, f"+memory={memory}") for memory in self.memories}

    def __post_init__(self) -> None:
        try:
            self.limits()
        except ValueError as error:
            raise BadInput(f"conf/gate: {error}") from None
        if self.processes * self.rounds < LEAST_PAIRS:
            raise BadInput(
                f"conf/gate: {self.processes} processes of {self.rounds} rounds are fewer than {LEAST_PAIRS} pairs"
            )
        if self.repeats < 1:
            raise BadInput(f"conf/gate: repeats: {self.repeats}, expected at least 1 run of each side in a pair")

    def limits(self) -> Limits:
        return Limits(self.confidence, self.floor, self.matters)

    def judge(self, head: Side, base: Side, *, slower: float = 0.0) -> dict[str, Timing]:
        """Return a verdict a subject. `slower` slows head down by that share, for a calibration.

        What does not pass is timed once more, by fresh processes, and judged by the pairs of both runs together: where
        the second run shows no slowdown, half of all pairs show none, and that is no alarm.
        """
        first = self._timed(head, base, self.subjects, slower)
        found = {name: verdict(seconds, self.limits()) for name, seconds in first.items()}
        unsure = {name: self.subjects[name] for name, timing in found.items() if timing.word != "pass"}
        second = self._timed(head, base, unsure, slower) if unsure else {}
        return found | {name: _confirmed(verdict(first[name] + second[name], self.limits())) for name in unsure}

    def _timed(
        self, head: Side, base: Side, subjects: Mapping[str, Sequence[str]], slower: float
    ) -> dict[str, Seconds]:
        return take_turns(
            head, base, subjects, processes=self.processes, rounds=self.rounds, repeats=self.repeats, slower=slower
        )


def verdict(seconds: Seconds, limits: Limits) -> Timing:
    """Judge processor time, which another process on the machine does not stretch; then what is only waited for.

    A run that computes as long as before and takes longer waits: for a disk, a network, or for the machine itself.
    These cannot be told apart here, so that is never an alarm, and never a pass.
    """
    computed = judge(seconds.head_cpu, seconds.base_cpu, limits)
    waited = judge(seconds.head, seconds.base, limits)
    if computed.word == "pass" and waited.word == "fail":
        return Timing("inconclusive", f"as much is computed, and it waits longer: {waited.reason}", computed.ratio)
    return computed


def _confirmed(both: Timing) -> Timing:
    return replace(both, reason=f"{both.reason}; in two runs of fresh processes")

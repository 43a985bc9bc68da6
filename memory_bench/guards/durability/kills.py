"""Kill -9 at a random point, opened again by another process: what was lost, what came back, what is there twice."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from numpy.random import PCG64, Generator, SeedSequence

from memory_bench import config
from memory_bench.errors import BadInput
from memory_bench.guards.durability import work
from memory_bench.guards.durability.child import Child, Children, Gone, Raised
from memory_bench.guards.durability.life import Held, Step, held_after, life, told
from memory_bench.guards.durability.work import Amiss, Seen, amiss

_MOMENT = 1  # a seed's life and the moment of its end are drawn apart


@dataclass(frozen=True)
class Kill:
    """How one killed life was found: `acknowledged` calls long, with `held` events that were neither replaced nor
    forgotten. `half_done`: of the call in flight some events are there. `why`: what was said where it did not open.
    """

    seed: int
    acknowledged: int
    held: int
    amiss: Amiss
    half_done: bool
    recovery_seconds: float | None
    recovery_cpu_seconds: float | None  # of all threads: what a busy machine does not stretch
    goes_on: bool
    why: str = ""

    def faults(self) -> list[str]:
        """Return what no durable memory shows, in words; nothing where it is right."""
        return [
            *self.amiss.in_words(),
            *([] if self.goes_on else ["it does not go on"]),
            *([self.why] if self.why else []),
        ]


def kills(children: Children, cell: config.Cell, folder: Path, *, count: int, seed: int) -> Iterator[Kill]:
    """Yield one killed life after another, of the seeds from `seed` on, each in a place of its own below `folder`.

    The process that looks at what the last one left is the next to be killed. Raises BadInput and Raised where a
    memory cannot even live.
    """
    for number in range(seed, seed + count):
        place = folder / f"life{number}"
        place.mkdir()
        steps = life(number)
        acknowledged = _cut_short(children.one(), cell, place / "kept", steps, seed=number)
        yield _found(children, cell, place / "kept", steps, seed=number, acknowledged=acknowledged)
        shutil.rmtree(place)


def _cut_short(child: Child, cell: config.Cell, path: Path, steps: Sequence[Step], *, seed: int) -> int:
    """Kill a life somewhere within a call and return how many were acknowledged before.

    Which call, and where within the time that such a call takes, follows from the seed; what it was doing there does
    not. On a busy machine the call may have returned by then.
    """
    rng = Generator(PCG64(SeedSequence([seed, _MOMENT])))
    last, share = int(rng.integers(1, len(steps))), float(rng.random())
    answers = child.ask(work.live, cell, path, steps)
    taken = [next(answers)[1] for _ in range(last + 1)][1:]
    alike = [seconds for step, seconds in zip(steps, taken, strict=False) if step.kind == steps[last].kind]
    answers.go()
    time.sleep(share * median(alike or taken))
    child.kill()
    try:
        return answers.wait()[0]  # it had returned, and nobody had heard
    except Gone:
        return last


def _found(
    children: Children, cell: config.Cell, path: Path, steps: Sequence[Step], *, seed: int, acknowledged: int
) -> Kill:
    held = held_after(steps, acknowledged)
    try:
        seen = children.one().answer(work.look, cell, path, told(steps[: acknowledged + 1]))
        goes_on = children.one().answer(work.go_on, cell, path)
    except (BadInput, Raised, Gone) as error:
        return Kill(
            seed, acknowledged, len(held.must), Amiss(lost=len(held.must)), False, None, None, False, str(error)
        )
    half_done = _half_done(held, seen, steps[acknowledged : acknowledged + 1])
    taken = seen.open_seconds, seen.open_cpu_seconds
    return Kill(seed, acknowledged, len(held.must), amiss(held, seen), half_done, *taken, goes_on)


def _half_done(held: Held, seen: Seen, begun: Sequence[Step]) -> bool:
    """Whether of the call in flight some events are as it wanted them, and some are not."""
    wanted = [((event.id, event.text) in seen.found) for step in begun for event in step.write]
    wanted += [(pair not in seen.found) for step in begun for pair in held.may if pair[0] in step.forget]
    return 0 < sum(wanted) < len(wanted)

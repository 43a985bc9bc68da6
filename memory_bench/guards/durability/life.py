"""A life to be cut short: what a memory is told, step by step, and what it has to hold after any of the steps.

    step 0  write   e1 "rimo tasu ...", e2 "kela ..."
    step 1  write   e1 "pona rimo ..."                  <- replaces: the first text of e1 is gone
    step 2  forget  e2
    step 3  settle                                      <- killed before it is acknowledged

Whatever was acknowledged has happened. The step that was begun and not acknowledged may have happened, or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from numpy.random import PCG64, Generator, SeedSequence

from memory_bench.types import Event

Pair: TypeAlias = tuple[str, str]
"""An event as a passage names it: its id and its text."""

LENGTH = 60  # steps
_MOST_AT_ONCE = 4
_WORDS = 12
_ROOTS = [f"{a}{b}{c}{d}" for a in "klmnrst" for b in "aeiou" for c in "dgpv" for d in "aio"]


@dataclass(frozen=True)
class Step:
    """One call of a memory. Where nothing is to be written and nothing to be forgotten: a settle."""

    write: tuple[Event, ...] = ()
    forget: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return "write" if self.write else "forget" if self.forget else "settle"


@dataclass(frozen=True)
class Held:
    """What a memory may return: `must` is lost where it is missing, `gone` is a ghost where it is back.

    `may` is there or not: the step in flight had begun. Any other pair was never told.
    """

    must: frozenset[Pair]
    may: frozenset[Pair]
    gone: frozenset[Pair]


def life(seed: int, length: int = LENGTH) -> list[Step]:
    """Return the steps of a seed: mostly new events, some that replace and forget, and a settle now and then."""
    rng = Generator(PCG64(SeedSequence(seed)))
    held: dict[str, str] = {}
    steps: list[Step] = []
    for number in range(length):
        kind = rng.random()
        count = int(rng.integers(1, _MOST_AT_ONCE + 1))
        some = [str(event_id) for event_id in rng.permutation(sorted(held))[:count]]
        if len(held) > _MOST_AT_ONCE and kind < 0.15:
            step = Step(forget=tuple(some))
        elif kind < 0.3:
            step = Step()
        else:
            replaced = len(held) > _MOST_AT_ONCE and kind < 0.45
            ids = some if replaced else [f"{rng.integers(2**48):012x}" for _ in range(count)]
            step = Step(write=tuple(Event(event_id, _text(rng), time=float(number)) for event_id in ids))
        _take(held, step)
        steps.append(step)
    return steps


def told(steps: Sequence[Step]) -> list[str]:
    """Return every text that is told in some steps."""
    return [event.text for step in steps for event in step.write]


def held_after(steps: Sequence[Step], acknowledged: int) -> Held:
    """Return what is held after so many acknowledged steps, the next one perhaps begun."""
    held: dict[str, str] = {}
    ever: set[Pair] = set()
    for step in steps[:acknowledged]:
        _take(held, step)
        ever |= _pairs(step)
    begun = steps[acknowledged] if acknowledged < len(steps) else Step()
    touched = {*begun.forget, *(event.id for event in begun.write)}
    now = set(held.items())
    open_pairs = {pair for pair in now if pair[0] in touched}
    return Held(frozenset(now - open_pairs), frozenset(open_pairs | _pairs(begun)), frozenset(ever - now))


def _take(held: dict[str, str], step: Step) -> None:
    held |= {event.id: event.text for event in step.write}
    for event_id in step.forget:
        held.pop(event_id, None)


def _pairs(step: Step) -> set[Pair]:
    return {(event.id, event.text) for event in step.write}


def _text(rng: Generator) -> str:
    """Different words, so that the nearest text to a text is itself, by words as by vectors."""
    return " ".join(_ROOTS[place] for place in rng.choice(len(_ROOTS), size=_WORDS, replace=False))

"""Runs of a plan, a line each: `results/twins/PLAN.jsonl`.

A line holds what was run (plan, arm, seed, rate), its whole curve, and where it ran: revision, code, versions, machine.
Lines of other code are not mixed either: the file is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol

from memory_bench import plans, provenance
from memory_bench.plans import Job, Row
from memory_bench.source_files import source_files

GROUP = "twins"


class Plan(Protocol):
    """A file of `conf/twins`, made."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def jobs(self, done: Sequence[Row]) -> Iterator[Job]:
        """Yield the runs in order. `done` grows with each: what was measured first may decide what is run next."""


def load(name: str) -> Plan:
    """Return a plan by its name. Raises BadInput where there is none."""
    plan: Plan = plans.make(GROUP, name)
    return plan


def run(name: str, plan: Plan, file: Path, *, told: Callable[[Row], None] = lambda _: None) -> list[Row]:
    """Run what a file does not hold yet. Raises BadInput where it holds runs of another plan, or of other code."""
    shared = {"plan": name, "options": asdict(plan), "code": code_digest(plan)}
    return plans.run(shared, lambda done: map(_placed, plan.jobs(done)), file, told=told)


def code_digest(plan: Plan) -> str:
    """Return one digest over every file that can move a number of a plan's runs: its own and all that it imports."""
    made_of = sorted(source_files(type(plan).__module__))
    texts = [f"{file.parent.name}/{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in made_of]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def _placed(job: Job) -> Job:
    return replace(job, run=partial(_run, job))


def _run(job: Job) -> Row:
    start = provenance.now()
    return {**job.run(), "start": start, **plans.where(("numpy", "torch", "peft"))}

"""Rows of a plan, a line of JSON each life: what was run, what was measured, and where: machine, load, versions,
revision."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from memory_bench import plans, provenance
from memory_bench.engines.plan import Plan
from memory_bench.plans import Job, Row

ENGINES = ("lancedb", "pyarrow", "qdrant-edge-py", "qdrant-client", "ruvector", "numpy")
LISTS = ("rows", "builds", "scans", "graphs", "partitions", "natives", "claims")
"""What a plan may grow by: a life stays what it was when others are added."""


def run(name: str, plan: Plan, file: Path, *, most: int, told: Callable[[Row], None] = lambda _: None) -> list[Row]:
    """Run what a file does not hold yet. Raises BadInput where it holds rows of another plan."""
    life = {"plan": name, **{key: value for key, value in asdict(plan).items() if key not in LISTS}}
    return plans.run(life, lambda _: (Job(job.key, partial(_run, job.run)) for job in plan.jobs(most)), file, told=told)


def _run(lived: Callable[[], Row]) -> Row:
    before = {"at": provenance.now(), "load": list(os.getloadavg())}
    return {**lived(), **before, "peak_rss_bytes": _peak_rss_bytes(), **plans.where(ENGINES)}


def _peak_rss_bytes() -> int:
    """Return the most that this process ever held: of all lives so far, and not of the last one alone."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

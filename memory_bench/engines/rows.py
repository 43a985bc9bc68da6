"""Rows of a plan, a line of JSON each life: a plan that was cut off goes on where it stopped.

A row says what was run, what was measured, and where: machine, load, versions, revision. Rows of another plan are never
mixed with it: the file is refused.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from memory_bench import provenance
from memory_bench.engines.plan import Plan
from memory_bench.errors import BadInput

Row = dict[str, Any]
ENGINES = ("lancedb", "pyarrow", "qdrant-edge-py", "qdrant-client", "ruvector", "numpy")
LISTS = ("rows", "builds", "scans", "graphs", "partitions", "natives", "claims")
"""What a plan may grow by: a life stays what it was when others are added."""


def read(file: Path) -> list[Row]:
    """Return the rows of a file, none where there is none; a last line that was cut off is left out."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def run(name: str, plan: Plan, file: Path, *, most: int, told: Callable[[Row], None] = lambda _: None) -> list[Row]:
    """Run what a file does not hold yet, a line as each life ends, and return all its rows.

    Raises BadInput where the file holds rows of another plan.
    """
    life = {"plan": name, **{key: value for key, value in asdict(plan).items() if key not in LISTS}}
    done = read(file)
    if any({key: row.get(key) for key in life} != life for row in done):
        raise BadInput(f"{file} holds rows of another plan: name another folder (--out ...), or delete it")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in done), encoding="utf-8")
    known = [row["key"] for row in done]
    for job in plan.jobs(most):
        if job.key in known:
            continue
        before = {"at": provenance.now(), "load": list(os.getloadavg())}
        row = {**life, "key": dict(job.key), **job.run(), **before, "peak_rss_bytes": _peak_rss_bytes(), **_where()}
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")
        done.append(row)
        told(row)
    return done


def _peak_rss_bytes() -> int:
    """Return the most that this process ever held: of all lives so far, and not of the last one alone."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _where() -> Row:
    versions = provenance.versions()
    return {
        "revision": provenance.revision(),
        "machine": provenance.machine(),
        "versions": {name: versions[name] for name in ENGINES if name in versions},
    }

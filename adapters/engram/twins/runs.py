"""Runs of a plan, a line each: `results/twins/PLAN.jsonl`. A plan that was cut off goes on where it stopped.

A line holds what was run (plan, arm, seed, rate), its whole curve, and where it ran: revision, code, versions, machine.
Lines of another plan or of other code are never mixed: the file is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar, Protocol

import yaml

from memory_bench import provenance
from memory_bench.errors import BadInput
from memory_bench.source_files import source_files

Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One run: `key` tells it from the others of its plan, `run` returns what was measured."""

    key: Mapping[str, Any]
    run: Callable[[], Row]


class Plan(Protocol):
    """A file of `conf/twins`, made."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def jobs(self, done: Sequence[Row]) -> Iterator[Job]:
        """Yield the runs in order. `done` grows with each: what was measured first may decide what is run next."""


def plans() -> list[str]:
    folder = files("memory_bench.conf") / "twins"
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))


def load(name: str) -> Plan:
    """Return a plan by its name. Raises BadInput where there is none."""
    if name not in plans():
        raise BadInput(f"plan {name!r}: expected one of {', '.join(plans())} (conf/twins), or report")
    options = yaml.safe_load((files("memory_bench.conf") / "twins" / f"{name}.yaml").read_text(encoding="utf-8"))
    module, _, made = options.pop("_target_").rpartition(".")
    plan: Plan = getattr(import_module(module), made)(**options)
    return plan


def read(file: Path) -> list[Row]:
    """Return the rows of a file, none where there is none; a last line that was cut off is left out."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def run(name: str, plan: Plan, file: Path, *, told: Callable[[Row], None] = lambda _: None) -> list[Row]:
    """Run what a file does not hold yet, a line as each run ends, and return all its rows.

    Raises BadInput where the file holds runs of another plan, or of other code."""
    whole = json.loads(json.dumps({"plan": name, "options": asdict(plan), "code": code_digest(plan)}))
    done = read(file)
    for row in done:
        if other := [part for part in whole if row[part] != whole[part]]:
            raise BadInput(
                f"{file} holds runs of other {', '.join(other)}: name another folder (--out ...), or delete it"
            )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in done), encoding="utf-8")
    for job in plan.jobs(done):
        if any(row["key"] == job.key for row in done):
            continue
        start = provenance.now()
        row = json.loads(json.dumps({**whole, "key": job.key, **job.run(), "start": start, **_where()}))
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")
        done.append(row)
        told(row)
    return done


def code_digest(plan: Plan) -> str:
    """Return one digest over every file that can move a number of a plan's runs: its own and all that it imports."""
    made_of = sorted(source_files(type(plan).__module__))
    texts = [f"{file.parent.name}/{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in made_of]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def _where() -> Row:
    versions = provenance.versions()
    return {
        "revision": provenance.revision(),
        "machine": provenance.machine(),
        "versions": {name: versions[name] for name in ("numpy", "torch", "peft") if name in versions},
    }

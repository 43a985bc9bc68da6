"""Plans of measurements beside the tasks: a file of `conf/` makes jobs, each leaves a line of JSON, and a plan that was
cut off goes on where it stopped.

A row holds what all rows of its file share (the plan, its options), the key of its job, what was measured, and where.
Rows of another plan are never mixed with it: the file is refused.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from memory_bench import provenance
from memory_bench.errors import BadInput

Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One run: `key` tells it from the others of its plan, `run` returns what was measured."""

    key: Mapping[str, Any]
    run: Callable[[], Row]


def names(group: str) -> list[str]:
    """Return the plans of a folder of `conf/`, sorted."""
    folder = files("memory_bench.conf") / group
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))


def make(group: str, name: str) -> Any:
    """Return a plan by its name. Raises BadInput where there is none."""
    if name not in names(group):
        raise BadInput(f"plan {name!r}: expected one of {', '.join(names(group))} (conf/{group}), or report")
    options = yaml.safe_load((files("memory_bench.conf") / group / f"{name}.yaml").read_text(encoding="utf-8"))
    module, _, made = options.pop("_target_").rpartition(".")
    return getattr(import_module(module), made)(**options)


def read(file: Path) -> list[Row]:
    """Return the rows of a file, none where there is none; a last line that was cut off is left out."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def run(
    shared: Mapping[str, Any],
    jobs: Callable[[Sequence[Row]], Iterable[Job]],
    file: Path,
    *,
    told: Callable[[Row], None] = lambda _: None,
) -> list[Row]:
    """Run what a file does not hold yet, a line as each job ends, and return all its rows.

    `jobs` yields the jobs in order and is handed the rows, which grow with each: what was measured first may decide
    what is run next. Raises BadInput where the file holds rows that do not share what these do.
    """
    shared = json.loads(json.dumps(shared))
    done = read(file)
    for row in done:
        if other := [part for part, value in shared.items() if row.get(part) != value]:
            raise BadInput(
                f"{file} holds rows of other {', '.join(other)}: name another folder (--out ...), or delete it"
            )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in done), encoding="utf-8")
    for job in jobs(done):
        if any(row["key"] == job.key for row in done):
            continue
        row = json.loads(json.dumps({**shared, "key": job.key, **job.run()}))
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")
        done.append(row)
        told(row)
    return done


def where(distributions: Iterable[str]) -> Row:
    """Return where a job ran: revision, machine, and the versions of these distributions, as far as installed."""
    versions = provenance.versions()
    return {
        "revision": provenance.revision(),
        "machine": provenance.machine(),
        "versions": {name: versions[name] for name in distributions if name in versions},
    }


def measured_on(rows: Sequence[Mapping[str, Any]], distributions: Iterable[str]) -> str:
    """Return what `where` and `at` say of these rows, for the foot of a page: each fact with all its values."""
    facts = {
        "CPU": {row["machine"]["cpu"] for row in rows},
        "system": {row["machine"]["platform"] for row in rows},
        "Python": {row["machine"]["python"] for row in rows},
        **{name: {row["versions"][name] for row in rows if name in row["versions"]} for name in distributions},
        "revision": {(row["revision"]["commit"] or "none")[:12] for row in rows},
        "days": {row["at"][:10] for row in rows},
    }
    return "; ".join(f"{name}: {', '.join(sorted(values))}" for name, values in facts.items() if values)


def publish(group: str, source: Path, target: Path, *, command: str) -> None:
    """Copy the rows of every plan that has some. Raises BadInput where none has; `command` runs one."""
    found = [source / f"{name}.jsonl" for name in names(group) if read(source / f"{name}.jsonl")]
    if not found:
        raise BadInput(f"--out {source}: no rows there; run a plan first: {command}")
    target.mkdir(parents=True, exist_ok=True)
    for file in found:
        shutil.copyfile(file, target / file.name)

"""How durable is this memory, in numbers: killed many times, its files damaged, its disk full.

python -m memory_bench durability +memory=lancedb                  killed 50 times, 2 bits flipped in every file
python -m memory_bench durability +memory=lancedb kills=200 flips=8 seed=1
python -m memory_bench durability +memory=lancedb memory.index_from_rows=32      with other options
python -m memory_bench durability +experiment=durability           the memories of the experiment, one after the other
python -m memory_bench durability --publish                        what was measured, as results/published and reports

A memory's numbers stand in RESULTS/durability/MEMORY.json, with the machine and the versions. What is killed is the
process: what a power cut would lose is not measured.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from memory_bench import config, provenance, terminal
from memory_bench.errors import BadInput
from memory_bench.guards.durability import page
from memory_bench.guards.durability.child import Children
from memory_bench.guards.durability.damage import damaged, full_disk, read_only
from memory_bench.guards.durability.kills import kills

DONE = 0
ROOM = "durability"
PUBLISHED, PAGE = Path("results/published") / ROOM, Path("reports/durability.md")
COUNTS = {"kills": 50, "flips": 2}
Counts = dict[str, int]


def main(argv: list[str]) -> int:
    """Measure the memories that were named, or publish, and return the exit code. Raises BadInput and Unavailable."""
    if argv in (["-h"], ["--help"]):
        print(__doc__)
        return DONE
    if argv == ["--publish"]:
        publish(Path("results") / ROOM)
        return DONE
    overrides, counts = _parse(argv)
    console = terminal.stdout()
    for one in config.expand(overrides):
        cell = config.compose(one)
        if "path" not in cell.config["memory"]:
            raise BadInput(
                f"{cell.config['choices']['memory']} has no memory.path: it keeps nothing that could be lost"
            )
        found = measure(cell, counts, command=f"python -m memory_bench durability {' '.join(argv)}")
        file = cell.results / ROOM / f"{found['memory']}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        console.print("\n".join(page.summary(found)), markup=False, soft_wrap=True)
        console.print(f"results      {file}", soft_wrap=True)
    return DONE


def measure(cell: config.Cell, counts: Counts, *, command: str) -> dict[str, Any]:
    """Return what a memory did, and where and when that was."""
    started, load, seed = provenance.now(), os.getloadavg(), cell.config["seed"]
    with Children() as children, tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        killed = list(kills(children, cell, place, count=counts["kills"], seed=seed))
        troubles = [full_disk(children, cell, place, seed=seed), read_only(children, cell, place, seed=seed)]
        for closed in (True, False):
            troubles += damaged(children, cell, place, seed=seed, flips=counts["flips"], closed=closed)
    return {
        "memory": cell.config["choices"]["memory"],
        "embedder": cell.config["choices"]["embedder"],
        "options": cell.config["memory"],
        "claims": dict(cell.claims),
        "seed": seed,
        "engines": cell.engines(),
        "kills": [{**asdict(kill), "why": kill.why.replace(folder, "...")} for kill in killed],
        "troubles": [{**asdict(one), "detail": one.detail.replace(folder, "...")} for one in troubles],
        "command": command,
        "started": started,
        "ended": provenance.now(),
        "load": {"before": load, "after": os.getloadavg()},
        "machine": provenance.machine(),
        "revision": provenance.revision(),
    }


def publish(folder: Path) -> None:
    """Keep what was measured, and make the page of it. Raises BadInput where nothing was."""
    files = sorted(folder.glob("*.json"))
    if not files:
        raise BadInput(f"{folder} holds no measurement; type: durability +memory=NAME, or +experiment=durability")
    PUBLISHED.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(file, PUBLISHED / file.name)
    PAGE.write_text(page.render(published(PUBLISHED)), encoding="utf-8")


def published(folder: Path) -> list[dict[str, Any]]:
    """Return what stands in a folder, by the names of the memories."""
    return [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]


def _parse(argv: Sequence[str]) -> tuple[list[str], Counts]:
    """Return what Hydra is to compose, and the counts."""
    if flags := [argument for argument in argv if argument.startswith("-")]:
        raise BadInput(f"{' '.join(flags)}: durability takes --publish alone, or +memory=NAME")
    named = {argument.partition("=")[0] for argument in argv}
    if not named & {"+memory", "+experiment"}:
        known = ", ".join(config.choices("memory"))
        raise BadInput(f"durability takes a memory; type +memory=NAME with one of: {known}; or +experiment=durability")
    counts = dict(COUNTS)
    for argument in argv:
        name, _, value = argument.partition("=")
        if name in counts:
            counts[name] = _count(argument, value, least=1 if name == "kills" else 0)
    rest = [argument for argument in argv if argument.partition("=")[0] not in counts]
    task = [] if named & {"+task", "+experiment"} else [f"+task={config.choices('task')[0]}"]
    embedder = [] if named & {"embedder", "+experiment"} else ["embedder=hashing"]
    return [*task, *embedder, "reader=none", *rest], counts


def _count(typed: str, value: str, *, least: int) -> int:
    if not (value.isdecimal() and int(value) >= least):
        raise BadInput(
            f"{typed}: expected a whole number >= {least}, such as {typed.partition('=')[0]}={max(least, 3)}"
        )
    return int(value)

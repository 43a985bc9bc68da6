"""What a memory of many events takes: `python -m benchmarks.many_events [MEMORY ...] --events 100000`.

Every memory of `conf/memory` is told so many short events in a process of its own, a thousand at a time, settled, and
asked for some of them. A memory is a line of JSON in `--out`; what was measured before is not measured again. Texts are
embedded by hashing, since what an embedder takes is not the memory's; the reader is `tiny`, and a process holds it too
(`reader_rss_bytes`: what was resident before the memory was made). What takes longer than `--seconds` is null.
`--publish` keeps the rows and writes `reports/many_events.md`.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import psutil

from memory_bench import config, plans, provenance
from memory_bench.contracts import Memory, Reader
from memory_bench.errors import BadInput, Unavailable
from memory_bench.plans import Job, Row
from memory_bench.provenance import ROOT
from memory_bench.reporting.figures import Figure, Null
from memory_bench.reporting.numbers import Notes, grid
from memory_bench.types import Event, Query

DISTRIBUTIONS = ("lancedb", "qdrant-edge-py", "qdrant-client", "ruvector", "bm25s", "numpy", "torch")
BATCH, ASKED = 1_000, 20
PUBLISHED, PAGE = Path("results/published/many_events.jsonl"), Path("reports/many_events.md")
OPENING = """\
Every memory was told so many short events in a process of its own, a thousand at a time, and asked for twenty of them.
All have one wording: they differ in a number and in the value that it has, so that a word or a run of words of a
question stands in every event. That is the worst case of what looks at all events that share something. Texts were
embedded by hashing, and times hold it. *Found*: how often the event that was asked for is among the passages.
*Resident*: the most that the process held, less what it held with the reader alone. Each was measured once: times are
of this machine and of what else ran there."""
UNITS = ("s", "s", "ms", "", "MiB", "GiB")


def events(count: int) -> Iterator[list[Event]]:
    """Yield batches of events that differ in a number and in what it opens."""
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        yield [Event(f"e{n}", f"The access code of gate {n} is {n * 7919 % 100_003}.", time=float(n)) for n in numbers]


def measured(name: str, count: int) -> Row:
    """Return what the memory took in this process. Raises Unavailable where it cannot run here."""
    cell = config.compose(["+task=needle", f"+memory={name}", "embedder=hashing"])
    reader: Reader = config.build(cell, "reader")
    before = psutil.Process().memory_info().rss
    embedded = {"embedder": config.build(cell, "embedder")} if cell.config["embedder"] else {}
    memory: Memory = config.build(cell, "memory", **embedded)
    memory.attach(reader)
    told = 0.0
    for batch in events(count):
        begun = time.perf_counter()
        memory.write(batch)
        told += time.perf_counter() - begun
    begun = time.perf_counter()
    memory.settle()
    settled = time.perf_counter() - begun
    reads, found, returned = [], 0, 0
    for number in range(0, count, count // ASKED):
        begun = time.perf_counter()
        passages = memory.read(Query(f"The access code of gate {number} is", budget_tokens=256))
        reads.append(1e3 * (time.perf_counter() - begun))
        found += any(f"e{number}" in passage.event_ids for passage in passages)
        returned += len(passages)
    size = memory.size_bytes()
    memory.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "write_seconds": told, "settle_seconds": settled, "read_ms": median(reads), "asked": len(reads),
        "found": found if returned else None,  # what returns no passage cannot be told by them
        "size_bytes": size, "reader_rss_bytes": before, "peak_rss_bytes": peak,
    }  # fmt: skip


def child(name: str, count: int, seconds: float) -> Row:
    """Return what a process of its own measured, or why it measured nothing."""
    command = [sys.executable, "-m", "benchmarks.many_events", name, "--events", str(count), "--here"]
    where = {"at": provenance.now(), **plans.where(DISTRIBUTIONS)}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return {"why": f"not done after {seconds:g} s", **where}
    if done.returncode:
        return {"why": done.stderr.strip().splitlines()[-1], **where}
    return {**json.loads(done.stdout.splitlines()[-1]), **where}


def render(rows: Sequence[Row]) -> str:
    """Return the page."""
    notes = Notes()
    lines = [
        [
            f"`{row['key']['memory']}`",
            *(notes.show(one, unit=unit) for one, unit in zip(_figures(row), UNITS, strict=True)),
        ]
        for row in rows
    ]
    first = rows[0]
    said = plans.measured_on(rows, DISTRIBUTIONS)
    parts = [
        f"# {first['events']:,} events in every memory",
        OPENING,
        grid(["memory", "write, s", "settle, s", "read, ms", "found", "size, MiB", "resident, GiB"], lines),
        "\n".join(f"<sup>{number}</sup> {reason}  " for reason, number in notes.reasons.items()),
        f"Measured by `python -m benchmarks.many_events --events {first['events']}`, one thread. {said}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _figures(row: Row) -> list[Figure]:
    if "why" in row:
        return [Null(row["why"])] * len(UNITS)
    resident = (row["peak_rss_bytes"] - row["reader_rss_bytes"]) / 2**30
    found = Null("it never returned a passage") if row["found"] is None else row["found"] / row["asked"]
    times = (row["write_seconds"], row["settle_seconds"], row["read_ms"] / 1e3)
    return [*times, found, row["size_bytes"] / 2**20, resident]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_events", description=__doc__)
    parser.add_argument("memories", nargs="*", metavar="MEMORY", help="all where none is named")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=600.0, help="the most that one memory may take")
    parser.add_argument("--out", type=Path, default=Path("results/many_events.jsonl"))
    parser.add_argument("--publish", action="store_true", help=f"measure nothing; write {PAGE} from --out")
    parser.add_argument("--here", action="store_true", help="measure one memory in this process and print a line")
    given = parser.parse_args(arguments)
    try:
        if given.events < ASKED:
            raise BadInput(f"--events {given.events}: expected {ASKED} or more, since so many are asked for")
        if given.here:
            print(json.dumps(measured(given.memories[0], given.events)))
            return 0
        if given.publish:
            if not plans.read(given.out):
                raise BadInput(f"{given.out}: no rows there; measure some first: python -m benchmarks.many_events")
            shutil.copyfile(given.out, ROOT / PUBLISHED)
            (ROOT / PAGE).write_text(render(plans.read(ROOT / PUBLISHED)), encoding="utf-8")
            print(f"wrote {PAGE}")
            return 0
        jobs = [
            Job({"memory": name}, partial(child, name, given.events, given.seconds))
            for name in given.memories or config.choices("memory")
        ]
        plans.run({"events": given.events}, lambda _: jobs, given.out, told=_tell)
    except (BadInput, Unavailable) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _tell(row: Row) -> None:
    name = row["key"]["memory"]
    if "why" in row:
        print(f"{name:<24} null: {row['why']}", flush=True)
        return
    resident = (row["peak_rss_bytes"] - row["reader_rss_bytes"]) / 2**30
    found = "--" if row["found"] is None else row["found"]
    print(
        f"{name:<24} {row['write_seconds'] + row['settle_seconds']:8.1f} s written  {row['read_ms']:10.2f} ms a read  "
        f"{found:>2}/{row['asked']} found  {row['size_bytes'] / 2**20:8.1f} MiB  {resident:6.2f} GiB over the reader",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

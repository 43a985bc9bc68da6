"""One cell, from its options to its folder: make the plug-ins, walk, put every row on disk, say how it went."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from memory_bench import config, provenance, runner, terminal
from memory_bench.contracts import Embedder, Memory, Reader, Task
from memory_bench.errors import BadInput, Unavailable
from memory_bench.lending import Lender, Lent
from memory_bench.meter import Meter
from memory_bench.places import Elsewhere, at_work
from memory_bench.records import Operation, Record, Writer, is_complete


@dataclass(frozen=True)
class Outcome:
    """A measured cell. `rows` hold no passages: those are on disk."""

    title: str
    line: str
    place: Path
    rows: tuple[Operation | Record, ...]


@dataclass(frozen=True)
class Named:
    """The plug-ins of a cell whose sources name its run. What it takes beyond them is made where it is measured."""

    task: Task
    lent: Lent
    embedder: Embedder | None

    def identities(self) -> dict[str, Mapping[str, str | None]]:
        read: dict[str, Mapping[str, str | None]] = {
            "task": self.task.identity(),
            "reader": self.lent.reader.identity(),
        }
        return {**read, "embedder": self.embedder.identity()} if self.embedder else read


@dataclass(frozen=True)
class Parts:
    """The plug-ins of a cell, the memory's embedder metered, and the seconds until each was ready to work."""

    named: Named
    memory: Memory
    control: runner.Control
    meter: Meter
    ready_seconds: Mapping[str, float | None]

    @property
    def task(self) -> Task:
        return self.named.task

    @property
    def reader(self) -> Reader:
        return self.named.lent.reader


def measure(
    cell: config.Cell, *, command: str, alone: bool, again: bool = False, lender: Lender | None = None
) -> Outcome:
    """Measure one cell. It is `alone` where it has the process to itself; a finished one is kept, or measured `again`.

    Its task and its reader are those of a `lender`, or its own. Raises BadInput, Unavailable, or whatever a plug-in
    raises; the rows so far stay on disk, marked unfinished. Raises Elsewhere where another process is at the cell,
    unless it is to be measured `again`.
    """
    lender = lender or Lender()
    try:
        named = _named(cell, lender)
        place = _place(cell, named)
        if not again and is_complete(place):
            return Outcome(_title(cell), f"measured before, kept: {place}", place, ())
        if not again and (folder := at_work(place)):
            raise Elsewhere(folder)
        return _measured(cell, _built(cell, named, alone=alone), place, command, again=again)
    except (BadInput, Unavailable, Elsewhere):
        raise
    except BaseException:
        lender.drop()
        raise


def build(cell: config.Cell, *, alone: bool, lender: Lender) -> Parts:
    """Make the plug-ins of a cell. Raises BadInput or Unavailable as `config.build`."""
    return _built(cell, _named(cell, lender), alone=alone)


def _named(cell: config.Cell, lender: Lender) -> Named:
    task, lent = lender.task(cell), lender.reader(cell)
    config.check_installed(cell, "memory")  # its code is hashed before it is made
    return Named(task, lent, config.build(cell, "embedder") if cell.config["embedder"] else None)


def _built(cell: config.Cell, named: Named, *, alone: bool) -> Parts:
    ready_seconds: dict[str, float | None] = {"reader": None if named.lent.earlier else named.lent.seconds}
    meter = Meter(named.lent.reader, alone=alone)
    given = {}
    if named.embedder:
        with _timed(ready_seconds, "embedder"):
            named.embedder.embed(["Ready"])
        given["embedder"] = meter.embedder(named.embedder)
    with _timed(ready_seconds, "memory"):
        memory: Memory = config.build(cell, "memory", **given)
    return Parts(named, memory, config.build(cell, "control"), meter, ready_seconds)


@contextmanager
def _timed(seconds: dict[str, float | None], part: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[part] = time.perf_counter() - start


def _place(cell: config.Cell, named: Named) -> Path:
    names = cell.config["choices"]
    run = provenance.run_name(
        cell.config,
        identities=named.identities(),
        environment=provenance.environment(_device(named.lent.reader)),
        engines=cell.engines(),
    )
    return cell.results / str(names["task"]) / str(names["memory"]) / run


def _device(reader: Reader) -> str:
    if None in reader.identity().values():  # whose weights nobody can know, nobody knows the machine of
        return "not known: a server's"
    if reader.mark() is None:
        return "cpu"
    gpus = provenance.gpus()
    return gpus if isinstance(gpus, str) else ", ".join(gpus)


def _measured(cell: config.Cell, parts: Parts, place: Path, command: str, *, again: bool) -> Outcome:
    try:
        return _walk(cell, parts, place, command, again=again)
    finally:
        parts.memory.close()


def _walk(cell: config.Cell, parts: Parts, place: Path, command: str, *, again: bool) -> Outcome:
    options = run_options(cell)
    rows = runner.run(parts.task, parts.memory, parts.reader, control=parts.control, options=options, meter=parts.meter)
    first = next(rows)  # what the user has to mend shows here, before anything is on disk
    shown = terminal.with_progress(
        itertools.chain([first], rows),
        total=lambda: runner.count_questions(parts.task, seed=options.seed, limit=options.limit),
        console=Console(stderr=True),
    )
    kept = []
    facts = _provenance(cell, parts, command)
    with Writer(place, config=cell.config, provenance=facts, again=again) as writer, _stoppable(writer):
        for row in shown:
            writer.write(row)
            # of passages the summary asks only whether there were any
            kept.append(replace(row, passages=row.passages[:1]) if isinstance(row, Record) else row)
        writer.finish()
    return Outcome(_title(cell), f"{terminal.headline(kept)}; {place}", place, tuple(kept))


@contextmanager
def _stoppable(writer: Writer) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        kept = f"{writer.questions} questions are kept in {writer.folder}, marked unfinished"
        raise KeyboardInterrupt(f"stopped: {kept}") from None


def run_options(cell: config.Cell) -> runner.Options:
    """Return the numbers of a cell's run."""
    return runner.Options(
        seed=cell.config["seed"],
        budget_tokens=cell.config["budget_tokens"],
        answer_tokens=cell.config["reader"]["max_new_tokens"],
        limit=cell.config["limit"],
        write_batch=cell.config["write_batch"],
    )


def _provenance(cell: config.Cell, parts: Parts, command: str) -> dict[str, object]:
    return {
        "command": command,
        "seed": cell.config["seed"],
        "task_version": parts.task.version,
        "identities": parts.named.identities(),
        "revision": provenance.revision(),
        "code": provenance.code_hashes(provenance.targets(cell.config)),
        "environment": provenance.environment(_device(parts.reader)),
        "engines": cell.engines(),
        "machine": provenance.machine(),
        "versions": provenance.versions(),
        "ready_seconds": parts.ready_seconds,
        "sources": parts.meter.sources() | _unasked(parts.control) | _found_ready(parts.named.lent),
    }


def _found_ready(lent: Lent) -> dict[str, dict[str, str]]:
    if not lent.earlier:
        return {}
    why = f"an earlier cell of this process asked for the same reader, which was ready in {lent.seconds:.3f} seconds"
    return {"ready_seconds.reader": {"source": "not available", "why": why}}


def _unasked(control: runner.Control) -> dict[str, dict[str, str]]:
    if not control.packs_evidence:
        return {}
    why = "the control packs the evidence itself and does not ask the memory"
    measured, counted = ("seconds", "cpu_seconds", "gpu_seconds"), ("calls", "prompt_tokens", "completion_tokens")
    columns = [f"read_{column}" for column in (*measured, *counted)]
    return {column: {"source": "not available", "why": why} for column in columns}


def _title(cell: config.Cell) -> str:
    names, budget = cell.config["choices"], cell.config["budget_tokens"]
    room = "the reader's window" if budget is None else f"{budget} tokens"
    control = "" if names["control"] == "none" else f" under control {names['control']}"
    return (
        f"task {names['task']}, memory {names['memory']}{control}, reader {names['reader']}, "
        f"seed {cell.config['seed']}, budget {room}"
    )

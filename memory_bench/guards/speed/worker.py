"""What a fresh process does for the gate: it measures cells by the code of its revision, and says what the ledger says.

It is handed to Python as text, since the other revision may not have this file. One JSON line in, one out:

    {"overrides": [...], "slower": 0.1}   ->   {"seconds": [0.2, ...], "cpu_seconds": [0.1, ...]}, or {"error": "..."}

A number a row of the ledger, in its order: an operation on the memory, or a question. They hold all phases (write,
settle, read, embed, generate, forget), not what it takes to read options, to draw a stream and to put rows on disk.
`slower` adds that share of the processor's to each, by computing: what a calibration finds again.
"""

import contextlib
import dataclasses
import functools
import importlib.resources
import importlib.util
import io
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CLOCK, CPU, GPU = "_seconds", "_cpu_seconds", "_gpu_seconds"


@functools.cache
def composed(overrides: tuple[str, ...]) -> Any:
    from memory_bench import config

    return config.compose(overrides)


def once(overrides: list[str], slower: float) -> dict[str, list[float]]:
    from memory_bench import cell

    with tempfile.TemporaryDirectory(prefix="memory_bench-speed-") as folder:
        one = dataclasses.replace(composed(tuple(overrides)), results=Path(folder))
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            rows = cell.measure(one, command="gate", alone=False).rows
    found: dict[str, list[float]] = {"seconds": [], "cpu_seconds": []}
    for row in rows:
        costs = [(name, value) for name, value in row.costs.items() if value is not None]
        cpu_seconds = sum(value for name, value in costs if name.endswith(CPU))
        seconds = sum(value for name, value in costs if name.endswith(CLOCK) and not name.endswith((CPU, GPU)))
        spun, cpu_spun = spin(slower * cpu_seconds) if slower else (0.0, 0.0)
        found["seconds"].append(seconds + spun)
        found["cpu_seconds"].append(cpu_seconds + cpu_spun)
    return found


def spin(cpu_seconds: float) -> tuple[float, float]:
    """Compute for that long; return the seconds it took by the clock, and of the processor."""
    begun, cpu_begun = time.perf_counter(), time.process_time()
    while time.process_time() - cpu_begun < cpu_seconds:
        pass
    return time.perf_counter() - begun, time.process_time() - cpu_begun


def where(overrides: list[str]) -> dict[str, list[str]]:
    """The places that the core, its options and the memory come from: the parent knows which revision was meant."""
    import memory_bench

    room = composed(tuple(overrides)).config["memory"]["_target_"].partition(".")[0]
    spec = importlib.util.find_spec(room)
    places = [] if spec is None else list(spec.submodule_search_locations or [str(spec.origin)])
    return {
        "core": [str(memory_bench.__file__), str(importlib.resources.files("memory_bench.conf"))],
        "memory": places,
    }


def serve() -> None:
    out = sys.stdout
    for line in sys.stdin:
        answered: dict[str, Any]
        try:
            asked = json.loads(line)
            answered = once(**asked) if "slower" in asked else where(**asked)
        except Exception as error:  # whatever the other revision raises is its answer
            answered = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answered), file=out, flush=True)


if __name__ == "__main__":
    serve()

"""What a fresh process does for the gate: it runs cells by the command of its revision, and says how long each took.

It is handed to Python as text, since the other revision may not have this file. One JSON line in, one out:

    {"overrides": [...], "slower": 0.1}   ->   {"seconds": 0.21, "cpu_seconds": 0.19}   or   {"error": "..."}

`slower` adds that share of the run's processor time, by computing: what a calibration finds again.
"""

import contextlib
import importlib.resources
import io
import json
import sys
import tempfile
import time


def once(overrides: list[str], slower: float) -> dict[str, object]:
    from memory_bench.__main__ import main

    said = io.StringIO()
    with tempfile.TemporaryDirectory(prefix="memory_bench-speed-") as folder:
        begun, cpu_begun = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main([*overrides, f"results={folder}"])
        until = time.process_time() + slower * (time.process_time() - cpu_begun)
        while time.process_time() < until:
            pass
        seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu_begun
    if code:
        return {"error": f"exit code {code}: {said.getvalue().strip()[-300:]}"}
    return {"seconds": seconds, "cpu_seconds": cpu_seconds}


def where() -> list[str]:
    """The folders that code and options come from: the parent compares them with the revision that was meant."""
    import memory_bench

    return [str(memory_bench.__file__), str(importlib.resources.files("memory_bench.conf"))]


def serve() -> None:
    out = sys.stdout
    for line in sys.stdin:
        answered: dict[str, object]
        try:
            asked = json.loads(line)
            answered = once(asked["overrides"], asked["slower"]) if "overrides" in asked else {"where": where()}
        except Exception as error:  # whatever the other revision raises is its answer
            answered = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answered), file=out, flush=True)


if __name__ == "__main__":
    serve()

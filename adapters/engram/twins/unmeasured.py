"""What the page on Engram has no figures of: plans that left no row, and the places of the table on a GPU."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from adapters.engram.twins.runs import GROUP
from memory_bench.plans import Row, names
from memory_bench.provenance import ROOT

OFFLOADS = Path("results/published")
"""Where `make gpu` leaves `gpu_NAME.json`."""

PLACES = """\
The arms of `conf/experiment/engram_offload.yaml` and of `make gpu` hold the same rows in other places: none (A), on the
device (B), in memory of the host (C1 to C4), in a file (D). On a CPU, tests run A, B, C3, C3u, C4 and D, for the same
bits and not for their times. C1 and C2 read the host's memory in place by a Triton kernel, and need a GPU. A prompt
read at once and one token after it are timed apart."""

NEVER = """\
**They, `make gpu` on a GPU, and what the other arms do there (page-locked memory, copies on a stream of their own) were
written and never executed.** Nothing on this page says what a place costs. To measure it, on a machine with a GPU:
`make gpu`."""


def not_run(rows: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    """Yield what has no figure here: plans without a row, each with its first line and the command that runs it."""
    ran = {row["plan"] for found in rows.values() for row in found}
    left = [
        f"- {_title(name)}: run `python -m adapters.engram.twins {name}`" for name in names(GROUP) if name not in ran
    ]
    if left:
        yield "## Not measured here"
        yield "\n".join(left)


def places(folder: Path = ROOT / OFFLOADS) -> Iterator[str]:
    """Yield what is known of the table's place: which GPU was measured, or that none was."""
    measured = sorted(folder.glob("gpu_*.json"))
    yield "## Where the table lies"
    yield PLACES
    yield "\n".join(f"Measured on {_gpu(file)}: `{OFFLOADS / file.name}`." for file in measured) or NEVER


def _title(plan: str) -> str:
    file = files("memory_bench.conf") / "twins" / f"{plan}.yaml"
    return file.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def _gpu(file: Path) -> str:
    return str(json.loads(file.read_text(encoding="utf-8"))["hardware"]["gpu"]["name"])

"""What a layer, a large table and a fact cost, beside the bounds: as benchmarks measured it, in pairs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.engram.twins.notes import grid
from memory_bench.provenance import ROOT

FILE = Path("results/published/engram/bounds.json")
"""As `pytest-benchmark` writes it; its name of the machine is left out (`benchmarks/conftest.py`)."""
COMMAND = f"""\
pytest benchmarks/test_engram.py benchmarks/test_placement.py benchmarks/test_one_shot.py --benchmark-json={FILE}"""

NOT_MEASURED = f"""\
What a layer may add (10 % of a forward), a table of 10^8 rows (1.5 times one of 10^5), one in a file (5 % over memory)
and a fact written in one shot (20 us): null, not measured. Run `{COMMAND}`."""

Timed = Mapping[str, Any]


def section(file: Path = ROOT / FILE) -> Iterator[str]:
    """Yield the section of the page."""
    yield "## Bounds"
    if not file.exists():
        yield NOT_MEASURED
        return
    measured = json.loads(file.read_text(encoding="utf-8"))
    timed = [one for one in measured["benchmarks"] if one["extra_info"]]
    yield "One thread, both sides of a pair in turn in one process; times of other machines are not compared."
    yield from _layers(_of(timed, "test_one_layer"))
    yield from _ratios(timed)
    yield from _facts(_of(timed, "test_one_shot_writing"))
    commit = measured["commit_info"]
    yield (
        f"Measured by `{COMMAND}` on {measured['machine_info']['cpu']['brand_raw']}, {measured['datetime'][:10]}, "
        f"revision {commit['id'][:12]}{' with changes' if commit['dirty'] else ''}."
    )


def _of(timed: Iterable[Timed], name: str) -> list[Timed]:
    return [one for one in timed if one["name"].split("[")[0] == name]


def _layers(timed: Sequence[Timed]) -> Iterator[str]:
    if timed:
        yield "What one layer adds to a forward of the bundled reader's shape (128 wide, 4 blocks; bound: 10 %):"
        yield grid(
            ["texts x tokens", "numbers a row", "convolution", "added"],
            [
                [
                    f"{one['params']['batch']} x {one['params']['length']:,}",
                    str(one["params"]["row_width"]),
                    one["params"]["conv"],
                    f"{one['extra_info']['added_share']:.1%}",
                ]
                for one in timed
            ],
        )


def _ratios(timed: Sequence[Timed]) -> Iterator[str]:
    said = {
        "test_forward_by_rows": ("{rows:,} rows in memory", "10^5 rows in memory", "1.5"),
        "test_forward_from_a_file": ("{rows:,} rows in a file, {how}", "as many in memory", "1.05, once warm"),
    }
    lines = [
        [
            arm.format(**one["params"]), base, _ratio(one["extra_info"]["ratio"]),
            _ratio(one["extra_info"]["null_ratio"]), bound, _cold(one["extra_info"]),
        ]
        for name, (arm, base, bound) in said.items()
        for one in _of(timed, name)
    ]  # fmt: skip
    if lines:
        yield "A forward with one table against one with another, and against itself (512 tokens, two layers):"
        yield grid(
            ["arm", "against", "times", "itself, times", "bound", "the first forward from a cold file, ms"], lines
        )


def _ratio(found: Mapping[str, float] | None) -> str:
    return "null" if found is None else f"{found['median']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def _cold(found: Mapping[str, Any]) -> str:
    ways = [(key.split("_")[2], value) for key, value in found.items() if key.startswith("cold_ms_")]
    return ", ".join(f"{value:.0f} ({threads} thread{'s'[: int(threads) - 1]})" for threads, value in ways) or "no file"


def _facts(timed: Sequence[Timed]) -> Iterator[str]:
    shown = [f"{one['extra_info']['us_a_fact']:.1f} us ({one['params']['count']:,} facts)" for one in timed]
    if shown:
        yield f"A fact written in one shot (bound: 20 us): {', '.join(shown)}."

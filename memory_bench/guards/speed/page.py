"""What the gate for time is worth, as a page: `reports/gate.md`, made from published trials alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from scipy import stats

from memory_bench import plans
from memory_bench.errors import BadInput
from memory_bench.plans import Row
from memory_bench.provenance import ROOT
from memory_bench.reporting.numbers import grid

PUBLISHED, PAGE = Path("results/published/gate/speed.jsonl"), Path("reports/gate.md")
FALSE_ALARMS, POWER, UNSURE, SECONDS = 0.03, 0.90, 0.10, 20
"""Bounds: alarms at base against itself; at +10 % on a quiet machine those found, and those left open; a trial."""
TRIALS = 50
"""Of a level, quiet, and as many loaded. Of fewer, a bound is kept or missed so far."""
OPTIONS = ("confidence", "floor", "matters", "processes", "rounds", "repeats")

OPENING = """A trial times a revision against itself, slowed down on purpose by a share of what each row of the ledger
took, and is a whole verdict: fresh processes of both sides in turn, and, where that does not pass, a second run of
fresh processes and all pairs together. *Called slower* are verdicts that fail, *inconclusive* those that let nothing
be said. *Loaded*: another process multiplies matrices all the time. The load is the system's mean of the last minute,
in processes that want to run, at the end of a trial, which takes one by itself. 95 % intervals are exact (Clopper and
Pearson).

What is counted and not timed has no noise: the gate of answers compares every answer, token and byte with the accepted
ones, so that one wrong answer in 200 and one more token in a prompt are always found (`tests/test_gate.py` tries each
of 200)."""


def publish(file: Path) -> Path:
    """Keep the trials of a file in the repository and write the page. Raises BadInput where there are none."""
    if not plans.read(file):
        raise BadInput(f"{file}: no trials there; run some first: python -m memory_bench gate --calibrate")
    (ROOT / PUBLISHED).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, ROOT / PUBLISHED)
    (ROOT / PAGE).write_text(render(plans.read(ROOT / PUBLISHED)), encoding="utf-8")
    return PAGE


def render(rows: Sequence[Row]) -> str:
    """Return the page."""
    groups: dict[tuple[bool, float], list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row["key"]["loaded"], row["key"]["slower"])):
        groups.setdefault((row["key"]["loaded"], row["key"]["slower"]), []).append(row)
    heads = ["machine", "slower by", "subject", "trials", "called slower [95 %]", "inconclusive", "ratio, median",
             "half its interval, median", "seconds of a trial, median", "at most", "load, median"]  # fmt: skip
    lines = [line for (loaded, level), own in groups.items() for line in _lines(own, loaded=loaded, level=level)]
    parts = ["# What the gate for time is worth", OPENING, grid(heads, lines), "## Bounds", grid(
        ["bound", "found [95 %]", ""], list(_bounds(groups))
    ), _measured(rows)]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _lines(own: Sequence[Row], *, loaded: bool, level: float) -> Iterator[list[str]]:
    for subject in own[0]["subjects"]:
        found = [row["subjects"][subject] for row in own]
        ratios = [one["ratio"] for one in found if one["ratio"] is not None]
        seconds = [row["seconds"] for row in own]
        yield [
            "loaded" if loaded else "quiet", f"{level:.0%}", f"`{subject}`", str(len(own)), _share(found, "fail"),
            str(_count(found, "inconclusive")), f"{median(one['median'] for one in ratios):.3f}",
            f"{median((one['high'] - one['low']) / 2 for one in ratios):.3f}", f"{median(seconds):.1f}",
            f"{max(seconds):.1f}", f"{median(row['load'] for row in own):.1f}",
        ]  # fmt: skip


def _bounds(groups: Mapping[tuple[bool, float], Sequence[Row]]) -> Iterator[list[str]]:
    same = [one for (_, level), own in groups.items() if level == 0 for one in _verdicts(own)]
    yield _bound(
        f"false alarms <= {FALSE_ALARMS:.0%}, quiet and loaded", same, "fail", most=FALSE_ALARMS, trials=2 * TRIALS
    )
    slowed = [one for own in [groups.get((False, 0.10), ())] for one in _verdicts(own)]
    yield _bound(f"+10 % found >= {POWER:.0%}, quiet", slowed, "fail", least=POWER)
    yield _bound(f"+10 % inconclusive <= {UNSURE:.0%}, quiet", slowed, "inconclusive", most=UNSURE)
    seconds = [row["seconds"] for (loaded, level), own in groups.items() if not loaded and level == 0 for row in own]
    if seconds:
        typical = median(seconds)
        yield [f"a trial <= {SECONDS} s, quiet, 0 % slower", f"{typical:.1f} s (median)",
               "kept" if typical <= SECONDS else "missed"]  # fmt: skip


def _bound(
    name: str,
    found: Sequence[Mapping[str, Any]],
    word: str,
    *,
    least: float = 0.0,
    most: float = 1.0,
    trials: int = TRIALS,
) -> list[str]:
    if not found:
        return [name, "null: no such trial", ""]
    count = _count(found, word)
    kept = "kept" if least <= count / len(found) <= most else "missed"
    return [name, f"{count} of {len(found)}, {_share(found, word)}", kept + " so far" * (len(found) < trials)]


def _verdicts(own: Sequence[Row]) -> Iterator[Mapping[str, Any]]:
    return (one for row in own for one in row["subjects"].values())


def _share(found: Sequence[Mapping[str, Any]], word: str) -> str:
    count = _count(found, word)
    interval = stats.binomtest(count, len(found)).proportion_ci(method="exact")
    return f"{count / len(found):.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _count(found: Sequence[Mapping[str, Any]], word: str) -> int:
    return sum(1 for one in found if one["word"] == word)


def _measured(rows: Sequence[Row]) -> str:
    first = rows[0]
    gate = first["gate"]
    options = ", ".join(f"{name} {gate[name]}" for name in OPTIONS)
    systems = _all(row["machine"]["platform"] for row in rows)
    pythons = _all(row["machine"]["python"] for row in rows)
    commits = _all(_commit(row["revision"]) for row in rows)
    versions = _all(f"{name} {version}" for row in rows for name, version in row["versions"].items())
    days = _all(row["when"][:10] for row in rows)
    return (
        "Measured by `python -m memory_bench gate --calibrate`, with `--levels` and `--loaded` as in the table, and "
        f"the page by `--publish`: {options}; the cell: `{' '.join(gate['cell'])}`. CPU: {first['cpu']}, "
        f"{first['cores']} cores, system: {systems}, Python: {pythons}, {versions}, revision: {commits}, days: {days}."
    )


def _all(found: Iterable[str]) -> str:
    """Trials of one rule and one kind of machine may still be of several systems, versions and days: name each."""
    return ", ".join(sorted(set(found)))


def _commit(revision: Mapping[str, Any]) -> str:
    return "not known" if revision["commit"] is None else revision["commit"][:12] + " with changes" * revision["dirty"]

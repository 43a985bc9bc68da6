"""Files of pytest-benchmark as pairs: two folders, in which files of one name were written right after each other."""

from __future__ import annotations

import json
from pathlib import Path

from memory_bench.errors import Unavailable
from memory_bench.guards.speed.rounds import Seconds


def pairs(base: Path, head: Path) -> dict[str, Seconds]:
    """Return benchmark -> its medians, a pair for every name of a file that both folders hold.

    Raises Unavailable where a folder or file is none, and where nothing is in both: there is nothing to judge then.
    """
    files = [{file.name: file for file in sorted(folder.glob("*.json"))} for folder in (base, head)]
    for folder, found in zip((base, head), files, strict=True):
        if not found:
            raise Unavailable(f"{folder} holds no file of pytest-benchmark: pytest --benchmark-json={folder}/1.json")
    together: dict[str, Seconds] = {}
    for name in files[0]:
        if name in files[1]:
            theirs, ours = (_medians(one[name]) for one in files)
            for benchmark in theirs:
                if benchmark in ours:
                    seconds = together.setdefault(benchmark, Seconds())
                    seconds.base.append(theirs[benchmark])
                    seconds.head.append(ours[benchmark])
    if not together:
        raise Unavailable(f"{base} and {head} have no file of one name with a benchmark in common: name pairs alike")
    return together


def _medians(file: Path) -> dict[str, float]:
    try:
        written = json.loads(file.read_text(encoding="utf-8"))
        return {one["fullname"]: float(one["stats"]["median"]) for one in written["benchmarks"]}
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"{file} is no file of pytest-benchmark: {type(error).__name__} {error}") from None

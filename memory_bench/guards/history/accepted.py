"""Changes that were meant: a file in git that says what moved, why, and from which commit.

results/history/accepted.yaml

- commit: 0123abcd                          # the first measured one that has the new level
  what: gate/needle-bm25/*_tokens           # EXPERIMENT/CELL/FIGURE; * stands for anything
  why: an event is told with its date
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from memory_bench.errors import BadInput

FILE = "accepted.yaml"
KEYS = ("commit", "what", "why")


@dataclass(frozen=True)
class Accepted:
    """From which commit which figures moved, and why; `commit` is one of the history, in full."""

    commit: str
    what: str
    why: str

    def covers(self, name: str) -> bool:
        """Whether it speaks of a series, by its name EXPERIMENT/CELL/FIGURE."""
        return fnmatchcase(name, self.what)


def load(folder: Path, commits: Sequence[str], names: Sequence[str]) -> list[Accepted]:
    """Return what was accepted, nothing where the file is not there.

    Raises BadInput for a file of another form, a commit that the history does not have, and what names no series.
    """
    file = folder / FILE
    if not file.exists():
        return []
    try:
        entries = yaml.safe_load(file.read_text(encoding="utf-8")) or []
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} is no YAML ({str(error).splitlines()[0]}); mend it") from None
    if not isinstance(entries, list):
        raise BadInput(f"{file} holds no list; expected entries of {', '.join(KEYS)}")
    return [_accepted(entry, f"{file}, entry {number}", commits, names) for number, entry in enumerate(entries, 1)]


def _accepted(entry: Any, place: str, commits: Sequence[str], names: Sequence[str]) -> Accepted:
    if not isinstance(entry, Mapping) or set(entry) != set(KEYS) or not all(str(one).strip() for one in entry.values()):
        raise BadInput(f"{place}: {entry!r}; expected {', '.join(KEYS)}, each with a text")
    commit = str(entry["commit"])
    meant = [one for one in commits if one.startswith(commit)]
    if len(meant) != 1:
        how = "is in no row of the history" if not meant else f"begins {len(meant)} commits of it"
        raise BadInput(
            f"{place}: commit {commit!r} {how}; name the first measured one that has the new level, in quotes"
        )
    one = Accepted(meant[0], str(entry["what"]), str(entry["why"]))
    if not any(map(one.covers, names)):
        raise BadInput(f"{place}: {one.what!r} is no figure of the history; expected EXPERIMENT/CELL/FIGURE, * for any")
    return one

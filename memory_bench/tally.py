"""What a plug-in counts for the ledger besides tokens, such as how often a server had to be asked again."""

from __future__ import annotations

from collections import Counter

_open: list[Counter[str]] = []  # of the stretches that are being timed, the innermost last


def begin() -> Counter[str]:
    """Return what will be counted from now on, until `end`."""
    _open.append(Counter())
    return _open[-1]


def end() -> None:
    """Leave the innermost stretch."""
    _open.pop()


def count(what: str, number: int) -> None:
    """Count for whoever is timed now, if anybody is. A count of 0 says that it was looked for."""
    if _open:
        _open[-1][what] += number

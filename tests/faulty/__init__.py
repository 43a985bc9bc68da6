"""A memory that keeps every promise, and for each promise those that break it, sorted by what they break."""

from __future__ import annotations

from memory_bench.guards.properties import PROPERTIES
from tests.faulty import kept, passages, told
from tests.faulty.right import BREAKING, CLAIMS, Right

__all__ = ["BREAKING", "CLAIMS", "Right", "kept", "names", "passages", "told"]


def names() -> list[str]:
    """Return the promises that somebody breaks; raises where one is misspelt."""
    if unknown := BREAKING.keys() - {promise.__name__ for promise in PROPERTIES}:
        raise ValueError(f"no such promise: {sorted(unknown)}")
    return sorted(BREAKING)

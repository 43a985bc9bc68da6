"""Chunks of seen files: whole lines under the file's path, each around a place that shows a rule.

# pandas/core/reshape/encoding.py
from pandas.core.arrays import Categorical
from pandas.core.dtypes.common import (
    is_integer_dtype,
    is_list_like,          <- the place; it may stand anywhere in its chunk
    is_object_dtype,
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent

from numpy.random import Generator
from tokenizers import Tokenizer

from memory_bench.task_tokens import count_tokens
from tasks.conventions.occurrences import Occurrence
from tasks.conventions.rules import Rule
from tasks.conventions.sources import Source


class TooFewPlacesError(Exception):
    """A rule cannot be shown as often as it was to be."""


@dataclass(frozen=True)
class Chunk:
    """Lines `first` up to `last` (not with it) of a file."""

    source: Source
    first: int
    last: int

    @property
    def text(self) -> str:
        lines = [line.rstrip() for line in self.source.lines[self.first : self.last]]
        return f"# {self.source.path}\n" + dedent("\n".join(lines))

    def shows(self, rule: Rule) -> bool:
        return any(self.holds(place) for place in rule.seen)

    def holds(self, place: Occurrence) -> bool:
        return place.source is self.source and self.first <= place.first and place.last <= self.last

    def overlaps(self, other: Chunk) -> bool:
        return other.source is self.source and self.first < other.last and other.first < self.last


class Cutter:
    """Cuts chunks of at most `chunk_tokens`."""

    def __init__(self, chunk_tokens: int, tokenizer: Tokenizer) -> None:
        self.chunk_tokens = chunk_tokens
        self.tokenizer = tokenizer

    def fits(self, chunk: Chunk) -> bool:
        return count_tokens(self.tokenizer, chunk.text) <= self.chunk_tokens

    def can_show(self, rule: Rule, *, times: int) -> bool:
        """Return whether a rule has places in so many files that fit into a chunk."""
        fitting: set[str] = set()
        for place in rule.seen:
            if place.source.path not in fitting and self.fits(Chunk(place.source, place.first, place.last)):
                fitting.add(place.source.path)
                if len(fitting) == times:
                    return True
        return False

    def cut(self, place: Occurrence, rng: Generator) -> Chunk | None:
        """Return a chunk around a place, grown line by line on random sides; None where the place does not fit."""
        chunk = Chunk(place.source, place.first, place.last)
        if not self.fits(chunk):
            return None
        open_sides = [True, True]
        while any(open_sides):
            side = int(rng.integers(2)) if all(open_sides) else open_sides.index(True)
            grown = Chunk(chunk.source, chunk.first - (side == 0), chunk.last + (side == 1))
            inside = grown.first >= 0 and grown.last <= len(chunk.source.lines)
            open_sides[side] = inside and self.fits(grown)
            chunk = grown if open_sides[side] else chunk
        return chunk

    def show(self, rule: Rule, times: int, told: list[Chunk], hidden: list[Rule], rng: Generator) -> list[Chunk]:
        """Return chunks of so many files that show a rule and none of the hidden ones, and overlap none that was told.

        Raises TooFewPlacesError where there are not as many.
        """
        shown: list[Chunk] = []
        for at in rng.permutation(len(rule.seen)):
            place = rule.seen[at]
            if any(chunk.source is place.source for chunk in shown):
                continue
            chunk = self.cut(place, rng)
            if (
                chunk
                and not any(chunk.overlaps(other) for other in told)
                and not any(chunk.shows(other) for other in hidden)
            ):
                shown.append(chunk)
                if len(shown) == times:
                    return shown
        raise TooFewPlacesError(rule.subject)

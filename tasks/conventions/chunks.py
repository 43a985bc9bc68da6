"""Chunks of seen files: whole lines under the file's path, each around a place that shows a rule.

    # acme/core/ops.py
    from acme.core.types import Shape
    from acme._speed import (
        exact,
        fast,          <- the place; it may stand anywhere in its chunk
        slow,

So a chunk that shows what is asked for and one that shows anything else are made alike.
"""

from __future__ import annotations

from collections.abc import Sequence
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

    @property
    def scope(self) -> str:
        return self.source.folder

    def shows(self, rule: Rule) -> bool:
        return any(self.holds(place) and place.source.is_file_of(self.source) for place in rule.seen)

    def touches(self, rule: Rule) -> bool:
        """Whether it shows the rule, or would in another version of its file."""
        return any(self.holds(place) and place.source.path == self.source.path for place in rule.seen)

    def holds(self, place: Occurrence) -> bool:
        return self.first <= place.first and place.last <= self.last

    def overlaps(self, other: Chunk) -> bool:
        return self.first < other.last and other.first < self.last and other.source.is_file_of(self.source)


class Cutter:
    """Cuts chunks of at most `chunk_tokens`."""

    def __init__(self, chunk_tokens: int, tokenizer: Tokenizer) -> None:
        self.chunk_tokens = chunk_tokens
        self.tokenizer = tokenizer

    def fits(self, chunk: Chunk) -> bool:
        return count_tokens(self.tokenizer, chunk.text) <= self.chunk_tokens

    def places(self, rule: Rule) -> list[Occurrence]:
        """Return the places of a rule that fit into a chunk."""
        return [place for place in rule.seen if self.fits(smallest(place))]

    def cut(self, place: Occurrence, told: Sequence[Chunk], hidden: Sequence[Rule], rng: Generator) -> Chunk | None:
        """Return a chunk around a place, grown line by line on random sides.

        It overlaps none that was told and shows none of the hidden rules; None where the place itself does.
        """

        def free(chunk: Chunk) -> bool:
            return not any(chunk.overlaps(other) for other in told) and not any(chunk.touches(rule) for rule in hidden)

        chunk = smallest(place)
        if not free(chunk):
            return None
        open_sides = [True, True]
        while any(open_sides):
            side = int(rng.integers(2)) if all(open_sides) else open_sides.index(True)
            grown = Chunk(chunk.source, chunk.first - (side == 0), chunk.last + (side == 1))
            inside = grown.first >= 0 and grown.last <= len(chunk.source.lines)
            open_sides[side] = inside and self.fits(grown) and free(grown)
            chunk = grown if open_sides[side] else chunk
        return chunk

    def show(
        self, places: Sequence[Occurrence], times: int, told: Sequence[Chunk], hidden: Sequence[Rule], rng: Generator
    ) -> list[Chunk]:
        """Return chunks around places, as many as asked for, each of another file; see `cut`.

        Raises TooFewPlacesError where there are not as many.
        """
        shown: list[Chunk] = []
        for at in rng.permutation(len(places)):
            if any(chunk.source.is_file_of(places[at].source) for chunk in shown):
                continue
            if chunk := self.cut(places[at], told, hidden, rng):
                shown.append(chunk)
                if len(shown) == times:
                    return shown
        raise TooFewPlacesError


def smallest(place: Occurrence) -> Chunk:
    return Chunk(place.source, place.first, place.last)


def can_show(places: Sequence[Occurrence], times: int, hidden: Sequence[Rule]) -> bool:
    """Return whether as many files have a place whose lines show none of the hidden rules."""
    if not times:
        return True
    files: set[str] = set()
    for place in places:
        if place.source.path not in files and not any(smallest(place).touches(rule) for rule in hidden):
            files.add(place.source.path)
            if len(files) == times:
                return True
    return False

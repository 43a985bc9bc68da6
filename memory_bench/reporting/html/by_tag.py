"""Scores by the values of a tag: both halves of `ngram_covered` first, then kinds, wordings, and what else there is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from memory_bench.reporting.figures import EVIDENCE, KIND, SCORE
from memory_bench.reporting.html.overview import Line
from memory_bench.reporting.html.shown import Figures, Section
from memory_bench.reporting.slices import findable, sliced

FIRST = ("ngram_covered", KIND.removeprefix("tags."), "wording")
MOST_VALUES = 12  # a tag with more of them (the name of a subject) makes no slices that anyone reads


@dataclass(frozen=True)
class Slices:
    """One tag of one task: a column a value, with how many questions have it, and a line a memory.

    `open` shows it unfolded.
    """

    task: str
    tag: str
    score: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    open: bool


def slices(sections: Sequence[Section], figures: Figures) -> list[Slices]:
    """Return the slices of every task, of the questions that have something to find."""
    return [_slices(section, tag, figures) for section in sections for tag in _tags(section)]


def _slices(section: Section, tag: str, figures: Figures) -> Slices:
    answered = section.table.answered
    rows = section.table.answers if answered else [row for row in section.table.answers if row.brings]
    score = (SCORE if answered else EVIDENCE).removeprefix("scores.")
    counts, found = sliced(section.measured(rows), score, tag, findable)
    lines = [
        Line(
            "",
            row.name,
            row.cell,
            row.text,
            row.control,
            tuple(row.twins),
            tuple(figures.show(f, row.cell) for f in own),
        )
        for row, own in found
    ]
    columns = tuple(f"{value} ({count})" for value, count in counts.items())
    return Slices(section.title, tag, score, columns, tuple(lines), tag == FIRST[0])


def _tags(section: Section) -> Iterator[str]:
    """Yield the tags that tell questions of a section apart, and have few values."""
    measured = section.measured(section.table.rows)
    asked = measured[0][1].asked
    names = [str(name).removeprefix("tags.") for name in asked if str(name).startswith("tags.")]
    for name in sorted(names, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST)):
        if 1 < asked[f"tags.{name}"].nunique() <= MOST_VALUES:
            yield name

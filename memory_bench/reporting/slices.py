"""The figures of a report by the values of a tag: memories by depths, wordings, kinds, or what else a task tags.

python -m memory_bench report +experiment=needle --by=depth

**needle**: exact_match by depth                    **needle**: recall@10 by depth
| memory | 0.00 (30) | 0.10 (31) | ... |            | memory | 0.00 (30) | 0.10 (31) | ... |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memory_bench.errors import BadInput
from memory_bench.metrics import EVIDENCE_METRICS
from memory_bench.reporting import contrasts
from memory_bench.reporting.cells import Measured
from memory_bench.reporting.comparison import titles
from memory_bench.reporting.figures import Figure, scored
from memory_bench.reporting.numbers import Notes, grid, named
from memory_bench.reporting.table import Row, groups, heads

BROUGHT = ("evidence_in_context", "hit@1", "stale@1", "recall@10", "mrr")  # of EVIDENCE_METRICS; the others by budget
ASKED_OF = {"stale@1": "stale"}  # a score of questions that name such events
WITHOUT = "no tag"
READ_SO = (
    "In brackets behind a value: how many questions have it. Brackets behind a mean hold 95 % intervals over episodes "
    "(bootstrap, BCa; exact binomial where all episodes agree). {} and {} are judged without a reader."
).format(", ".join(BROUGHT[:-1]), BROUGHT[-1])

Pick = Callable[[Measured], pd.DataFrame]
findable: Pick = attrgetter("asked")
absent: Pick = attrgetter("absent")


def render(cells: Sequence[Measured], tag: str) -> str:
    """Return the page: for every table, each score as memories by values of the tag, with 95 % intervals.

    Raises BadInput where no question of the cells has the tag.
    """
    together = [[cell for cell in group if cell.reason is None] for group in groups(cells)]
    column, known = f"tags.{tag}", _tags(cells)
    if column not in known:
        names = ", ".join(sorted(name.removeprefix("tags.") for name in known)) or "none"
        raise BadInput(f"--by={tag}: no question that was measured has this tag; there are {names}")
    twins, notes = contrasts.twins(together), Notes()
    parts = []
    for title, group in zip(
        titles(group[0].config for group in together if group), filter(None, together), strict=True
    ):
        if column in group[0].questions and group[0].questions[column].notna().any():
            parts += [f"**{title}**: {what}\n\n{shown}" for what, shown in _grids(group, tag, twins, notes)]
        else:
            parts.append(f"**{title}**: its questions have no tag {tag}.")
    reasons = [f"<sup>{number}</sup> {reason}" for reason, number in notes.reasons.items()]
    return "\n\n".join([*parts, READ_SO, *(["  \n".join(reasons)] if reasons else [])]) + "\n"


def _grids(group: Sequence[Measured], tag: str, twins: Mapping[str, str], notes: Notes) -> Iterator[tuple[str, str]]:
    """Yield what it is -> its table: the answers first, then what was brought, then what has nothing to find."""
    rows = [(head, cell) for head, cell in zip(heads(group, twins), group, strict=True) if head.twin_of is None]
    scores = [name for name in _scores(group) if name not in EVIDENCE_METRICS]
    bringing = [(head, cell) for head, cell in rows if head.brings]
    brought = [name for name in BROUGHT if name in _scores(group)] if bringing else []
    for name in scores:
        yield f"{name} by {tag}", _grid(rows, name, tag, findable, notes)
    for name in brought:
        yield f"{name} by {tag}", _grid(bringing, name, tag, findable, notes)
    if len(absent(group[0])):
        for name in scores:
            yield f"{name} by {tag}, nothing to find", _grid(rows, name, tag, absent, notes)


def _grid(rows: Sequence[tuple[Row, Measured]], name: str, tag: str, pick: Pick, notes: Notes) -> str:
    counts, figures = sliced(rows, name, tag, pick)
    shown = [[named(head), *map(notes.show, own)] for head, own in figures]
    return grid(["memory", *(f"{value} ({count})" for value, count in counts.items())], shown)


def sliced(
    rows: Sequence[tuple[Row, Measured]], name: str, tag: str, pick: Pick
) -> tuple[dict[str, int], list[tuple[Row, list[Figure]]]]:
    """Return value of the tag -> how many of the picked questions have it, and of each row a score at each value."""
    counts = _tagged(pick(rows[0][1]), tag).value_counts()
    values = sorted(counts.index, key=_place)
    found: list[tuple[Row, list[Figure]]] = []
    for head, cell in rows:
        asked = pick(cell)
        own, having, score = _tagged(asked, tag).to_numpy(), _having(asked, name), scored(asked, f"scores.{name}")
        found.append((head, [score.of(having & (own == value)).interval() for value in values]))
    return {value: int(counts[value]) for value in values}, found


def _having(asked: pd.DataFrame, name: str) -> NDArray[np.bool_]:
    """Return which of the questions a score can be asked of: not all replace something."""
    column = f"scores.{name}"
    if name in ASKED_OF:
        return (asked[ASKED_OF[name]].map(len) > 0).to_numpy(bool)
    if name not in EVIDENCE_METRICS and column in asked:
        return (asked[column].notna() | asked["answer"].isna()).to_numpy(bool)
    return np.ones(len(asked), dtype=bool)


def _tagged(questions: pd.DataFrame, tag: str) -> pd.Series[str]:
    return questions[f"tags.{tag}"].fillna(WITHOUT).astype(str)


def _tags(cells: Sequence[Measured]) -> set[str]:
    tables = (cell.questions for cell in cells if cell.reason is None)
    return {
        name for table in tables for name in map(str, table) if name.startswith("tags.") and table[name].notna().any()
    }


def _scores(group: Sequence[Measured]) -> list[str]:
    """Return the names of the scores that any of these cells has a number of, in the order of the records."""
    found = (name for cell in group for name in map(str, cell.questions) if name.startswith("scores."))
    having = [name for name in dict.fromkeys(found) if any(_has(cell.questions, name) for cell in group)]
    return [name.removeprefix("scores.") for name in having]


def _has(questions: pd.DataFrame, column: str) -> bool:
    return column in questions and bool(questions[column].notna().any())


def _place(value: str) -> tuple[bool, float, str]:
    """Numbers by size, before words by name."""
    try:
        return False, float(value), value
    except ValueError:
        return True, 0.0, value

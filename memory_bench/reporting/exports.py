"""The questions of a report as a table for other programs, and its figures as files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from memory_bench import catalogue
from memory_bench.errors import BadInput
from memory_bench.reporting import plots
from memory_bench.reporting.cells import NOT_PUBLISHED, Measured
from memory_bench.reporting.table import tables


def questions(found: Sequence[Measured]) -> pd.DataFrame:
    """Return one row a question of every measured cell, which `cell` names, passages apart; private tasks left out.

    Raises BadInput where nothing is left.
    """
    told = [cell for cell in found if cell.reason is None and catalogue.private(cell.choice("task")) is None]
    if not told:
        raise BadInput(
            "no cell of this experiment has records that can be shared: none was measured, or all are private"
        )
    rows = [cell.questions.assign(cell=cell.id).dropna(axis="columns", how="all") for cell in told]
    together = pd.concat(rows, ignore_index=True)
    first = [name for name in together if name == "cell" or str(name).startswith("choices.")]
    last = [name for name in together if name not in (*first, *NOT_PUBLISHED)]
    return together[[*first, *last]]


def csv(found: Sequence[Measured], out: Path) -> str:
    """Write the questions as CSV, what is several (answers, ids) as JSON; return what was written, in a line."""
    rows = questions(found)
    rows.map(_flat).to_csv(out, index=False)
    return f"{out}: {len(rows):,} rows"


def parquet(found: Sequence[Measured], out: Path) -> str:
    """Write the questions as Parquet; return what was written, in a line."""
    rows = questions(found)
    rows.to_parquet(out, compression="zstd")
    return f"{out}: {len(rows):,} rows"


def figures(suffix: str, found: Sequence[Measured], out: Path) -> str:
    """Draw the figures of the report into a folder; return what was drawn, in a line. Raises Unavailable as `draw`."""
    drawn = plots.draw(tables(found), out, formats=(suffix,))
    return f"{out}: {', '.join(file.name for file in drawn) or 'nothing to draw'}"


WRITERS: Mapping[str, Callable[[Sequence[Measured], Path], str]] = {
    "csv": csv,
    "parquet": parquet,
    "png": partial(figures, "png"),
    "svg": partial(figures, "svg"),
}


def _flat(value: Any) -> Any:
    return json.dumps(list(value), ensure_ascii=False) if isinstance(value, list | tuple | np.ndarray) else value

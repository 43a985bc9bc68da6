"""Every column of the ledger of two runs, side by side: of a question on average, and of all operations of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from memory_bench import records
from memory_bench.guards.pairs import Pair

COSTS = "costs."
EXACT = ("_tokens", "_bytes", "_ids")
HELD = ("size_bytes", "peak_rss_bytes", "peak_device_bytes")


@dataclass(frozen=True)
class Amount:
    """One column in both runs; None where a run has no value of it. Of `HELD` a run has its most, of others its sum."""

    column: str
    of: Literal["question", "run"]
    first: float | None
    second: float | None

    @property
    def exact(self) -> bool:
        """Whether it is counted: what a clock says of two moments is no difference of two memories."""
        return self.column.endswith(EXACT) and self.column not in HELD[1:]


def amounts(both: Pair) -> list[Amount]:
    """Return all columns that one of two runs has a value of: those of questions, then those of operations."""
    operations = [records.load_operations(run.folder) for run in both.runs]
    return [*_columns(both.questions, "question"), *_columns((operations[0], operations[1]), "run")]


def _columns(frames: tuple[pd.DataFrame, pd.DataFrame], of: Literal["question", "run"]) -> Iterator[Amount]:
    names = dict.fromkeys(str(name) for frame in frames for name in frame if str(name).startswith(COSTS))
    for name in names:
        column = name.removeprefix(COSTS)
        first, second = (_amount(frame, name, column, of) for frame in frames)
        if first is not None or second is not None:
            yield Amount(column, of, first, second)


def _amount(frame: pd.DataFrame, name: str, column: str, of: str) -> float | None:
    if name not in frame or not frame[name].notna().any():
        return None
    if column in HELD:
        return float(frame[name].max())
    return float(frame[name].mean() if of == "question" else frame[name].sum())

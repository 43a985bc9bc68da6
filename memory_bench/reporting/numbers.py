"""How a figure is printed, with a footnote for every null, how a row is called, and how rows become a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from memory_bench.paired import Ratio
from memory_bench.reporting.figures import Figure, Null
from memory_bench.reporting.table import Row
from memory_bench.statistics import Difference, Interval

SHORTEST = 0.001  # what is printed of a shorter time, or a smaller p, is that it is smaller


class Notes:
    """Prints figures, and numbers the reasons of nulls as they come."""

    def __init__(self) -> None:
        self.reasons: dict[str, int] = {}

    def show(self, figure: Figure | Ratio, *, unit: str = "") -> str:
        if isinstance(figure, Null):
            return f"null <sup>{self.number(figure.reason)}</sup>"
        return plain(figure, unit=unit)

    def number(self, reason: str) -> int:
        """Return the number of a reason: the next one where it was not given before."""
        return self.reasons.setdefault(reason, len(self.reasons) + 1)


def plain(figure: Interval | Difference | Ratio | float, *, unit: str = "") -> str:
    """Return a figure that is there, as text: a mean or a ratio with its interval, a difference, or a number in its
    unit."""
    match figure:
        case Ratio():
            return f"{figure.median:.2f} [{figure.low:.2f}, {figure.high:.2f}]"
        case Difference(interval) if unit == "count":
            digits = 0 if max(abs(interval.low), abs(interval.high)) >= 10 else 1
            return "{:+,.{d}f} [{:+,.{d}f}, {:+,.{d}f}]".format(interval.mean, interval.low, interval.high, d=digits)
        case Interval():
            return f"{figure.mean:.2f} [{figure.low:.2f}, {figure.high:.2f}]"
        case Difference(interval):
            tie = ", tie" if figure.tie else ""
            return f"{interval.mean:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]{tie}"
        case _:
            return _number(figure, unit)


def _number(value: float, unit: str) -> str:
    match unit:
        case "count":
            return f"{value:,.0f}"
        case "ms":
            value *= 1e3
        case "p":
            return f"< {SHORTEST}" if value < SHORTEST else f"{value:.3f}"
        case "":
            return f"{value:.2f}"
    if 0 < value < SHORTEST:
        return f"< {SHORTEST}"
    return f"{value:.3f}" if value < 1 else f"{value:,.1f}"


def named(row: Row) -> str:
    """Return what a row is called: with its twins, and in front of them what their texts have in common."""
    if not row.twins:
        return alone(row)
    sorts = {text.partition(":")[0].lower() for text in (row.text, *row.twins.values())}
    memories = ", ".join(f"`{name}`" for name in (row.name, *row.twins))
    return f"{sorts.pop()}: {memories}" if len(sorts) == 1 else memories


def alone(row: Row) -> str:
    """Return what a row is called by itself: controls are set apart."""
    return f"*{row.name}*" if row.control else f"`{row.name}`"


def grid(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table in Markdown: the first column to the left, numbers to the right."""
    lines = [heads, [":--", *["--:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)

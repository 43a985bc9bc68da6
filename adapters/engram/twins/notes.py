"""Figures in Markdown: means with intervals, nulls with numbered reasons, tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from adapters.engram.twins import summary
from adapters.engram.twins.summary import Gap

ANYTHING = (0.0, float("inf"))


class Notes:
    """Prints figures, and numbers the reasons of nulls as they come."""

    def __init__(self) -> None:
        self.reasons: dict[str, int] = {}

    def null(self, reason: str) -> str:
        return f"null <sup>{self.reasons.setdefault(reason, len(self.reasons) + 1)}</sup>"

    def show(
        self,
        values: Mapping[int, float],
        bounds: tuple[float, float] = (0.0, 1.0),
        *,
        digits: int | None = None,
        reason: str,
    ) -> str:
        """Return mean [interval] of seed -> value; of a share with 2 digits, of anything else with 1, if not told."""
        if not values:
            return self.null(reason)
        digits = digits or (2 if bounds == (0.0, 1.0) else 1)
        found = summary.mean(values, bounds)
        if found.clusters == 1:
            return f"{found.mean:.{digits}f} (one seed)"
        if found.method == "no spread":
            return f"{found.mean:.{digits}f} (all seeds)"
        return f"{found.mean:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"

    def gap(self, found: Gap | None, *, digits: int = 2) -> str:
        if found is None:
            return self.null("fewer than two seeds have both")
        interval = found.interval
        said = f"{interval.mean:+.{digits}f} [{interval.low:+.{digits}f}, {interval.high:+.{digits}f}]"
        return said if found.counts else f"{said}, tie"

    def footnotes(self) -> str:
        return "\n".join(f"<sup>{number}</sup> {reason}  " for reason, number in self.reasons.items())


def grid(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown: the first column to the left, numbers to the right."""
    every = [heads, [":--", *["--:"] * (len(heads) - 1)], *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in every)

"""A story as one page: the question, and for each memory its way from the question to what the reader said."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from memory_bench.errors import BadInput
from memory_bench.metrics import holds
from memory_bench.records import Record
from memory_bench.reporting.html.page import HERE, environment
from memory_bench.reporting.story import Told

MOST_OFFERED = 6  # passages that are shown beyond those in the prompt


def render(told: Sequence[Told], *, typed: str) -> str:
    """Return the page; `typed` is the line that makes it again. Raises BadInput where no memory was asked."""
    asked = next((one.record for one in told if one.record is not None), None)
    if asked is None:
        raise BadInput(f"no memory of this story can run here: {told[0].reason}" if told else "a story of no memory")
    style = "".join((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "story.css"))
    return environment().get_template("story.html.jinja").render(
        asked=asked, told=told, typed=typed, passages=passages, told_in=told_in, most=most, style=Markup(style)
    )  # fmt: skip


def passages(record: Record) -> list[dict[str, object]]:
    """Return the passages to show, best first: all of the prompt, and the first of those that found no room."""
    shown: list[dict[str, object]] = []
    left = MOST_OFFERED
    for rank, passage in enumerate(record.passages, start=1):
        if passage["packed"] or left > 0:
            ids = passage["event_ids"]
            evidence = isinstance(ids, list) and bool(set(ids) & set(record.evidence))
            shown.append({**passage, "rank": rank, "evidence": evidence})
            left -= not passage["packed"]
    return shown


def told_in(text: str, answers: Sequence[str]) -> bool:
    """Whether a passage holds one of the right answers."""
    return any(holds(text, answer) for answer in answers)


def most(rows: Sequence[Sequence[str | float]], column: int) -> float:
    """Return the largest number of a column, by which its bars are drawn; 0 where it holds words or nothing."""
    numbers = [abs(value) for row in rows if isinstance(value := row[column], int | float)]
    return max(numbers, default=0.0)

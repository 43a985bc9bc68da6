"""What was expected of memories on these tasks, beside what was found: `python -m tasks.predictions` writes the page.

The page is made from the published records of the experiment `tasks` alone. Predictions were made before anything was
measured here, with other texts, other names and plainer rankers: what is off is as much a result as what is not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from memory_bench.errors import BadInput
from memory_bench.provenance import ROOT
from memory_bench.reporting.cells import Measured, load
from memory_bench.statistics import Interval, clustered_interval

EXPERIMENT: Final = "tasks"
PUBLISHED: Final = Path("results/published")
PAGE: Final = Path("reports/predictions.md")
OFF: Final = 0.05
"""A figure is as predicted where its interval comes as near as this to what was predicted."""

OPENING: Final = f"""\
What was expected of each kind of question before it was asked, beside what was found. *Found* is a mean with its 95 %
interval over episodes (bootstrap, BCa; exact binomial where all episodes agree). It is as predicted where the interval
comes within {OFF} of the figure, or of the range, that was predicted. The expectations are of other texts, other names
and plainer rankers than these: what is off says how far they carry. Conditions, and all other figures:
[tasks.md](tasks.md)."""


@dataclass(frozen=True)
class Prediction:
    """A mean of one score over the questions of a kind, and where it was expected to lie.

    `wording` leaves out the questions that are worded otherwise, where the expectation was of one wording.
    """

    task: str
    kind: str
    memory: str
    score: str
    expected: tuple[float, float]
    wording: str | None = None

    @property
    def what(self) -> str:
        wording = f" in the wording of the {self.wording}" if self.wording else ""
        return f"{self.task}, {self.kind}{wording}: {self.score}"

    def found(self, cells: Sequence[Measured]) -> Interval | None:
        """Return None where the memory was not measured, or nothing of that kind has such a score."""
        questions = questions_of(cells, self.task, self.memory)
        column = f"scores.{self.score}"
        if questions is None or column not in questions:
            return None
        asked = questions[questions["tags.kind"] == self.kind]
        if self.wording:
            asked = asked[asked["tags.wording"] == self.wording]
        judged = asked.dropna(subset=[column])
        return over_episodes(judged[column], judged["episode"])


@dataclass(frozen=True)
class Saving:
    """The share of the tokens of passages that a memory saves against another, session by session."""

    task: str
    memory: str
    against: str
    expected: tuple[float, float]

    @property
    def what(self) -> str:
        return f"{self.task}: tokens of passages saved against `{self.against}`"

    def found(self, cells: Sequence[Measured]) -> Interval | None:
        both = [questions_of(cells, self.task, name) for name in (self.memory, self.against)]
        sums = [one.groupby("episode")["costs.context_tokens"].sum() for one in both if one is not None]
        if len(sums) < len(both):
            return None
        saved = 1 - sums[0] / sums[1]
        return over_episodes(saved, saved.index.to_series())


PREDICTIONS: Final[tuple[Prediction | Saving, ...]] = (
    *(Prediction("needle", "lexical", memory, "hit@1", (1.0, 1.0)) for memory in ("bm25", "hash_cache")),
    Prediction("needle", "paraphrase", "bm25", "hit@1", (0.97, 0.97)),
    Prediction("needle", "paraphrase", "hash_cache", "hit@1", (0.0, 0.0)),
    *(Prediction("needle", "latent", memory, "hit@1", (0.02, 0.02)) for memory in ("bm25", "hash_cache")),
    # 6 to 26 points less than the smoke test, which has no other wording
    *(
        Prediction("needle", "boilerplate", memory, "hit@1", (0.74, 0.94), wording="event")
        for memory in ("bm25", "hash_cache")
    ),
    *(Prediction("needle", "updated", memory, "stale@1", (1.0, 1.0)) for memory in ("bm25", "exact")),
    *(Prediction("needle", "updated", memory, "recall@5", (1.0, 1.0)) for memory in ("bm25", "exact")),
    *(
        Prediction(task, "forgotten", memory, "forgotten_in_context", (0.0, 0.0))
        for task in ("needle", "entity")
        for memory in ("bm25", "exact", "lancedb", "qdrant", "ruvector", "hash_cache")
    ),
    Saving("session", "rulebook_applicable", "rulebook_full", (0.87, 0.97)),
    Saving("session", "rulebook_by_id", "rulebook_applicable", (0.17, 0.39)),
)


def questions_of(cells: Sequence[Measured], task: str, memory: str) -> pd.DataFrame | None:
    """Return the questions of the first measured cell of a task and a memory: of the real names, where there are sets
    of several sorts."""
    for cell in cells:
        if cell.reason is None and (cell.choice("task"), cell.name) == (task, memory):
            return cell.questions
    return None


def over_episodes(values: pd.Series[float], episodes: pd.Series[str]) -> Interval | None:
    return clustered_interval(values.tolist(), episodes.tolist()) if len(values) else None


def is_kept(expected: tuple[float, float], found: Interval) -> bool:
    low, high = expected
    return found.low <= high + OFF and found.high >= low - OFF


def render(cells: Sequence[Measured]) -> str:
    """Return the page."""
    return "\n\n".join(["# Predicted and found", OPENING, "\n".join(_lines(cells))]) + "\n"


def _lines(cells: Sequence[Measured]) -> Iterator[str]:
    yield "| what | memory | predicted | found | as predicted |"
    yield "| :-- | :-- | --: | --: | :-: |"
    for one in PREDICTIONS:
        found = one.found(cells)
        if found is None:
            said = "null (not measured) | null (not measured)"
        else:
            verdict = "yes" if is_kept(one.expected, found) else "**no**"
            said = f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}] | {verdict}"
        yield f"| {one.what} | `{one.memory}` | {_range(*one.expected)} | {said} |"


def _range(low: float, high: float) -> str:
    return f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}"


def main(arguments: Sequence[str]) -> int:
    if arguments:
        print("expected nothing more: python -m tasks.predictions", file=sys.stderr)
        return 2
    try:
        page = render(load(ROOT / PUBLISHED, EXPERIMENT))
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    (ROOT / PAGE).write_text(page, encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

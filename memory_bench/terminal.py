"""What a run shows: progress while it lasts, a summary when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from memory_bench.metrics import EVIDENCE_METRICS, RETRIEVAL_BUDGETS
from memory_bench.records import Operation, Record
from memory_bench.statistics import Interval, clustered_interval, macro_mean

SHOWN_AFTER_SECONDS = 2.0
PIPED_WIDTH = 160
KEPT = ("kept_answers", "read_kept_answers")  # of the answer itself, and of what the memory asked the reader
RANKING_SHOWN = ("recall@1", "recall@5", "recall@10", "recall@20", "ndcg@10", "mrr")
Costs: TypeAlias = Mapping[str, float | None]
Scored: TypeAlias = Callable[[Iterable[Record], str], str]
NOTHING: Mapping[str, str] = MappingProxyType({})
# of what there is to find
SLICES: tuple[tuple[str, Callable[[Record], bool]], ...] = (
    ("something to find", lambda _: True),
    ("  n-gram covered", lambda record: record.tags.get("ngram_covered") == "yes"),
    ("  not covered", lambda record: record.tags.get("ngram_covered") == "no"),
)


def stdout() -> Console:
    """Return a console that wraps nothing where its output goes to a file or a pipe."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPED_WIDTH)


def with_progress(
    rows: Iterable[Operation | Record], *, total: Callable[[], int], console: Console
) -> Iterator[Operation | Record]:
    """Pass rows on and, on a terminal, show how far a run is and how long it has to go.

    `total` (how many questions there will be) is called on a terminal only: it may cost a walk through the task.
    """
    if not console.is_terminal:
        yield from rows
        return
    # drawn between rows only: a drawing thread would take its time from the regions that are being measured
    columns = (TextColumn("questions"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, auto_refresh=False, transient=True)
    begun, questions = time.monotonic(), bar.add_task("questions", total=total())
    try:
        for row in rows:
            yield row
            bar.advance(questions, isinstance(row, Record))
            if time.monotonic() - begun > SHOWN_AFTER_SECONDS:
                bar.start()
                bar.refresh()
    finally:
        bar.stop()


def summary(rows: Sequence[Operation | Record], console: Console, *, apart: Mapping[str, str] = NOTHING) -> None:
    """Print the scores of a cell with their 95 % intervals (clustered by episode), and what they cost.

    `apart` (kind -> what it is) are the kinds of questions that the mean over the hard kinds leaves out.
    """
    records = [row for row in rows if isinstance(row, Record)]
    operations = [row for row in rows if isinstance(row, Operation)]
    console.print(_scores(records, apart))
    if through_context(records):
        console.print(_retrieval(records))
    else:
        console.print("evidence: not through the context, the memory returned no passage")
    console.print(_costs(records, operations))
    if unanswered := [record.unanswered for record in records if record.unanswered]:
        console.print(f"no answer to {len(unanswered)} of {len(records)} questions: {unanswered[0]}")
    if kept := sum(any(record.costs.get(column) for column in KEPT) for record in records):
        console.print(
            f"answers were kept from an earlier request, and have no time: {kept} of {len(records)} questions"
        )


def headline(rows: Sequence[Operation | Record]) -> str:
    """Return one line of scores, of the questions that have something to find."""
    records = [row for row in rows if isinstance(row, Record) and row.evidence]
    names = [name for name in _names(records) if name not in EVIDENCE_METRICS] + ["evidence_in_context"]
    return ", ".join(f"{name} {score(records, name)}" for name in names) + f" of {len(records)} questions"


def score(records: Iterable[Record], name: str) -> str:
    """Return `mean [low, high]` of one score; a dash where no record has it."""
    judged = [(value, record.episode) for record in records if (value := record.scores.get(name)) is not None]
    if not judged:
        return "-"
    values, episodes = zip(*judged, strict=True)
    return _shown(clustered_interval(values, episodes))


def over_kinds(records: Iterable[Record], name: str) -> str:
    """Return `mean [low, high]` of one score, where every kind of question counts the same; a dash as `score`."""
    judged = [(v, r.tags["kind"], r.episode) for r in records if (v := r.scores.get(name)) is not None]
    if not judged:
        return "-"
    values, kinds, episodes = zip(*judged, strict=True)
    return _shown(macro_mean(values, kinds, episodes))


def _shown(interval: Interval) -> str:
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def through_context(records: Iterable[Record]) -> bool:
    """Whether the memory returned a passage at all: one that never does works inside the model."""
    return any(record.passages for record in records)


def _scores(records: Sequence[Record], apart: Mapping[str, str]) -> Table:
    names = [name for name in _names(records) if name not in EVIDENCE_METRICS]
    evidence = ["evidence_in_context", "hit@1"] if through_context(records) else []
    if evidence and not names:  # nobody answered: there is room for the ranking
        names, evidence = list(RANKING_SHOWN), []
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("questions", "n", *(f"{name} [95 %]" for name in names), *evidence):
        table.add_column(heading, no_wrap=True)
    for title, part, of in _slices(records, apart):
        shown = [of(part, name) for name in names]
        table.add_row(title, str(len(part)), *shown, *(of(part, name).partition(" ")[0] for name in evidence))
    return table


def _slices(records: Sequence[Record], apart: Mapping[str, str]) -> Iterator[tuple[str, list[Record], Scored]]:
    """Yield the lines of the table: title, records, and how they are scored. The hard kinds come first, as one mean."""
    findable = [record for record in records if record.evidence]
    if hard := [record for record in findable if record.tags.get("kind", "") not in ("", *apart)]:
        yield "hard kinds", hard, over_kinds
    for title, belongs in SLICES:
        if part := [record for record in findable if belongs(record)]:
            yield title, part, score
    for kind, part in _by_kind(findable).items():
        yield f"  {kind}" + (f", {apart[kind]}" if kind in apart else ""), part, score
    if nothing := [record for record in records if not record.evidence]:
        yield "nothing to find", nothing, score
    if len(kinds := _by_kind(nothing)) > 1:  # one alone is the line above
        yield from ((f"  {kind}", part, score) for kind, part in kinds.items())


def _by_kind(records: Iterable[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        if kind := record.tags.get("kind"):
            found.setdefault(kind, []).append(record)
    return dict(sorted(found.items()))


def _retrieval(records: Sequence[Record]) -> Table:
    """What the one ranking holds, whatever the reader made of it; what no question asks about is left out."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    curve = {budget: score(records, f"evidence@{budget}").partition(" ")[0] for budget in RETRIEVAL_BUDGETS}
    table.add_row("evidence within", ", ".join(f"{budget:,} tokens {share}" for budget, share in curve.items()))
    for title, name in (
        ("stale passage first", "stale@1"),
        ("forgotten came back", "forgotten_in_context"),
        ("an id without its text", "dangling_in_context"),
    ):
        if judged := sum(record.scores.get(name) is not None for record in records):
            table.add_row(title, f"{score(records, name)} of {judged} questions")
    return table


def _names(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in record.scores))


def _costs(records: Sequence[Record], operations: Sequence[Operation]) -> Table:
    told, asked = [row.costs for row in operations], [row.costs for row in records]
    episodes = len({record.episode for record in records})
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for title, rows, names, unit, scale, digits, share in (
        ("tokens a question", asked, ("context", "prompt", "completion"), "_tokens", 1, 0, len(asked)),
        ("tokens an episode", told, ("write",), "_tokens", 1, 0, episodes),
        ("ms a question", asked, ("read", "embed", "generate"), "_seconds", 1e3, 3, len(asked)),
        ("ms an episode", told, ("reset", "write", "embed", "settle", "forget"), "_seconds", 1e3, 3, episodes),
        ("ms a run", told, ("attach",), "_seconds", 1e3, 3, 1),
    ):
        values = {name: _values(rows, name + unit) for name in names}
        table.add_row(
            title, ", ".join(f"{name} {sum(v) * scale / share:,.{digits}f}" for name, v in values.items() if v)
        )
    peaks = {"held": "size_bytes", "resident": "peak_rss_bytes", "on the device": "peak_device_bytes"}
    most = {name: _values([*told, *asked], column) for name, column in peaks.items()}
    table.add_row("bytes at most", ", ".join(f"{name} {max(values):,.0f}" for name, values in most.items() if values))
    return table


def _values(rows: Iterable[Costs], column: str) -> list[float]:
    return [value for row in rows if (value := row.get(column)) is not None]

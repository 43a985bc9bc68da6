"""The page on engines at scale: `reports/engines.md`, made from published rows alone.

What no row holds is null, with the reason in a footnote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from memory_bench import plans
from memory_bench.engines import figures, plan, rows, summary
from memory_bench.engines.data import SHARES
from memory_bench.engines.life import FRESH_SECONDS
from memory_bench.engines.predictions import COST_FACTOR, PREDICTIONS, RECALL_OFF
from memory_bench.engines.summary import Row, Spread
from memory_bench.errors import BadInput
from memory_bench.provenance import ROOT
from memory_bench.reporting.figures import Null
from memory_bench.reporting.numbers import Notes, grid

PUBLISHED = Path("results/published/engines")
PAGE = Path("reports/engines.md")

OPENING = """\
A memory over an engine is told vectors and asked for the ten nearest of 200 others, on one core. *Recall* is the share
of the ten that an exact scan finds. Every arm is built several times, the rows in another order each time; brackets
hold the least and the most of the builds. An arm is a name of `conf/memory`; what stands behind it switches off what
the adapter does against a weakness of its engine (`refine_factor=null`, `remedied=false`, `acorn=false`,
`scopes=after`). Below the size at which an adapter builds an index (10,000 rows, where no other is named) it compares
every row, and then recall is 1: that is meant. Times hold no embedding. They are of this machine and of what else ran
there.

Qdrant adds links within a scope that was indexed before the first point where the scope has more rows than the index is
built from, and compares every row where it has fewer. Of a scope with just as many rows it may do neither: a tenth of
100,000 rows is exactly 10,000, and without ACORN most of the neighbours within it are lost, while an index that is
built from fewer rows finds them (`index_from_rows=9000`). With ACORN they are found whatever the number is, in several
times the time. It is on where an arm does not say `acorn=false`."""


def publish(folder: Path) -> None:
    """Copy the rows of every plan that has some. Raises BadInput where none has."""
    plans.publish(plan.GROUP, folder, ROOT / PUBLISHED, command="python -m memory_bench.engines clustered")


def published() -> dict[str, list[plans.Row]]:
    """Return plan -> its rows."""
    return {name: plans.read(ROOT / PUBLISHED / f"{name}.jsonl") for name in plan.names()}


def write_page() -> Path:
    """Write the page and its figures from the published rows, and return the page's path.

    Raises BadInput where none are published.
    """
    held = published()
    if not any(held.values()):
        raise BadInput("no rows are published: python -m memory_bench.engines report --publish, after a plan")
    (ROOT / PAGE).write_text(render(held), encoding="utf-8")
    figures.draw(held, (ROOT / PAGE).with_suffix(""))
    return PAGE


def render(held: Mapping[str, Sequence[Row]]) -> str:
    """Return the page."""
    notes = Notes()
    drawn = figures.drawable(held)
    parts = ["# Engines at scale", OPENING, *_short(held, notes)]
    for name, own in held.items():
        if name != CLAIMS:
            parts += _section(name, own, notes)
    parts += _claims(held.get(CLAIMS, []), notes)
    parts += ["## Predicted and found", *_predictions(held, notes)]
    if drawn:
        parts += ["## Figures", *(f"**{text}**\n\n![{text}](engines/{name}.png)" for name, text in drawn.items())]
    footnotes = "\n".join(f"<sup>{number}</sup> {reason}  " for reason, number in notes.reasons.items())
    return "\n\n".join(part for part in [*parts, footnotes, _measured(held)] if part) + "\n"


CLAIMS, IN_SHORT = "claims", "clustered"


def _seconds(value: float) -> str:
    return "< 0.1" if 0 < value < 0.05 else f"{value:,.1f}"  # what was measured is no zero


def _milliseconds(value: float) -> str:
    return "< 0.01" if 0 < value < 0.005 else f"{value:,.2f}"


COLUMNS: Mapping[str, tuple[str, Callable[[float], str]]] = {  # heading -> figure, and how it is printed
    "recall": ("recall", "{:.3f}".format),
    "ms": ("p50_ms", "{:.2f}".format),
    "ms, 95 %": ("p95_ms", "{:.2f}".format),
    "rows written a second": ("rows_per_second", "{:,.0f}".format),
    "settle, s": ("settle_seconds", _seconds),
    "bytes a row": ("bytes_per_row", "{:,.0f}".format),
}
FILTERED: Mapping[str, tuple[str, Callable[[float], str]]] = {
    **{
        f"{label}: {heading}": (f"{figure} of {share}", form)
        for label, share in (("50 %", "0.5"), ("10 %", "0.1"), ("1 %", "0.01"))
        for heading, figure, form in (("recall", "recall", "{:.3f}".format), ("ms", "p50_ms", "{:.2f}".format))
    },
    "half forgotten: recall": ("recall forgotten", "{:.3f}".format),
    "returned of 10": ("returned forgotten", "{:.1f}".format),
    "settled: recall": ("recall forgotten and settled", "{:.3f}".format),
    "settle, s": ("settle_seconds forgotten", _seconds),
    "bytes": ("bytes forgotten", "{:,.0f}".format),
}
FRESH: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "first search, ms": ("first_ms", _milliseconds),
    "search, ms": ("p50_ms", _milliseconds),
    "acknowledged, ms": ("acknowledged_ms", _milliseconds),
    "found, ms": ("searchable_ms", _milliseconds),
}


SHORT: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "recall": COLUMNS["recall"],
    **{f"within {share:.0%}": (f"recall of {share}", "{:.3f}".format) for share in SHARES.values()},
    "half forgotten": FILTERED["half forgotten: recall"],
    **{heading: COLUMNS[heading] for heading in COLUMNS if heading != "recall"},
}


def _short(held: Mapping[str, Sequence[Row]], notes: Notes) -> Iterator[str]:
    """Yield the memories as they are used: all of one plan at its largest size, and recall on the other plans' data."""
    own = held[IN_SHORT]
    if not own:
        return
    others = {name: summary.sizes(rows)[-1] for name, rows in held.items() if rows and name not in (IN_SHORT, CLAIMS)}
    size = summary.sizes(own)[-1]
    lines = []
    for memory, arm in _usual(own, size).items():
        lives = summary.of(own, size, arm)
        found = [(lives, *column) for column in SHORT.values()]
        for name, most in others.items():
            found.append((summary.of(held[name], most, _usual(held[name], most).get(memory, "")), *COLUMNS["recall"]))
        lines.append([f"`{memory}`", *(_figure(lives, figure, form, notes) for lives, figure, form in found)])
    yield "## In short"
    yield (
        f"The memories as they are used, on {size:,} rows of {IN_SHORT}; the last columns are of other data. *Within* "
        "is recall in a scope that holds so many of the rows. *Half forgotten* is recall after half of the rows were "
        "forgotten, before settling."
    )
    yield grid(["memory", *SHORT, *(f"recall, {name}, {most:,} rows" for name, most in others.items())], lines)


def _usual(own: Sequence[Row], size: int) -> dict[str, str]:
    """Return memory -> its arm without options, but for the size from which on it builds an index."""
    found = {}
    for arm in summary.arms(own, size):
        memory, *options = arm.split()
        if all(option.partition("=")[0].endswith("from_rows") for option in options):
            found[memory] = arm
    return found


def _section(name: str, own: Sequence[Row], notes: Notes) -> Iterator[str]:
    chosen = plan.load(name)
    yield f"## {name}"
    if not own:
        yield f"{notes.show(Null(f'not measured: python -m memory_bench.engines {name}'))}: `{name}`"
    for size in summary.sizes(own):
        yield f"### {name}, {size:,} rows of {chosen.dimensions} dimensions"
        yield _table(own, size, COLUMNS, notes)
        yield "Within a scope that holds so many of the rows, and after half of the rows were forgotten:"
        yield _table(own, size, FILTERED, notes)
        yield from _curves(own, size)
        yield from _fresh(own, size, notes)


def _fresh(own: Sequence[Row], size: int, notes: Notes) -> Iterator[str]:
    if any("fresh" in row for row in own if row["key"]["rows"] == size):
        yield (
            "The first search of all beside a usual one; and after one row was told again, nothing settled: when that "
            "was acknowledged, and when a search had found it:"
        )
        yield _table(own, size, FRESH, notes, lacking=_never_found)


def _never_found(lives: Sequence[Row]) -> str:
    never = any(row.get("fresh", {}).get("searchable_ms", 0.0) is None for row in lives)
    return f"no search of {FRESH_SECONDS:g} s found it" if never else summary.why(lives)


def _table(
    own: Sequence[Row], size: int, columns: Mapping[str, tuple[str, Callable[[float], str]]], notes: Notes, *,
    lacking: Callable[[Sequence[Row]], str] = summary.why,
) -> str:  # fmt: skip
    lines = []
    for arm in summary.arms(own, size):
        lives = summary.of(own, size, arm)
        shown = [_figure(lives, figure, form, notes, lacking=lacking) for figure, form in columns.values()]
        lines.append([f"`{arm}`", *shown])
    return grid(["arm", *columns], lines)


def _figure(
    lives: Sequence[Row], figure: str, form: Callable[[float], str], notes: Notes, *,
    lacking: Callable[[Sequence[Row]], str] = summary.why,
) -> str:  # fmt: skip
    found = summary.spread(lives, figure)
    return _shown(found, form) if found else notes.show(Null(lacking(lives)))


def _curves(own: Sequence[Row], size: int) -> Iterator[str]:
    for heading, efforts in (
        ("candidates of a search (ef)", plan.CANDIDATES),
        ("partitions that are searched at least", plan.PARTITIONS),
    ):
        lines = []
        for arm in summary.arms(own, size):
            lives = summary.of(own, size, arm)
            found = [[summary.spread(lives, f"{figure} at {at}") for figure in ("recall", "p50_ms")] for at in efforts]
            if all(one for pair in found for one in pair):
                shown = [
                    ", ".join(f"{one.mean:.{3 - place}f}" for place, one in enumerate(pair) if one) for pair in found
                ]
                lines.append([f"`{arm}`", *shown])
        if lines:
            yield f"Recall and milliseconds by the {heading}:"
            yield grid(["arm", *map(str, efforts)], lines)


def _claims(own: Sequence[Row], notes: Notes) -> Iterator[str]:
    """Yield claim beside measurement, with the processor and the load in the title."""
    chosen = plan.load(CLAIMS)
    if not own:
        yield "## Claimed and measured"
        yield f"{notes.show(Null('not measured: python -m memory_bench.engines claims'))}: `{CLAIMS}`"
        return
    load = sum(row["load"][0] for row in own) / len(own)
    yield f"## Claimed, and measured on one core of {own[0]['machine']['cpu']} at a load of {load:.1f}"
    lines = []
    for claim in chosen.claims:
        lives = summary.of(own, claim["rows"], claim["arm"])
        found = summary.spread(lives, claim["figure"])
        shown = _shown(found, _plain) if found else notes.show(Null(summary.why(lives)))
        what = f"{claim['figure']}, {claim['rows']:,} rows of {chosen.dimensions} dimensions"
        lines.append([f"`{claim['arm']}`", what, f"{claim['value']:,}", claim["said"], shown])
    yield grid(["arm", "figure", "claimed", "as it was said", "measured"], lines)


def _predictions(held: Mapping[str, Sequence[Row]], notes: Notes) -> Iterator[str]:
    yield (
        f"*As predicted*: a recall within {RECALL_OFF}, anything else within a factor of {COST_FACTOR:g}. The figures "
        "that were predicted are of another, loaded machine of two cores."
    )
    lines = []
    for one in PREDICTIONS:
        found = one.found(held)
        shown = [_shown(found, _plain), "as predicted" if one.kept(found) else "**differs**"] if found else [
            notes.show(Null(f"not measured: python -m memory_bench.engines {one.plan}")), ""
        ]  # fmt: skip
        lines.append([f"{one.plan}, {one.rows:,} rows", f"`{one.arm}`", one.figure, f"{one.value:,g}", *shown])
    yield grid(["data", "arm", "figure", "predicted", "found", ""], lines)


def _shown(found: Spread, form: Callable[[float], str]) -> str:
    mean, low, high = form(found.mean), form(found.low), form(found.high)
    if found.builds == 1:
        return f"{mean} (one build)"
    return mean if low == high else f"{mean} [{low}, {high}]"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}"


def _measured(held: Mapping[str, Sequence[Row]]) -> str:
    every = [row for own in held.values() for row in own]
    if not every:
        return "Nothing was measured yet."
    loads = [row["load"][0] for row in every]
    said = plans.measured_on(every, rows.ENGINES)
    most = max(row["peak_rss_bytes"] for row in every) / 2**30
    load = f"load: {min(loads):.1f} to {max(loads):.1f}; a process held {most:.1f} GiB at most"
    return f"Measured by `python -m memory_bench.engines PLAN`, one core. {said}; {load}."

"""The page on Engram and its twins: `reports/engram.md`, made from published rows alone.

What no row holds is null, with the reason in a footnote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from adapters.engram.twins import bounds, figures, predictions, summary, unmeasured, written
from adapters.engram.twins.notes import ANYTHING, Notes, grid
from adapters.engram.twins.runs import GROUP
from adapters.engram.twins.summary import NO_SEED, REACHED
from adapters.engram.twins.sweep import best_rate
from memory_bench import plans
from memory_bench.plans import Row
from memory_bench.provenance import ROOT
from memory_bench.readers.training.corpus import RUN

PUBLISHED = Path("results/published/engram")
PAGE = Path("reports/engram.md")


def publish(folder: Path) -> None:
    """Copy the rows of every plan that has some. Raises BadInput where none has."""
    plans.publish(GROUP, folder, ROOT / PUBLISHED, command="python -m adapters.engram.twins recall_4k")


def published() -> dict[str, list[Row]]:
    """Return plan -> its rows. The ablations stand among those of `recall_4k`, whose names and seeds they share."""
    rows = {name: plans.read(ROOT / PUBLISHED / f"{name}.jsonl") for name in plans.names(GROUP)}
    rows["recall_4k"] += rows.pop("ablations_4k")
    return rows


def write_page() -> Path:
    """Write the page and its figures from the published rows, and return the page's path."""
    rows = published()
    (ROOT / PAGE).write_text(render(rows), encoding="utf-8")
    figures.draw(rows, (ROOT / PAGE).with_suffix(""))
    return PAGE


def render(rows: Mapping[str, Sequence[Row]]) -> str:
    """Return the page."""
    notes = Notes()
    drawn = figures.drawable(rows)
    parts = [
        "# Engram beside its twins",
        OPENING,
        *_section("Entity recall, 4,096 names", "recall_4k", rows, notes, _recall),
        *_section("Entity recall, 16,384 names", "recall_16k", rows, notes, _recall),
        *_rates(rows, notes),
        *_probes(rows, notes),
        *_section("Size of the table, and orders", "tables", rows, notes, _tables),
        *_section("New facts: by rows, by all weights, by LoRA", "facts", rows, notes, written.facts, needs="rows"),
        *_section(
            "New facts in one shot, without a gradient", "one_shot", rows, notes, written.one_shot, needs="one_shot"
        ),
        *_section("Other text, after facts were written", "locality", rows, notes, written.locality),
        *_section("Text alone", "text", rows, notes, _text),
        "## Predicted and found",
        predictions.table(rows, notes),
        *(
            ["## Figures", *(f"**{text}**\n\n![{text}](engram/{name}.png)" for name, text in drawn.items())]
            if drawn
            else []
        ),
        *bounds.section(),
        *unmeasured.not_run(rows),
        *unmeasured.places(),
        notes.footnotes(),
        _measured(rows),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


OPENING = """\
Engram gives a network rows that hashed n-grams address. Its twins are the same backbone (width 128, 4 blocks) with
one thing changed: no table, a wider backbone for it, one row a head, addresses that a salt scatters, single tokens,
no gate, the first block only. One function trains all of them on the same names in the same order. Brackets hold 95 %
intervals over seeds (bootstrap; *all seeds*: they are equal, and show no spread); differences are paired by seed. A
difference is a *tie* where its interval holds 0, or where it is not more than twice the spread between seeds: nothing
is claimed of it. The networks are small and the names are made up: this says what the mechanism does, not what it
buys a large model."""


def _section(
    title: str, plan: str, rows: Mapping[str, Sequence[Row]], notes: Notes,
    told: Callable[[Sequence[Row], Notes], Iterable[str]], *, needs: str = "engram",
) -> Iterable[str]:  # fmt: skip
    """Yield a heading and what is told of a plan's rows; null where the arm that it `needs` has no seed that counts."""
    yield f"## {title}"
    if needs in summary.arms(rows[plan]):
        yield from told(rows[plan], notes)
    else:
        yield f"{notes.null(NO_SEED)}: `{plan}`"


def _recall(rows: Sequence[Row], notes: Notes) -> Iterable[str]:
    found = summary.arms(rows)
    yield _headline(found)
    yield _recall_table(rows, found, notes)


def _headline(found: Mapping[str, Sequence[Row]]) -> str:
    """Say first whether a control without a memory does as well: then the table is no memory."""
    step, ours = _middle(found), found.get("engram", [])
    said = []
    for control in (name for name in ("capacity_1", "salted") if name in found):
        gap = summary.gap(summary.at(ours, step), summary.at(found[control], step))
        if gap is not None and gap.counts and gap.interval.mean > 0:
            said.append(f"`{control}` is {gap.interval.mean:.2f} behind")
        else:
            said.append(f"**`{control}` does as well as Engram**")
    return f"The controls whose table cannot remember, after {step} steps: {', '.join(said)}." if said else ""


def _middle(found: Mapping[str, Sequence[Row]]) -> int:
    """The step at which arms are compared: the first at which Engram knows `REACHED` on average; else the last."""
    steps = [point["step"] for point in found["engram"][0]["curve"]]
    reached = [step for step in steps if summary.mean(summary.at(found["engram"], step)).mean >= REACHED]
    return int((reached or steps[-1:])[0])


def _recall_table(rows: Sequence[Row], found: Mapping[str, Sequence[Row]], notes: Notes) -> str:
    step, last = _middle(found), found["engram"][0]["curve"][-1]["step"]
    heads = [
        "arm", "parameters", "in the table", "operations a name", "rate", "steps to .90", "CPU-s to .90",
        f"accuracy at {step}", "against engram", f"accuracy at {last}", "CPU-s", "seeds",
    ]  # fmt: skip
    lines = []
    for name, runs in found.items():
        sizes = runs[0]["sizes"]
        lines.append([
            f"`{name}`", f"{sizes['parameters'] / 1e6:.2f} M", f"{sizes['table_parameters'] / sizes['parameters']:.0%}",
            f"{sizes['forward_flops'] / 1e6:.1f} M", f"{runs[0]['key']['rate']:g}",
            _reached(runs, notes, (0.0, last)), _reached(runs, notes, ANYTHING, axis="seconds"),
            notes.show(summary.at(runs, step), reason=""),
            _against(summary.at(runs, step), summary.at(found["engram"], step), notes, itself=name == "engram"),
            notes.show(summary.known(runs, "accuracy"), reason=""),
            _seconds(runs), str(len(runs)),
        ])  # fmt: skip
    orders = {
        run["key"]["seed"]: {row["order"] for row in rows if row["key"]["seed"] == run["key"]["seed"]} for run in rows
    }
    same = all(len(digests) == 1 for digests in orders.values())
    seen = "the same batches in the same order" if same else "**batches that were not the same**"
    return f"{grid(heads, lines)}\n\nAll arms of a seed saw {seen}, by their digests."


def _rates(rows: Mapping[str, Sequence[Row]], notes: Notes) -> Iterable[str]:
    yield "## Rates, on a seed that counts nowhere else"
    for plan in ("recall_4k", "recall_16k"):
        swept = [row for row in rows[plan] if row["key"]["purpose"] == "sweep"]
        if not swept:
            yield f"{notes.null('no rate was swept: all arms learned at the same one')}: `{plan}`"
            continue
        rates = sorted({row["key"]["rate"] for row in swept})
        ends = {(row["key"]["arm"], row["key"]["rate"]): row["curve"][-1] for row in swept}
        lines = []
        for name in dict.fromkeys(row["key"]["arm"] for row in swept):
            points = {rate: ends[name, rate] for rate in rates if (name, rate) in ends}
            chosen = best_rate(swept, name, list(points))
            shown = {rate: f"{point['accuracy']:.2f}, {point['loss']:.2f}" for rate, point in points.items()}
            shown[chosen] = f"**{shown[chosen]}**"
            lacking = "" if len(points) == len(rates) else notes.null("not measured: its plan was not run to here")
            lines.append([f"`{name}`", *(shown.get(rate, lacking) for rate in rates)])
        yield f"`{plan}`: accuracy and loss after {swept[0]['curve'][-1]['step']} steps; in bold the rate of the arm."
        yield grid(["arm", *(f"{rate:g}" for rate in rates)], lines)


def _probes(rows: Mapping[str, Sequence[Row]], notes: Notes) -> Iterable[str]:
    for plan in ("recall_4k", "recall_16k"):
        found = summary.arms(rows[plan])
        if "engram" not in found:
            continue
        yield f"## Inside, `{plan}`, after the last step"
        yield "Accuracy of the read-out after each block (logit lens):"
        blocks = range(len(found["engram"][0]["lens"]))
        lines = [
            [f"`{name}`", *(notes.show(summary.known(runs, "lens", block), reason="") for block in blocks)]
            for name, runs in found.items()
        ]
        yield grid(["arm", *(f"block {block + 1}" for block in blocks)], lines)
        yield "Accuracy with the rows changed after training (*shuffled*: those of other names):"
        ways = list(found["engram"][0]["without_rows"])
        lines = [
            [
                f"`{name}`",
                *(notes.show(summary.known(runs, "without_rows", way), reason="it has no such layer") for way in ways),
            ]
            for name, runs in found.items()
            if runs[0]["without_rows"]
        ]
        yield grid(["arm", *ways], lines)
        yield "Gate, mean over names, at each token (a name, then the question mark):"
        yield grid(["arm, layer", *(f"token {place}" for place in range(1, 6))], _gate_lines(found))


def _gate_lines(found: Mapping[str, Sequence[Row]]) -> list[list[str]]:
    return [
        [
            f"`{name}`, {layer}",
            *(f"{sum(run['gates'][layer][place] for run in runs) / len(runs):.2f}" for place in range(5)),
        ]
        for name, runs in found.items()
        for layer in runs[0]["gates"]
    ]


def _tables(rows: Sequence[Row], notes: Notes) -> Iterable[str]:
    found = summary.arms(rows)
    last = found["engram"][0]["curve"][-1]["step"]
    heads = [
        "arm",
        "share of parameters",
        "rows of a head per n-gram",
        "n-grams that share a row",
        "in all heads",
        "steps to .90",
        f"accuracy at {last}",
        "seeds",
    ]
    lines = []
    for name, runs in found.items():
        sizes, shared = runs[0]["sizes"], runs[0]["collisions"]
        lines.append([
            f"`{name}`", f"{sizes['table_parameters'] / sizes['parameters']:.0%}", f"{shared['rows_per_ngram']:.2f}",
            f"{shared['shared']:.2f}", f"{shared['shared_in_all_heads']:.2f}",
            _reached(runs, notes, (0.0, last)), notes.show(summary.known(runs, "accuracy"), reason=""), str(len(runs)),
        ])  # fmt: skip
    yield grid(heads, lines)
    yield "N-grams are those of the longest order; `rows_N` is `engram` with about N rows a head."


def _text(rows: Sequence[Row], notes: Notes) -> Iterable[str]:
    found = summary.arms(rows)
    lines = []
    last = min(runs[0]["curve"][-1]["step"] for runs in found.values())
    for name, runs in found.items():
        ours, theirs = (summary.at(part, last, "bits_per_byte") for part in (runs, found["engram"]))
        lines.append([
            f"`{name}`", f"{runs[0]['sizes']['parameters'] / 1e6:.2f} M", f"{runs[0]['key']['rate']:g}",
            notes.show(ours, (0.0, 8.0), digits=3, reason=""),
            _against(ours, theirs, notes, itself=name == "engram", bounds=(0.0, 8.0), digits=3),
            _seconds(runs), str(len(runs)),
        ])  # fmt: skip
    yield grid(
        ["arm", "parameters", "rate", f"bits per byte at {last} steps", "against engram", "CPU-s", "seeds"], lines
    )
    repeated = next(run["repeated"] for runs in found.values() for run in runs)
    yield f"Of the runs of {RUN} tokens in the text that is asked for, {repeated:.1%} were trained on word for word."


def _against(
    ours: Mapping[int, float], theirs: Mapping[int, float], notes: Notes, *, itself: bool,
    bounds: tuple[float, float] = (0.0, 1.0), digits: int = 2,
) -> str:  # fmt: skip
    return notes.null("itself") if itself else notes.gap(summary.gap(ours, theirs, bounds), digits=digits)


def _reached(runs: Sequence[Row], notes: Notes, bounds: tuple[float, float], *, axis: str = "step") -> str:
    """Show when .90 is known, where every seed gets there: a mean over those that do would flatter."""
    there = summary.steps_to(runs, axis=axis)
    some = f"{len(there)} of {len(runs)} seeds know .90 of the names by the last step: no mean"
    return notes.show(there if len(there) == len(runs) else {}, bounds, reason=some)


def _seconds(runs: Sequence[Row]) -> str:
    return f"{sum(run['curve'][-1]['seconds'] for run in runs) / len(runs):.0f}"


def _measured(rows: Mapping[str, Sequence[Row]]) -> str:
    every = [row for found in rows.values() for row in found]
    ran = dict.fromkeys(row["plan"] for row in every)
    if not every:
        return "Nothing was measured yet: `python -m adapters.engram.twins recall_4k`."
    facts = {
        "CPU": {row["machine"]["cpu"] for row in every},
        "threads": {"1"},
        "Python": {row["machine"]["python"] for row in every},
        "torch": {row["versions"]["torch"] for row in every},
        "revision": {_revision(row) for row in every},
        "days": {row["start"][:10] for row in every},
    }
    where = ", ".join(f"{name}: {'; '.join(sorted(values))}" for name, values in facts.items())
    return (
        f"Measured by `python -m adapters.engram.twins {' '.join(ran)}`. CPU-seconds are those of the process. {where}."
    )


def _revision(row: Row) -> str:
    commit = row["revision"]["commit"]
    return "not known" if commit is None else commit[:12] + (" with changes" if row["revision"]["dirty"] else "")

"""What the page says of facts that were written into rows: how well, at what cost, and what becomes of other text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from adapters.engram.twins import summary
from adapters.engram.twins.facts import KNOWN, best_step
from adapters.engram.twins.notes import ANYTHING, Notes, grid
from memory_bench.plans import Row

LOCAL = (
    ("rows_written", (0.0, 1.0), 2),
    ("tokens_exposed", (0.0, 1.0), 2),
    ("tokens_shared", (0.0, 1.0), 3),
    ("kl_nats", ANYTHING, 3),
    ("top_1_changed", (0.0, 1.0), 2),
)
"""What a point of the plan `locality` holds, between which bounds, and with how many digits it is shown."""


def facts(rows: Sequence[Row], notes: Notes) -> Iterable[str]:
    found = summary.arms(rows)
    options = rows[0]["options"]
    yield (
        f"{options['new']} new names into a network that knows {options['old']:,}, all of them in every step. Counted "
        f"at the first step that knows {KNOWN} of the new ones; a seed without one counts where it knows most of both."
    )
    heads = ["way", "rate", "steps", "new", "old", "old, before", "old, in the end", "CPU-ms a step", "seeds"]
    lines = []
    for name, runs in found.items():
        best = {run["key"]["seed"]: best_step(run["curve"]) for run in runs}
        ends = {run["key"]["seed"]: run["curve"][-1] for run in runs}
        lines.append([
            f"`{name}`", f"{runs[0]['key']['rate']:g}",
            notes.show({seed: step["step"] for seed, step in best.items()}, (0.0, options["steps"]), reason=""),
            notes.show({seed: step["new"] for seed, step in best.items()}, reason=""),
            notes.show({seed: step["old"] for seed, step in best.items()}, reason=""),
            notes.show({run["key"]["seed"]: run["before"]["old"] for run in runs}, reason=""),
            notes.show({seed: step["old"] for seed, step in ends.items()}, reason=""),
            f"{sum(step['seconds'] / step['step'] for step in ends.values()) / len(ends) * 1e3:.0f}", str(len(runs)),
        ])  # fmt: skip
    yield grid(heads, lines)


def one_shot(rows: Sequence[Row], notes: Notes) -> Iterable[str]:
    runs = summary.arms(rows)["one_shot"]
    yield "Rows are set to a learned code of the value; it is told where a name ends, and values are 256 tokens."
    lines = []
    for place, point in enumerate(runs[0]["curve"]):
        new, old, cost = (
            {run["key"]["seed"]: run["curve"][place][part] for run in runs} for part in ("new", "old", "us_a_fact")
        )
        shown = [notes.show(new, reason=""), notes.show(old, reason=""), notes.show(cost, ANYTHING, reason="")]
        lines.append([f"{point['facts']:,}", *shown, str(len(runs))])
    yield grid(["new facts", "new", "old", "µs a fact", "seeds"], lines)
    seconds = {run["key"]["seed"]: run["fixed_cost"]["seconds"] for run in runs}
    operations = f"{runs[0]['fixed_cost']['flops'] / 1e12:.1f} T operations"
    yield (
        "A fixed cost of all writes, paid once before the first: network and code book learned together, "
        f"{notes.show(seconds, ANYTHING, reason='')} CPU-seconds, {operations}."
    )


def locality(rows: Sequence[Row], notes: Notes) -> Iterable[str]:
    yield (
        "Prose that holds none of the facts, read by the bundled reader with rows written and with empty rows. A token "
        "is *exposed* that reads any written row, by any head, and *told* one that ends an n-gram all of whose heads "
        "are written. *Same bits*: of the sequences without an exposed token, those whose logits are equal to the bit."
    )
    heads = ["memory", "facts", "rows written", "exposed", "told", "same bits", "KL, nats a token", "top-1 changed"]
    lines = []
    for name, runs in summary.arms(rows).items():
        for place in range(len(runs[0]["curve"])):
            points = {run["key"]["seed"]: run["curve"][place] for run in runs}
            shares = [
                notes.show({seed: point[part] for seed, point in points.items()}, bounds, digits=digits, reason="")
                for part, bounds, digits in LOCAL
            ]
            same, untouched = (sum(point[part] for point in points.values()) for part in ("identical", "untouched"))
            bits = f"{same} of {untouched}" if untouched else notes.null("no sequence is without an exposed token")
            told = f"{points[runs[0]['key']['seed']]['facts']:,}"
            lines.append([f"`{name}`", told, *shares[:3], bits, *shares[3:], str(len(runs))])
    yield grid([*heads, "seeds"], lines)

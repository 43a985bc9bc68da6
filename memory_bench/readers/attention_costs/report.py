"""The page on attention: `reports/attention.md`, made from published rows alone.

What no row holds is null, with the reason in a footnote.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from memory_bench import plans
from memory_bench.errors import BadInput
from memory_bench.plans import Row
from memory_bench.provenance import ROOT
from memory_bench.readers.attention import CHOICES
from memory_bench.readers.attention_costs import figures, memories
from memory_bench.readers.attention_costs.bench import OFF
from memory_bench.readers.attention_costs.meeting_text import meeting
from memory_bench.readers.attention_costs.plan import GROUP
from memory_bench.readers.attention_costs.predictions import (
    BYTES_FACTOR,
    FRESH,
    KERNEL,
    PLAN,
    PREDICTIONS,
    TIME_FACTOR,
    Prediction,
)
from memory_bench.readers.attention_costs.subject import CALL, DECODE
from memory_bench.reporting.figures import Null
from memory_bench.reporting.numbers import Notes, grid

PUBLISHED = Path("results/published/attention")
GPU_FILES = "gpu_*.json"
"""What `make gpu` leaves beside the folder."""
MEMORIES = PUBLISHED / "memories.json"
PAGE = Path("reports/attention.md")
NOT_SAID = "this device does not tell"

OPENING = """\
*Off* is the plain formula, which writes out the score of every pair of tokens; *on* is a kernel that never does. What
attention computes is the same, and that is held first: every kernel is compared with float64 in each alignment that a
reader asks for, and the kernel that ran is read from a profile of the very call that is timed; of two that ran, or of
another one, there is no figure. Then all are timed side by side, in rounds of an order drawn anew, *off* twice a round:
the ratio of the two (A/A) is what no difference means. A speed-up is the median of the rounds' ratios with its
bootstrap interval of 95 %; milliseconds are medians with quartiles. Peak memory is what the call itself holds at once
beyond its inputs, on a CPU summed over every allocation that torch's profiler saw, on a GPU by its allocator."""

CPU = """\
**On a CPU: nothing here speaks of a GPU.** One thread, whose own processor time is what is counted; a round in which a
call waited several times what it ran is dropped. The process keeps large buffers that were freed, as the reader does;
in `cpu_fresh` it gives them back."""


def published() -> dict[str, list[Row]]:
    """Return plan, or GPU, -> its rows."""
    held = {name: plans.read(ROOT / PUBLISHED / f"{name}.jsonl") for name in plans.names(GROUP)}
    for file in sorted((ROOT / PUBLISHED.parent).glob(GPU_FILES)):
        found = json.loads(file.read_text(encoding="utf-8"))
        held[f"make gpu, {found['hardware']['gpu']['name']}"] = found["attention"]
    return {name: rows for name, rows in held.items() if rows}


def publish(folder: Path) -> None:
    """Copy the rows of every plan that has some, and what is known of memories. Raises BadInput where none has."""
    plans.publish(GROUP, folder, ROOT / PUBLISHED, command="python -m memory_bench.readers.attention_costs cpu")
    memories.publish(ROOT / MEMORIES)


def write_page() -> Path:
    """Write the page and its figures from the published rows, and return the page's path.

    Raises BadInput where none are published.
    """
    held = published()
    if not held:
        raise BadInput(
            "no rows are published: python -m memory_bench.readers.attention_costs report --publish, after a plan"
        )
    (ROOT / PAGE).write_text(render(held), encoding="utf-8")
    figures.draw(held[PLAN], met(held[PLAN]), (ROOT / PAGE).with_suffix(""))
    return PAGE


def met(rows: Sequence[Row]) -> list[memories.Meeting]:
    """Return what memories save beside a kernel."""
    return memories.meetings(
        memories.published(ROOT / MEMORIES), *(memories.curve(rows, name) for name in (OFF, KERNEL))
    )


def render(held: Mapping[str, Sequence[Row]]) -> str:
    """Return the page."""
    notes = Notes()
    parts = ["# Attention on and off", OPENING]
    for name, rows in held.items():
        parts += [f"## {name}", *([CPU] if name == PLAN else []), *_section(rows, notes)]
    parts += ["## Predicted and found", *_predictions(held)]
    parts += ["## Where memory meets attention", *meeting(met(held.get(PLAN, [])), _whole(held.get(PLAN, [])))]
    parts += [f"**{text}**\n\n![{text}](attention/{name}.png)" for name, text in figures.TEXTS.items()]
    parts += ["## Never executed", *_never(held)]
    reasons = "\n".join(f"<sup>{number}</sup> {reason}  " for reason, number in notes.reasons.items())
    return "\n\n".join([*parts, reasons, *map(_measured, held.values())]) + "\n"


def _section(rows: Sequence[Row], notes: Notes) -> Iterator[str]:
    for row in rows:
        if row["key"]["subject"] == "answers":
            yield from _answers(row, notes)
    timed = [row for row in rows if row["key"]["subject"] != "answers"]
    for title, own in groupby(timed, key=_title):
        yield f"### {title}"
        yield grid(HEADS, [line for row in own for line in _lines(row, notes)])


HEADS = (
    "tokens", "kernel", "off, ms", "on, ms", "speed-up", "peak off", "peak on", "ratio", "tokens a second", "A/A",
    "error, of its bound", "proved",
)  # fmt: skip


def _title(row: Row) -> str:
    key = row["key"]
    what = "one token after so many" if key["phase"] == DECODE else "a prompt read at once"
    of = f"{key['heads']} heads of {key['head_width']}, batch {key['batch']}, {key['dtype']}"
    subject = "The call alone" if key["subject"] == CALL else f"The network of `reader=shape`, {key['layers']} layers"
    return f"{subject}: {what} ({of})"


def _lines(row: Row, notes: Notes) -> Iterator[list[str]]:
    off = row["arms"][OFF]
    for name, arm in row["arms"].items():
        if name == OFF:
            continue
        proof, gate = arm.get("proof"), arm.get("gate")
        found = (  # each figure, and the arm that says why where there is none
            (_ms(off, row["rounds"]), off), (_ms(arm, row["rounds"]), arm),
            (_ratio(arm.get("speed_up")), arm if "why" in arm else off),
            (_bytes(off.get("peak_bytes")), off), (_bytes(arm.get("peak_bytes")), arm),
            (arm.get("memory_ratio") and f"{arm['memory_ratio']:,.1f}x", arm if "why" in arm else off),
            ("seconds" in arm and f"{arm['tokens_per_second']:,.0f}", arm), (_ratio(row["null_ratio"]), off),
            (gate and f"{gate['error']:.1e} of {gate['bound']:.0e}", arm),
            (proof and f"`{proof['kernel'] or proof['operator']}`", arm),
        )  # fmt: skip
        cells = [figure or notes.show(Null(of.get("why", NOT_SAID))) for figure, of in found]
        yield [f"{row['key']['tokens']:,}", f"`{name}`", *cells]


def _answers(row: Row, notes: Notes) -> Iterator[str]:
    tokens = row["prompt_tokens"]
    yield "### What is said"
    yield (
        f"The bundled reader over {row['key']['questions']} prompts of {min(tokens):,} to {max(tokens):,} tokens: what "
        f"differs from `{OFF}`, and of prompts in a batch, padded, from the prompts alone with the same kernel."
    )
    lines = []
    for name, arm in row["arms"].items():
        if "why" in arm:
            lines.append([f"`{name}`", *[notes.show(Null(arm["why"]))] * 5])
            continue
        lines.append([
            f"`{name}`", f"{arm['tokens_changed']} of {arm['tokens']:,}",
            f"{arm['answers_changed']} of {arm['answers']}",
            f"{arm['largest_logprob_change']:.1e}", f"{arm['padded_tokens_changed']} of {arm['padded_tokens']:,}",
            f"{arm['largest_padded_logprob_change']:.1e}",
        ])  # fmt: skip
    heads = ("kernel", "next tokens changed", "answers changed", "log-probability moved", "padded: tokens", "moved")
    yield grid(heads, lines)


def _predictions(held: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    yield (
        f"On a CPU, one thread, the call alone. *As predicted*: a ratio of times within a factor of {TIME_FACTOR:g}, "
        f"of bytes within {BYTES_FACTOR - 1:.0%}; *slower* where the whole interval is below 1. A process that gives "
        "large buffers back pays for them in every call by the plain formula; one that keeps them does not, up to the "
        "1 GiB that it keeps: a reader gains less by flash than such a process does."
    )
    lines = []
    for one in PREDICTIONS:
        what = "times off / on" if one.figure == "speed_up" else "bytes off / on"
        wanted = "below 1 (slower)" if one.value is None else f"{one.value:g}"
        found = [cell for name in (PLAN, FRESH) for cell in _judged(one, held.get(name, []))]
        lines.append([f"{one.phase}, {one.dtype}, {one.tokens:,} tokens", what, wanted, *found])
    yield grid(["call", "ratio", "predicted", "found, buffers kept", "", "found, buffers given back", ""], lines)


def _judged(one: Prediction, rows: Sequence[Row]) -> tuple[str, str]:
    arm = one.found(rows)
    if arm is None:
        return "not measured", ""
    return _found(arm, one.figure), "as predicted" if one.kept(arm) else "**differs**"


def _found(arm: Mapping[str, Any], figure: str) -> str:
    return str(_ratio(arm[figure])) if figure == "speed_up" else f"{arm[figure]:,.1f}x"


def _never(held: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    ran = {name for rows in held.values() for row in rows for name, arm in row["arms"].items() if "proof" in arm}
    left = [f"`{kernel.name}` ({kernel.text})" for kernel in CHOICES if kernel.named and kernel.name not in ran]
    yield (
        f"Written and never executed: {', '.join(left)}. The packages' layout and alignment are held against torch's "
        "own attention over a stand-in with their signature, in the tests; that says nothing of their kernels. To "
        "measure them, on a machine with a GPU: `make gpu`, or `python -m memory_bench.readers.attention_costs gpu`."
        if left
        else "Every choice was executed."
    )


def _whole(rows: Sequence[Row]) -> float | None:
    """Return how much longer all layers took than is derived from a few of them, at the length that has both."""
    for row in rows:
        if row["key"].get("layers") == memories.LAYERS and "seconds" in row["arms"][OFF]:
            derived = memories.between(memories.curve(rows, OFF).prefill, row["key"]["tokens"])
            return row["arms"][OFF]["seconds"] / derived if derived else None
    return None


def _measured(rows: Sequence[Row]) -> str:
    here = [row for row in rows if "machine" in row]
    if not here:
        return "Measured by `make gpu`: hardware and versions stand in its file."
    facts = {
        "CPU": {row["machine"]["cpu"] for row in here},
        "GPUs": {str(row["machine"]["gpus"]) for row in here},
        "system": {row["machine"]["platform"] for row in here},
        "Python": {row["machine"]["python"] for row in here},
        "torch": {row["versions"]["torch"] for row in here},
        "revision": {(row["revision"]["commit"] or "none")[:12] for row in here},
        "days": {row["start"][:10] for row in here},
    }
    said = "; ".join(f"{name}: {', '.join(sorted(values))}" for name, values in facts.items())
    timed = [row for row in here if row.get("rounds")]
    nulls = sorted(row["null_ratio"]["median"] for row in timed if row["null_ratio"])
    apart = f"A/A from {nulls[0]:.3f} to {nulls[-1]:.3f}" if nulls else "no A/A"
    rounds = f"{sum(row['rounds'] for row in timed)} rounds, {sum(row['dropped'] for row in timed)} dropped; {apart}"
    return f"Measured by `python -m memory_bench.readers.attention_costs {here[0]['plan']}`. {said}; {rounds}."


def _ms(arm: Mapping[str, Any], rounds: int) -> str | None:
    if "seconds" not in arm:
        return None
    if rounds == 1:
        return f"{_short(arm['seconds'] * 1e3)} (one round)"
    median, low, high = (_short(value * 1e3) for value in (arm["seconds"], *arm["quartiles"]))
    return f"{median} [{low}, {high}]"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ratio(ratio: Mapping[str, float] | None) -> str | None:
    return f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]" if ratio else None


def _bytes(count: int | None) -> str | None:
    if count is None:
        return None
    return f"{count / 2**20:,.1f} MiB" if count >= 2**20 / 10 else f"{count / 2**10:,.1f} KiB"

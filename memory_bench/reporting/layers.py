"""The report of memories made of one another: what each adds to the one below it, what it saves, and attention.

python -m memory_bench report +experiment=stack --layers

Which memory stands over which follows from their options: a memory stands over the one whose options it holds whole.
Where there are several, that is the one with most options; one that holds none stands over the first of its table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from memory_bench.paired import Ratio, ratio
from memory_bench.reporting import answers, contrasts, costs
from memory_bench.reporting.cells import Measured
from memory_bench.reporting.figures import Figure, Null, lacking
from memory_bench.reporting.numbers import Notes, grid
from memory_bench.reporting.table import groups
from memory_bench.reporting.where import engines, where
from memory_bench.statistics import Difference, clustered_interval

FIRST = Null("the first: nothing stands below it")
COSTS: Mapping[str, tuple[str, ...]] = {
    "context": ("costs.context_tokens",),
    "read in all": ("costs.prompt_tokens", "costs.read_prompt_tokens"),
    "repeated": ("costs.repeated_tokens",),
}
"""What is saved, in tokens a question, by the columns of the ledger that it is the sum of."""

READ_SO = """\
*Adds* is the mean difference in exact match from the memory below, on the same questions; *saved* is how many tokens a
question fewer than the memory below: *context*, passages in the prompt; *read in all*, every prompt, a memory's own
included; *repeated*, passages that stood in an earlier prompt of the episode. A bare 0 is as many on every question.
Brackets hold intervals over episodes (bootstrap, BCa), of the differences on this page together at 95 % (each at
{each:.1f} %); one that holds 0 is a tie. *Time* is the median ratio of the seconds of a question, its share of writing
included, to those of the memory below, with its bootstrap interval of 95 %. Cells are measured one after the other and
not in turn, so a ratio near 1 may be drift of the machine. Medians are over questions; tokens an episode, over
episodes. Attention by itself, in turn and at longer prompts: [attention.md](attention.md)."""


def render(cells: Sequence[Measured], *, experiment: str, overrides: Sequence[str] = ()) -> str:
    """Return the page: for every task and kernel of attention its layers, then what attention does to each."""
    together, notes = groups(cells), Notes()
    pairs = sum(below(cell, group) is not None for group in together for cell in group)
    confidence = 1 - 0.05 / max(1, pairs)  # Bonferroni, as in every report
    parts = [f"# {experiment}: what each memory adds to the one below it", READ_SO.format(each=100 * confidence)]
    for of_task in _by_task(together):
        parts.append(_title(of_task[0]))
        for group in of_task:
            parts += [
                f"**Attention `{_kernel(group[0])}`**" if len(of_task) > 1 else "",
                *_layers(group, notes, confidence),
            ]
        if len(of_task) > 1:
            parts.append(_attention(of_task, notes))
    reasons = "  \n".join(f"<sup>{number}</sup> {reason}" for reason, number in notes.reasons.items())
    texts = "\n".join(f"- `{name}`: {text}." for name, text in {cell.name: cell.text for cell in cells}.items())
    return "\n\n".join(filter(None, [*parts, texts, reasons, _measured(cells, experiment, overrides)])) + "\n"


def below(cell: Measured, group: Sequence[Measured]) -> Measured | None:
    """Return the memory that a cell of a group stands over; None of the first, where it holds no other."""
    own = cell.config["memory"]
    held = [other for other in group if other is not cell and _holds(own, other.config["memory"])]
    if held:
        return max(held, key=lambda other: len(json.dumps(other.config["memory"])))
    return None if cell is group[0] else group[0]


def _holds(options: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    inner = [value for value in options.values() if isinstance(value, Mapping)]
    return any(value == wanted or _holds(value, wanted) for value in inner)


def _by_task(together: Sequence[list[Measured]]) -> list[list[list[Measured]]]:
    """Return the groups that differ in nothing but attention, together."""
    found: dict[str, list[list[Measured]]] = {}
    for group in together:
        kept = {key: value for key, value in group[0].config.items() if key not in ("memory", "embedder", "choices")}
        reader = {key: value for key, value in kept["reader"].items() if key != "attention"}
        key = json.dumps(
            [group[0].choice("task"), group[0].choice("reader"), kept | {"reader": reader}], sort_keys=True
        )
        found.setdefault(key, []).append(group)
    return list(found.values())


def _kernel(cell: Measured) -> str:
    return str(cell.config["choices"]["attention"])


def _title(group: Sequence[Measured]) -> str:
    measured = [cell.questions for cell in group if cell.reason is None]
    asked = f"{len(measured[0])} questions in {measured[0]['episode'].nunique()} episodes" if measured else "none asked"
    config = group[0].config
    room = "the reader's window" if config["budget_tokens"] is None else f"{config['budget_tokens']} tokens"
    head = f"## {group[0].choice('task')}, read by {group[0].choice('reader')}"
    return f"{head}\n\nSeed {config['seed']}, room for {room}: {asked}."


def _layers(group: Sequence[Measured], notes: Notes, confidence: float) -> Iterator[str]:
    heads = ("memory", "over", "exact match", "adds", "begins with the value", "evidence in context")
    spent = ("context, tokens", "prompts, tokens an episode", "repeated, tokens an episode", "a question in all, ms")
    yield grid([*heads, *spent], [[*_named(cell, group), *_has(cell, group, notes, confidence)] for cell in group])
    saved = [f"{name}, tokens saved" for name in COSTS]
    over = [cell for cell in group if below(cell, group) is not None]
    rows = [[*_named(cell, group), *_saves(cell, group, notes, confidence)] for cell in over]
    yield grid(["memory", "over", *saved, "the memory's own calls", "time"], rows)


def _named(cell: Measured, group: Sequence[Measured]) -> list[str]:
    under = below(cell, group)
    return [f"`{cell.name}`", "" if under is None else f"`{under.name}`"]


def _has(cell: Measured, group: Sequence[Measured], notes: Notes, confidence: float) -> list[str]:
    if cell.reason is not None:
        return [notes.show(Null(cell.reason))] * 8
    under = below(cell, group)
    adds: Figure = (
        FIRST if under is None else _lacking(under) or contrasts.figures(cell, under, confidence=confidence)["against"]
    )
    answered, spent = answers.figures(cell, {}), costs.figures(cell)
    shown = [answered["score"], adds, answered["begins"], answered["evidence"]]
    counts = [spent[name] for name in ("context_tokens", "prompt_tokens", "repeated_tokens")]
    return [
        *(notes.show(figure) for figure in shown),
        *(notes.show(figure, unit="count") for figure in counts),
        notes.show(spent["question_seconds"], unit="ms"),
    ]


def _saves(cell: Measured, group: Sequence[Measured], notes: Notes, confidence: float) -> list[str]:
    under = below(cell, group)
    assert under is not None
    if reason := _lacking(cell) or _lacking(under):
        return [notes.show(reason)] * (len(COSTS) + 2)
    saved = [tokens_saved(cell, under, columns, confidence=confidence) for columns in COSTS.values()]
    own = cell.questions["costs.read_calls"] if "costs.read_calls" in cell.questions else pd.Series(dtype=float)
    calls: Figure = float(own.mean()) if len(own.dropna()) else Null("not counted when this was measured")
    return [*(notes.show(one, unit="count") for one in saved), notes.show(calls), notes.show(times(cell, under))]


def _lacking(cell: Measured) -> Null | None:
    return None if cell.reason is None else Null(cell.reason)


def tokens_saved(cell: Measured, under: Measured, columns: Sequence[str], *, confidence: float) -> Figure:
    """Return how many tokens a question fewer than the memory below, with an interval over episodes; where they are the
    same on every question that is 0, and no mean of anything."""
    for one in (cell, under):
        for column in columns:
            if (reason := lacking(one.questions, column)) is not None:
                return reason
    own, other = (one.questions[list(columns)].to_numpy(float).sum(axis=1) for one in (cell, under))
    most = float(max(own.max(), other.max()))  # what is counted is never negative: no difference is larger
    saved, episodes = (other - own).tolist(), cell.questions["episode"].tolist()
    if not any(saved):
        return 0.0
    return Difference(clustered_interval(saved, episodes, confidence=confidence, bounds=(-most, most)))


def times(cell: Measured, other: Measured) -> Ratio | Null:
    """Return the seconds of a question with one cell, times those of the same question with the other, over the
    questions that both answered."""
    own, theirs = (
        costs.each(one.questions, "seconds", embeds=one.config["choices"]["embedder"] is not None)
        for one in (cell, other)
    )
    if isinstance(own, Null):
        return own
    if isinstance(theirs, Null):
        return theirs
    answered = np.logical_and(*(one.questions["answer"].notna().to_numpy(bool) for one in (cell, other)))
    found = ratio(*(seconds.to_numpy(float)[answered].tolist() for seconds in (own, theirs)))
    return found or Null("too few questions that both answered")


def _attention(of_task: Sequence[Sequence[Measured]], notes: Notes) -> str:
    """Return what every other kernel does beside the first: to the answers, and to the time of a question."""
    first = {cell.name: cell for cell in of_task[0]}
    rows = []
    for group in of_task[1:]:
        for cell in group:
            if (beside := first.get(cell.name)) is not None:
                kernels = [f"`{_kernel(one)}`" for one in (beside, cell)]
                rows.append([f"`{cell.name}`", *kernels, *_beside(cell, beside, notes)])
    heads = ("memory", "attention", "and then", "answers that differ", "first, ms", "second, ms", "speed-up")
    return grid(heads, rows)


def _beside(cell: Measured, first: Measured, notes: Notes) -> list[str]:
    if reason := _lacking(cell) or _lacking(first):
        return [notes.show(reason)] * 4
    if list(cell.questions["question"]) != list(first.questions["question"]):
        return [notes.show(Null("measured on different questions: run the experiment again"))] * 4
    answered = zip(*(one.questions["answer"].fillna("") for one in (first, cell)), strict=True)
    differ = sum(own != other for own, other in answered)
    ms = [notes.show(costs.figures(one)["question_seconds"], unit="ms") for one in (first, cell)]
    return [f"{differ} of {len(cell.questions)}", *ms, notes.show(times(first, cell))]


def _measured(cells: Sequence[Measured], experiment: str, overrides: Sequence[str]) -> str:
    typed = " ".join([f"+experiment={experiment}", *overrides])
    facts = {**where(cells), **engines(cells)}
    said = ", ".join(f"{name}: {'; '.join(values)}" for name, values in facts.items())
    return f"Measured by `python -m memory_bench -m {typed}`. {said}."

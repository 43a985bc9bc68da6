"""Did a change move what it should not: a cell as it is now against the accepted one.

In one class of environment (OS, processor, Python, torch, device, threads) everything has to be equal. Between classes
sums are rounded otherwise and an answer may flip, so there the question is whether it became worse:

    answers   the share of lost answers is below MARGIN, by the upper end of its exact 95 % interval (one-sided)
    costs     no total of tokens or bytes grew by more than TOLERANCE

Where too few questions were asked to exclude such a loss, and McNemar's test shows none either, there is no data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from scipy import stats

from memory_bench.guards.baselines import TOKENS_AND_BYTES, TOLD, Snapshot
from memory_bench.metrics import EVIDENCE_METRICS
from memory_bench.statistics import mcnemar

MARGIN = 0.2  # of all questions: 32 questions exclude it with two lost answers, as rounding alone may cost
TOLERANCE = 0.05  # of a total: one longer answer, and not one passage more in every prompt
LEVEL = 0.05
SAME_QUESTIONS = ("seed", "limit", "task")
COSTS = (*TOKENS_AND_BYTES, *TOLD, "size_bytes")

Word = Literal["pass", "fail", "no data"]
WORST_LAST: tuple[Word, ...] = ("pass", "no data", "fail")


@dataclass(frozen=True)
class Verdict:
    word: Word
    reason: str


def judge(now: Snapshot, then: Snapshot | None) -> Verdict:
    """Return how a cell stands to its baseline, with one line of reason."""
    if then is None:
        return Verdict("no data", "no baseline")
    if unlike := _unlike(now, then):
        return Verdict("no data", unlike)
    if _asked(now) != _asked(then):
        version = now.facts["task_version"]
        return Verdict("fail", f"it asks something else under the same task version {version}: bump it, then accept")
    if now.facts["environment"] == then.facts["environment"]:
        return _equal(now, then)
    return _no_worse(now, then)


def _unlike(now: Snapshot, then: Snapshot) -> str | None:
    """Return why two cells cannot be compared: they were not meant to be the same."""
    version, before = now.facts["task_version"], then.facts["task_version"]
    if version != before:
        return f"the baseline is of task version {before}, the task is version {version}"
    options = [{key: cell.facts["config"][key] for key in SAME_QUESTIONS} for cell in (now, then)]
    if changed := differences(options[1], options[0]):
        return f"the baseline asked other questions: {'; '.join(changed)}"
    sources = [cell.facts["identities"]["task"] for cell in (then, now)]
    if changed := [name for name in {**sources[0], **sources[1]} if sources[0].get(name) != sources[1].get(name)]:
        return f"the task reads other sources here than for the baseline: {', '.join(changed)}"
    return None


def _asked(cell: Snapshot) -> list[tuple[str, str, str]]:
    return [(row["episode"], row["question"], row["asked"]) for row in cell.questions]


def _equal(now: Snapshot, then: Snapshot) -> Verdict:
    moved = [*_answers_moved(now, then), *_costs_moved(now, then)]
    if not moved:
        return Verdict("pass", f"{len(now.questions)} answers, their tokens and bytes are equal")
    return Verdict("fail", "; ".join([*moved, *_suspects(now, then)]))


def _answers_moved(now: Snapshot, then: Snapshot) -> Iterator[str]:
    rows = list(zip(then.questions, now.questions, strict=True))
    if differ := [(old, new) for old, new in rows if old["answer"] != new["answer"]]:
        old, new = differ[0]
        yield (
            f"{len(differ)} of {len(rows)} answers differ, the first is {new['question']}: "
            f"{_short(old['answer'])} -> {_short(new['answer'])}"
        )
    names = dict.fromkeys(name for pair in rows for row in pair for name in row["scores"])
    for name in names:
        values = [[row["scores"].get(name) for row in side] for side in zip(*rows, strict=True)]
        if values[0] != values[1]:
            means = (_mean(side) for side in values)
            yield f"{name} {' -> '.join(means)}"


def _costs_moved(now: Snapshot, then: Snapshot) -> Iterator[str]:
    for column in COSTS:
        old, new = (_column(cell, column) for cell in (then, now))
        if old != new:
            change = sum(new) - sum(old)
            rows = sum(one != other for one, other in zip(old, new, strict=False))
            yield f"{column} {f'{change:+,.0f} to {sum(new):,.0f}' if change else f'differ in {rows} rows'}"


def _no_worse(now: Snapshot, then: Snapshot) -> Verdict:
    place = "; ".join(differences(then.facts["environment"], now.facts["environment"]))
    elsewhere = f"another class of environment ({place})"
    if grown := [column for column in COSTS if _total(now, column) > _total(then, column) * (1 + TOLERANCE)]:
        amounts = (f"{column} {_total(then, column):,.0f} -> {_total(now, column):,.0f}" for column in grown)
        return Verdict("fail", f"{elsewhere}: {', '.join(amounts)}; more than {TOLERANCE:.0%} above")
    verdicts = [_loss(name, now, then) for name in _answer_scores(then)]
    if not verdicts:
        return Verdict("no data", f"{elsewhere}: the baseline holds no score, and answers need not be equal here")
    worst = max(verdicts, key=lambda verdict: WORST_LAST.index(verdict.word))
    return Verdict(worst.word, f"{elsewhere}: {worst.reason}")


def _loss(name: str, now: Snapshot, then: Snapshot) -> Verdict:
    pairs = [
        (old["scores"].get(name, 0.0), new["scores"].get(name, 0.0))
        for old, new in zip(then.questions, now.questions, strict=True)
    ]
    lost, gained = ([float(one > other) for one, other in order] for order in (pairs, [p[::-1] for p in pairs]))
    n, losses, gains = len(pairs), int(sum(lost)), int(sum(gained))
    # losses alone, gains are not set against them: an interval that is too wide never lets a loss pass
    most = float(stats.binomtest(losses, n).proportion_ci(1 - 2 * LEVEL, method="exact").high)
    told = f"{name}: {losses} of {n} lost, {gains} gained, at most {most:.2f} are lost"
    if most <= MARGIN:
        return Verdict("pass", f"{told} (margin {MARGIN:g})")
    p = mcnemar(gained, lost)
    if losses > gains and p < LEVEL:
        return Verdict("fail", f"{told}, McNemar p = {p:.2g}")
    return Verdict("no data", f"{told}: too few questions to exclude a loss of {MARGIN:g}")


def _suspects(now: Snapshot, then: Snapshot) -> Iterator[str]:
    """Yield what else is not as it was: it may be why."""
    yield from differences(then.facts["config"], now.facts["config"])
    for part, old in then.facts["identities"].items():
        if old != now.facts["identities"].get(part):
            yield f"what the {part} reads has changed"


def differences(old: Mapping[str, Any], new: Mapping[str, Any], above: str = "") -> list[str]:
    """Return `key: old -> new` of all options that differ, nested ones by their dotted names."""
    found = []
    for key in {**old, **new}:
        one, other = old.get(key), new.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            found += differences(one, other, f"{above}{key}.")
        elif one != other:
            found.append(f"{above}{key}: {one} -> {other}")
    return found


def _answer_scores(cell: Snapshot) -> list[str]:
    names = dict.fromkeys(name for row in cell.questions for name in row["scores"])
    return [name for name in names if name not in EVIDENCE_METRICS]


def _column(cell: Snapshot, column: str) -> list[float]:
    rows = cell.questions if column in TOKENS_AND_BYTES else cell.episodes
    return [row["costs"].get(column, 0) for row in rows]


def _total(cell: Snapshot, column: str) -> float:
    return sum(_column(cell, column))


def _mean(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.3f}" if known else "null"


def _short(answer: str | None) -> str:
    return "null" if answer is None else repr(" ".join(answer.split())[:40])

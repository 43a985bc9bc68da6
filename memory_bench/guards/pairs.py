"""Two finished runs of the same questions, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from memory_bench import records
from memory_bench.errors import BadInput
from memory_bench.metrics import EVIDENCE_METRICS
from memory_bench.statistics import Difference, mcnemar, paired_difference, smallest_detectable_difference
from memory_bench.types import UNKNOWN

FILTERS = ("task", "reader", "control", "seed")
SCORES = "scores."


@dataclass(frozen=True)
class Paired:
    """One score of two runs over the questions that have it in both: means, their difference, and its meaning.

    `p` is McNemar's, None where the score is graded; `detectable` the smallest true difference that these questions
    would show, None where they cannot tell.
    """

    score: str
    first: float
    second: float
    difference: Difference
    p: float | None
    detectable: float | None

    @property
    def n(self) -> int:
        return self.difference.interval.n


@dataclass(frozen=True)
class Pair:
    """Two runs with their questions, one row each, in the same order; columns as `records.load` names them."""

    runs: tuple[records.Run, records.Run]
    questions: tuple[pd.DataFrame, pd.DataFrame]

    @property
    def findable(self) -> list[bool]:
        """Return of each question whether it has something to find."""
        return [tuple(gold) != (UNKNOWN,) for gold in self.questions[0]["gold"]]

    def names(self, *, evidence: bool) -> list[str]:
        """Return the scores that both runs have: of the answers, or of the evidence that was brought."""
        first, second = (_scores(frame) for frame in self.questions)
        return [name for name in first if name in second and (name in EVIDENCE_METRICS) is evidence]

    def paired(self, score: str, chosen: Sequence[bool] | None = None) -> Paired | None:
        """Return one score of both runs, over the chosen questions that have it in both; None where no question has."""
        first, second = (frame[SCORES + score].astype(float) for frame in self.questions)
        both = first.notna() & second.notna()
        if chosen is not None:
            both &= pd.Series(chosen, index=both.index)
        if not both.any():
            return None
        left, right, episodes = (list(column[both]) for column in (first, second, self.questions[0]["episode"]))
        graded = bool({*left, *right} - {0.0, 1.0})
        return Paired(
            score=score,
            first=math.fsum(left) / len(left),
            second=math.fsum(right) / len(right),
            difference=paired_difference(left, right, episodes),
            p=None if graded else mcnemar(left, right),
            detectable=smallest_detectable_difference(left, right, episodes),
        )


def pair(first: records.Run, second: records.Run) -> Pair:
    """Return two runs side by side. Raises BadInput where one did not finish, or they were not asked the same."""
    for run in (first, second):
        if not run.finished:
            raise BadInput(f"{run.folder} did not finish: {run.why}; run it again: {_command(run)}")
    for what, one, other in _asked(first, second):
        if one != other:
            raise BadInput(
                f"{first.folder} and {second.folder} cannot be compared, their {what} differ: {one} and {other}; "
                "measure both anew with the same options"
            )
    frames = records.load(first.folder), records.load(second.folder)
    _check_questions(first, second, frames)
    return Pair((first, second), frames)


def find(named: str, results: Path, wanted: Mapping[str, str]) -> records.Run:
    """Return the run in a folder, or the newest finished run of a memory that has the wanted choices.

    Raises BadInput where there is none, with what was measured.
    """
    if (Path(named) / "provenance.json").exists():
        return records.open_run(Path(named))
    if Path(named).is_dir():
        raise BadInput(f"{named} holds no run: no provenance.json; a run lies in {results}/TASK/MEMORY/RUN")
    runs = [run for run in records.runs(results) if run.finished]
    own = [run for run in runs if run.config["choices"]["memory"] == named]
    fitting = [run for run in own if all(_choice(run, key) == value for key, value in wanted.items())]
    if fitting:
        return fitting[0]
    if own:
        asked = " ".join(f"{key}={value}" for key, value in wanted.items())
        there = sorted({" ".join(f"{key}={_choice(run, key)}" for key in FILTERS) for run in own})
        raise BadInput(f"no finished run of {named} with {asked} under {results}; there are: {'; '.join(there)}")
    measured = sorted({str(run.config["choices"]["memory"]) for run in runs})
    raise BadInput(
        f"{named!r} is neither a run's folder nor a memory with a finished run under {results}; "
        + (f"measured are: {', '.join(measured)}" if measured else "nothing is measured there: type results=FOLDER")
    )


def _scores(frame: pd.DataFrame) -> list[str]:
    return [name.removeprefix(SCORES) for name in map(str, frame.columns) if name.startswith(SCORES)]


def _choice(run: records.Run, key: str) -> str:
    return str(run.config["choices"][key] if key in run.config["choices"] else run.config[key])


def _asked(first: records.Run, second: records.Run) -> list[tuple[str, object, object]]:
    """Return what two runs were asked: what has to be the same, with the value of each."""
    return [
        ("tasks", *(run.config["choices"]["task"] for run in (first, second))),
        ("task versions", *(run.provenance["task_version"] for run in (first, second))),
        ("seeds", *(run.config["seed"] for run in (first, second))),
        ("limits", *(run.config["limit"] for run in (first, second))),
        ("options of the task", *_unlike(first.config["task"], second.config["task"])),
        ("sources of the task", *_unlike(*(run.provenance["identities"]["task"] for run in (first, second)))),
    ]


def _unlike(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return of two mappings the entries that are not the same in both."""
    keys = [key for key in {**first, **second} if first.get(key) != second.get(key)]
    return {key: first.get(key) for key in keys}, {key: second.get(key) for key in keys}


def _check_questions(first: records.Run, second: records.Run, frames: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    """The same task, version and sources ask the same: runs that say so and do not are told apart here."""
    asked = [
        [(row["episode"], row["question"], row["cloze"], tuple(row["gold"])) for row in frame.to_dict("records")]
        for frame in frames
    ]
    if asked[0] == asked[1]:
        return
    places = [place for place, (one, other) in enumerate(zip(*asked, strict=False)) if one != other]
    where = f"the first that differs is number {places[0] + 1}" if places else "one run has more"
    raise BadInput(
        f"{first.folder} and {second.folder} cannot be compared, their questions differ "
        f"({len(asked[0])} and {len(asked[1])}; {where}): measure both anew"
    )


def _command(run: records.Run) -> str:
    return str(run.provenance.get("command") or "python -m memory_bench +task=NAME +memory=NAME")

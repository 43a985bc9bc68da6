"""The measured cells of an experiment: found under results/, or read back from what was published.

A cell is a row of a report. One that was not measured is a row too, with the reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from memory_bench import config, records
from memory_bench.catalogue import entries
from memory_bench.errors import BadInput
from memory_bench.metrics import EVIDENCE_METRICS
from memory_bench.reporting.figures import absent, findable

WRITTEN = ("write", "settle")  # what it takes until an episode can be asked
CLOCKS = ("seconds", "gpu_seconds")
NOT_PUBLISHED = ("run", "passages")  # a folder of this machine; texts of the hay, many times over


RECORDED = ("episode", "question", "gold", "stale", "forgotten", "offered")  # no report can do without these
PUBLISHED = ("text", "config", "provenance", "reason", "returned", "versions")  # of a cell, beside its questions


@dataclass(frozen=True)
class Measured:
    """One cell: what its memory or control is, its resolved options, its questions, or why there are none.

    `questions` has one row a question, as `records.load` gives it with the passages of its prompt alone, and more
    columns: `offered`, how many passages the memory returned; and of the question's episode `episode.write_seconds`
    (write and settle, embedding apart), `episode.embed_seconds` (meanwhile), both on the device too
    (`episode.write_gpu_seconds`), and `episode.size_bytes` (the most that was held).

    `returned` is a hash of all passages that it returned to all questions, in order: equal where these are equal, and
    None where there were none. `versions` are those of the distributions that its parts ask for. `corrupt` names the
    lines of its files that cannot be read and were left out.
    """

    text: str
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    questions: pd.DataFrame
    reason: str | None = None
    returned: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    corrupt: Sequence[str] = ()

    @cached_property
    def asked(self) -> pd.DataFrame:
        """Its questions that have something to find."""
        return findable(self.questions)

    @cached_property
    def absent(self) -> pd.DataFrame:
        """Its questions that have nothing to find."""
        return absent(self.questions)

    @property
    def id(self) -> str:
        """What tells it from all other cells: a hash of its options, the same wherever it is measured."""
        return hashlib.sha256(json.dumps(self.config, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """The control's name, or the memory's where there is none."""
        control = self.choice("control")
        return self.choice("memory") if control == "none" else control

    def choice(self, part: str) -> str:
        return str(self.config["choices"][part])


def find(experiment: str, overrides: Sequence[str] = ()) -> list[Measured]:
    """Return the cells of an experiment in its order, each from its latest finished run.

    Raises BadInput for an experiment that does not exist, or where no cell of it was run at all.
    """
    wanted = [config.compose(cell) for cell in config.expand([f"+experiment={experiment}", *overrides])]
    found = [_measured(cell, experiment) for cell in wanted]
    if all(cell.reason is not None for cell in found):
        raise BadInput(f"no cell of experiment {experiment!r} has a finished run; type {_command(experiment)}")
    return found


def save(cells: Sequence[Measured], folder: Path, experiment: str) -> None:
    """Write NAME.parquet (the questions of all cells) and NAME.json (their options and where they were measured)."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = [cell.questions.assign(cell=number) for number, cell in enumerate(cells) if cell.reason is None]
    together = pd.concat([_without_empty(table) for table in tables], ignore_index=True)
    together.drop(columns=list(NOT_PUBLISHED)).to_parquet(folder / f"{experiment}.parquet", compression="zstd")
    facts = [{key: getattr(cell, key) for key in PUBLISHED} for cell in cells]
    text = json.dumps({"experiment": experiment, "cells": facts}, indent=1, ensure_ascii=False)
    (folder / f"{experiment}.json").write_text(text + "\n", encoding="utf-8")


def load(folder: Path, experiment: str) -> list[Measured]:
    """Return the cells that `save` wrote. Raises BadInput where there are none."""
    files = [folder / f"{experiment}.parquet", folder / f"{experiment}.json"]
    if missing := [str(file) for file in files if not file.exists()]:
        raise BadInput(f"experiment {experiment!r} was not published: no {', '.join(missing)}; type --publish first")
    together = _quick(pd.read_parquet(files[0]))
    _check_version(files[0], {"cell", *RECORDED}, together, "publish it again")
    # a column that holds nothing was not written
    together = together.assign(**{name: None for name in ("answer", "unanswered") if name not in together})
    facts = json.loads(files[1].read_text(encoding="utf-8"))["cells"]
    if any(set(fact) != set(PUBLISHED) for fact in facts):
        raise BadInput(f"{files[1]} was written by another version, with other facts of its cells; publish it again")
    task_of_cell = {number: fact["config"]["choices"]["task"] for number, fact in enumerate(facts)}
    tasks = together.groupby(together["cell"].map(task_of_cell))
    parts = {number: rows for _, own in tasks for number, rows in _own_columns(own).groupby("cell")}
    return [Measured(questions=parts.get(number, together.head(0)), **fact) for number, fact in enumerate(facts)]


def _check_version(place: Path, wanted: Collection[str], rows: pd.DataFrame, mend: str) -> None:
    """Records say what they hold by their columns. Raises BadInput for those that another version wrote."""
    if lacking := sorted(set(wanted) - set(rows)):
        raise BadInput(f"{place} holds records of another version, without {', '.join(lacking)}; {mend}")


def _quick(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with texts as objects: columns of one type are kept, and taken, together.

    A report takes thousands of parts of its rows, and of eighty columns most are texts.
    """
    texts = [name for name in rows if rows[name].dtype == "str"]
    return rows.astype(dict.fromkeys(texts, object)).copy()


def _own_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Drop the tags and answer scores of other tasks: what the runner judges is there for every task, null or not."""
    judged = {f"scores.{name}" for name in EVIDENCE_METRICS}
    others = [name for name in map(str, rows) if name.startswith(("tags.", "scores.")) and name not in judged]
    return rows.drop(columns=[name for name in others if rows[name].isna().all()])


def _measured(cell: config.Cell, experiment: str) -> Measured:
    text = text_of(cell.config["choices"])
    runs = records.runs(cell.results, config=cell.config)
    if finished := [run for run in runs if run.finished]:
        corrupt: list[str] = []
        questions, facts = _questions(finished[0], corrupt), finished[0].provenance
        returned, versions = _returned(questions), _versions(cell, facts)
        return Measured(text, cell.config, facts, _quick(_in_prompt(questions)), None, returned, versions, corrupt)
    reason = f"no result: {runs[0].why}" if runs else f"not run: {_command(experiment)}"
    return Measured(text, cell.config, {}, pd.DataFrame(), reason)


def text_of(choices: Mapping[str, str]) -> str:
    """Return what a cell's memory or control says it is; nothing of one that is no file of `conf/`."""
    group = "memory" if choices["control"] == "none" else "control"
    texts = {entry.name: entry.text for entry in entries(group)}
    return texts.get(choices[group], "")  # a choice need not be a file: programs can register their own


def _questions(run: records.Run, corrupt: list[str]) -> pd.DataFrame:
    questions = records.load(run.folder, corrupt=corrupt)
    operations = records.load_operations(run.folder, corrupt=corrupt)
    _check_version(run.folder, {"passages", *RECORDED} - {"offered"}, questions, "run its cell again")
    _check_version(run.folder, {"operation", "episode", "costs.size_bytes"}, operations, "run its cell again")
    written = operations[operations["operation"].isin(WRITTEN)]
    rows = written.to_dict("records")
    own = {f"own_{clock}": [row[f"costs.{row['operation']}_{clock}"] for row in rows] for clock in CLOCKS}
    episodes = written.join(pd.DataFrame(own, index=written.index, dtype=float)).groupby("episode")
    # an episode in which nothing was written (a control) is not among them, and its figures stay null
    sums = {
        "episode.write_seconds": episodes["own_seconds"].sum(),
        "episode.embed_seconds": episodes["costs.embed_seconds"].sum(min_count=1),
        "episode.write_gpu_seconds": episodes["own_gpu_seconds"].sum(min_count=1),
        "episode.embed_gpu_seconds": episodes["costs.embed_gpu_seconds"].sum(min_count=1),
        "episode.size_bytes": episodes["costs.size_bytes"].max(),
    }
    questions["offered"] = questions["passages"].map(len)
    return questions.join(pd.DataFrame(sums), on="episode")


def _returned(questions: pd.DataFrame) -> str | None:
    # with the text: a memory that rewrites what it was told has passages without ids
    ranked = [[(passage["event_ids"], passage["text"]) for passage in passages] for passages in questions["passages"]]
    return hashlib.sha256(json.dumps(ranked).encode()).hexdigest() if any(ranked) else None


def _in_prompt(questions: pd.DataFrame) -> pd.DataFrame:
    """Keep of the passages those that stood in a prompt, each text once: all others are most of what records hold."""
    once: dict[str, str] = {}

    def kept(passages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [{**one, "text": once.setdefault(one["text"], one["text"])} for one in passages if one["packed"]]

    return questions.assign(passages=questions["passages"].map(kept))


def _versions(cell: config.Cell, provenance: Mapping[str, Any]) -> dict[str, str]:
    named = {canonicalize_name(Requirement(line).name) for lines in cell.requires.values() for line in lines}
    return {name: version for name, version in provenance["versions"].items() if canonicalize_name(name) in named}


def _without_empty(table: pd.DataFrame) -> pd.DataFrame:
    """Drop columns that hold nothing in this cell: they come back as nulls, without deciding a column's type."""
    return table.dropna(axis="columns", how="all")


def _command(experiment: str) -> str:
    return f"python -m memory_bench -m +experiment={experiment}"

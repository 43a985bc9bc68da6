"""What a change may not move: answers, tokens and bytes of small deterministic cells, kept in the repository.

    results/baselines/EXPERIMENT/baseline.json   when, why and on what each baseline was accepted
                                 CELL.jsonl      one line of facts, then one a question, then one an episode

A folder is written beside its place and takes it when it is whole: what lies there was accepted in one piece.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memory_bench import records
from memory_bench.errors import BadInput
from memory_bench.ranking import RANKING_METRICS
from memory_bench.records import Operation, Record

FORMAT = 1
INDEX = "baseline.json"
TOKENS_AND_BYTES = ("context_tokens", "prompt_tokens", "completion_tokens", "context_bytes", "prompt_bytes")
TOLD = ("write_tokens", "write_bytes")
FACTS = ("task_version", "identities", "environment")


@dataclass(frozen=True)
class Snapshot:
    """What a cell was, what it answered and what it spent, without anything that a clock says.

    `facts` are its resolved config, the task's version, what was read (name -> sha256) and the class of environment;
    `questions` and `episodes` one row each, as they stand in the file.
    """

    facts: Mapping[str, Any]
    questions: Sequence[Mapping[str, Any]]
    episodes: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Baseline:
    """The accepted cells by name, and every acceptance so far, the latest last; none where nothing was accepted."""

    cells: Mapping[str, Snapshot] = field(default_factory=dict)
    accepted: Sequence[Mapping[str, Any]] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


def snapshot(run: records.Run, rows: Iterable[Operation | Record]) -> Snapshot:
    """Return what is kept of a measured cell."""
    questions = [_question(row) for row in rows if isinstance(row, Record)]
    operations = [row for row in rows if isinstance(row, Operation) and row.episode is not None]
    episodes = [
        _episode(name, [row for row in operations if row.episode == name])
        for name in dict.fromkeys(row.episode for row in operations)
    ]
    facts = {"config": run.config, **{key: run.provenance[key] for key in FACTS}}
    return _through_json(Snapshot(facts, questions, episodes))


def load(folder: Path) -> Baseline:
    """Return what was accepted, nothing where nothing was. Raises BadInput for a folder of another format."""
    index = folder / INDEX
    if not index.exists():
        return Baseline()
    facts = json.loads(index.read_text(encoding="utf-8"))
    if facts["format"] != FORMAT:
        raise BadInput(
            f"{folder} holds baselines of format {facts['format']}, this version reads {FORMAT}: "
            "remove the folder and accept new ones"
        )
    cells = {name: _read(folder / f"{name}.jsonl") for name in facts["cells"]}
    return Baseline(cells, facts["accepted"], facts["versions"])


def save(folder: Path, baseline: Baseline) -> None:
    """Replace what was accepted. Until the last file is written the old baselines stand; a failure leaves them."""
    beside, older = (folder.with_name(f"{folder.name}.{what}-{os.getpid()}") for what in ("new", "old"))
    try:
        beside.mkdir(parents=True)
        for name, cell in baseline.cells.items():
            lines = [cell.facts, *cell.questions, *cell.episodes]
            text = "".join(f"{_compact(line)}\n" for line in lines)
            (beside / f"{name}.jsonl").write_text(text, encoding="utf-8")
        facts = {
            "format": FORMAT,
            "accepted": list(baseline.accepted),
            "cells": list(baseline.cells),
            "versions": dict(baseline.versions),
        }
        index = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
        (beside / INDEX).write_text(index, encoding="utf-8")
        if folder.exists():
            folder.rename(older)
        beside.rename(folder)
    except OSError as error:
        if older.exists() and not folder.exists():
            older.rename(folder)
        raise BadInput(
            f"cannot write baselines to {error.filename or folder}: {error.strerror}; nothing changed"
        ) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    shutil.rmtree(older, ignore_errors=True)


def _compact(row: Mapping[str, Any]) -> str:
    return json.dumps(dict(row), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _question(record: Record) -> dict[str, Any]:
    asked = json.dumps([record.query, record.cloze, record.gold, record.tags], sort_keys=True)
    return {
        "episode": record.episode,
        "question": record.question,
        "asked": hashlib.sha256(asked.encode()).hexdigest()[:16],
        "answer": record.answer,
        # hit@1 and the evidence at five budgets hold the ranking: baselines from before it was judged too still do
        "scores": {k: score for k, score in record.scores.items() if score is not None and k not in RANKING_METRICS},
        "costs": {name: record.costs[name] for name in TOKENS_AND_BYTES if record.costs.get(name) is not None},
    }


def _episode(name: str | None, operations: Sequence[Operation]) -> dict[str, Any]:
    sizes = [size for row in operations if (size := row.costs.get("size_bytes")) is not None]
    told = {column: sum(row.costs.get(column) or 0 for row in operations) for column in TOLD}
    return {"episode": name, "costs": told | {"size_bytes": max(sizes, default=0)}}


def _through_json(cell: Snapshot) -> Snapshot:
    """Return a cell as it comes back from its file: tuples are lists then, and nothing differs for that alone."""
    facts, questions, episodes = json.loads(json.dumps([cell.facts, cell.questions, cell.episodes], allow_nan=False))
    return Snapshot(facts, questions, episodes)


def _read(file: Path) -> Snapshot:
    facts, *rows = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())
    questions = [row for row in rows if "question" in row]
    return Snapshot(facts, questions, [row for row in rows if "question" not in row])

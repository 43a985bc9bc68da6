"""The question explorer: what was asked, what each memory put into the prompt, what was answered, and what it cost.

Questions on which memories disagree come first. All texts stand once in one list, and are named by their place in it:
twins give the same answers, and memories bring the same passages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from memory_bench.reporting.cells import Measured
from memory_bench.reporting.costs import NOT_MEASURED
from memory_bench.reporting.figures import EVIDENCE, NOT_JUDGED, SCORE
from memory_bench.reporting.html.shown import Section

NOT_COUNTED = "not measured"
MOST = 2_000  # questions
SECONDS = ("costs.read_seconds", "costs.generate_seconds")
COLUMNS = {
    *("question", "query", "cloze", "gold", "answer", "unanswered", "passages"),
    *(SCORE, EVIDENCE, "costs.context_tokens", *SECONDS),
}
# why a number of an answer is null, by its place there; where there is no answer, it says why itself
REASONS = {2: NOT_JUDGED, 3: NOT_COUNTED, 4: NOT_MEASURED["costs.read_seconds"], 5: NOT_COUNTED}
Question = dict[str, Any]


@dataclass
class Texts:
    """Texts by their place in one list. `letters` is how much is in it, in bytes of JSON."""

    places: dict[str, int] = field(default_factory=dict)
    letters: int = 0

    def place(self, text: str | None) -> int | None:
        if text is None:
            return None
        if text not in self.places:
            self.places[text] = len(self.places)
            self.letters += len(json.dumps(text)) + 1
        return self.places[text]


def data(sections: Sequence[Section], *, most_bytes: int) -> dict[str, Any]:
    """Return what the page's script shows: tables with their cells, questions, texts, and how many are left out.

    It is about `most_bytes` long as JSON, or shorter.

    A question is {t: table, q: query, c: cloze, g: gold, k: tags, i: id, a: answers}; an answer, one a cell of the
    table in its order, is [answer, why there is none, score, context tokens, ms to read, ms to generate, passages as
    the prompt prints them].
    """
    told = [section for section in sections if section.table.private is None]
    wanted = _ordered(told)[:MOST]
    rows = [
        _rows(section, [place for table, place in wanted if table == number]) for number, section in enumerate(told)
    ]
    texts, questions, size = Texts(), [], 0
    for table, _ in wanted:
        found = _question(table, next(rows[table]), _judged(told[table]), texts)
        size += len(json.dumps(found)) + 1
        if size + texts.letters > most_bytes:
            break
        questions.append(found)
    asked = sum(section.table.questions for section in sections)
    return {
        "tables": [_table(section) for section in told],
        "questions": questions,
        "texts": list(texts.places),
        "reasons": REASONS,
        "asked": asked,
        "left": asked - len(questions),
    }


def _table(section: Section) -> dict[str, Any]:
    pairs = section.measured(section.table.rows)
    return {
        "title": section.title,
        "judged": "exact match" if section.table.answered else "evidence in the prompt",
        "passages": any("passages" in cell.questions for _, cell in pairs),
        "cells": [{"id": row.cell, "name": row.name, "control": row.control} for row, _ in pairs],
    }


def _judged(section: Section) -> str:
    return SCORE if section.table.answered else EVIDENCE


def _ordered(sections: Sequence[Section]) -> list[tuple[int, int]]:
    """Return (table, row) of every question: those on which scores of memories lie furthest apart first."""
    found: list[tuple[float, int, int]] = []
    for number, section in enumerate(sections):
        memories = [cell for row, cell in section.measured(section.table.answers) if not row.control]
        column = _judged(section)
        scores = [cell.questions[column].astype(float).tolist() for cell in memories if column in cell.questions]
        spreads = pd.DataFrame(scores).var(ddof=0).fillna(0.0) if scores else [0.0] * section.table.questions
        found += [(-spread, number, row) for row, spread in enumerate(spreads)]
    return [(table, row) for _, table, row in sorted(found)]


def _rows(section: Section, places: Sequence[int]) -> Iterator[tuple[dict[str, Any], ...]]:
    """Yield what each cell of a table says of the questions at these places, question by question."""
    return zip(*(_of_cell(cell, places) for _, cell in section.measured(section.table.rows)), strict=True)


def _of_cell(cell: Measured, places: Sequence[int]) -> list[dict[str, Any]]:
    wanted = [name for name in map(str, cell.questions) if name in COLUMNS or name.startswith("tags.")]
    columns = [cell.questions[name].iloc[list(places)].tolist() for name in wanted]
    return [dict(zip(wanted, values, strict=True)) for values in zip(*columns, strict=True)]


def _question(table: int, rows: Sequence[Mapping[str, Any]], judged: str, texts: Texts) -> Question:
    first = rows[0]
    return {
        "t": table,
        "q": texts.place(_text(first, "query")),
        "c": texts.place(_text(first, "cloze")),
        "g": [str(gold) for gold in first["gold"]],
        "k": {
            name.removeprefix("tags."): found
            for name in first
            if name.startswith("tags.") and (found := _text(first, name))
        },
        "i": str(first["question"]),
        "a": [_answer(row, judged, texts) for row in rows],
    }


def _answer(row: Mapping[str, Any], judged: str, texts: Texts) -> list[Any]:
    packed = [passage["text"] for passage in row.get("passages", ()) if passage["packed"]]
    return [
        texts.place(_text(row, "answer")),
        texts.place(_text(row, "unanswered")),
        _number(row, judged),
        _number(row, "costs.context_tokens"),
        *(_number(row, name, times=1000) for name in SECONDS),
        [texts.place(text) for text in reversed(packed)],
    ]


def _text(row: Mapping[str, Any], column: str) -> str | None:
    value = row.get(column)
    return None if value is None or pd.isna(value) else str(value)


def _number(row: Mapping[str, Any], column: str, *, times: int = 1) -> float | None:
    value = row.get(column)
    return None if value is None or pd.isna(value) else float(f"{float(value) * times:.4g}")

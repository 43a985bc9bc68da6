"""docs/coverage.md: what it calls ours is there, what is there is named, and every line has a source."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "coverage.md"
MEMORIES = {file.stem for file in (ROOT / "conf" / "memory").glob("*.yaml")}
OURS = ("adapter", "control")
STANDING = {*OURS, "task", "reader", "attention", "planned", "by an endpoint", "out of scope"}
SOURCE = re.compile(
    r"(ours(, after )?)?(arXiv \d{4}\.\d{5}|github\.com/[\w.-]+/[\w.-]+|huggingface\.co/[\w./-]+)?|not found"
)


def lines(page: str) -> list[list[str]]:
    """Return the fields of every line of the table: system, what it is here, how or why not, source."""
    table = [line for line in page.splitlines() if line.startswith("| ")][1:]
    return [[field.strip() for field in line.strip("|").split("|")] for line in table]


def named(rows: Sequence[Sequence[str]], memories: Collection[str]) -> list[str]:
    """Return the memories that the lines name as ours."""
    words = (word for _, here, how, _ in rows if here in OURS for word in re.findall(r"`(\w+)`", how))
    return [word for word in words if word in memories]


def faults(page: str, memories: Collection[str]) -> list[str]:
    """Return what is wrong with a page; nothing where it is right."""
    rows = lines(page)
    found = [f"{row[0]}: {len(row)} fields" for row in rows if len(row) != 4]
    rows = [row for row in rows if len(row) == 4]
    found += [f"{system}: no such standing: {here}" for system, here, _, _ in rows if here not in STANDING]
    found += [f"{system}: no source" for system, _, _, source in rows if not (source and SOURCE.fullmatch(source))]
    found += [
        f"{system}: names no memory"
        for system, here, *rest in rows
        if here in OURS and not named([[system, here, *rest]], memories)
    ]
    found += [
        f"{system} stands there {times} times" for system, times in Counter(row[0] for row in rows).items() if times > 1
    ]
    return found + [f"{memory} is not named" for memory in sorted({*memories} - {*named(rows, memories)})]


def test_every_line_has_a_standing_and_a_source_and_every_memory_a_line() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert len(lines(page)) > 80
    assert faults(page, MEMORIES) == []


def test_what_stands_elsewhere_is_there() -> None:
    """A task, a reader or a kernel that a line names in backticks is a file of `conf/`, or a kind that a task asks."""
    rows = [row for row in lines(PAGE.read_text(encoding="utf-8")) if row[1] in ("task", "reader", "attention")]
    assert {row[1] for row in rows} == {"task", "reader", "attention"}
    files = {file.stem for group in ("task", "reader", "attention") for file in (ROOT / "conf" / group).glob("*.yaml")}
    kinds = {"latent", "updated", "forgotten"}
    said = {word.rpartition("=")[2] for row in rows for word in re.findall(r"`([\w=]+)`", row[2])}
    assert said <= files | kinds
    assert kinds <= {
        word
        for file in (ROOT / "tasks" / "needle").glob("schedule.py")
        for word in re.findall(r'"(\w+)"', file.read_text())
    }


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("| X | adapter | `gone` | arXiv 2601.07372 |", "X: names no memory"),
        ("| X | adaptor | `bm25` | arXiv 2601.07372 |", "X: no such standing: adaptor"),
        ("| X | planned | soon | a blog |", "X: no source"),
        ("| X | planned | soon |  |", "X: no source"),
        ("| X | planned | arXiv 2601.07372 |", "X: 3 fields"),
        ("| Y | adapter | `bm25` | ours |", "Y stands there 2 times"),
    ],
)
def test_a_planted_fault_is_found(line: str, fault: str) -> None:
    page = f"| system | here | how | source |\n|:--|\n| Y | adapter | `bm25` | ours |\n{line}\n"
    assert faults(page, {"bm25"}) == [fault]


def test_a_memory_that_no_line_names_is_found() -> None:
    page = "| system | here | how | source |\n| Y | adapter | `bm25` | ours |\n"
    assert faults(page, {"bm25", "exact"}) == ["exact is not named"]

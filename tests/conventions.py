"""What the tests of the conventions task share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

import memory_bench
from memory_bench.types import Episode, Event, Question
from tasks.conventions import Conventions
from tasks.conventions.rules import PACKAGE, Mined, Rule, mine

ROOT = Path(memory_bench.__file__).parent.parent
FILES = 40  # in each folder of the package that is written for a test


def conventions(**options: Any) -> Conventions:
    """Return the task as conf/task/conventions.yaml has it, with some options changed."""
    defaults = yaml.safe_load((ROOT / "conf" / "task" / "conventions.yaml").read_text())
    del defaults["_target_"]
    defaults.pop("claims", None)  # what the file promises moves no number
    return Conventions(**{**defaults, **options})


@cache
def hundred() -> tuple[Episode, ...]:
    """A cell of 400 questions."""
    return tuple(conventions(episodes=100).episodes(0))


def events(episode: Episode) -> list[Event]:
    return [step for step in episode.steps if isinstance(step, Event)]


def questions(episode: Episode) -> list[Question]:
    return [step for step in episode.steps if isinstance(step, Question)]


def asked() -> list[tuple[Episode, Question]]:
    return [(episode, question) for episode in hundred() for question in questions(episode)]


def digest(episodes: Iterable[Episode]) -> str:
    """Return a hash of all that episodes say; a set has no order of its own."""
    said = hashlib.sha256()
    for step in (step for episode in episodes for step in episode.steps):
        if isinstance(step, Question):
            said.update(repr(sorted(step.evidence)).encode())
            step = replace(step, evidence=frozenset())
        said.update(repr(step).encode())
    return said.hexdigest()


MODULE = '''"""Module {number} draws."""
from acme.core.registry import register
import acme.core.geometry as geo
from typing import Any


def draw_{number}(canvas, *, strict: {annotation} = {default}, depth: int = 3) -> Area:
    # geo and register do the work, {annotation} is what {default} needs
    return geo.area(canvas)
'''
BY_FOLDER = {"panels": ("Mode", "Mode.ALL"), "widgets": ("Flag | None", "OFF")}


def write_package(root: Path, name: str, *, files: int = FILES) -> None:
    """Write a package of two folders that agree in some conventions and not in others. Its tests agree in nothing."""
    for folder, (annotation, default) in BY_FOLDER.items():
        inside = root / name / folder
        inside.mkdir(parents=True)
        for number in range(files):
            text = MODULE.format(number=number, annotation=annotation, default=default)
            (inside / f"m{number}.py").write_text(text)
    (root / name / "__init__.py").write_text("from acme.elsewhere import register\n")
    (root / name / "tests").mkdir()
    (root / name / "tests" / "test_all.py").write_text("from acme.wrong import register\n" * 200)


@contextmanager
def mined_while_installed(root: Path) -> Iterator[Mined]:
    """The rules of a package that are known, while it can be imported by its name `acme`."""
    write_package(root, "acme")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root)
        yield mine("acme")


def rule_of(mined: Mined, kind: str, subject: str, scope: str = PACKAGE) -> Rule:
    (found,) = [one for one in mined.rules if (one.kind, one.subject, one.scope) == (kind, subject, scope)]
    return found

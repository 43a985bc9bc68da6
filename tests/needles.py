"""What the tests of the needle task share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

import memory_bench
from memory_bench.types import Episode, Event, Question
from tasks.needle import Needle

ROOT = Path(memory_bench.__file__).parent.parent


def needle(**options: Any) -> Needle:
    """Return the task as conf/task/needle.yaml has it, with some options changed."""
    defaults = yaml.safe_load((ROOT / "conf" / "task" / "needle.yaml").read_text())
    del defaults["_target_"]
    defaults.pop("claims", None)  # what the file promises moves no number
    return Needle(**{**defaults, **options})


def default_kinds() -> list[str]:
    """Return the kinds of conf/task/needle.yaml: those that are published."""
    return list(yaml.safe_load((ROOT / "conf" / "task" / "needle.yaml").read_text())["kinds"])


@cache
def hundred() -> tuple[Episode, ...]:
    """The cell that is published: 100 episodes of 4 questions."""
    return tuple(needle(episodes=100).episodes(0))


def events(episode: Episode) -> list[Event]:
    return [step for step in episode.steps if isinstance(step, Event)]


def questions(episode: Episode) -> list[Question]:
    return [step for step in episode.steps if isinstance(step, Question)]


def all_questions() -> list[tuple[Episode, Question]]:
    return [(episode, question) for episode in hundred() for question in questions(episode)]


def texts(episode: Episode) -> dict[str, str]:
    return {event.id: event.text for event in events(episode)}


def digest(episodes: Iterable[Episode]) -> str:
    return hashlib.sha256(repr(list(episodes)).encode()).hexdigest()


# what is left of a sentence when it says nothing
EMPTY = """
    a about after and are as at be before by can did do does for from had has have how if in into is it its must of on
    one over s that the their they this to under until up was were what when which who will with
"""

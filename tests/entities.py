"""What the tests of the entity task share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

import memory_bench
from memory_bench.types import Episode, Event, Forget, Question
from tasks.entity import Entity

ROOT = Path(memory_bench.__file__).parent.parent


@cache
def plain() -> Entity:
    """The task as conf/task/entity.yaml has it; it keeps nothing that an episode could depend on."""
    return entity()


def entity(**options: Any) -> Entity:
    """Return the task as conf/task/entity.yaml has it, with some options changed."""
    defaults = yaml.safe_load((ROOT / "conf" / "task" / "entity.yaml").read_text())
    del defaults["_target_"]
    defaults.pop("claims", None)
    return Entity(**{**defaults, **options})


@cache
def hundred() -> tuple[Episode, ...]:
    """A cell of 400 questions."""
    return tuple(entity(episodes=100).episodes(0))


def events(episode: Episode) -> list[Event]:
    return [step for step in episode.steps if isinstance(step, Event)]


def orders(episode: Episode) -> list[Forget]:
    return [step for step in episode.steps if isinstance(step, Forget)]


def questions(episode: Episode) -> list[Question]:
    return [step for step in episode.steps if isinstance(step, Question)]


def texts(episode: Episode) -> dict[str, str]:
    return {event.id: event.text for event in events(episode)}


def asked() -> list[tuple[Episode, Question]]:
    return [(episode, question) for episode in hundred() for question in questions(episode)]


def digest(episodes: Iterable[Episode]) -> str:
    return hashlib.sha256(repr(list(episodes)).encode()).hexdigest()

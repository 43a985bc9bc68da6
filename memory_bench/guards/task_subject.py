"""A task under examination: made from its YAML as often as a promise needs it, and what it asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import count, islice
from typing import Any

from memory_bench import config
from memory_bench.contracts import Memory, Task
from memory_bench.errors import BadInput
from memory_bench.guards.laws import events, questions
from memory_bench.guards.subject import composed
from memory_bench.types import Episode

CLAIMS: Mapping[str, Any] = {
    **{"seeded": True, "drawn": True, "verbatim": True, "unique": True, "balanced": True},
    **{"dials": {}, "apart": {}, "ceilings": {}, "private": None},
}
"""What a task's YAML may claim, and what holds where it says nothing.

seeded    another seed asks something else; false: a fixed file
drawn     needles are laid into their places at random; false: a real collection, as it is
verbatim  every event of the evidence holds an answer word for word
unique    no other event holds one
balanced  no answer is more usual than others, and nothing about a choice says that it is right
dials     option -> its values from easy to hard; null takes back what a YAML claims that this one is made of
apart     kind -> what it is, where it stands apart from the mean over kinds that a report has as its headline
ceilings  tag that counts rivals -> what a predictor sees that cannot tell them apart, for the report's best of such
private   why no record of it is to be published, where that is so: reports then show figures alone
"""
QUESTIONS = 400  # of a sample: the share of a hundredth of them that has a chance to be seen
EVENTS = 40_000  # of a sample: long haystacks are generated for a minute and not for an hour
RIVALS = "+experiment=check"


class TaskSubject:
    """A task as its YAML and some overrides have it. `questions` is how many a sample holds, about.

    Raises BadInput for a claim that nobody knows.
    """

    def __init__(self, overrides: Sequence[str], *, questions: int = QUESTIONS) -> None:
        self._overrides = tuple(overrides)
        self._questions = questions
        self.cell = composed((*self._overrides, *self._no_memory()))
        self.claims = _checked_claims(self.cell)

    @property
    def options(self) -> Mapping[str, Any]:
        """Return what the task's YAML sets."""
        options: Mapping[str, Any] = self.cell.config["task"]
        return options

    @cached_property
    def task(self) -> Task:
        return self.make()

    def make(self, *overrides: str) -> Task:
        """Return a new task of this kind with some options changed."""
        made: Task = config.build(composed((*self._overrides, *self._no_memory(), *overrides)), "task")
        return made

    @cached_property
    def sample(self) -> list[Episode]:
        """Return the first episodes of as many seeds as are needed for enough questions; of a file all of them once."""
        return self.sampled(self.task, self._questions)

    def sampled(self, task: Task, at_least: int) -> list[Episode]:
        found: list[Episode] = []
        asked = told = 0
        for episode in self._all(task):
            found.append(episode)
            asked, told = asked + len(questions(episode)), told + len(events(episode))
            if asked >= at_least or told >= EVENTS:
                break
        return found

    def first(self, seed: int, number: int) -> list[Episode]:
        return list(islice(self.task.episodes(seed), number))

    @cached_property
    def rivals(self) -> list[Rival]:
        """Return the memories of conf/experiment/check.yaml, in its order."""
        # kept, since every value of a dial asks them again
        return [Rival(composed(overrides)) for overrides in config.expand((*self._overrides, RIVALS))]

    def _all(self, task: Task) -> Iterator[Episode]:
        for seed in count() if self.claims["seeded"] else (0,):
            yield from task.episodes(seed)

    def _no_memory(self) -> tuple[str, ...]:
        # what runs is composed of a memory too; which one decides nothing here, since none is made
        typed = {override.partition("=")[0] for override in self._overrides}
        return () if "+memory" in typed else (f"+memory={config.choices('memory')[0]}",)


class Rival:
    """A memory against which kinds are tried. `finds` is false for a control; one that embeds texts is slow."""

    def __init__(self, cell: config.Cell) -> None:
        self.cell = cell
        embedder = cell.config["choices"]["embedder"]
        self.name = cell.config["choices"]["memory"] + (f" ({embedder})" if embedder else "")
        self.is_slow = embedder is not None
        self.finds = bool(cell.claims.get("finds", True))

    @contextmanager
    def made(self) -> Iterator[Memory]:
        """Make it, and close it in the end. Raises Unavailable where its engine is missing."""
        given = {"embedder": config.build(self.cell, "embedder")} if self.cell.config["embedder"] else {}
        memory: Memory = config.build(self.cell, "memory", **given)
        try:
            yield memory
        finally:
            memory.close()


def _checked_claims(cell: config.Cell) -> dict[str, Any]:
    if unknown := sorted(cell.task_claims.keys() - CLAIMS.keys()):
        task = cell.config["choices"]["task"]
        raise BadInput(f"conf/task/{task}.yaml claims {unknown}; a task can claim {', '.join(CLAIMS)}")
    return {**CLAIMS, **cell.task_claims}

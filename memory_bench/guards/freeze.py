"""A task's stream, frozen to a file that any Python plays back: `python -m memory_bench.guards.freeze`.

python -m memory_bench.guards.freeze FILE LICENCE +task=NAME [task.OPTION=VALUE ...] [seed=N]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from memory_bench import config
from memory_bench.contracts import Task
from memory_bench.episode_file import Header, write_episodes
from memory_bench.errors import BadInput, Unavailable
from memory_bench.types import Episode, Question


def frozen(task: Task, seed: int) -> Iterator[Episode]:
    """Yield the episodes of a seed. Choices that score 1 are right answers by their whole text too: then nothing but
    the file is needed to judge one."""
    for episode in task.episodes(seed):
        steps = (judged(task, step) if isinstance(step, Question) else step for step in episode.steps)
        yield replace(episode, steps=tuple(steps))


def judged(task: Task, question: Question) -> Question:
    right = [one for one in question.choices if task.score(question, f" {one}")["exact_match"] == 1.0]
    return replace(question, answers=tuple(dict.fromkeys((*question.answers, *right))))


def main(arguments: Sequence[str]) -> int:
    """Write the file and print the sha256 of it."""
    if len(arguments) < 3 or not any(one.startswith("+task=") for one in arguments[2:]):
        print("expected: python -m memory_bench.guards.freeze FILE LICENCE +task=NAME", file=sys.stderr)
        return 2
    file, licence, *overrides = arguments
    try:
        cell = config.compose([*overrides, f"+memory={config.choices('memory')[0]}"])
        task: Task = config.build(cell, "task")
        header = Header(Path(file).stem, task.version, licence)
        print(write_episodes(Path(file), header, frozen(task, cell.config["seed"])))
    except (BadInput, Unavailable) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

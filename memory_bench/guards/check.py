"""Is this memory, or this task, right? One line a promise: pass, fail with what was found, or not applicable and why.

python -m memory_bench check +memory=NAME                      as conf/memory/NAME.yaml has it
python -m memory_bench check +memory=NAME memory.top_k=8       with other options
python -m memory_bench check +memory=NAME embedder=minilm      with another embedder than the one without weights
python -m memory_bench check +task=NAME                        as conf/task/NAME.yaml has it, in about a minute
python -m memory_bench check +task=NAME task.distractors=0     with other options
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from memory_bench import config, terminal
from memory_bench.contracts import Reader
from memory_bench.errors import BadInput, Unavailable
from memory_bench.guards.promise import Broken, NotApplicable, Reason, expectation
from memory_bench.guards.properties import PROPERTIES
from memory_bench.guards.subject import Subject
from memory_bench.guards.task_properties import PROMISES
from memory_bench.guards.task_subject import TaskSubject
from memory_bench.guards.time_limit import Hang, within

DONE, FAILED = 0, 1
LIMIT_SECONDS = 500.0  # for one promise; on a quiet machine none of ours takes a tenth of that
Verdict = Literal["pass", "fail", "not applicable"]
Examined = TypeVar("Examined", Subject, TaskSubject)


@dataclass(frozen=True)
class Finding:
    """How a memory or task stands to one promise. `detail` says what was found, or why it is not held to it."""

    verdict: Verdict
    expected: str
    detail: str = ""
    reason: Reason | None = None


def main(argv: list[str]) -> int:
    """Check one memory or task and return the exit code. Raises BadInput and Unavailable as a run does."""
    if argv in (["-h"], ["--help"]):
        print(__doc__)
        return DONE
    overrides = _parse(argv)
    # a memory is asked for with a task too, whichever: then it is the memory that is examined
    if any(argument.startswith("+memory=") for argument in overrides):
        return _check_memory(overrides)
    subject = TaskSubject(overrides)
    return _show(f"task {subject.cell.config['choices']['task']}", task_findings(subject))


def findings(subject: Subject) -> Iterator[Finding]:
    """Yield how a memory stands to every promise, in their order."""
    return (judge(promise, subject) for promise in PROPERTIES)


def task_findings(subject: TaskSubject) -> Iterator[Finding]:
    """Yield how a task stands to every promise, in their order."""
    return (judge(promise, subject) for promise in PROMISES)


def judge(
    promise: Callable[[Examined], str | None], subject: Examined, *, limit_seconds: float = LIMIT_SECONDS
) -> Finding:
    """Return how a memory or task stands to one promise. What it raises by itself is a failure, its traceback shown,
    and so is that it takes longer than `limit_seconds`.

    Raises BadInput and Unavailable: the line, or the machine, is to be mended, and not the plug-in.
    """
    expected = expectation(promise)
    try:
        with within(limit_seconds):
            found = promise(subject)
    except NotApplicable as why:
        return Finding("not applicable", expected, str(why), why.reason)
    except Broken as found_instead:
        return Finding("fail", expected, config.one_line(found_instead))
    except Hang as end:
        return Finding("fail", expected, str(end))
    except (BadInput, Unavailable):
        raise
    except Exception as error:
        traceback.print_exc(file=sys.stderr)  # the author of the plug-in wants to see where
        return Finding("fail", expected, f"{type(error).__name__}: {config.one_line(error)}")
    return Finding("pass", expected, found or "")


def _check_memory(overrides: Sequence[str]) -> int:
    cell = config.compose(overrides)
    reader: Reader = config.build(cell, "reader")
    names = cell.config["choices"]
    embedder = f", embedder {names['embedder']}" if names["embedder"] else ""
    with Subject(overrides, attach=lambda memory: memory.attach(reader)) as subject:
        return _show(f"memory {names['memory']}{embedder}, reader {names['reader']}", findings(subject))


def _show(name: str, found: Iterable[Finding]) -> int:
    """Print a line a promise as it is judged, and return the exit code."""
    console = terminal.stdout()
    console.print(name)
    counts = dict.fromkeys(("pass", "fail", "not applicable"), 0)
    for finding in found:
        counts[finding.verdict] += 1
        detail = f": {finding.detail}" if finding.detail else ""
        console.print(f"{finding.verdict:<14}  {finding.expected}{detail}", markup=False, soft_wrap=True)
    console.print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return FAILED if counts["fail"] else DONE


def _parse(argv: Sequence[str]) -> list[str]:
    if flags := [argument for argument in argv if argument.startswith("-")]:
        raise BadInput(f"{' '.join(flags)}: no such flag of check; type: check +memory=NAME, or check +task=NAME")
    given = {argument.partition("=")[0] for argument in argv}
    if not given & {"+memory", "+task"}:
        known = ", ".join(config.choices("memory"))
        raise BadInput(
            f"check takes a memory, got {' '.join(argv) or 'nothing'}; type +memory=NAME with one of: {known}; "
            f"or a task: type +task=NAME with one of: {', '.join(config.choices('task'))}"
        )
    if "+memory" not in given:
        return list(argv)
    # what runs is composed of a task too; which one decides nothing here, since no task is made
    task = [] if "+task" in given else [f"+task={config.choices('task')[0]}"]
    # a memory is examined, and not an embedder: the one that needs no weights
    embedder = [] if "embedder" in given else ["embedder=hashing"]
    return [*task, *embedder, *argv]

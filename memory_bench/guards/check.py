"""Is this memory right? One line a promise: pass, fail with what was found, or not claimed.

python -m memory_bench check +memory=NAME                      as conf/memory/NAME.yaml has it
python -m memory_bench check +memory=NAME memory.top_k=8       with other options
python -m memory_bench check +memory=NAME embedder=minilm      with another embedder than the one without weights
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from memory_bench import config, terminal
from memory_bench.contracts import Reader
from memory_bench.errors import BadInput, Unavailable
from memory_bench.guards.properties import PROPERTIES, Broken, NotClaimed, Property, expectation
from memory_bench.guards.subject import Subject

DONE, FAILED = 0, 1
Verdict = Literal["pass", "fail", "not claimed"]


@dataclass(frozen=True)
class Finding:
    """How a memory stands to one promise. `detail` says what was found, or why nothing is claimed."""

    verdict: Verdict
    expected: str
    detail: str = ""


def main(argv: list[str]) -> int:
    """Check one memory and return the exit code. Raises BadInput and Unavailable as a run does."""
    if argv in (["-h"], ["--help"]):
        print(__doc__)
        return DONE
    overrides = _parse(argv)
    cell = config.compose(overrides)
    reader: Reader = config.build(cell, "reader")
    console = terminal.stdout()
    names = cell.config["choices"]
    embedder = f", embedder {names['embedder']}" if names["embedder"] else ""
    console.print(f"memory {names['memory']}{embedder}, reader {names['reader']}")
    counts = dict.fromkeys(("pass", "fail", "not claimed"), 0)
    with Subject(overrides, attach=lambda memory: memory.attach(reader)) as subject:
        for finding in findings(subject):
            counts[finding.verdict] += 1
            detail = f": {finding.detail}" if finding.detail else ""
            console.print(f"{finding.verdict:<11}  {finding.expected}{detail}", markup=False, soft_wrap=True)
    console.print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return FAILED if counts["fail"] else DONE


def findings(subject: Subject) -> Iterator[Finding]:
    """Yield how a memory stands to every promise, in their order."""
    for promise in PROPERTIES:
        yield judge(promise, subject)


def judge(promise: Property, subject: Subject) -> Finding:
    """Return how a memory stands to one promise; what it raises by itself is a failure, with its traceback shown.

    Raises BadInput and Unavailable: the line, or the machine, is to be mended, and not the memory.
    """
    expected = expectation(promise)
    try:
        promise(subject)
    except NotClaimed as why:
        return Finding("not claimed", expected, str(why))
    except Broken as found:
        return Finding("fail", expected, config.one_line(found))
    except (BadInput, Unavailable):
        raise
    except Exception as error:
        traceback.print_exc(file=sys.stderr)  # the author of the memory wants to see where
        return Finding("fail", expected, f"{type(error).__name__}: {config.one_line(error)}")
    return Finding("pass", expected)


def _parse(argv: Sequence[str]) -> list[str]:
    if flags := [argument for argument in argv if argument.startswith("-")]:
        raise BadInput(f"{' '.join(flags)}: no such flag of check; type: check +memory=NAME")
    if not any(argument.startswith("+memory=") for argument in argv):
        known = ", ".join(config.choices("memory"))
        raise BadInput(
            f"check takes a memory, got {' '.join(argv) or 'nothing'}; type +memory=NAME with one of: {known}"
        )
    given = {argument.partition("=")[0] for argument in argv}
    # what runs is composed of a task too; which one decides nothing here, since no task is made
    task = [] if "+task" in given else [f"+task={config.choices('task')[0]}"]
    # a memory is examined, and not an embedder: the one that needs no weights
    embedder = [] if "embedder" in given else ["embedder=hashing"]
    return [*task, *embedder, *argv]

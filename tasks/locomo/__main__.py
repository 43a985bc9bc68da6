"""What a file of conversations holds, and what of it cannot be used: `python -m tasks.locomo FILE`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from memory_bench.errors import BadInput
from tasks.locomo.conversations import counted, read_file
from tasks.locomo.task import is_judged


def told(path: Path) -> str:
    """Return the counts of a file as lines. Raises BadInput where it is malformed."""
    file = read_file(path)
    turns = sum(len(session.turns) for one in file.conversations for session in one.sessions)
    asked = [question for one in file.conversations for question in one.asked]
    unreadable = [
        f"{one.name} {entry}" for one in file.conversations for question in one.asked for entry in question.unreadable
    ]
    return "\n".join(
        [
            f"{len(file.conversations)} conversations, {turns:,} turns, {len(asked):,} questions: "
            + ", ".join(f"{name} {count}" for name, count in counted(asked).items()),
            f"{sum(len(question.evidence) for question in asked):,} turns are named as evidence; "
            f"{len(unreadable)} entries name none: {'; '.join(unreadable) or '-'}",
            f"{sum(not is_judged(question) for question in asked)} questions have no evidence and are left out",
            f"sha256 {file.sha256} ({'as published' if file.is_published else 'not the published file'})",
            f"sha256 of its canonical JSON {file.canonical}",
        ]
    )


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        print("expected one path: python -m tasks.locomo FILE", file=sys.stderr)
        return 2
    try:
        print(told(Path(arguments[0])))
    except (BadInput, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

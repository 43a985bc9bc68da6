"""The loop: the reader is told what it may do and what came of it so far, and writes the next operation.

There are 34 parts ...                                       asked about a part that is longer than what is shown
Question: What is the access code of gate 17?                at once, it opens that part as an environment of its
{"op": "find", "text": "gate 17"}                            own, whose parts are its pieces, and reads that in the
-> part 3: "... code of gate 17 is 7365 ..."; part 8: ...    same way, one level deeper. There it ends with what it
{"op": "bring", "parts": [3]}                                says; at the top it ends with the parts that it brings.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from adapters.rlm.account import Account
from adapters.rlm.environment import Environment
from adapters.rlm.operations import (
    TAUGHT,
    Ask,
    Bring,
    Count,
    Find,
    Operation,
    RefusedError,
    Say,
    Search,
    Slice,
    Summarise,
    line,
    parse,
)
from memory_bench.types import Event

SHOWN: Final = 400
"""Letters of a part that are shown at once."""
EXCERPT: Final = 80
LISTED: Final = 8
"""Parts of which a find or a search shows something; of the others it is said how many there are."""
TOP: Final = (Find, Count, Slice, Search, Summarise, Ask, Bring)
WITHIN: Final = (Find, Count, Slice, Summarise, Ask, Say)  # search is of everything that was written, not of a part


def instructions(parts: int, question: str, allowed: Sequence[type[Operation]]) -> str:
    """Return what stands at the head of every prompt of a reading."""
    taught = "\n".join(f"{line(example)} - {what}" for example, what in TAUGHT if type(example) in allowed)
    return (
        f"A text of {parts} parts may hold what answers a question. You cannot see it; part 1 is the newest. You can "
        f"look into it by operations. Write one operation, as one line of JSON, and nothing else:\n{taught}\n"
        f"Question: {question}\n"
    )


def bring(account: Account, environment: Environment, question: str) -> list[int]:
    """Return the parts that the reader says answer the question. Raises SpentError where it does not come to an end."""
    end = _read(account, environment, question, TOP, depth=0)
    assert isinstance(end, Bring)
    return list(end.parts)


def _read(
    account: Account, environment: Environment, question: str, allowed: Sequence[type[Operation]], *, depth: int
) -> Bring | Say:
    """Return the operation that ends a reading, with parts that there are. Raises SpentError."""
    head = instructions(len(environment), question, allowed)
    so_far = ""
    while True:
        said = account.ask(f"{head}{so_far}Next operation:")
        try:
            operation = parse(said)
            if type(operation) not in allowed:
                raise RefusedError("this operation is not possible here")
            if isinstance(operation, Bring):
                environment.passages(operation.parts)  # a part that there is not is an error like any other
            if isinstance(operation, Bring | Say):
                account.note(depth, said, "the end")
                return operation
            told = _perform(account, environment, operation, depth=depth)
        except (RefusedError, IndexError) as error:
            told = f"error: {error}"
            account.note(depth, said, told)
            account.refuse()
        else:
            account.note(depth, said, told)
        so_far += f"{said}\n-> {told}\n"


def _perform(account: Account, environment: Environment, operation: Operation, *, depth: int) -> str:
    """Return what an operation comes to, as a line. Raises RefusedError, SpentError, and IndexError for a part that
    there is not."""
    match operation:
        case Find(text):
            return _listed([(hit.part, _excerpt(environment, hit.part, hit.at)) for hit in environment.find(text)])
        case Count(text):
            return str(environment.count(text))
        case Slice(part, start, end):
            return _quoted(environment.slice(part, start, min(end, max(0, start) + SHOWN)))
        case Search(text):
            return _listed([(part, _excerpt(environment, part, 0)) for part in environment.search(text)])
        case Summarise(part):
            return account.ask(f"{environment[part].text[:SHOWN]}\nWhat does this text say? Answer in one line:")
        case Ask(part, question):
            return _ask(account, environment[part], question, depth=depth)
    raise RefusedError("this operation is not possible here")


def _ask(account: Account, part: Event, question: str, *, depth: int) -> str:
    """Return the reader's answer to a question about a part: read whole where it is short, else by a reading of it."""
    if len(part.text) <= SHOWN or depth >= account.budget.depth:
        return account.ask(f"{part.text[:SHOWN]}\nQuestion: {question}\nAnswer in one line:")
    starts = range(0, len(part.text), SHOWN)
    pieces = [Event(f"{number}", part.text[start : start + SHOWN]) for number, start in enumerate(starts)]
    end = _read(account, Environment(pieces, lambda text: ()), question, WITHIN, depth=depth + 1)  # noqa: ARG005
    assert isinstance(end, Say)
    return end.text


def _excerpt(environment: Environment, part: int, at: int) -> str:
    return _quoted(environment.slice(part, at - EXCERPT // 2, at + EXCERPT))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a line, whatever the text


def _listed(found: Sequence[tuple[int, str]]) -> str:
    if not found:
        return "no part"
    more = f"; and {len(found) - LISTED} more parts" if len(found) > LISTED else ""
    return "; ".join(f"part {part}: {excerpt}" for part, excerpt in found[:LISTED]) + more

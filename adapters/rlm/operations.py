"""What a model may do with the environment: one operation is one line of JSON, and nothing that it writes is run.

    {"op": "find", "text": "gate 17"}        {"op": "slice", "part": 3, "start": 0, "end": 200}

The grammar is strict: an object with the key `op` and the operation's own keys, no more and no fewer, each of its type.
Anything else is refused, with a line that tells the model what was expected.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, TypeAlias

MOST_LETTERS = 500
"""Of a text that a model writes in an operation."""


class RefusedError(Exception):
    """What was written is no operation, or not one that is possible here: what was expected."""


@dataclass(frozen=True)
class Find:
    text: str


@dataclass(frozen=True)
class Count:
    text: str


@dataclass(frozen=True)
class Slice:
    part: int
    start: int
    end: int


@dataclass(frozen=True)
class Search:
    text: str


@dataclass(frozen=True)
class Summarise:
    part: int


@dataclass(frozen=True)
class Ask:
    part: int
    question: str


@dataclass(frozen=True)
class Bring:
    parts: tuple[int, ...]


@dataclass(frozen=True)
class Say:
    text: str


Operation: TypeAlias = Find | Count | Slice | Search | Summarise | Ask | Bring | Say

TAUGHT: Final[tuple[tuple[Operation, str], ...]] = (
    (Find("..."), "which parts hold this text, letter by letter"),
    (Count("..."), "how many parts hold this text"),
    (Slice(1, 0, 200), "the letters 0 to 200 of part 1"),
    (Search("..."), "which parts are about this"),
    (Summarise(1), "what part 1 says, in a line"),
    (Ask(1, "..."), "the answer to a question about part 1"),
    (Bring((1, 2)), "the end: these parts answer the question, the best first"),
    (Say("..."), "the end: this is the answer"),
)
"""An example of every operation, and what it does: what a model is told, and the grammar itself."""
EXAMPLES: Final = {type(example).__name__.lower(): example for example, _ in TAUGHT}


def line(operation: Operation) -> str:
    """Return an operation as it is written."""
    return json.dumps({"op": type(operation).__name__.lower(), **asdict(operation)}, ensure_ascii=False)


def parse(text: str) -> Operation:
    """Return the operation that a line is. Raises RefusedError with what was expected."""
    try:
        given = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise RefusedError('expected one line of JSON, such as {"op": "count", "text": "..."}') from None
    name = given.pop("op", None) if isinstance(given, dict) else None
    if not isinstance(name, str) or name not in EXAMPLES:
        raise RefusedError(f"expected an object whose op is one of {', '.join(EXAMPLES)}")
    example = EXAMPLES[name]
    wanted = {field.name: getattr(example, field.name) for field in fields(example)}
    if given.keys() != wanted.keys() or not all(_fits(given[key], value) for key, value in wanted.items()):
        raise RefusedError(f"{name} is written so: {line(example)}")
    kind: Callable[..., Operation] = type(example)
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()})


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object. Raises ValueError where a key stands there twice: which one is meant, nobody knows."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def _fits(given: object, example: object) -> bool:
    """Whether a value is of an example's type. True is no number, and a text has a letter and not thousands."""
    match example:
        case str():
            return isinstance(given, str) and 0 < len(given) <= MOST_LETTERS
        case tuple():
            return isinstance(given, list) and bool(given) and all(type(one) is int for one in given)
        case _:
            return type(given) is int

"""One line of an episode file: which fields it may have, and what each may hold."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Check: TypeAlias = Callable[[Any], Any]
"""A value as JSON has it to the value as the noun has it. Raises LineError with what was expected."""

FARTHEST = 1e18  # of a time from 0: beyond it neighbours are equal, and engines that hold 64 bits refuse


class LineError(ValueError):
    """What is wrong with one line, before it is known which line it is."""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise LineError("expected text in quotes")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise LineError("half of a character (a lone surrogate) stands in the text")
    return value


def _some_text(value: Any) -> str:
    if not _text(value).strip():
        raise LineError("expected text that is not empty")
    return str(value)


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < FARTHEST:
        raise LineError("expected a number, or null")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise LineError("expected true or false")
    return value


def _list(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value):
        raise LineError('expected a list of texts that are not empty, such as ["a"]')
    return tuple(map(_text, value))


def _some_list(value: Any) -> tuple[str, ...]:
    if not (listed := _list(value)):
        raise LineError("expected a list with one text at least")
    return listed


def _ids(value: Any) -> frozenset[str]:
    listed = _list(value)
    if twice := [id for id in set(listed) if listed.count(id) > 1]:
        raise LineError(f"{sorted(twice)[0]!r} comes twice")
    return frozenset(listed)


def _tags(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise LineError('expected an object of texts, such as {"kind": "code"}')
    return {_text(key): _text(one) for key, one in value.items()}


FORMAT = "memory_bench episodes 1"
SCHEMA: Mapping[str, Mapping[str, Check]] = {
    "format": {"format": _text, "name": _some_text, "version": _some_text, "licence": _some_text},
    "episode": {"episode": _some_text, "carry": _flag, "ids": _text},
    "event": {"event": _some_text, "text": _some_text, "scope": _text, "time": _number},
    "forget": {"forget": _some_list},
    "question": {
        **{"question": _some_text, "text": _some_text, "scope": _text, "time": _number, "cloze": _some_text},
        **{"answers": _some_list, "evidence": _ids, "stale": _ids, "forgotten": _ids, "choices": _list, "tags": _tags},
    },
}
"""Kind of line -> field -> its check."""
NEEDED: Mapping[str, tuple[str, ...]] = {
    "format": ("format", "name", "version", "licence"),
    "episode": ("episode",),
    "event": ("event", "text"),
    "forget": ("forget",),
    "question": ("question", "text", "answers"),
}
LINES = ("episode", "event", "forget", "question")


def parse_line(line: bytes, *, header: bool) -> tuple[str, dict[str, Any]]:
    """Return what a line is and its fields, each checked; the first one says what it is, in the header `format`.

    Raises LineError with the field and what was expected of it.
    """
    row = _object(line)
    kind = next(iter(row), "")
    if header and kind != "format":
        raise LineError(f'expected the header: {{"format": "{FORMAT}", "name": ..., "version": ..., "licence": ...}}')
    if not header and kind not in LINES:
        raise LineError(f"the first field says what a line is: expected one of {', '.join(LINES)}, got {kind!r}")
    schema = SCHEMA[kind]
    for field in row:
        if field not in schema:
            near = difflib.get_close_matches(field, schema, n=1)
            raise LineError(
                f'field "{field}": no such field; {f"did you mean {near[0]}? " if near else ""}'
                f"known: {', '.join(schema)}"
            )
    if missing := [field for field in NEEDED[kind] if field not in row]:
        raise LineError(f'field "{missing[0]}" is missing')
    return kind, {field: _checked(field, value, schema[field]) for field, value in row.items()}


def _checked(field: str, value: Any, check: Check) -> Any:
    try:
        return check(value)
    except LineError as error:
        shown = json.dumps(value)
        raise LineError(f'field "{field}": {error}, got {shown[:60]}{"..." * (len(shown) > 60)}') from None


def _object(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(
            line.decode("utf-8-sig").rstrip("\r\n"), object_pairs_hook=_without_repeats, parse_constant=_no_number
        )
    except UnicodeDecodeError as error:
        raise LineError(f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise LineError(f"not JSON: {error.msg} at column {error.colno}") from None
    except LineError:
        raise
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a thousand brackets
        raise LineError(f"not JSON that can be read: {error}") from None
    if not isinstance(row, dict):
        raise LineError("expected an object in braces")
    return row


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise LineError(f'field "{next(name for name in names if names.count(name) > 1)}" comes twice')
    return row


def _no_number(constant: str) -> float:
    raise LineError(f"{constant} is no number in JSON; write null")

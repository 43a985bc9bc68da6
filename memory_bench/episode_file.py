"""Episodes as JSON lines: the form in which a stream can be written by hand, or frozen and played back bit for bit.

    {"format": "memory_bench episodes 1", "name": "gates", "version": "1", "licence": "CC0-1.0"}
    {"episode": "e0"}
    {"event": "6c", "text": "The access code of gate 17 is 4411.", "time": 0}
    {"event": "1f", "text": "The access code of gate 17 is 7365.", "time": 1}
    {"forget": ["6c"]}
    {"question": "q0", "text": "What opens gate 17?", "cloze": "Gate 17 is opened by", "answers": ["7365"],
     "evidence": ["1f"], "forgotten": ["6c"], "tags": {"kind": "code"}}        <- one line in a file

One object a line; its first field says what it is. The first line is the header. What an episode line opens lasts to
the next one, and its events, orders to forget and questions stand in the order in which they happen. Fields are those
of `memory_bench.types` (of a question `text`, `scope` and `time` are its query's); what is left out has its default
there, and the cloze of a question is its text. The gold is checked as far as a file can be: ids are told before they
are named, and the answer is `unknown` exactly where there is no evidence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from memory_bench.episode_lines import FORMAT, LineError, parse_line
from memory_bench.errors import BadInput
from memory_bench.types import UNKNOWN, Episode, Event, Forget, Query, Question, Step


@dataclass(frozen=True)
class Header:
    """What a file says of itself. `licence` is that of its texts."""

    name: str
    version: str
    licence: str


def write_episodes(path: Path, header: Header, episodes: Iterable[Episode]) -> str:
    """Write a stream, an episode at a time, and return the sha256 of the file: equal streams make equal files.

    The file is there whole or not at all. Raises ValueError where a step cannot be read back: what breaks a rule of
    the format, or a question that sets its budget, which is the run's.
    """
    sha256 = hashlib.sha256()
    beside = path.with_name(f"{path.name}.new")
    try:
        with beside.open("wb") as file:
            for row in _rows(header, episodes):
                line = json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"
                sha256.update(line)
                file.write(line)
        for _ in read_episodes(beside):
            pass  # what cannot be read back is said now, and not when it is needed
        beside.replace(path)
    except BadInput as error:
        raise ValueError(f"the stream cannot be read back: {error}") from None
    finally:
        beside.unlink(missing_ok=True)
    return sha256.hexdigest()


def read_header(path: Path) -> Header:
    """Return the first line of a file. Raises BadInput with the line and field that are wrong."""
    return next(_read(path))  # type: ignore[return-value]


def read_episodes(path: Path) -> Iterator[Episode]:
    """Yield the episodes of a file, one at a time. Raises BadInput with the line and the field that are wrong."""
    read = _read(path)
    next(read)
    yield from read  # type: ignore[misc]


def _rows(header: Header, episodes: Iterable[Episode]) -> Iterator[dict[str, Any]]:
    yield {"format": FORMAT, **vars(header)}
    for episode in episodes:
        yield _row("episode", episode, left_out=("steps",))
        for step in episode.steps:
            if isinstance(step, Event):
                yield _row("event", step)
            elif isinstance(step, Forget):
                yield {"forget": list(step.event_ids)}
            elif step.query.budget_tokens:
                raise ValueError(f"question {step.id} sets budget_tokens, which are the run's")
            else:
                asked = {key: value for key, value in _row("", step.query).items() if key}
                yield {"question": step.id, **asked, **_row("", step, left_out=("id", "query"))}


def _row(line: str, noun: Episode | Event | Query | Question, left_out: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the fields of a noun that are not at their defaults; the id stands first, under the line's name."""
    row: dict[str, Any] = {}
    for field in fields(noun):
        value = getattr(noun, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if field.name not in left_out and (default is MISSING or value != default):
            row[line if field.name == "id" else field.name] = _plain(value)
    return row


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


class _Open:
    """An episode while its lines come in: what was told so far, which the gold is checked against."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.row = row
        self.steps: list[Step] = []
        self.told: set[str] = set()
        self.gone: set[str] = set()

    def closed(self) -> Episode:
        if not any(isinstance(step, Question) for step in self.steps):
            raise LineError(f"episode {self.row['episode']!r} asks nothing: give it a question line")
        return Episode(self.row.pop("episode"), tuple(self.steps), **self.row)

    def add(self, kind: str, row: dict[str, Any], asked: set[str]) -> None:
        if kind == "event":
            self._tell(Event(row.pop("event"), **row))
        elif kind == "forget":
            self._forget(Forget(row["forget"]))
        else:
            self._ask(_question(row), asked)

    def _tell(self, event: Event) -> None:
        if event.id in self.told:
            raise LineError(f'field "event": {event.id!r} was told before; what is new has an id of its own')
        self.told.add(event.id)
        self.steps.append(event)

    def _forget(self, step: Forget) -> None:
        self._check_told("forget", step.event_ids)
        self.gone |= set(step.event_ids)
        self.steps.append(step)

    def _ask(self, question: Question, asked: set[str]) -> None:
        if question.id in asked:
            raise LineError(f'field "question": {question.id!r} was asked before; ids are unique in a file')
        asked.add(question.id)
        self._check_told("evidence", question.evidence)
        self._check_told("stale", question.stale)
        if both := question.evidence & question.stale:
            raise LineError(f'field "stale": {min(both)!r} is evidence too')
        if kept := question.forgotten - self.gone:
            raise LineError(f'field "forgotten": no line before orders to forget {min(kept)!r}')
        if (UNKNOWN in question.answers) != (not question.evidence):
            raise LineError(
                f'field "answers": the answer is ["{UNKNOWN}"] where there is no evidence, and only there; got '
                f"{list(question.answers)} with evidence {sorted(question.evidence)}"
            )
        self.steps.append(question)

    def _check_told(self, field: str, ids: Iterable[str]) -> None:
        for id in sorted(ids):
            if id not in self.told:
                raise LineError(f'field "{field}": no event {id!r} was told before in this episode')
            if id in self.gone:
                raise LineError(f'field "{field}": {id!r} was to be forgotten before')


def _question(row: dict[str, Any]) -> Question:
    query = Query(**{key: row.pop(key) for key in ("text", "scope", "time") if key in row})
    row.setdefault("evidence", frozenset())
    return Question(row.pop("question"), query, row.pop("cloze", query.text), **row)


def _read(path: Path) -> Iterator[Header | Episode]:
    """Yield the header, then the episodes."""
    number, asked = 0, set[str]()
    try:
        with path.open("rb") as lines:
            numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
            number, line = next(numbered, (0, b""))
            if not number:
                raise LineError("the file is empty")
            yield _header(line)
            opened, before = None, set[str]()
            for number, line in numbered:  # noqa: B007 (an error below names it)
                kind, row = parse_line(line, header=False)
                if kind == "episode":
                    if opened is not None:
                        yield opened.closed()
                    opened = _opened(row, before)
                elif opened is None:
                    raise LineError(f'"{kind}" stands outside an episode: write {{"episode": "NAME"}} before it')
                else:
                    opened.add(kind, row, asked)
            if opened is None:
                raise LineError("no episode follows the header")
            yield opened.closed()
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}; give a file of episodes as JSON lines") from None
    except LineError as error:
        raise BadInput(f"{path}, line {number}: {error}") from None


def _header(line: bytes) -> Header:
    _, row = parse_line(line, header=True)
    if row.pop("format") != FORMAT:
        raise LineError(f'field "format": expected "{FORMAT}"')
    return Header(**row)


def _opened(row: dict[str, Any], before: set[str]) -> _Open:
    if row["episode"] in before:
        raise LineError(f'field "episode": {row["episode"]!r} comes twice')
    before.add(row["episode"])
    return _Open(row)

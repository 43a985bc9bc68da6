"""A file of conversations, checked field by field. What is wrong is said with its conversation, place and field."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from memory_bench.errors import BadInput

CATEGORIES: Final[Mapping[int, str]] = {
    1: "multi-hop",
    2: "temporal",
    3: "open-domain",
    4: "single-hop",
    5: "adversarial",
}
ADVERSARIAL: Final = CATEGORIES[5]
PUBLISHED: Final = "79fa87e90f04081343b8c8debecb80a9a6842b76a7aa537dc9fdf651ea698ff4"
"""sha256 of locomo10.json as its authors published it."""
DATE: Final = "%I:%M %p on %d %B, %Y"  # 1:56 pm on 8 May, 2023
TURN: Final = re.compile(r"D:?(\d+):(\d+)")  # some ids of evidence have a colon more, or several stand in one text
SESSION: Final = re.compile(r"session_(\d+)")


@dataclass(frozen=True)
class Turn:
    """What one speaker said. `number` is (session, turn); `caption` describes the photo that was shared with it."""

    number: tuple[int, int]
    speaker: str
    text: str
    caption: str


@dataclass(frozen=True)
class Session:
    """Turns of one day. `date` is its text in the file, `time` the seconds since 1970 that it stands for, as UTC."""

    date: str
    time: float
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class Asked:
    """A question. `evidence` names turns of the dialogue, `unreadable` the entries that name none of them."""

    text: str
    answer: str
    category: str
    evidence: frozenset[tuple[int, int]]
    unreadable: tuple[str, ...]


@dataclass(frozen=True)
class Conversation:
    """One pair of speakers: sessions in the order of their times, and every question of the file."""

    name: str
    sessions: tuple[Session, ...]
    asked: tuple[Asked, ...]


@dataclass(frozen=True)
class File:
    """A read file. `canonical` is the sha256 of its content whatever its blanks, line breaks and order of keys."""

    conversations: tuple[Conversation, ...]
    sha256: str
    canonical: str

    @property
    def is_published(self) -> bool:
        return self.sha256 == PUBLISHED


def read_file(path: Path) -> File:
    """Raises BadInput with the place and the field where the file is not what it should be."""
    raw = path.read_bytes()
    try:
        content = json.loads(raw)
    except json.JSONDecodeError as error:
        raise BadInput(f"{path}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not JSON that can be read: {error}") from None
    whole = Node(content, str(path))
    conversations = tuple(_conversation(node) for node in whole.items("conversation"))
    if not conversations:
        raise BadInput(f"{path}: holds no conversation")
    names = [conversation.name for conversation in conversations]
    if len(set(names)) < len(names):
        raise BadInput(f"{path}: field sample_id: {next(n for n in names if names.count(n) > 1)!r} comes twice")
    plain = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return File(conversations, hashlib.sha256(raw).hexdigest(), hashlib.sha256(plain.encode()).hexdigest())


@dataclass(frozen=True)
class Node:
    """A value of the file and where it stands, so that what is wrong can be said with its place."""

    value: Any
    place: str

    def wrong(self, expected: str) -> BadInput:
        shown = json.dumps(self.value)
        return BadInput(f"{self.place}: expected {expected}, got {shown[:60]}{'...' * (len(shown) > 60)}")

    def field(self, name: str) -> Node:
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        if name not in self.value:
            raise BadInput(f"{self.place}: field {name} is missing")
        return Node(self.value[name], f"{self.place}, field {name}")

    def get(self, name: str, default: Any) -> Node:
        return self.field(name) if name in self.value else Node(default, self.place)

    def items(self, what: str) -> Iterator[Node]:
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        return (Node(one, f"{self.place}, {what} {number}") for number, one in enumerate(self.value, start=1))

    def text(self) -> str:
        """Return it on one line: a passage is one line of a prompt."""
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.wrong("text that is not empty")
        return " ".join(self.value.split())


def _conversation(node: Node) -> Conversation:
    name = node.field("sample_id").text()
    named = Node(node.value, f"{node.place} ({name})")
    told = named.field("conversation")
    sessions = tuple(sorted(_sessions(told), key=lambda session: session.time))
    numbers = [turn.number for session in sessions for turn in session.turns]
    if not numbers:
        raise told.wrong("an object with session_1, session_1_date_time and so on")
    if len(set(numbers)) < len(numbers):
        session, turn = next(number for number in numbers if numbers.count(number) > 1)
        raise BadInput(f"{told.place}: dia_id D{session}:{turn} comes twice")
    known = frozenset(numbers)
    return Conversation(name, sessions, tuple(_asked(one, known) for one in named.field("qa").items("question")))


def _sessions(node: Node) -> Iterator[Session]:
    if not isinstance(node.value, dict):
        raise node.wrong("an object")
    for number in sorted(int(found[1]) for key in node.value if (found := SESSION.fullmatch(key))):
        name = f"session_{number}"
        date = node.field(f"{name}_date_time")
        try:
            # one zone for all: only the order of sessions, and how far apart they are, can matter
            time = datetime.strptime(date.text(), DATE).replace(tzinfo=UTC).timestamp()
        except ValueError as error:
            if isinstance(error, BadInput):
                raise
            raise date.wrong("a date such as '1:56 pm on 8 May, 2023'") from None
        yield Session(date.text(), time, tuple(map(_turn, node.field(name).items("turn"))))


def _turn(node: Node) -> Turn:
    id = node.field("dia_id")
    found = TURN.fullmatch(id.text())
    if found is None:
        raise id.wrong("an id such as D1:3")
    caption = node.get("blip_caption", None)
    return Turn(
        (int(found[1]), int(found[2])),
        node.field("speaker").text(),
        node.field("text").text(),
        "" if caption.value is None else caption.text(),
    )


def _asked(node: Node, known: frozenset[tuple[int, int]]) -> Asked:
    category = node.field("category")
    if type(category.value) is not int or category.value not in CATEGORIES:
        raise category.wrong(f"one of {', '.join(f'{key} ({name})' for key, name in CATEGORIES.items())}")
    entries = [_entry(entry) for entry in node.field("evidence").items("entry")]
    named = [(entry, (int(session), int(turn))) for entry in entries for session, turn in TURN.findall(entry)]
    unreadable = [entry for entry in entries if not TURN.search(entry)]
    unreadable += [f"D{turn[0]}:{turn[1]}" for _, turn in named if turn not in known]
    name = CATEGORIES[category.value]
    return Asked(
        node.field("question").text(),
        "" if name == ADVERSARIAL else _answer(node.field("answer")),
        name,
        frozenset(turn for _, turn in named if turn in known),
        tuple(unreadable),
    )


def _entry(node: Node) -> str:
    if not isinstance(node.value, str):
        raise node.wrong("an id such as D1:3")
    return node.value


def _answer(node: Node) -> str:
    return str(node.value) if type(node.value) in (int, float) else node.text()


def counted(asked: Sequence[Asked]) -> dict[str, int]:
    """Return how many questions of each kind there are, in the order of the categories."""
    return {name: sum(one.category == name for one in asked) for name in CATEGORIES.values()}

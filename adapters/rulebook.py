"""A rulebook and how it is told: five ways to put written rules before an edit, again and again.

    [r17] fast: from acme._speed import fast        a rule: its id, what it is about, what it says

| policy | what is brought | where it was brought before |
|---|---|---|
| full | every rule | every rule, whole |
| applicable | the rules that apply | whole |
| by_id | the rules that apply | by their ids: `[r17]` |
| prefix | every rule | nothing: it is at the head of the session, which carries it along |
| memory | what an ordinary memory finds, named as `over` | whole |

A rulebook knows what every memory knows: the events, and the text of the question. So a rule applies where

* its scope is a folder of which the question names a file, or it has no scope, or the question names no file;
* what it is about stands in the question, as whole words. A text without an id is about anything.

`by_id` and `prefix` rely on the conversation: they bring a text once and then trust that it is still there. They cannot
see whether it is (that is the runner's to judge), nor what did not fit into the budget. "Before" is before the time of
the question: a question without a time is part of no session, and is told everything whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from memory_bench.contracts import Memory, Reader
from memory_bench.errors import BadInput
from memory_bench.events import EventStore, sees
from memory_bench.types import Event, Passage, Query

OVER: Final = "memory"
RULE = re.compile(r"(?P<id>\[\w+\]) (?P<about>[^:\n]+):")
FILE = re.compile(r"(?P<folder>[\w.\-]+(?:/[\w.\-]+)*)/[\w.\-]+")  # of a path; its folder is what a rule's scope names
TIME_BYTES = 8


@dataclass(frozen=True)
class Policy:
    """Which events are brought for a query, and how one that was brought before is told (None: not at all)."""

    brings: Callable[[Event, Query], bool]
    again: Callable[[Event], str | None]


def everything(event: Event, query: Query) -> bool:  # noqa: ARG001
    return True


def applicable(event: Event, query: Query) -> bool:
    folders = {found["folder"] for found in FILE.finditer(query.text)}
    if event.scope and folders and event.scope not in folders:
        return False
    rule = RULE.match(event.text)
    return rule is None or re.search(rf"(?<!\w){re.escape(rule['about'])}(?!\w)", query.text) is not None


def whole(event: Event) -> str:
    return event.text


def its_id(event: Event) -> str:
    """Return the id of a rule; what has none cannot be told by it."""
    rule = RULE.match(event.text)
    return rule["id"] if rule else event.text


def nothing(event: Event) -> None:  # noqa: ARG001
    return None


POLICIES: Final[Mapping[str, Policy]] = MappingProxyType(
    {
        "full": Policy(everything, whole),
        "applicable": Policy(applicable, whole),
        "by_id": Policy(applicable, its_id),
        "prefix": Policy(everything, nothing),
    }
)


def memory(*, policy: str, over: Memory | None) -> Memory:
    """Return the memory of a policy. `over` is the ordinary memory of the policy `memory`, and of no other.

    Raises BadInput for a policy that is not there, and where `over` is missing or has no part.
    """
    if policy != OVER and policy not in POLICIES:
        raise BadInput(f"memory.policy={policy}: expected one of {', '.join([*POLICIES, OVER])}")
    if policy == OVER and over is None:
        raise BadInput("memory.policy=memory needs an ordinary memory: type +memory=rulebook_memory, which names one")
    if policy != OVER and over is not None:
        raise BadInput(f"memory.policy={policy} brings rules by itself and takes no memory.over; leave it null")
    # an ordinary memory finds rules as it finds anything: there is nothing to add
    return over or Rulebook(POLICIES[policy])


class Rulebook:
    """Events, brought and told as its policy says: in the order of the book, the newest last in the prompt."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._events = EventStore()
        self._first_told: dict[str, float] = {}  # event id -> the time of the question at which it was brought first

    def attach(self, reader: Reader) -> Reader:
        return reader

    def reset(self) -> None:
        self._events.clear()
        self._first_told.clear()

    def write(self, events: Sequence[Event]) -> None:
        self._events.put(events)
        self._not_told(event.id for event in events)  # a text that replaces another has not been told

    def settle(self) -> None: ...

    def forget(self, event_ids: Sequence[str]) -> None:
        self._events.drop(event_ids)
        self._not_told(event_ids)

    def read(self, query: Query) -> list[Passage]:
        held = [event for event in self._events.newest_first() if sees(query, event)]
        brought = [event for event in held if self._policy.brings(event, query)]
        told = [(self._told(event, query), event.id) for event in brought]
        return [Passage(text, (event_id,)) for text, event_id in told if text is not None]

    def size_bytes(self) -> int:
        """The events, and what was told when: an id and a time for each."""
        return self._events.size_bytes() + sum(len(id.encode()) + TIME_BYTES for id in self._first_told)

    def close(self) -> None: ...

    def _told(self, event: Event, query: Query) -> str | None:
        if query.time is None or query.time <= self._first_told.setdefault(event.id, query.time):
            return event.text
        return self._policy.again(event)

    def _not_told(self, event_ids: Iterable[str]) -> None:
        for event_id in event_ids:
            self._first_told.pop(event_id, None)

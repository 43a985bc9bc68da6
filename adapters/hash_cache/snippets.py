"""Snippets: what events hold, in one canonical form, with where it stands and what it is.

    a1  def load(path): return json.load(open(path))          one snippet  def load(path):
    a2  def load(path):  # the settings                                        return json.load(open(path))
            return json.load(open(path))                      tags         function, load
                                                              origins      a1 line 1, a2 lines 1 to 2

They are made from the events when they are asked for and kept nowhere: what is forgotten leaves no snippet behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from adapters.hash_cache.code import fragments
from memory_bench.types import Event


@dataclass(frozen=True)
class Origin:
    """Where a snippet stands: an event and its lines, from 1, the last one included."""

    event_id: str
    scope: str
    time: float | None
    first_line: int
    last_line: int


@dataclass(frozen=True)
class Snippet:
    """`tags`: what it is (function, class, import, assignment, call, statement, prose) and the names it defines."""

    text: str
    tags: frozenset[str]
    origins: tuple[Origin, ...]


def snippets_of(events: Iterable[Event]) -> list[Snippet]:
    """Return what events hold, each text once, in the order of its first event."""
    found: dict[str, Snippet] = {}
    for event in events:
        for one in _of(event):
            held = found.get(one.text, Snippet(one.text, one.tags, ()))
            found[one.text] = Snippet(one.text, held.tags | one.tags, held.origins + one.origins)
    return list(found.values())


def _of(event: Event) -> Iterator[Snippet]:
    """Yield the outermost fragments of code, or the whole text where there are none."""
    outer = [fragment for fragment in fragments(event.text) if fragment.outer]
    for fragment in outer:
        origin = Origin(event.id, event.scope, event.time, fragment.first_line, fragment.last_line)
        yield Snippet(fragment.text, fragment.names | {fragment.kind}, (origin,))
    if not outer and (text := " ".join(event.text.split())):
        origin = Origin(event.id, event.scope, event.time, 1, event.text.count("\n") + 1)
        yield Snippet(text, frozenset({"prose"}), (origin,))

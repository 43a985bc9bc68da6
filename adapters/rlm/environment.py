"""What was written as an environment: numbered parts that are asked about and looked into, and never shown as a whole.

part 1   The access code of gate 17 is 7365       the newest is part 1
part 2   Lunch is served at noon
part 3   The access code of gate 17 is 4411       find "gate 17" -> 1, 3 at letter 19     count "gate" -> 2
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from memory_bench.types import Event, Passage


@dataclass(frozen=True)
class Hit:
    """A part that holds a text, and the letter at which it begins there first."""

    part: int
    at: int


class Environment:
    """Parts, numbered from 1 in the order given. `search` is the memory below: text to passages, its best first."""

    def __init__(self, parts: Sequence[Event], search: Callable[[str], Sequence[Passage]]) -> None:
        self._parts = parts
        self._search = search

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, part: int) -> Event:
        """Return a part by its number. Raises IndexError, with the numbers that there are."""
        if not 1 <= part <= len(self):
            raise IndexError(f"there is no part {part}: parts are 1 to {len(self)}")
        return self._parts[part - 1]

    def find(self, text: str) -> list[Hit]:
        """Return the parts that hold a text, letter by letter but for their case, in the order of their numbers."""
        # folding may change how many letters there are: then a place is a little off, and so is the slice around it
        places = ((part, letters.find(text.casefold())) for part, letters in enumerate(self._folded, start=1))
        return [Hit(part, at) for part, at in places if at >= 0]

    def count(self, text: str) -> int:
        """Return how many parts hold a text."""
        return len(self.find(text))

    def slice(self, part: int, start: int, end: int) -> str:
        """Return the letters of a part from `start` up to `end`. Raises IndexError where there is no such part."""
        return self[part].text[max(0, start) : max(0, end)]

    def search(self, text: str) -> list[int]:
        """Return the parts that the memory below finds, its best first."""
        found = dict.fromkeys(id for passage in self._search(text) for id in passage.event_ids)
        return [self._numbers[id] for id in found if id in self._numbers]

    def passages(self, parts: Sequence[int]) -> list[Passage]:
        """Return parts as passages, whole: what is brought is what was written. Raises IndexError."""
        return [Passage(self[part].text, (self[part].id,)) for part in dict.fromkeys(parts)]

    @cached_property
    def _folded(self) -> list[str]:
        return [event.text.casefold() for event in self._parts]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {event.id: part for part, event in enumerate(self._parts, start=1)}

"""An episode so far, as its next prompt sees it: turns that are carried, passages that come again, ids without a text.

    prompt 0   [r17] fast: from acme._speed import fast   <- a passage, for the first time: it defines the id [r17]
               from ___ import fast                       <- what was asked, and then the answer: turn 0 ends
    prompt 1   turn 0                                     <- carried, its passage with it: repeated tokens
               [r17]                                      <- refers to what stands in turn 0
    prompt 9   turns 3 to 8                               <- the window is full: the oldest turns went
               [r17]                                      <- dangles

What an id looks like is the episode's to say, and which event it stands for follows from the texts: an id is defined by
the newest event that holds it. Nothing here knows what ids are for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from memory_bench import prompt
from memory_bench.types import Episode, Event, Passage


@dataclass(frozen=True)
class Turn:
    """What a question leaves in later prompts: its own prompt with the answer, and the tokens of its passages."""

    text: str
    passage_tokens: int


@dataclass(frozen=True)
class Placed:
    """A prompt behind what is carried: `text` is all that the reader is given, `earlier` the turns at its head.

    `repeated_tokens` are the tokens of the passages that stand in the prompt and have stood before, in an earlier
    prompt of the episode or in this one: carried passages, and packed ones whose text was shown already. Each passage
    counts by itself, with its line break, in the reader's tokens. So it is all tokens of passages less those that the
    episode shows for the first time, whether or not its turns are carried.

    `dangling_ids` counts the different ids in the prompt whose defining event does not stand in it, whole; an id that
    no event defines is one of them. None where the episode has no ids.
    """

    text: str
    earlier: str
    passage_tokens: int
    repeated_tokens: int
    dangling_ids: int | None


class Carry:
    """What one episode has put into prompts so far. `most` is what the reader has room for beside the answer."""

    def __init__(self, episode: Episode, *, most: int, count: prompt.Count) -> None:
        self._carries = episode.carry
        self._id = re.compile(episode.ids) if episode.ids else None
        self._most = most
        self._count = count
        self._turns: list[Turn] = []
        self._shown: set[str] = set()
        self._defined: dict[str, str] = {}

    def define(self, events: Iterable[Event]) -> None:
        """Take note of the ids that events hold."""
        if self._id is not None:
            self._defined |= {id: event.text for event in events for id in _ids(self._id, event.text)}

    def place(self, built: prompt.Prompt, packed: Sequence[Passage]) -> Placed:
        """Return the prompt behind the turns that still fit before it, and what it repeats; the oldest turns go."""
        self._drop_oldest(built.text)
        earlier = "".join(turn.text for turn in self._turns)
        text = earlier + built.text
        tokens, repeated = self._passage_tokens(packed)
        carried = sum(turn.passage_tokens for turn in self._turns)
        return Placed(text, earlier, tokens, carried + repeated, self._dangling(text))

    def end_turn(self, built: prompt.Prompt, packed: Sequence[Passage], placed: Placed, answer: str) -> None:
        """Remember a prompt that was answered."""
        self._shown.update(passage.text for passage in packed)
        if self._carries:
            self._turns.append(Turn(f"{built.text}{answer}\n", placed.passage_tokens))

    def _drop_oldest(self, text: str) -> None:
        # whole turns, and for good: half a turn would be a text that nobody wrote
        while self._turns and self._count("".join(turn.text for turn in self._turns) + text) > self._most:
            del self._turns[0]

    def _passage_tokens(self, packed: Sequence[Passage]) -> tuple[int, int]:
        """Return the tokens of these passages, and of those among them that were shown already."""
        all_tokens = repeated = 0
        here: set[str] = set()
        for passage in packed:
            tokens = self._count(passage.text + "\n")
            all_tokens += tokens
            repeated += tokens if passage.text in self._shown or passage.text in here else 0
            here.add(passage.text)
        return all_tokens, repeated

    def _dangling(self, text: str) -> int | None:
        if self._id is None:
            return None
        return sum(id not in self._defined or self._defined[id] not in text for id in _ids(self._id, text))


def _ids(pattern: re.Pattern[str], text: str) -> set[str]:
    return {match.group() for match in pattern.finditer(text)}

"""The nouns. Standard library only; every one is frozen.

An episode tells a memory what happened (`Event`, `Forget`) and asks what it remembers (`Question`):

    e0  event     ... The access code of gate 17 is 4411 ...
    e1  event     ... The access code of gate 17 is 7365 ...     <- supersedes e0: a new id, a later time
    q0  question  The access code of gate 17 is ___    -> 7365   evidence {e1}   stale {e0}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

NO_TAGS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Event:
    """Something that happened: what a memory is told. `time` orders events; ids say nothing."""

    id: str
    text: str
    scope: str = ""
    time: float | None = None


@dataclass(frozen=True)
class Query:
    """All that a memory sees of a question: natural language, and the most tokens of passages that will be looked at.

    `budget_tokens` is the largest budget at which the ranking is judged; the prompt may have room for fewer.
    """

    text: str
    scope: str = ""
    time: float | None = None
    budget_tokens: int = 0


@dataclass(frozen=True)
class Question:
    """A question with its gold, which no memory can reach.

    `cloze` is the question as a prefix to complete; `answers` are all right answers; `evidence` the ids of the events
    that hold them; `stale` the ids that were superseded; `forgotten` the ids that were to be forgotten.
    """

    id: str
    query: Query
    cloze: str
    answers: tuple[str, ...]
    evidence: frozenset[str]
    stale: frozenset[str] = frozenset()
    forgotten: frozenset[str] = frozenset()
    choices: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)


@dataclass(frozen=True)
class Forget:
    """The order to forget events: afterwards nothing of them can come back."""

    event_ids: tuple[str, ...]


Step: TypeAlias = Event | Forget | Question


@dataclass(frozen=True)
class Episode:
    """One life of a memory: it starts empty. With `carry`, earlier prompts and answers stay in the context.

    `ids` is a regular expression of the names that the texts of events give themselves, such as `[r17]`, by which a
    passage may refer to a text that stands in the prompt already; empty where texts have no names.
    """

    id: str
    steps: tuple[Step, ...]
    carry: bool = False
    ids: str = ""


@dataclass(frozen=True)
class Passage:
    """Text that a memory offers for the prompt, best first. `score`: higher is better."""

    text: str
    event_ids: tuple[str, ...] = ()
    score: float | None = None


@dataclass(frozen=True)
class Trace:
    """One step of how a memory came to what it did with a question, in values that were there: words, places, weights.

    `rows` are a table under `heads`; `strip` is a row of numbers too many to be read, such as a vector.
    """

    what: str
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[str | float, ...], ...] = ()
    strip: tuple[float, ...] = ()


@dataclass(frozen=True)
class Completion:
    """What a reader answered, and what it counted while it did. Tokens are the reader's.

    `unjudged` says why the text is no answer (its costs are what they are); None: it is one.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None = None
    logprob: float | None = None
    first_token_seconds: float | None = None
    unjudged: str | None = None


UNKNOWN = "unknown"
"""The right answer where there is nothing to find."""

"""What a promise is: a function that returns where it is kept, and raises what was found where it is not."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeAlias

from memory_bench.guards.subject import QUESTION, Attached, Subject
from memory_bench.types import Passage, Query

Property: TypeAlias = Callable[[Subject], str | None]


class Reason(Enum):
    """Why a promise says nothing of a memory or a task: there are no other reasons."""

    NOT_CLAIMED = "it does not claim it"
    NO_TOP_K = "it has no top_k"
    NO_PASSAGES = "it returned no passage: it does not work through the context"
    NO_RANKING = "it ranks by nothing: its passages have no score"
    NO_WORDINGS = "its questions say nothing of their wordings"
    TOO_FEW = "too few to judge by"


class Broken(AssertionError):
    """A promise that is not kept: what was found."""


class NotApplicable(Exception):
    """A promise that this memory or task is not held to: why, and what there is to say of it."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason


def expectation(promise: Callable[..., object]) -> str:
    """Return what a promise expects, in a line."""
    return (promise.__doc__ or promise.__name__).splitlines()[0]


def expect(kept: bool, found: str) -> None:
    if not kept:
        raise Broken(found)


def needs(subject: Subject, claim: str) -> None:
    if not subject.claims[claim]:
        raise NotApplicable(Reason.NOT_CLAIMED, f"claims.{claim} is false")


def passages_of(one: Attached, query: Query = QUESTION) -> list[Passage]:
    """Return what a memory reads, where it works through the context at all: an empty list would prove anything."""
    if not (passages := one.read(query)):
        raise NotApplicable(Reason.NO_PASSAGES)
    return passages


def knows(subject: Subject, one: Attached, answer: str, when: str) -> None:
    # a memory that claims not to find may find by chance: nothing is asked of it here, all else is
    expect(one.knows(answer) or not subject.claims["finds"], f"{answer} is not known: {when}; passages {one.read()}")


def knows_not(one: Attached, answer: str, when: str) -> None:
    expect(not one.knows(answer), f"{answer} is known: {when}; passages {one.read()}")

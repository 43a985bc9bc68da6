"""What a promise is: a function that returns where it is kept, and raises what was found where it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from memory_bench.guards.subject import Subject

Property: TypeAlias = Callable[[Subject], None]


class Broken(AssertionError):
    """A promise that is not kept: what was found."""


class NotClaimed(Exception):
    """A promise that this memory does not make: why."""


def expectation(promise: Callable[..., object]) -> str:
    """Return what a promise expects, in a line."""
    return (promise.__doc__ or promise.__name__).splitlines()[0]


def expect(kept: bool, found: str) -> None:
    if not kept:
        raise Broken(found)


def needs(subject: Subject, claim: str) -> None:
    if not subject.claims[claim]:
        raise NotClaimed(f"claims.{claim} is false")

"""The smallest reader that a memory takes: what tests of all memories hand to each."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TypeVar

from memory_bench import config
from memory_bench.contracts import Memory, Reader
from memory_bench.errors import BadInput, Unavailable
from tests.followers import Follower
from tests.stubs import StubReader

Made = TypeVar("Made")


@cache
def bundled_reader() -> Reader:
    reader: Reader = config.build(config.compose(["+task=needle", "+memory=none"]), "reader")
    return reader


def with_a_reader(use: Callable[[Reader], Made]) -> Made:
    """Return what comes of a reader that a memory takes.

    One that works inside the model refuses a reader without a model, and is then given the bundled one; one that gives
    its reader instructions refuses one that follows none, and is then given one that does.
    """
    try:
        return use(StubReader())
    except BadInput:
        return use(bundled_reader())
    except Unavailable:
        return use(Follower())


def attach(memory: Memory) -> Reader:
    return with_a_reader(memory.attach)

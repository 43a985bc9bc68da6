"""The places where a convention shows: the statements of a file, asked by the finders of some kinds."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.conventions.finders import BASIC, BLOCKS, FINDERS, Span
from tasks.conventions.sources import Source


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A file says `value` of `subject`: lines `first` up to `last` (not with it) show it.

    `span` is where the value stands; None where the line to be completed is made of the subject: what the statement
    imports besides is left out of it. An empty value says that something else could have stood there.
    """

    kind: str
    subject: str
    value: str
    source: Source
    first: int
    last: int
    span: Span | None = None


def occurrences(source: Source, kinds: Sequence[str] = BASIC) -> list[Occurrence]:
    """Return every place of these kinds in a file; none where it is not Python of this version."""
    return read(source, kinds) or []


def read(source: Source, kinds: Sequence[str]) -> list[Occurrence] | None:
    """Return every place of these kinds in a file, None where it is not Python of this version."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other people's escape sequences are not ours to complain about
            tree = ast.parse(source.raw)
        return list(places(tree, source, kinds))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: what is nested too deeply
        return None


def places(tree: ast.Module, source: Source, kinds: Sequence[str]) -> Iterator[Occurrence]:
    finders = {kind: find for kind, find in FINDERS.items() if kind in kinds}
    source.lines  # noqa: B018  # read now: a file that cannot be decoded is refused before anything is found in it
    for statement in statements(tree.body):
        for kind, find in finders.items():
            for subject, value, last, span in find(statement, source):
                yield Occurrence(kind, subject, value, source, statement.lineno - 1, last, span)


def statements(body: Sequence[ast.AST]) -> Iterator[ast.stmt]:
    """Yield the statements of a block and of the blocks within them, in the order of the file."""
    for node in body:
        if isinstance(node, ast.stmt):
            yield node
        for block in BLOCKS:
            yield from statements(getattr(node, block, ()))

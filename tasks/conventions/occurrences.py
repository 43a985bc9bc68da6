"""The places where a convention shows: what a file says of a name, one small finder for each kind.

    from acme._speed import fast              home         fast                         acme._speed
    import acme.shapes as sh                  alias        import acme.shapes           sh
    def area(self, exact: bool = True): ...   annotation   exact                        bool
                                              default      exact                        True
    def shape(self) -> Shape: ...             returns      shape                        Shape

Only statements are walked: expressions are most of a syntax tree, and none of these conventions is within one.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from tasks.conventions.sources import Source

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Span:
    """A value's place in one line: its number, from 0, and bytes in its UTF-8."""

    line: int
    start: int
    end: int


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


Found: TypeAlias = tuple[str, str, int, Span | None]  # subject, value, the line after it, the value's place


def occurrences(source: Source) -> Iterator[Occurrence]:
    """Yield every place of every kind in a file; none where it is not Python of this version."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other people's escape sequences are not ours to complain about
            tree = ast.parse(source.raw)
        lines = source.lines
    except (SyntaxError, ValueError):
        return
    for statement in statements(tree.body):
        for kind, find in FINDERS.items():
            for subject, value, last, span in find(statement, lines):
                yield Occurrence(kind, subject, value, source, statement.lineno - 1, last, span)


def statements(body: Sequence[ast.AST]) -> Iterator[ast.stmt]:
    """Yield the statements of a block and of the blocks within them, in the order of the file."""
    for node in body:
        if isinstance(node, ast.stmt):
            yield node
        for block in ("body", "handlers", "cases", "orelse", "finalbody"):
            yield from statements(getattr(node, block, ()))


def imported_from(statement: ast.stmt, _: Sequence[str]) -> Iterator[Found]:
    """The module that a name is imported from, as it is spelled."""
    if isinstance(statement, ast.ImportFrom) and statement.module:
        module = "." * statement.level + statement.module
        for name in statement.names:
            if name.name != "*":
                yield name.name, module, name.end_lineno or 0, None


def imported_as(statement: ast.stmt, _: Sequence[str]) -> Iterator[Found]:
    """The name that an import gives; no name speaks against a rule, but is none."""
    if isinstance(statement, ast.Import):
        head = "import"
    elif isinstance(statement, ast.ImportFrom) and statement.module:
        head = f"from {'.' * statement.level}{statement.module} import"
    else:
        return
    for name in statement.names:
        yield f"{head} {name.name}", name.asname or "", name.end_lineno or 0, None


def annotated(statement: ast.stmt, lines: Sequence[str]) -> Iterator[Found]:
    """The annotation of a parameter."""
    if isinstance(statement, Function):
        for parameter in parameters(statement):
            if parameter.annotation:
                yield parameter.arg, *place(parameter.annotation, lines)


def defaulted(statement: ast.stmt, lines: Sequence[str]) -> Iterator[Found]:
    """The default of a parameter."""
    if isinstance(statement, Function):
        given = statement.args
        positional = [*given.posonlyargs, *given.args]
        pairs = [
            *zip(positional[len(positional) - len(given.defaults) :], given.defaults, strict=True),
            *zip(given.kwonlyargs, given.kw_defaults, strict=True),
        ]
        for parameter, default in pairs:
            if default:
                yield parameter.arg, *place(default, lines)


def returned(statement: ast.stmt, lines: Sequence[str]) -> Iterator[Found]:
    """The annotation of what a function returns."""
    if isinstance(statement, Function) and statement.returns:
        yield statement.name, *place(statement.returns, lines)


Finder: TypeAlias = Callable[[ast.stmt, Sequence[str]], Iterator[Found]]
FINDERS: Final[Mapping[str, Finder]] = MappingProxyType(
    {"home": imported_from, "annotation": annotated, "default": defaulted, "alias": imported_as, "returns": returned}
)


def parameters(function: Function) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def place(node: ast.expr, lines: Sequence[str]) -> tuple[str, int, Span | None]:
    """Return an expression as it is spelled, the line after it, and where it stands if that is in one line."""
    first, last = node.lineno - 1, node.end_lineno or node.lineno
    if last - first > 1:
        return ast.unparse(node), last, None
    start, end = node.col_offset, node.end_col_offset or 0
    return cut(lines[first], start, end), last, Span(first, start, end)


def cut(line: str, start: int, end: int | None) -> str:
    """Return what stands between two bytes of a line: `ast` counts in UTF-8."""
    return line[start:end] if line.isascii() else line.encode()[start:end].decode()

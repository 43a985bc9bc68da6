"""What a statement says of a name, one small finder for each kind of convention.

from acme._speed import fast              home         fast                         acme._speed
import acme.shapes as sh                  alias        import acme.shapes           sh
def area(self, exact: bool = True): ...   annotation   exact                        bool
                                          default      exact                        True
def shape(self) -> Shape: ...             returns      shape                        Shape
return wrap(text, width=WIDE)             argument     width                        WIDE
raise ShapeError(text)                    raises       raise                        ShapeError
from ..text import wrap                   imports      from                         relative
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from tasks.conventions.sources import Source, cut

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS: Final = ("body", "handlers", "cases", "orelse", "finalbody")


@dataclass(frozen=True, slots=True)
class Span:
    """A value's place in one line: its number, from 0, and bytes in its UTF-8."""

    line: int
    start: int
    end: int


Found: TypeAlias = tuple[str, str, int, Span | None]  # subject, value, the line after it, the value's place


def imported_from(statement: ast.stmt, _: Source) -> Iterator[Found]:
    """The module that a name is imported from, as it is spelled."""
    if isinstance(statement, ast.ImportFrom) and statement.module:
        module = "." * statement.level + statement.module
        for name in statement.names:
            if name.name != "*":
                yield name.name, module, name.end_lineno or 0, None


def imported_as(statement: ast.stmt, _: Source) -> Iterator[Found]:
    """The name that an import gives; no name speaks against a rule, but is none."""
    if isinstance(statement, ast.Import):
        head = "import"
    elif isinstance(statement, ast.ImportFrom) and statement.module:
        head = f"from {'.' * statement.level}{statement.module} import"
    else:
        return
    for name in statement.names:
        yield f"{head} {name.name}", name.asname or "", name.end_lineno or 0, None


def annotated(statement: ast.stmt, source: Source) -> Iterator[Found]:
    """The annotation of a parameter."""
    if isinstance(statement, Function):
        for parameter in parameters(statement):
            if parameter.annotation:
                yield parameter.arg, *place(parameter.annotation, source)


def defaulted(statement: ast.stmt, source: Source) -> Iterator[Found]:
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
                yield parameter.arg, *place(default, source)


def returned(statement: ast.stmt, source: Source) -> Iterator[Found]:
    """The annotation of what a function returns."""
    if isinstance(statement, Function) and statement.returns:
        yield statement.name, *place(statement.returns, source)


def passed(statement: ast.stmt, source: Source) -> Iterator[Found]:
    """What a keyword argument is given, in the calls of a statement."""
    for node in expressions(statement):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg:
                    yield keyword.arg, *place(keyword.value, source)


def raised(statement: ast.stmt, source: Source) -> Iterator[Found]:
    """The exception of a `raise`."""
    if isinstance(statement, ast.Raise) and statement.exc:
        exception = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        yield "raise", *place(exception, source)


FROM = re.compile(r"\s*from\s+([.\w]+)\s+import\b")


def styled(statement: ast.stmt, source: Source) -> Iterator[Found]:
    """Whether a module of the own package is imported by its relative or by its absolute name."""
    if not isinstance(statement, ast.ImportFrom):
        return
    if not statement.level and (statement.module or "").partition(".")[0] != source.package:
        return
    line = source.lines[statement.lineno - 1]
    if found := FROM.match(line):
        start, end = (len(line[:at].encode()) for at in found.span(1))
        value = "relative" if statement.level else "absolute"
        yield "from", value, statement.end_lineno or 0, Span(statement.lineno - 1, start, end)


Finder: TypeAlias = Callable[[ast.stmt, Source], Iterator[Found]]
FINDERS: Final[Mapping[str, Finder]] = MappingProxyType(
    {
        "home": imported_from,
        "annotation": annotated,
        "default": defaulted,
        "alias": imported_as,
        "returns": returned,
        "argument": passed,
        "raises": raised,
        "imports": styled,
    }
)
KINDS: Final = tuple(FINDERS)
BASIC: Final = KINDS[:5]  # what is mined where nobody says otherwise: these need no walk through expressions


def parameters(function: Function) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the expressions of a statement itself, without those of the statements within it."""
    for name, value in ast.iter_fields(statement):
        if name not in BLOCKS:
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, ast.AST):
                    yield from ast.walk(part)


def place(node: ast.expr, source: Source) -> tuple[str, int, Span | None]:
    """Return an expression as it is spelled, the line after it, and where it stands if that is in one line."""
    first, last = node.lineno - 1, node.end_lineno or node.lineno
    if last - first > 1:
        return ast.unparse(node), last, None
    start, end = node.col_offset, node.end_col_offset or 0
    return cut(source.lines[first], start, end), last, Span(first, start, end)

"""Structural keys: a fragment of Python by its syntax tree, whatever its layout, its own names and its literals.

    conn = sqlite3.connect(path, timeout=5)       Assign $0 Call Attribute sqlite3 connect $1 keyword timeout #int
    db = sqlite3.connect( name, timeout = 30 )    the same shape: one key

Fragments are statements and calls, nested ones too. What is called keeps its name, for it says what is used; names that
are bound or handed over are numbered as they come, of a literal its type stays, and comments and docstrings go. The
shape does not depend on the version of Python that reads it. Source of the idea: Baxter et al. (1998), "Clone detection
using abstract syntax trees".
"""

from __future__ import annotations

import ast
import hashlib
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

VERSION = "code 1"
LEAST_PARTS = 4  # `x = 1` has 3 and `return x` has 2: every file holds them, and they would lead to every file
MOST_CHARACTERS = 100_000  # a longer text is data: a parser would be busy with it, or run out of stack
_KINDS = {
    "FunctionDef": "function", "AsyncFunctionDef": "function", "ClassDef": "class", "Import": "import",
    "ImportFrom": "import", "Assign": "assignment", "AnnAssign": "assignment", "AugAssign": "assignment",
    "Call": "call",
}  # fmt: skip
_BINDS = ("name", "asname", "rest", "names")  # fields that hold a name which the fragment gives to something
_USES = ("func", "decorator_list", "bases", "type")  # fields that hold what is used, if the fragment does not bind it
_LEFT_OUT = ("ctx", "kind", "type_comment")
_GOES_ON = ("else", "elif", "except", "finally", "case", ")", "]", "}")


@dataclass(frozen=True)
class Fragment:
    """A statement or a call. Lines count from 1, the last one is part of it.

    `key` is negative, so that it is no key of words; `parts` is the length of the shape; `outer`: it lies in no other.
    """

    node: ast.stmt | ast.Call
    key: int
    parts: int
    outer: bool
    first_line: int
    last_line: int

    @property
    def text(self) -> str:
        """The fragment in one layout, without comments, its names and literals as they are."""
        return ast.unparse(self.node)

    @property
    def kind(self) -> str:
        return _KINDS.get(type(self.node).__name__, "statement")

    @property
    def names(self) -> frozenset[str]:
        """What it defines: a function, a class, what is assigned or imported."""
        if isinstance(self.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return frozenset({self.node.name})
        if isinstance(self.node, ast.Import | ast.ImportFrom):
            return frozenset(alias.asname or alias.name for alias in self.node.names)
        return frozenset(_bound(self.node)) if self.kind == "assignment" else frozenset()


def fragments(text: str) -> list[Fragment]:
    """Return the fragments of all parts of a text that are Python, in its order; none where nothing is."""
    if len(text) > MOST_CHARACTERS:
        return []
    try:
        return [fragment for before, tree in _trees(text) for fragment in _of_tree(tree, before)]
    except RecursionError:  # nested deeper than the interpreter's stack: no code that a person wrote
        return []


def by_key(text: str) -> dict[int, Fragment]:
    """Return key -> fragment of those that are long enough to say something; of equal ones the last."""
    return {fragment.key: fragment for fragment in fragments(text) if fragment.parts >= LEAST_PARTS}


def _of_tree(tree: ast.Module, before: int) -> Iterator[Fragment]:
    outer = {id(one.value if isinstance(one, ast.Expr) else one) for one in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) or (isinstance(node, ast.stmt) and not isinstance(node, ast.Expr)):
            shape = _shape(node)
            first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
            last = node.end_lineno or node.lineno
            yield Fragment(node, _key(shape), len(shape), id(node) in outer, before + first, before + last)


def _key(shape: Sequence[str]) -> int:
    digest = hashlib.blake2b("\n".join(shape).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return -1 - (int.from_bytes(digest, "little") >> 1)


def _shape(fragment: ast.AST) -> list[str]:
    """Return the parts of a shape; a node's part says how many fields it has, so that no two trees have one shape."""
    bound, numbers, parts = _bound(fragment), dict[str, str](), list[str]()

    def numbered(name: str) -> str:
        return numbers.setdefault(name, f"${len(numbers)}")

    def add(value: object, called: bool = False) -> None:
        if isinstance(value, ast.Name):
            parts.append(value.id if called and value.id not in bound else numbered(value.id))
        elif isinstance(value, ast.Constant):
            parts.append(f"#{type(value.value).__name__}")
        elif isinstance(value, ast.AST):
            fields = _fields(value)
            parts.append(" ".join([type(value).__name__, *(f"{name}:{len(held)}" for name, held in fields)]))
            for name, held in fields:
                binds = name in _BINDS and not (isinstance(value, ast.alias) and name == "name")
                for one in held:
                    if isinstance(one, str) and (binds or isinstance(value, ast.arg)):
                        parts.append(numbered(one))
                    else:
                        add(one, called=_calls(value, name))
        else:
            parts.append(str(value))

    add(fragment)
    return parts


def _fields(node: ast.AST) -> list[tuple[str, list[object]]]:
    """Return the fields that hold anything, as lists: later versions of Python add fields that are empty."""
    fields = []
    for name, value in ast.iter_fields(node):
        held = list(value) if isinstance(value, list) else [value]
        if name == "body" and _is_docstring(node, held[0]):
            held = held[1:]
        if name not in _LEFT_OUT and held and value is not None:
            fields.append((name, held))
    return fields


def _is_docstring(node: ast.AST, first: object) -> bool:
    documented = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    return documented and isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)


def _calls(node: ast.AST, field: str) -> bool:
    """Whether a name in this place says what is used: `json` in `json.load(f)`, `open` in `open(f)`, a decorator."""
    return field in _USES or (isinstance(node, ast.Attribute) and field == "value")


def _bound(fragment: ast.AST) -> set[str]:
    """Names that a fragment gives to something of its own; what it imports is somebody else's."""
    found = set()
    for node in ast.walk(fragment):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler):
            found.add(node.name or "")
    return found


def _trees(text: str) -> Iterator[tuple[int, ast.Module]]:
    """Yield the parts of a text that are Python, with the number of lines before each."""
    if whole := _parsed(text):
        yield 0, whole
        return
    lines, start = text.split("\n"), 0
    while start < len(lines):
        end = _end(lines, start)
        if tree := _parsed("\n".join(lines[start:end])):
            yield start, tree
            start = end
        else:
            start += 1  # what stands below a line that is not Python may be


def _end(lines: Sequence[str], start: int) -> int:
    """The line after a statement that begins at `start`, by its indentation: chunks of files begin anywhere."""
    head, end = lines[start], start + 1
    while end < len(lines):
        line, opened = lines[end].strip(), lines[end - 1].strip().startswith("@")
        deeper = _indent(lines[end]) > _indent(head)
        goes_on = _indent(lines[end]) == _indent(head) and (opened or line.startswith(_GOES_ON))
        if line and not deeper and not goes_on:
            break
        end += 1
    return end


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _parsed(text: str) -> ast.Module | None:
    """None where a text is no Python, or nothing but blanks and comments."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of what it reads, such as "\d": it is not ours to mend
        try:
            tree = ast.parse(textwrap.dedent(text))
        except (SyntaxError, ValueError, MemoryError):  # no Python; a NUL; too many brackets for the parser
            return None
    return tree if tree.body else None

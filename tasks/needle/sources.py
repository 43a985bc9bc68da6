"""Where the hay comes from: texts that every machine with Python has, or the user's own.

Docstrings and comments of the standard library and the topics of its `help()`, or any files. They are read and hashed
at once, but taken apart only when an episode draws from them. What repeats itself: tasks.needle.licences.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import re
import sysconfig
import warnings
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from memory_bench.errors import BadInput

# tests quote all kinds of data, encodings are tables, the last are other people's packages or machine settings;
# distutils, importlib and tarfile also ship in third-party packages, which a reader may have been trained on
LEFT_OUT = {
    "distutils",
    "importlib",
    "tarfile.py",
    "test",
    "tests",
    "idle_test",
    "encodings",
    "site-packages",
    "dist-packages",
    "lib-dynload",
    "__pycache__",
}
HEADER = re.compile(r"(?:[ \t]*(?:#.*)?\n)*")
COMMENT = re.compile(r"^[ \t]*#[ \t](.*)$", re.MULTILINE)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
LONGEST_WORD = 40  # longer ones are addresses, rulers and encoded data, and could fill a chunk on their own


def plain_text(raw: bytes) -> str:
    return raw.decode("utf-8")


@dataclass(frozen=True)
class Document:
    """One source: its bytes, and how to get text out of them when it is wanted."""

    name: str
    raw: bytes
    extract: Callable[[bytes], str] = plain_text

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The text without its white space, its rulers (`-----`) and words longer than 40 characters."""
        return tuple(self.spoken())

    def spoken(self) -> Iterator[str]:
        """Yield the words without keeping them."""
        return filter(is_word, self.extract(self.raw).split())

    def is_empty(self) -> bool:
        return next(self.spoken(), None) is None


def is_word(word: str) -> bool:
    return len(word) <= LONGEST_WORD and (len(word) <= 2 or any(map(str.isalnum, word)))


@dataclass(frozen=True)
class Library:
    """Documents for hay, and the digest of every collection that was read."""

    documents: tuple[Document, ...]
    identity: Mapping[str, str]

    @property
    def words(self) -> int:
        return sum(len(document.words) for document in self.documents)


def digest(documents: Iterable[Document]) -> str:
    """Return one sha256 over the name and the sha256 of every document."""
    lines = "".join(f"{document.sha256}  {document.name}\n" for document in documents)
    return hashlib.sha256(lines.encode()).hexdigest()


@cache
def standard_library() -> tuple[Document, ...]:
    """Return the sources of the standard library, sorted by path."""
    root = Path(sysconfig.get_path("stdlib"))
    found = [
        Path(folder, name)
        for folder, names in walk(root, LEFT_OUT)
        for name in names
        # _sysconfigdata holds the settings of one machine
        if name.endswith(".py") and name not in LEFT_OUT and not name.startswith("_sysconfigdata")
    ]
    if not found:
        raise BadInput(f"no sources of the standard library in {root}: give a text of your own, task.haystack=PATH")
    return tuple(Document(path.relative_to(root).as_posix(), path.read_bytes(), prose) for path in sorted(found))


def walk(root: Path, left_out: Container[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield (folder, names of its files) for every folder that is neither left out nor hidden."""
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in left_out and not name.startswith(".")]
        yield folder, names


@cache
def python_prose() -> Library:
    """Return docstrings, comments and help topics of the running Python."""
    modules = standard_library()
    topics = [document for document in modules if document.name == "pydoc_data/topics.py"]
    others = [document for document in modules if document.name != "pydoc_data/topics.py"]
    pages = tuple(page for document in topics for page in help_pages(document.raw))
    return Library((*others, *pages), {"prose/standard-library": digest(modules)})


def prose(raw: bytes) -> str:
    """Return the docstrings of a module, without their examples, then its comments, without the header."""
    source = importlib.util.decode_source(raw)
    nodes = [node for node in ast.walk(parse(source)) if isinstance(node, DOCUMENTED)]
    text = "\n".join(ast.get_docstring(node, clean=False) or "" for node in nodes)
    lines = [line for line in text.splitlines() if not line.lstrip().startswith((">>>", "..."))]
    return "\n".join([*lines, *COMMENT.findall(source[len(header(source)) :])])


def parse(source: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other people's escape sequences are not ours to complain about
        return ast.parse(source)


def help_pages(raw: bytes) -> list[Document]:
    """Return each topic of `help()` as a document of its own."""
    return [
        Document(f"pydoc_data/topics.py:{key.value}", text.value.encode())
        for node in ast.walk(parse(importlib.util.decode_source(raw)))
        if isinstance(node, ast.Dict)
        for key, text in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
        if isinstance(text, ast.Constant) and isinstance(text.value, str)
    ]


def header(source: str) -> str:
    """Return the comment block at the top of a module."""
    match = HEADER.match(source)
    return match[0] if match else ""


def is_text(raw: bytes) -> bool:
    try:
        return "\0" not in raw.decode("utf-8")
    except UnicodeDecodeError:
        return False


def user_haystack(path: Path) -> Library:
    """Return the user's text: a file, a folder (hidden and binary files are left out), or JSON lines with `text`.

    Links to folders are not followed: they can lead back.

    Raises BadInput where there is nothing, nothing but white space, or no text.
    """
    if not path.exists():
        raise BadInput(f"task.haystack={path}: no such file or folder; give a text file, a folder or JSON lines")
    try:
        documents = folder_documents(path) if path.is_dir() else file_documents(path)
    except OSError as error:
        raise BadInput(f"task.haystack={path}: cannot be read ({error.strerror}); give a text that can") from error
    if all(document.is_empty() for document in documents):
        raise BadInput(f"task.haystack={path}: empty: no words in it; give a text with words separated by spaces")
    return Library(tuple(documents), {f"haystack/{path.name}": digest(documents)})


def folder_documents(root: Path) -> list[Document]:
    paths = sorted(Path(folder, name) for folder, names in walk(root, ()) for name in names if not name.startswith("."))
    files = [path for path in paths if path.is_file()]  # a link to nowhere has no text, and a pipe would never end
    texts = [file for file in files if is_text(file.read_bytes())]
    if files and not texts:
        raise BadInput(
            f"task.haystack={root}: binary: none of its {len(files)} files is UTF-8 text; give a folder of texts"
        )
    return [document for file in texts for document in file_documents(file)]


def file_documents(path: Path) -> Sequence[Document]:
    raw = path.read_bytes()
    if not is_text(raw):
        raise BadInput(f"task.haystack={path}: binary: expected UTF-8 text; convert it, or give another file")
    if path.suffix in {".jsonl", ".ndjson"}:
        return [json_document(path, number, line) for number, line in enumerate(raw.splitlines(), 1) if line.strip()]
    return [Document(path.name, raw)]


def json_document(path: Path, number: int, line: bytes) -> Document:
    try:
        text = json.loads(line)["text"]
        return Document(f"{path.name}:{number}", text.encode())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f'task.haystack={path}: line {number}: expected a JSON object with a string "text"') from error

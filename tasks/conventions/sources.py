"""Where the rules come from: the Python files of installed packages, read and hashed. Nothing is imported.

The user's own files are read by `trees` and `commits`.

Folders with tests are left out: they are most of the files of large packages, and their conventions are their own.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from memory_bench.errors import BadInput

LEFT_OUT = {"test", "tests", "testing", "_testing", "_vendor", "_vendored", "__pycache__"}
NO_EDITS: Mapping[int, str] = MappingProxyType({})
SEEN_TENTHS = 7  # of the files are written to the memories; the questions come from the others


@dataclass(frozen=True)
class Source:
    """One file. `path` begins with the package: `acme/core/ops.py`.

    `version` tells files of one path apart: of two commits, or as they are and as they are made to say. The latter
    have `edits`: lines, by their number, that replace those of the file.
    """

    path: str
    raw: bytes
    version: str = ""
    original: Source | None = None
    edits: Mapping[int, str] = field(default_factory=lambda: NO_EDITS, compare=False)

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def package(self) -> str:
        """The name by which the package of this file imports it: the first folder but `src`."""
        return self.path.removeprefix("src/").partition("/")[0]

    @property
    def is_seen(self) -> bool:
        """Whether memories may be told of this file; by the hash of its path, so that it stays so when it changes."""
        return int(hashlib.sha256(self.path.encode()).hexdigest(), 16) % 10 < SEEN_TENTHS

    @cached_property
    def lines(self) -> list[str]:
        if self.original:
            return [self.edits.get(number, line) for number, line in enumerate(self.original.lines)]
        return importlib.util.decode_source(self.raw).split("\n")

    def is_file_of(self, other: Source) -> bool:
        return other is self or (other.path == self.path and other.version == self.version)


@dataclass(frozen=True)
class Collection:
    """The files of a package, a folder or a commit, sorted by path. `name` is what the user typed.

    `package` is the name by which it is imported. `left_out` counts files by the reason why they are not here.
    """

    name: str
    package: str
    sources: Sequence[Source]
    left_out: Mapping[str, int]


def read_package(name: str) -> list[Source]:
    """Return the files of an installed package, sorted by path.

    Raises BadInput where there is no such package, or none with sources.
    """
    found = [source for root in package_folders(name) for source in read_folder(root, name)]
    if not found:
        raise BadInput(f"task.package={name}: it has no Python sources outside its tests; name a package that has")
    return sorted(found, key=lambda source: source.path)


def package_folders(name: str) -> Sequence[Path]:
    if not isinstance(name, str) or not name.isidentifier():
        raise BadInput(f"task.package={name}: expected the import name of a package, such as task.package=pandas")
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # a module that runs as a script has no specification
        spec = None
    if spec is None:
        raise BadInput(f"task.package={name}: not installed here; pip install {name}, or name a package that is")
    if not spec.submodule_search_locations:
        raise BadInput(f"task.package={name}: a single module; expected a package, such as task.package=pandas")
    return [Path(folder) for folder in spec.submodule_search_locations]


def read_folder(root: Path, name: str) -> Iterator[Source]:
    for path in root.rglob("*.py"):
        inside = path.relative_to(root)
        if not LEFT_OUT.intersection(inside.parts):
            yield Source(f"{name}/{inside.as_posix()}", path.read_bytes())


def digest(sources: Sequence[Source]) -> str:
    """Return one sha256 over the path and the sha256 of every file."""
    lines = (f"{hashlib.sha256(source.raw).hexdigest()}  {source.path}\n" for source in sources)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def cut(line: str, start: int, end: int | None) -> str:
    """Return what stands between two bytes of a line: `ast` counts in UTF-8."""
    return line[start:end] if line.isascii() else line.encode()[start:end].decode()

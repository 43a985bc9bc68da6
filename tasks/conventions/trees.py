"""The user's own files: a folder, as it lies on the disk. Links are not followed, and nothing is imported.

What is no source of the folder's own stays outside: folders with tests, hidden ones, virtual environments. Files that
are too large, no text, or a link are counted by the reason.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from memory_bench.errors import BadInput
from tasks.conventions.sources import LEFT_OUT, Collection, Source

LARGEST_BYTES = 1_000_000  # a longer file was written by a program
TOO_LARGE, NO_TEXT, LINK, UNNAMED = "larger than 1 MB", "no text", "links", "with unprintable names"


def read_tree(name: str) -> Collection:
    """Return the Python files of a folder. Raises BadInput where there is none, or nothing to read in it."""
    root = Path(name).expanduser()
    if not root.is_dir():
        what = "a file" if root.exists() else "no such folder"
        raise BadInput(f"task.path={name}: {what}; expected a folder with Python files, or a git repository")
    left_out: Counter[str] = Counter()
    prefix = f"{root.resolve().name}/" if (root / "__init__.py").is_file() else ""
    sources = []
    for path in python_files(root):
        inside = path.relative_to(root).as_posix()
        if reason := refused(path, inside):
            left_out[reason] += 1
        elif is_text(raw := path.read_bytes()):
            sources.append(Source(prefix + inside, raw))
        else:
            left_out[NO_TEXT] += 1
    return collected(name, sources, left_out)


def python_files(root: Path) -> Iterator[Path]:
    """Raises BadInput where a folder cannot be listed: what a benchmark reads must not depend on who runs it."""

    def refuse(error: OSError) -> None:
        raise BadInput(f"task.path={root}: {error.filename} cannot be read ({error.strerror}); leave it out")

    for folder, folders, files in os.walk(root, onerror=refuse):  # links to folders are not followed: no loops
        folders[:] = sorted(one for one in folders if is_own(one) and not (Path(folder) / one / "pyvenv.cfg").exists())
        yield from (Path(folder) / file for file in sorted(files) if file.endswith(".py"))


def is_own(folder: str) -> bool:
    return folder not in LEFT_OUT and folder != "node_modules" and not folder.startswith(".")


def refused(path: Path, inside: str) -> str | None:
    if not inside.isprintable():
        return UNNAMED
    if path.is_symlink() or not path.is_file():
        return LINK
    return TOO_LARGE if path.stat().st_size > LARGEST_BYTES else None


def is_text(raw: bytes) -> bool:
    return b"\0" not in raw


def collected(name: str, sources: Sequence[Source], left_out: Counter[str]) -> Collection:
    """Raises BadInput where there are no sources. The package is the one that has most of the files."""
    if not sources:
        lost = f" (left out: {counted(left_out)})" if left_out else ""
        raise BadInput(
            f"task.path={name}: no Python files outside of tests and hidden folders{lost}; name a folder that has some"
        )
    packages = Counter(source.package for source in sources)
    package = min(packages, key=lambda one: (-packages[one], one))
    return Collection(name, package, sorted(sources, key=lambda source: source.path), dict(left_out))


def counted(left_out: Mapping[str, int]) -> str:
    """Return what was left out, as one says it: `2 larger than 1 MB, 1 no text`."""
    return ", ".join(f"{number} {reason}" for reason, number in sorted(left_out.items()))

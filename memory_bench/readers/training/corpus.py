"""Real text to learn from: the docstrings of installed packages.

The tasks draw their hay from the standard library and from licence texts, so training reads neither: it reads
third-party packages only, and leaves out every docstring that speaks of a licence. Which files were read is kept with
the weights (`sources.json`: path in the package -> sha256).
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from memory_bench.errors import Unavailable

SHORTEST_DOCSTRING = 200  # characters; shorter ones are signatures in prose
HELD_OUT_SHARE = 50  # one file in so many is never trained on: bits per byte are measured there
RUN = 8
"""Tokens in a row that count as repeated text where they stand in what was trained on: files of a package repeat each
other word for word."""


@dataclass(frozen=True)
class Document:
    """The prose of one source file, one line, whitespace collapsed."""

    source: str
    sha256: str
    text: str

    @property
    def held_out(self) -> bool:
        return int(self.sha256[:8], 16) % HELD_OUT_SHARE == 0


def read_corpus(packages: Sequence[str]) -> list[Document]:
    """Return the prose of every module of the packages, in a stable order. Raises Unavailable if one is missing."""
    return [document for package in sorted(packages) for document in _read_package(package)]


def _read_package(package: str) -> Iterator[Document]:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(f"training reads the prose of the package {package!r}: pip install {package}")
    root = Path(next(iter(spec.submodule_search_locations)))
    for path in sorted(root.rglob("*.py")):
        if any("test" in part for part in path.relative_to(root).parts):
            continue
        raw = path.read_bytes()
        text = prose(raw.decode("utf-8", errors="replace"))
        if text:
            source = f"{package}/{path.relative_to(root).as_posix()}"
            yield Document(source, hashlib.sha256(raw).hexdigest(), text)


def prose(source: str) -> str:
    """Return the docstrings of a Python source as one line. Empty if it does not parse or has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other people's invalid escapes are not our business
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ""
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, nodes)]
    kept = [d for d in docstrings if len(d) >= SHORTEST_DOCSTRING and "licen" not in d.lower()]
    return " ".join(" ".join(kept).split())


def repeated(trained: Iterable[Sequence[int]], asked: Iterable[Sequence[int]]) -> float:
    """Return the share of the runs of `RUN` tokens of what is asked for that were trained on, word for word."""
    runs = [run for ids in asked for run in _runs(ids)]
    wanted = set(runs)
    told = {run for ids in trained for run in _runs(ids) if run in wanted}
    return sum(run in told for run in runs) / len(runs)


def _runs(ids: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return zip(*(ids[start:] for start in range(RUN)), strict=False)


def load_corpus(packages: Sequence[str], cache: Path) -> list[Document]:
    """Return the corpus, read once and kept in `cache` (JSON lines) under the packages' versions."""
    header = {package: _version(package, cache) for package in sorted(packages)}
    if cache.exists():
        with cache.open(encoding="utf-8") as lines:
            kept = json.loads(next(lines))
            if None in header.values() or kept == header:
                return [Document(**json.loads(line)) for line in lines]
    documents = read_corpus(packages)
    cache.parent.mkdir(parents=True, exist_ok=True)
    rows = [header, *(vars(document) for document in documents)]
    cache.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return documents


def _version(package: str, cache: Path) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        if cache.exists():  # a machine without the packages may be handed the text itself
            return None
        raise Unavailable(f"training reads the prose of the package {package!r}: pip install {package}") from None

"""Vectors to search, with queries of their kind: drawn ones, drawn ones in clusters, and embedded docstrings.

Every vector has unit length. A row belongs to one scope: a half of them to "half", a tenth to "tenth", a hundredth to
"hundredth", in no order; the others to "rest".
"""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from memory_bench import config
from memory_bench.errors import BadInput

# N rows, Q queries, D dimensions, C clusters
QUERIES = 200
SHARES: Mapping[str, float] = {"half": 0.5, "tenth": 0.1, "hundredth": 0.01}
ROWS_A_CLUSTER = 100
SPREAD = 0.5  # length of a row's distance from the middle of its cluster, which has length 1
DOCSTRINGS, LETTERS = 8000, 40
EMBEDDER = "minilm"

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Data:
    """What is written, and what is asked."""

    vectors_ND: Floats
    queries_QD: Floats
    scopes: Sequence[str]

    def first(self, rows: int) -> Data:
        """Return the same with fewer rows. Scopes are drawn anew, so that their shares stay."""
        return Data(self.vectors_ND[:rows], self.queries_QD, drawn_scopes(rows))


def load(name: str, *, rows: int, dimensions: int) -> Data:
    """Return `rows` rows at most of a source. Raises BadInput where there is no such source."""
    if name not in SOURCES:
        raise BadInput(f"data must be one of {', '.join(SOURCES)}, got {name!r}")
    vectors_XD = SOURCES[name](rows + QUERIES, dimensions)
    return Data(vectors_XD[QUERIES:], vectors_XD[:QUERIES], drawn_scopes(len(vectors_XD) - QUERIES))


def iid(count: int, dimensions: int) -> Floats:
    """Every direction is as likely: the hardest case of a graph, since nothing is near anything."""
    return _unit(default_rng(0).standard_normal((count, dimensions), dtype=np.float32))


def clustered(count: int, dimensions: int) -> Floats:
    """Clusters of a hundred rows: those of a cluster have cosines of about 0.8."""
    rng = default_rng(1)
    middles_CD = _unit(rng.standard_normal((max(1, count // ROWS_A_CLUSTER), dimensions), dtype=np.float32))
    apart_XD = _unit(rng.standard_normal((count, dimensions), dtype=np.float32))
    return _unit(middles_CD[rng.integers(len(middles_CD), size=count)] + SPREAD * apart_XD)


def docstrings(count: int, dimensions: int) -> Floats:
    """Docstrings of the standard library, embedded; no two are equal, and there are so many of them at most.

    Raises BadInput where vectors of other dimensions are asked for.
    """
    embedder = config.build(config.compose(["+task=needle", "+memory=exact", f"embedder={EMBEDDER}"]), "embedder")
    if dimensions != embedder.dimensions:
        raise BadInput(f"{EMBEDDER} makes vectors of {embedder.dimensions} dimensions, got dimensions: {dimensions}")
    texts = sorted(set(standard_library()))
    chosen = default_rng(2).permutation(len(texts))[: min(count, DOCSTRINGS + QUERIES)]
    return _unit(np.asarray(embedder.embed([texts[at] for at in chosen]), dtype=np.float32))


def standard_library(folder: Path | None = None) -> Iterator[str]:
    """Yield the docstrings of this Python's modules, classes and functions, those of tests and of what is installed
    beside it left out."""
    root = folder or Path(sysconfig.get_path("stdlib"))
    for file in sorted(root.rglob("*.py")):
        if {"site-packages", "dist-packages", "test", "tests", "idlelib"} & set(file.relative_to(root).parts):
            continue
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node) or ""
                if len(text) >= LETTERS:
                    yield text


SOURCES: Mapping[str, Callable[[int, int], Floats]] = {
    "iid": iid, "clustered": clustered, "docstrings": docstrings,
}  # fmt: skip


def drawn_scopes(rows: int) -> list[str]:
    names = [name for name, share in SHARES.items() for _ in range(round(rows * share))]
    names += ["rest"] * (rows - len(names))
    rng: Generator = default_rng(3)
    return [names[at] for at in rng.permutation(rows)]


def _unit(vectors_XD: Floats) -> Floats:
    unit_XD: Floats = vectors_XD / np.linalg.norm(vectors_XD, axis=1, keepdims=True)
    return unit_XD

"""LanceDB: a table of Lance files, scanned while it is small, with an index when it is not; and its full-text search.

An index is one of `INDEXES`. A graph stands in one partition; the partitions of an index hold about the square root of
the rows when it is built, and what it finds depends on how many of them are searched.
"""

from __future__ import annotations

import errno
import itertools
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import FTS, HnswFlat, HnswSq, IvfFlat, IvfPq
from lancedb.query import LanceVectorQueryBuilder, MatchQuery
from numpy.typing import NDArray

from memory_bench.contracts import Embedder
from memory_bench.errors import BadInput
from memory_bench.events import checked_top_k
from memory_bench.index_folder import IndexFolder, refusals_in_a_line
from memory_bench.types import Event, Passage, Query
from memory_bench.vectors import (
    HNSW_BUILD_CANDIDATES,
    HNSW_LINKS,
    HNSW_SEARCH_CANDIDATES,
    Hit,
    Row,
    VectorMemory,
    checked_index_from_rows,
)

_TABLE = "events"
_FIELDS = ["number", "id", "text", "scope", "time"]
_VECTORS, _WORDS = "vector_idx", "text_idx"
_PQ_ROWS = 256  # of which eight bits are learned
_END = b"LANC"  # of every file of rows, and of every file of an index
_EVER, _NOW = timedelta(days=36_500), timedelta(0)
_FUSION = 60
"""Places of two rankings count 1 / (60 + place). Source: Cormack, Clarke and Büttcher 2009 (SIGIR), section 2."""

_GRAPH: dict[str, Any] = {"num_partitions": 1, "m": HNSW_LINKS, "ef_construction": HNSW_BUILD_CANDIDATES}
INDEXES: Mapping[str, Callable[[int], Any]] = {  # by LanceDB's names: rows -> what it is to build
    "IvfHnswFlat": lambda _: HnswFlat("cosine", **_GRAPH),
    "IvfHnswSq": lambda _: HnswSq("cosine", **_GRAPH),
    # by their size, and not by their number: optimising would join them to partitions of a size of its own
    "IvfFlat": lambda rows: IvfFlat("cosine", target_partition_size=math.isqrt(rows)),
    "IvfPq": lambda rows: IvfPq("cosine", target_partition_size=math.isqrt(rows)),
}


def memory(*, embedder: Embedder, path: str | None, index_from_rows: int | None, top_k: int) -> VectorMemory:
    """Return a memory over LanceDB. `path` keeps the table in a folder; null: a temporary one. `index_from_rows` null
    builds no index."""
    if index_from_rows is not None:
        checked_index_from_rows(index_from_rows)
    layout = Layout("IvfHnswFlat", index_from_rows, effort=HNSW_SEARCH_CANDIDATES)
    return indexed_memory(embedder=embedder, path=path, layout=layout, top_k=top_k)


def indexed_memory(*, embedder: Embedder, path: str | None, layout: Layout, top_k: int) -> VectorMemory:
    """Return a memory over LanceDB with an index of one's choice."""
    return VectorMemory(_table(embedder, path, layout, top_k), embedder=embedder, top_k=top_k)


def hybrid_memory(*, embedder: Embedder, path: str | None, index_from_rows: int, top_k: int) -> VectorMemory:
    """Return a memory that ranks by vectors and by LanceDB's full-text search, fused by place."""
    layout = Layout("IvfHnswFlat", checked_index_from_rows(index_from_rows), effort=HNSW_SEARCH_CANDIDATES, words=True)
    return HybridMemory(_table(embedder, path, layout, top_k), embedder=embedder, top_k=top_k)


def _table(embedder: Embedder, path: str | None, layout: Layout, top_k: int) -> LanceTable:
    checked_top_k(top_k)
    folder = IndexFolder(path, engine="lancedb", embedder=embedder)
    with folder.opening():
        return LanceTable(folder, dimensions=embedder.dimensions, layout=layout)


@dataclass(frozen=True)
class Layout:
    """What is built over the rows, and how it is searched. Raises BadInput where that cannot be.

    `from_rows` None builds no index. `effort` is how many candidates a search in a graph looks at, or how many
    partitions at least: LanceDB goes on by itself while nearer rows may be left, and until there are enough.
    `refine_factor` times as many neighbours as are asked for are compared in full. None trusts the index: a quantised
    one estimates what is no cosine, and rows of a scope in partitions that were not searched come with an infinite
    distance. `words` builds a full-text index too.
    """

    index: str
    from_rows: int | None
    effort: int
    refine_factor: int | None = None
    words: bool = False

    def __post_init__(self) -> None:
        if self.index not in INDEXES:
            raise BadInput(
                f"index must be one of {', '.join(INDEXES)}, got {self.index!r}: set memory.layout.index=IvfFlat"
            )
        if self.from_rows is not None and self.from_rows < 1:
            raise BadInput(f"from_rows must be >= 1, got {self.from_rows}: set memory.layout.from_rows=10000")
        if self.index == "IvfPq" and self.from_rows is not None and self.from_rows < _PQ_ROWS:
            raise BadInput(
                f"IvfPq learns its codes from {_PQ_ROWS} rows or more, and over fewer it would index nothing, got "
                f"{self.from_rows}: set memory.layout.from_rows=10000"
            )
        if self.effort < 1:
            raise BadInput(f"effort must be >= 1, got {self.effort}: set memory.layout.effort=20")
        if self.refine_factor is not None and self.refine_factor < 1:
            raise BadInput(f"refine_factor must be >= 1, got {self.refine_factor}: set memory.layout.refine_factor=10")


class LanceTable:
    """One row an event. There is one writer: merging from two at once doubles ids without an error.

    Every change makes a version, which holds what was replaced and forgotten: settling and forgetting leave only the
    newest. A deleted row's bytes go when LanceDB next compacts the fragment that it stands in.

    On a full disk LanceDB does not hear that the last bytes of a file were refused, and makes a version of it that
    nobody can read: such a one is taken back.
    """

    def __init__(self, folder: IndexFolder, *, dimensions: int, layout: Layout) -> None:
        self.folder = folder
        self.effort = layout.effort
        self._layout = layout
        self._schema = pa.schema(
            [
                pa.field("number", pa.int64(), nullable=False),
                pa.field("id", pa.string(), nullable=False),
                pa.field("text", pa.string(), nullable=False),
                pa.field("scope", pa.string(), nullable=False),
                pa.field("time", pa.float64()),
                pa.field("vector", pa.list_(pa.float32(), dimensions), nullable=False),
            ]
        )
        self._connection = lancedb.connect(folder.index)
        with refusals_in_a_line():
            self._open()

    def put(self, rows: Sequence[Row]) -> None:
        """Adding would not replace: an id would be held twice."""
        if rows:
            values = [{**vars(row.event), "number": row.number, "vector": row.vector_D} for row in rows]
            merge = self.table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            with self._whole_or_taken_back():
                merge.execute(pa.Table.from_pylist(values, schema=self._schema))

    def drop(self, event_ids: Sequence[str]) -> None:
        if event_ids:
            self.table.delete(f"id IN ({', '.join(map(_quoted, event_ids))})")
            self._tidy()

    def clear(self) -> None:
        self._connection.drop_table(_TABLE)
        self.table = self._connection.create_table(_TABLE, schema=self._schema)
        self._begin()

    def settle(self) -> None:
        """Build the index once there are enough rows, and bring it up to date."""
        rows = len(self)
        if self._layout.from_rows is not None and rows >= self._layout.from_rows and _VECTORS not in self._built():
            with self._whole_or_taken_back():
                self.table.create_index("vector", config=INDEXES[self._layout.index](rows))
        self._tidy()
        if _VECTORS in self._built() and self.indexed_rows() != rows:
            raise RuntimeError(f"LanceDB indexed {self.indexed_rows()} of {rows} rows")

    def search(self, vector_D: NDArray[np.float32], *, limit: int, scope: str) -> list[Hit]:
        # a metric that is not the index's would be a scan without a word, and the default is not the cosine
        query = cast(LanceVectorQueryBuilder, self.table.search(vector_D)).distance_type("cosine").limit(limit)
        query = self._tuned(query, limit).select([*_FIELDS, "_distance"])
        if scope:
            query = query.where(f"scope = {_quoted(scope)}", prefilter=True)
        return [Hit(number, event, 1 - distance) for number, event, distance in _rows(query.to_arrow(), "_distance")]

    def matching(self, text: str, *, limit: int, scope: str) -> list[Hit]:
        """Return the rows that share most with a text by BM25, best first; fresh ones are among them."""
        words = MatchQuery(text, "text")  # type: ignore[call-arg]  # its defaults are pydantic's
        query = self.table.search(words, query_type="fts").limit(limit).select([*_FIELDS, "_score"])
        if scope:
            query = query.where(f"scope = {_quoted(scope)}", prefilter=True)
        return list(itertools.starmap(Hit, _rows(query.to_arrow(), "_score")))

    def indexed_rows(self) -> int:
        """Return how many rows the index knows, by its own statistics; 0 where every search is a scan."""
        stats = self.table.index_stats(_VECTORS) if _VECTORS in self._built() else None
        return stats.num_indexed_rows if stats else 0

    def last_number(self) -> int:
        return max(self.table.search().select(["number"]).to_arrow()["number"].to_pylist(), default=0)

    def __len__(self) -> int:
        return int(self.table.count_rows())

    def size_bytes(self) -> int:
        return self.folder.size_bytes()

    def close(self) -> None:
        self.folder.close()

    def _open(self) -> None:
        """Open every file: what is cut is seen here, and not by a question."""
        with self._damage_in_a_line():
            if self._files():
                self._connection.open_table(_TABLE)  # were its versions gone it would be made anew, and empty
            self.table = self._connection.create_table(_TABLE, schema=self._schema, exist_ok=True)
            self.last_number()
            is_new = not len(self) and not self._built()
        if is_new:
            self._begin()
            return
        self._check()
        with self._damage_in_a_line():
            if _VECTORS in self._built():
                self.search(np.ones(self._schema.field("vector").type.list_size, dtype=np.float32), limit=1, scope="")
            if self._layout.words:
                self.matching("the", limit=1, scope="")

    @contextmanager
    def _damage_in_a_line(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of many types, none of them its own, with a place in its source at the end
            said = " ".join(str(error).partition(", /")[0].split())
            raise BadInput(f"{self.folder.name} is damaged ({said}): set memory.path to another folder") from error

    def _built(self) -> dict[str, str]:
        """Return name -> type of the indexes that there are."""
        return {index.name: index.index_type for index in self.table.list_indices()}

    def _begin(self) -> None:
        if self._layout.words:
            with self._whole_or_taken_back():
                self.table.create_index("text", config=FTS())

    def _check(self) -> None:
        """An index that was built for another memory would be searched without a word."""
        built = self._built()
        if (_WORDS in built, built.get(_VECTORS, self._layout.index)) != (self._layout.words, self._layout.index):
            held = ", ".join(built.values()) or "none"
            raise BadInput(
                f"{self.folder.name} holds the indexes of another memory ({held}): set memory.path to another folder"
            )

    def _tuned(self, query: LanceVectorQueryBuilder, limit: int) -> LanceVectorQueryBuilder:
        if "Hnsw" in self._layout.index:
            query = query.ef(max(limit * (self._layout.refine_factor or 1), self.effort))
        else:
            # 0: as many more as a filter needs, or rows in the partitions that are not searched would be missing
            query = query.minimum_nprobes(self.effort).maximum_nprobes(0)
        return query.refine_factor(self._layout.refine_factor) if self._layout.refine_factor else query

    def _tidy(self) -> None:
        """Compact, index what is new, and remove all versions but the newest, once that is seen to be whole."""
        with self._whole_or_taken_back():
            if self._layout.words:
                # anew: parts that were indexed apart have scores of their own, and keep the words of what was forgotten
                self.table.create_index("text", config=FTS(), replace=True)
            self.table.optimize(cleanup_older_than=_EVER)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"optimize\(cleanup_older_than=0\)")  # nobody else reads this table
            self.table.optimize(cleanup_older_than=_NOW, delete_unverified=True)

    @contextmanager
    def _whole_or_taken_back(self) -> Iterator[None]:
        """Raise OSError where a new version holds a file without its end, and go back to the version before."""
        version, before = self.table.version, self._files()
        try:
            yield
        finally:
            if self.table.version > version and not all(map(_is_whole, self._files() - before)):
                self.table.restore(version)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _files(self) -> set[Path]:
        """Return the files that LanceDB writes piece by piece; the others it writes at once, or not at all."""
        table = self.folder.index / f"{_TABLE}.lance"
        walks = (os.walk(table / part) for part in ("data", "_indices"))
        return {Path(folder, name) for walk in walks for folder, _, names in walk for name in names}


class HybridMemory(VectorMemory):
    """Two rankings of one table, fused by place, since a cosine and a BM25 score have no common scale.

    LanceDB's own fusion breaks ties by chance: here equal scores have equal places.
    """

    def __init__(self, table: LanceTable, *, embedder: Embedder, top_k: int) -> None:
        super().__init__(table, embedder=embedder, top_k=top_k)
        self._table = table

    def read(self, query: Query) -> list[Passage]:
        near = self._nearest(query)
        worded = self._candidates(lambda limit: self._table.matching(query.text, limit=limit, scope=query.scope))
        scores: dict[str, float] = {}
        for ranking in (near, worded):
            for event_id, place in _places(ranking).items():
                scores[event_id] = scores.get(event_id, 0.0) + 1 / (_FUSION + place)
        return self._ranked([*near, *worded], scores)


def _places(hits: Sequence[Hit]) -> dict[str, int]:
    """Return event id -> place, from 1 on; equal scores share one."""
    scores = sorted({hit.score for hit in hits}, reverse=True)
    return {hit.event.id: scores.index(hit.score) + 1 for hit in hits}


def _rows(found: pa.Table, similarity: str) -> Iterator[tuple[int, Event, float]]:
    """Yield number, event and what says how near it is, by columns: a dict for each row would take longer."""
    columns = [found[name].to_pylist() for name in [*_FIELDS, similarity]]
    return ((number, Event(*event), near) for number, *event, near in zip(*columns, strict=True))


def _is_whole(file: Path) -> bool:
    with file.open("rb") as rows:
        rows.seek(-min(len(_END), file.stat().st_size), os.SEEK_END)
        return rows.read() == _END


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

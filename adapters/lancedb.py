"""LanceDB: a table of Lance files, scanned while it is small, with an HNSW index when it is not."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import timedelta
from typing import cast

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import HnswFlat
from lancedb.query import LanceVectorQueryBuilder
from numpy.typing import NDArray

from memory_bench.contracts import Embedder
from memory_bench.events import checked_top_k
from memory_bench.index_folder import IndexFolder
from memory_bench.types import Event
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


def memory(*, embedder: Embedder, path: str | None, index_from_rows: int, top_k: int) -> VectorMemory:
    """Return a memory over LanceDB. `path` keeps the table in a folder; null: a temporary one."""
    checked_top_k(top_k)
    checked_index_from_rows(index_from_rows)
    folder = IndexFolder(path, engine="lancedb", embedder=embedder)
    engine = LanceTable(folder, dimensions=embedder.dimensions, index_from_rows=index_from_rows)
    return VectorMemory(engine, embedder=embedder, top_k=top_k)


class LanceTable:
    """One row an event. There is one writer: merging from two at once doubles ids without an error.

    Every change makes a version, which holds what was replaced and forgotten: settling and forgetting leave only the
    newest. A deleted row's bytes go when LanceDB next compacts the fragment that it stands in.
    """

    def __init__(self, folder: IndexFolder, *, dimensions: int, index_from_rows: int) -> None:
        self.folder = folder
        self._index_from_rows = index_from_rows
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
        self.table = self._connection.create_table(_TABLE, schema=self._schema, exist_ok=True)

    def put(self, rows: Sequence[Row]) -> None:
        """Adding would not replace: an id would be held twice."""
        if rows:
            values = [{**vars(row.event), "number": row.number, "vector": row.vector_D} for row in rows]
            merge = self.table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            merge.execute(pa.Table.from_pylist(values, schema=self._schema))

    def drop(self, event_ids: Sequence[str]) -> None:
        if event_ids:
            self.table.delete(f"id IN ({', '.join(map(_quoted, event_ids))})")
            self._tidy()

    def clear(self) -> None:
        self._connection.drop_table(_TABLE)
        self.table = self._connection.create_table(_TABLE, schema=self._schema)

    def settle(self) -> None:
        """Build the index once there are enough rows, and bring it up to date."""
        if not self.table.list_indices() and len(self) >= self._index_from_rows:
            # one partition: with several, rows in those that are not probed are never found
            graph = HnswFlat("cosine", num_partitions=1, m=HNSW_LINKS, ef_construction=HNSW_BUILD_CANDIDATES)
            self.table.create_index("vector", config=graph)
        self._tidy()
        if self.table.list_indices() and self.indexed_rows() != len(self):
            raise RuntimeError(f"LanceDB indexed {self.indexed_rows()} of {len(self)} rows")

    def search(self, vector_D: NDArray[np.float32], *, limit: int, scope: str) -> list[Hit]:
        # a metric that is not the index's would be a scan without a word, and the default is not the cosine
        query = cast(LanceVectorQueryBuilder, self.table.search(vector_D)).distance_type("cosine").limit(limit)
        query = query.ef(max(limit, HNSW_SEARCH_CANDIDATES)).select([*_FIELDS, "_distance"])
        if scope:
            query = query.where(f"scope = {_quoted(scope)}", prefilter=True)
        return [
            Hit(row["number"], Event(row["id"], row["text"], row["scope"], row["time"]), 1 - row["_distance"])
            for row in query.to_list()
        ]

    def indexed_rows(self) -> int:
        """Return how many rows the index knows, by its own statistics; 0 where every search is a scan."""
        stats = [self.table.index_stats(index.name) for index in self.table.list_indices()]
        return sum(one.num_indexed_rows for one in stats if one)

    def last_number(self) -> int:
        return max(self.table.search().select(["number"]).to_arrow()["number"].to_pylist(), default=0)

    def __len__(self) -> int:
        return int(self.table.count_rows())

    def size_bytes(self) -> int:
        return self.folder.size_bytes()

    def close(self) -> None:
        self.folder.close()

    def _tidy(self) -> None:
        """Compact, index what is new, and remove all versions but the newest."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"optimize\(cleanup_older_than=0\)")  # nobody else reads this table
            self.table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

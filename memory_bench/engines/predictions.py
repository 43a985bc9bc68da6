"""What was expected of the engines before these rows were measured: a figure of an arm at a size, and its value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memory_bench.engines import summary
from memory_bench.engines.summary import Row, Spread

RECALL_OFF, COST_FACTOR = 0.05, 2.0
"""A recall is as predicted where it is no more than so far off, any other figure within such a factor."""


@dataclass(frozen=True)
class Prediction:
    """A figure by its name in `summary.figures`."""

    plan: str
    rows: int
    arm: str
    figure: str
    value: float

    def found(self, rows: Mapping[str, Sequence[Row]]) -> Spread | None:
        return summary.spread(summary.of(rows.get(self.plan, []), self.rows, self.arm), self.figure)

    def kept(self, found: Spread) -> bool:
        if self.figure.startswith("recall"):
            return abs(found.mean - self.value) <= RECALL_OFF
        return 1 / COST_FACTOR <= found.mean / self.value <= COST_FACTOR


PREDICTIONS = (
    *(
        Prediction("iid", 10_000, "ruvector", f"recall at {effort}", recall)
        for effort, recall in ((50, 0.353), (100, 0.538), (200, 0.756), (400, 0.924))
    ),
    Prediction("clustered", 10_000, "ruvector", "recall at 50", 0.9997),
    Prediction("clustered", 10_000, "ruvector", "p50_ms at 50", 0.05),
    Prediction("clustered", 10_000, "ruvector", "rows_per_second", 4_300),
    Prediction("clustered", 10_000, "ruvector", "bytes_per_row", 5_300),
    Prediction("clustered", 10_000, "ruvector remedied=false", "returned forgotten", 5.2),
    Prediction("clustered", 10_000, "qdrant acorn=false", "rows_per_second", 55_000),
    Prediction("clustered", 10_000, "qdrant acorn=false", "p50_ms", 0.12),
    Prediction("clustered", 100_000, "qdrant acorn=false", "rows_per_second", 16_000),
    Prediction("clustered", 100_000, "qdrant acorn=false", "p50_ms", 0.23),
    Prediction("clustered", 100_000, "qdrant acorn=false", "settle_seconds", 78),
    Prediction("clustered", 100_000, "qdrant acorn=false", "recall of 0.1", 1.0),
    Prediction("clustered", 100_000, "qdrant scopes=after acorn=false", "recall of 0.1", 0.1),
    Prediction("clustered", 100_000, "qdrant_bruteforce", "p50_ms", 135),
    Prediction("clustered", 100_000, "qdrant_bruteforce", "p50_ms of 0.1", 1_283),
    Prediction("clustered", 100_000, "qdrant_bruteforce", "rows_per_second", 288),
    Prediction("clustered", 100_000, "lancedb_flat", "p50_ms", 30),
    Prediction("clustered", 100_000, "lancedb_ivf_flat", "p50_ms", 7),
    Prediction("clustered", 100_000, "lancedb_ivf_hnsw_sq", "recall at 200", 1.0),
    Prediction("clustered", 100_000, "lancedb_ivf_hnsw_sq", "p50_ms at 200", 2.3),
    Prediction("clustered", 100_000, "lancedb_ivf_pq", "recall", 0.994),
    Prediction("clustered", 100_000, "lancedb_ivf_pq layout.refine_factor=null", "recall", 0.554),
    Prediction("clustered", 100_000, "lancedb_ivf_flat", "settle_seconds", 185),
)

"""How early a ranking shows the evidence, whatever its passages weigh: recall@k, nDCG@k and the reciprocal rank.

    evidence {a, b, c}   shown by rank   {a}  {}  {b}  {a, x}
    recall@1 1/3   recall@5 2/3   mrr 1   ndcg@5 = (1/log2(2) + 1/log2(4)) / (1/log2(2) + 1/log2(3) + 1/log2(4))

`evidence@BUDGET` is the fair measure between memories whose passages differ in size; these are what other work reports.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

RANKS = (1, 5, 10, 20)
RANKING_METRICS = (*(f"recall@{k}" for k in RANKS), *(f"ndcg@{k}" for k in RANKS), "mrr")


def ranking_metrics(shown: Sequence[Collection[str]], evidence: Collection[str]) -> dict[str, float]:
    """Judge one ranking. `shown` is the evidence that each passage holds, best first; `evidence` is not empty.

    recall@k is the share of the evidence in the first k passages. nDCG@k has a gain of 1 for a passage that shows
    evidence which none before it showed, and the ideal order has one piece of evidence a passage. mrr is 1 / the rank
    of the first passage with evidence, 0 where there is none.

    Source: Järvelin and Kekäläinen 2002 (TOIS 20) for nDCG, with binary gains; MRR as in TREC-8 question answering.

    Raises:
        ValueError: no evidence.
    """
    if not evidence:
        raise ValueError("a ranking is judged by its evidence, got none: leave the question out")
    found: set[str] = set()
    gains, recalls = [], []
    for ids in shown:
        new = set(ids) & set(evidence) - found
        found |= new
        gains.append(float(bool(new)))
        recalls.append(len(found) / len(evidence))
    first = gains.index(1.0) + 1 if 1.0 in gains else math.inf
    return {
        **{f"recall@{k}": recalls[min(k, len(recalls)) - 1] if recalls else 0.0 for k in RANKS},
        **{f"ndcg@{k}": _dcg(gains[:k]) / _dcg([1.0] * min(k, len(evidence))) for k in RANKS},
        "mrr": 1.0 / first,
    }


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))

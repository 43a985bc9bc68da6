"""Measured cells made by hand, from marks: what the tests of reports are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from memory_bench.reporting.cells import Measured

PROVENANCE: dict[str, Any] = {
    "identities": {"task": {"hay": "a"}, "reader": {"weights": "b"}},
    "machine": {"cpu": "a CPU", "cores": 2, "platform": "an OS", "python": "3.11", "memory_bytes": 8 * 2**30},
    "environment": {"device": "cpu", "threads": "1"}, "versions": {"torch": "2.13.0"},
    "revision": {"commit": "0123456789abcdef", "dirty": True}, "start": "2026-01-01T00:00:00",
}  # fmt: skip
NOTHING = "0001 " * 10
EVERYTHING = "1111 " * 10


def measured(
    memory: str,
    right: str,
    *,
    control: str = "none",
    budget_tokens: int | None = 256,
    offered: int = 1,
    task: str = "t",
    options: Mapping[str, Any] | None = None,
    returned: str | None = None,
    columns: Mapping[str, Sequence[Any]] | None = None,
    text: str | None = None,
) -> Measured:
    """Return a cell from its marks, four to an episode (event, event, reworded, nothing to find): `1101 0011`.

    A dash is a question without an answer, since the prompt exceeded the reader's window. `columns` are more of them,
    four values each, the same in every episode; one whose values are all None is left out.
    """
    rows = [
        {
            "episode": f"e{number}", "question": f"e{number}-q{place}",
            "answer": None if mark == "-" else "4411", "unanswered": "exceeds window" if mark == "-" else None,
            "gold": ["unknown"] if place == 3 else ["4411"], "offered": offered, "stale": [], "forgotten": [],
            "tags.wording": "reworded" if place == 2 else "event",
            "scores.exact_match": None if mark == "-" else float(mark),
            "scores.evidence_in_context": None if mark == "-" or place == 3 else 1.0,
            "costs.context_tokens": 100, "costs.read_seconds": 0.002, "costs.generate_seconds": 0.05,
            "costs.embed_seconds": None, "episode.write_seconds": 0.5, "episode.size_bytes": 1000 + number,
            **{name: values[place] for name, values in (columns or {}).items()},
        }
        for number, episode in enumerate(right.split())
        for place, mark in enumerate(episode)
    ]  # fmt: skip
    left_out = [name for name, values in (columns or {}).items() if all(value is None for value in values)]
    config = {
        "choices": {"task": task, "memory": memory, "reader": "r", "embedder": None, "control": control},
        "task": dict(options or {}), "memory": {}, "seed": 0, "budget_tokens": budget_tokens, "limit": None,
    }  # fmt: skip
    questions = pd.DataFrame(rows).drop(columns=left_out)
    return Measured(text or f"What {memory} is", config, PROVENANCE, questions, returned=returned)


CONTROLS = [
    measured("none", NOTHING, control="closed_book", offered=0),
    measured("none", "1101 " * 10, control="oracle"),
]

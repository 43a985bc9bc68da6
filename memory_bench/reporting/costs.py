"""What remembering and answering cost: medians, over questions or over episodes."""

from __future__ import annotations

import pandas as pd

from memory_bench.reporting.cells import Measured
from memory_bench.reporting.figures import Figure, Null, median

SOURCES = {
    "context_tokens": "costs.context_tokens",
    "write_seconds": "episode.write_seconds",
    "embed_seconds": "episode.embed_seconds",
    "read_seconds": "costs.read_seconds",
    "query_embed_seconds": "costs.embed_seconds",
    "generate_seconds": "costs.generate_seconds",
    "size_bytes": "episode.size_bytes",
}
IN_ALL = {  # of an episode: what a conversation that is carried along costs
    "prompt_tokens": "costs.prompt_tokens",
    "repeated_tokens": "costs.repeated_tokens",
    "cached_tokens": "costs.cached_tokens",
}
FIGURES = (*SOURCES, *IN_ALL, "first_read_seconds", "question_seconds", "question_gpu_seconds")
NOT_MEASURED = {
    "episode.write_seconds": "nothing is written",
    "episode.size_bytes": "nothing is written",
    "costs.read_seconds": "the memory is not asked",
}
KEPT = "kept_answers"  # of a phase: the ends of the columns that count answers which nobody was asked for again
NOT_IN_ALL = {"costs.cached_tokens": "the reader has no prefix cache"}
NOT_EMBEDDED = dict.fromkeys(("episode.embed_seconds", "costs.embed_seconds"), "it uses no embedder")


def figures(cell: Measured) -> dict[str, Figure]:
    """Return the costs of one measured cell."""
    episodes = cell.questions.drop_duplicates("episode")
    embeds = cell.config["choices"]["embedder"] is not None
    missing = NOT_MEASURED if embeds else NOT_MEASURED | NOT_EMBEDDED
    if kept := _kept(cell.questions):
        missing = {"costs.generate_seconds": kept, "costs.read_seconds": kept} | missing
    found: dict[str, Figure] = {
        name: median(episodes if column.startswith("episode.") else cell.questions, column, missing)
        for name, column in SOURCES.items()
    }
    counted = [column for column in IN_ALL.values() if column in cell.questions]
    sums = cell.questions.groupby("episode")[counted].sum(min_count=1) if counted else episodes[[]]
    found |= {name: median(sums, column, NOT_IN_ALL) for name, column in IN_ALL.items()}
    # cold: nothing of the episode has been looked for before
    found["first_read_seconds"] = median(episodes, "costs.read_seconds", missing)
    found["question_seconds"] = _altogether(cell.questions, "seconds", embeds=embeds)
    found["question_gpu_seconds"] = _on_device(cell, embeds=embeds)
    return found


def _on_device(cell: Measured, *, embeds: bool) -> float | Null:
    """Return the median of the seconds of a question on the reader's device, or why there are none."""
    source = cell.provenance.get("sources", {}).get("gpu_seconds", {})
    return Null(source["why"]) if "why" in source else _altogether(cell.questions, "gpu_seconds", embeds=embeds)


def _altogether(questions: pd.DataFrame, clock: str, *, embeds: bool) -> float | Null:
    """Return the median of all seconds of a question that was answered."""
    seconds = each(questions, clock, embeds=embeds)
    return seconds if isinstance(seconds, Null) else float(seconds[questions["answer"].notna()].median())


def each(questions: pd.DataFrame, clock: str, *, embeds: bool) -> pd.Series[float] | Null:
    """Return all seconds of every question: its own, and its share of what writing its episode took.

    Null where something was not measured, or where an answer was kept: it took its time on another day.
    """
    if kept := _kept(questions):
        return Null(kept)
    own = [f"costs.{phase}_{clock}" for phase in ("read", "generate", *(["embed"] if embeds else []))]
    shared = [f"episode.{phase}_{clock}" for phase in ("write", *(["embed"] if embeds else []))]
    written = {own[0], shared[0]}  # null in a control, which does neither
    if lost := [column for column in (*own, *shared) if column not in written and not _is_measured(questions, column)]:
        return Null(f"not measured: {lost[0]}")
    share = 1 / questions.groupby("episode")["question"].transform("count")
    none = pd.Series(0.0, index=questions.index)
    return sum((_filled(questions, column) for column in own), none) + share * sum(
        (_filled(questions, column) for column in shared), none
    )


def _kept(questions: pd.DataFrame) -> str | None:
    """Return what is said where some answers were kept from an earlier request; None where none were."""
    if not (columns := [column for column in questions if str(column).endswith(KEPT)]):
        return None
    kept = int((questions[columns].astype(float).fillna(0.0) > 0).any(axis=1).sum())
    return f"answers were kept from an earlier request: {kept} of {len(questions)} questions" if kept else None


def _is_measured(questions: pd.DataFrame, column: str) -> bool:
    return column in questions and bool(questions[column].notna().any())


def _filled(questions: pd.DataFrame, column: str) -> pd.Series[float]:
    absent = pd.Series(0.0, index=questions.index)
    return questions[column].astype(float).fillna(0.0) if column in questions else absent

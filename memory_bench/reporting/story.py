"""One question, walked through by memories that were asked it just now: nothing of a story is made up.

Each memory is told the question's episode as a run would tell it, up to the question; then it is asked, its passages
are packed, and the reader answers. A memory that claims `traces` shows how it came to what it brought.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import cast

from memory_bench import cell as cells
from memory_bench import config, runner
from memory_bench.contracts import Task, Traced
from memory_bench.errors import BadInput, Unavailable
from memory_bench.lending import Lender
from memory_bench.metrics import RETRIEVAL_BUDGETS
from memory_bench.records import Record
from memory_bench.types import Episode, Question, Trace

NAMED = 3  # questions that are named where the one asked for is not there


@dataclass(frozen=True)
class Told:
    """What came of one memory: its record, or the reason why there is none; what it shows of its way, None where it
    does not claim to; the end of the prompt, in the wording that the reader wants; and the command that measures the
    whole cell.
    """

    name: str
    text: str
    command: str
    record: Record | None = None
    traces: Sequence[Trace] | None = None
    asked: str = ""
    reason: str | None = None


class OneQuestion:
    """A task of the one episode that asks a question, up to it, and that question once it was found."""

    asked: Question

    def __init__(self, task: Task, question: str) -> None:
        self.version = task.version
        self._task = task
        self._question = question

    def identity(self) -> Mapping[str, str]:
        return self._task.identity()

    def episodes(self, seed: int) -> Iterator[Episode]:
        """Yield the episode. Raises BadInput where no question is named so."""
        for episode in self._task.episodes(seed):
            for place, step in enumerate(episode.steps):
                if isinstance(step, Question) and step.id == self._question:
                    self.asked = step
                    yield replace(episode, steps=episode.steps[: place + 1])
                    return
        asked = (step.id for one in self._task.episodes(seed) for step in one.steps if isinstance(step, Question))
        raise BadInput(f"--story {self._question}: no such question; there are {', '.join(islice(asked, NAMED))}, ...")

    def score(self, question: Question, answer: str) -> dict[str, float]:
        return self._task.score(question, answer)


def tell(overrides: Sequence[str], question: str) -> list[Told]:
    """Return what each of the cells that were typed does with a question; one that cannot run here says why.

    Raises BadInput where the task does not ask it, or where cells of several tasks were typed.
    """
    asked = [(config.compose(one), one) for one in config.expand(overrides)]
    tasks = sorted({str(cell.config["choices"]["task"]) for cell, _ in asked})
    if len(tasks) > 1:
        raise BadInput(f"--story {question}: a story is of one task, not of {', '.join(tasks)}; type +task={tasks[0]}")
    lender = Lender()
    return [_told(cell, question, f"python -m memory_bench {' '.join(typed)}", lender) for cell, typed in asked]


def _told(cell: config.Cell, question: str, command: str, lender: Lender) -> Told:
    from memory_bench.reporting.cells import text_of

    control, memory = (str(cell.config["choices"][part]) for part in ("control", "memory"))
    told = Told(memory if control == "none" else control, text_of(cell.config["choices"]), command)
    try:
        parts = cells.build(cell, alone=False, lender=lender)
    except Unavailable as error:
        return replace(told, reason=str(error))
    try:
        one = OneQuestion(parts.task, question)
        options = replace(cells.run_options(cell), limit=None)
        rows = runner.run(one, parts.memory, parts.reader, control=parts.control, options=options, meter=parts.meter)
        record = [row for row in rows if isinstance(row, Record)][-1]
        told = replace(told, record=record, asked=record.cloze if parts.reader.style == "cloze" else record.query)
        if not cell.claims.get("traces") or control != "none":
            return told
        # the memory stands as it was asked: nothing has been told since
        asked = replace(one.asked.query, budget_tokens=max(RETRIEVAL_BUDGETS))
        traces = cast(Traced, parts.memory).trace(asked, _prompt(record) + told.asked)
        return replace(told, traces=traces)
    finally:
        parts.memory.close()


def _prompt(record: Record) -> str:
    """Return the passages as the prompt prints them, the best last."""
    packed = [str(passage["text"]) for passage in record.passages if passage["packed"]]
    return "".join(f"{text}\n" for text in reversed(packed))

"""Recursive reading by the reader itself: it was handed the model, and the model looks through what was written.

What it brings stands in the prompt, and nothing beside it. Where the budget ends first, or there is nothing to look
through, it brings what the memory below finds.

Every call goes through the reader that the memory was handed, so the ledger has its calls, tokens and time in the phase
in which they happen: `read_calls`, `read_prompt_tokens`, `read_completion_tokens`, `read_seconds`.
"""

from __future__ import annotations

from typing import Final

from adapters.rlm import reading
from adapters.rlm.account import Account, Budget, SpentError
from adapters.rlm.operations import Count, Operation, RefusedError, Slice, line, parse
from adapters.rlm.over import Over
from memory_bench.contracts import Memory, Reader
from memory_bench.errors import Unavailable
from memory_bench.types import Passage, Query, Trace

PROBES: Final[tuple[tuple[str, Operation], ...]] = (
    ('Count the parts that hold the text "heron".', Count("heron")),
    ("Look at the letters 0 to 40 of part 2.", Slice(2, 0, 40)),
)
"""What any reader that follows instructions can do, and the operation that it comes to."""
PROBED_PARTS: Final = 3


class Rlm(Over):
    """The reader reads recursively, within `budget` a question."""

    _reader: Reader

    def __init__(self, *, over: Memory | None, budget: Budget, top_k: int) -> None:
        super().__init__(over, top_k=top_k)
        self._budget = budget

    def attach(self, reader: Reader) -> Reader:
        """Keep the reader to ask it. Raises Unavailable where it does not write the operation that it is told to."""
        for task, wanted in PROBES:
            said = reader.generate([reading.instructions(PROBED_PARTS, task, reading.TOP) + "Next operation:"])[0].text
            if not _is(wanted, said):
                raise Unavailable(
                    f"this reader does not follow instructions: told to write {line(wanted)} it wrote "
                    f"{said.strip()[:40]!r}; type +memory=rlm_scripted, or a reader that does, such as reader=endpoint "
                    "reader.url=URL reader.model=NAME"
                )
        self._reader = reader
        return super().attach(reader)

    def read(self, query: Query) -> list[Passage]:
        return self._look(query, Account(self._reader, self._budget))[0]

    def trace(self, query: Query, prompt: str) -> list[Trace]:  # noqa: ARG002
        """Return every operation with what came of it, asked anew, and what it took."""
        account = Account(self._reader, self._budget)
        _, end = self._look(query, account)
        steps = tuple((float(depth), said, told) for depth, said, told in account.steps)
        spent = ((end, float(account.calls), float(account.tokens), float(account.refused)),)
        return [
            Trace("operations", ("depth", "what the model wrote", "what it was told"), steps),
            Trace("what it took", ("end", "calls", "tokens", "lines that were no operation"), spent),
        ]

    def _look(self, query: Query, account: Account) -> tuple[list[Passage], str]:
        """Return what is brought, and whose choice it was."""
        environment = self.environment(query)
        if not len(environment):
            return self.below(query), "nothing to look through: what the memory below finds is brought"
        try:
            parts = reading.bring(account, environment, query.text)
        except SpentError as error:
            return self.below(query), f"the budget was spent ({error}): what the memory below finds is brought"
        return environment.passages(parts)[: self._top_k], "the model brought parts"


def _is(wanted: Operation, said: str) -> bool:
    try:
        return parse(said) == wanted
    except RefusedError:
        return False

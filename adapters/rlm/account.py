"""What a recursive reading may spend of its reader on one question, and what it has spent."""

from __future__ import annotations

from dataclasses import dataclass, fields

from memory_bench.contracts import Reader
from memory_bench.errors import BadInput


@dataclass(frozen=True)
class Budget:
    """The most of one question, recursion included: calls of the reader, tokens that it reads and writes, how deep a
    part may be opened as an environment of its own, and lines that are no operation."""

    calls: int
    tokens: int
    depth: int
    refused: int

    def __post_init__(self) -> None:
        least = {"calls": 1, "tokens": 1, "depth": 0, "refused": 0}
        for field in fields(self):
            if getattr(self, field.name) < least[field.name]:
                raise BadInput(
                    f"memory.budget.{field.name}={getattr(self, field.name)}: "
                    f"expected a whole number >= {least[field.name]}"
                )


class SpentError(Exception):
    """The budget does not last for what comes next: what of it."""


class Account:
    """Asks the reader, and counts. The ledger counts the same calls and tokens by itself: this only bounds them."""

    def __init__(self, reader: Reader, budget: Budget) -> None:
        self._reader = reader
        self.budget = budget
        self.calls = self.tokens = self.refused = 0
        self.steps: list[tuple[int, str, str]] = []
        """How deep, what the model wrote, and what it was told."""

    def ask(self, prompt: str) -> str:
        """Return one line of the reader's. Raises SpentError before a call that the budget has no room for."""
        tokens = self._reader.count_tokens(prompt)
        if self.calls == self.budget.calls:
            raise SpentError(f"{self.calls} calls of the reader")
        if self.tokens + tokens > self.budget.tokens:
            raise SpentError(f"{self.tokens} of {self.budget.tokens} tokens, and the next prompt has {tokens}")
        if tokens > self._reader.window_tokens // 2:  # the other half is room for any answer
            raise SpentError(f"half of the reader's window: the next prompt has {tokens} tokens")
        completion = self._reader.generate([prompt])[0]
        self.calls += 1
        self.tokens += completion.prompt_tokens + completion.completion_tokens
        return completion.text.strip()

    def note(self, depth: int, said: str, told: str) -> None:
        self.steps.append((depth, said, told))

    def refuse(self) -> None:
        """Count a line that was no operation. Raises SpentError where it was one too many."""
        self.refused += 1
        if self.refused > self.budget.refused:
            raise SpentError(f"{self.refused} lines were no operation")

"""Engram, rows written in one shot: each n-gram's rows get the code of the token that follows it. No gradient.

    told      The code of gate 17 is 4411.
    written   gate 17 is -> code of " 4", 17 is 4 -> code of "4", ...      every token, and so values of many tokens

Nothing selects positions and nothing knows what a fact is: no template, no boundary, no closed set of values. What
makes a copy enough is paid before any event: a code for each token of the vocabulary, learned once by gradient against
the reader as it is (`token_codes`). It stands with the codes as a fixed cost.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters.engram.by_event import ByEvent
from adapters.engram.module import EngramModule
from adapters.engram.token_codes import load, weights_sha256
from memory_bench.contracts import Reader


class EngramOneShot(ByEvent):
    """`codes` names bundled codes of tokens or a file, `sha256` says which: their bytes decide what is written.

    The rows of the longest n-grams alone are written: of shorter ones too many texts share each. Two texts that go on
    differently after the same three tokens leave the later one's code.
    """

    def __init__(self, *, codes: str, sha256: str) -> None:
        super().__init__()
        self.codes = load(codes, sha256)

    def attach(self, reader: Reader) -> Reader:
        """Return the reader with this memory's table in its slot.

        Raises BadInput if it has no slot, or if the codes were learned against another reader.
        """
        slot = getattr(getattr(reader, "slotted", None), "slot", None)
        if isinstance(slot, EngramModule):
            self.codes.check(slot, weights_sha256(reader.identity()))
        return super().attach(reader)

    def size_bytes(self) -> int:
        """Return the bytes of the table, of the texts kept to be written again, and of the codes."""
        return super().size_bytes() + self.codes.size_bytes()

    def _write_tokens(self, tokens: Sequence[int]) -> None:
        self.codes.write(self.table, tokens)

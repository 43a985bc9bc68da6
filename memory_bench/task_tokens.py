"""The tokens in which a task measures text: those of its `tokenizer=PATH`, by default the bundled reader's file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tokenizers import Tokenizer

import memory_bench
from memory_bench.errors import BadInput

BUNDLED_TOKENIZER: Final = Path(memory_bench.__file__).parent / "readers" / "weights" / "tokenizer.json"
COVERING_TOKENS: Final = 4  # of the cloze: what a table of 5-grams would need to say the answer's first token


def read_tokenizer(path: Path) -> Tokenizer:
    """Return the tokenizer, neither truncating nor padding. Raises BadInput where the file is none."""
    if not path.is_file():
        raise BadInput(f"task.tokenizer={path}: no such file; give a tokenizer.json of the library tokenizers")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise BadInput(f"task.tokenizer={path}: not a tokenizer of the library tokenizers: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def token_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def count_tokens(tokenizer: Tokenizer, text: str) -> int:
    return len(token_ids(tokenizer, text))


def covers(event: str, cloze: str, answer: str, tokenizer: Tokenizer) -> bool:
    """Return whether the last four tokens of the cloze, followed by those of the answer, stand in the event.

    This is what the tag `ngram_covered` means, in every task: n-grams alone lead from the question to the answer.
    """
    needle = token_ids(tokenizer, cloze)[-COVERING_TOKENS:] + token_ids(tokenizer, f" {answer}")
    hay = token_ids(tokenizer, event)
    return any(hay[at : at + len(needle)] == needle for at in range(len(hay) - len(needle) + 1))

"""The n-gram ceiling of all names: `python -m tasks.entity [TOKENIZER]`; without a path the bundled reader's tokens."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from memory_bench.errors import BadInput
from memory_bench.task_tokens import BUNDLED_TOKENIZER, read_tokenizer
from tasks.entity.ceiling import ceilings
from tasks.entity.names import FEWEST_TOKENS, tokenized, unicode_names


def table(tokenizer: Path) -> str:
    """Return the ceilings of name -> code point as a Markdown table."""
    names = tokenized(unicode_names(), read_tokenizer(tokenizer))
    lengths = [len(name.tokens) for name in names]
    found = list(ceilings([name.tokens for name in names], [name.code_point for name in names]))
    long_enough = sum(length >= FEWEST_TOKENS for length in lengths) / len(names)
    return "\n".join(
        [
            f"{len(names):,} names of Unicode {unicodedata.unidata_version}, median {median(lengths):.0f} tokens, "
            f"{long_enough:.1%} of {FEWEST_TOKENS} or more",
            "| " + " | ".join(one.seen for one in found) + " |",
            "|" + "--:|" * len(found),
            "| " + " | ".join(f"{one.accuracy:.3f}" for one in found) + " |",
        ]
    )


def main(arguments: Sequence[str]) -> int:
    if len(arguments) > 1:
        print("expected one path at most: python -m tasks.entity [TOKENIZER]", file=sys.stderr)
        return 2
    try:
        print(table(Path(arguments[0]) if arguments else BUNDLED_TOKENIZER))
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The n-gram ceiling of a set of names: what can be said of a name by a part of it, or of all names by no part.

python -m tasks.entity                              names of Unicode, in the bundled reader's tokens
python -m tasks.entity --set symbols TOKENIZER      another set, or other tokens
python -m tasks.entity --set iso --json             the same as one line of JSON, with what was read
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from memory_bench.errors import BadInput, Unavailable
from memory_bench.task_tokens import BUNDLED_TOKENIZER, read_tokenizer
from tasks.entity.ceiling import Ceiling, ceilings, majority
from tasks.entity.names import FEWEST_TOKENS
from tasks.entity.sets import SETS, NameSet, default_dials, read_set


@dataclass(frozen=True)
class Limits:
    """What parts of the names, and none of them, say of their values; and what was read to know it."""

    attribute: str
    names: int
    median_tokens: float
    long_enough: float
    ceilings: Sequence[Ceiling]
    majority: float
    sources: Mapping[str, str]

    def row(self) -> dict[str, object]:
        return {**asdict(self), "ceilings": {one.seen: one.accuracy for one in self.ceilings}}


def limits(names: NameSet) -> Limits:
    tokens = [name.tokens for name, _ in names.every]
    values = [value for _, value in names.every]
    return Limits(
        attribute=names.relations[0].name,
        names=len(tokens),
        median_tokens=median(map(len, tokens)),
        long_enough=sum(len(one) >= FEWEST_TOKENS for one in tokens) / len(tokens),
        ceilings=tuple(ceilings(tokens, values)),
        majority=majority(values),
        sources=names.sources,
    )


def table(name: str, found: Limits) -> str:
    """Return the ceilings of name -> value as a Markdown table."""
    title = f"names of Unicode {found.sources['unicode']}" if name == "unicode" else f"names of the set {name}"
    return "\n".join(
        [
            f"{found.names:,} {title}, median {found.median_tokens:.0f} tokens, "
            f"{found.long_enough:.1%} of {FEWEST_TOKENS} or more; name -> {found.attribute}",
            "| " + " | ".join([*(one.seen for one in found.ceilings), "majority"]) + " |",
            "|" + "--:|" * (len(found.ceilings) + 1),
            "| "
            + " | ".join(f"{share:.3f}" for share in [*(o.accuracy for o in found.ceilings), found.majority])
            + " |",
        ]
    )


def main(arguments: Sequence[str]) -> int:
    summary = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m tasks.entity", description=summary)
    parser.add_argument("tokenizer", nargs="?", type=Path, default=BUNDLED_TOKENIZER, metavar="TOKENIZER")
    parser.add_argument("--set", choices=SETS, default="unicode")
    parser.add_argument("--json", action="store_true", help="one line, with what was read")
    typed = parser.parse_args(arguments)
    try:
        found = limits(read_set(typed.set, read_tokenizer(typed.tokenizer), default_dials()))
    except (BadInput, Unavailable) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps({"set": typed.set, **found.row()}) if typed.json else table(typed.set, found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The yield by kind and split: `python -m tasks.conventions [PACKAGE | FOLDER [OLD NEW]]`; without a name, of pandas.

What holds a slash, or is `.` or `..`, is a folder; with two commits, a git repository.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from memory_bench.errors import BadInput, Unavailable
from memory_bench.task_tokens import BUNDLED_TOKENIZER, read_tokenizer
from tasks.conventions.chunks import Cutter
from tasks.conventions.rules import KINDS, PACKAGE, PRIOR_PACKAGES, Mined, Rule
from tasks.conventions.sourced import mine_source
from tasks.conventions.splits import SPLITS, Known, Splits
from tasks.conventions.trees import counted

CONTEXT_LINES = 20
COLUMNS = ("kind", "rules", "of a folder", "prior is right", "discriminating", "broken", *SPLITS)


def table(name: str, commits: Sequence[str] | None) -> str:
    """Return, for each kind and for all, how many rules there are and how many questions they give."""
    path = name if "/" in name or name in (".", "..") else None
    mined, earlier = mine_source(name, path, commits, KINDS)
    pools = pools_of(mined, earlier)
    rows = [
        row(kind, [rule for rule in mined.rules if rule.kind == kind], [one for one in pools if one.rule.kind == kind])
        for kind in KINDS
    ]
    others = ", ".join(name for name in PRIOR_PACKAGES if f"prior/{name}" in mined.identity)
    lines = [
        f"{mined.package}: rules seen in 70 % of its files; prior: {others}",
        "| " + " | ".join(COLUMNS) + " |",
        "|:--|" + "--:|" * (len(COLUMNS) - 1),
        *("| " + " | ".join(cells) + " |" for cells in [*rows, row("all", mined.rules, pools)]),
        "broken: held-out places that do not keep a rule. From rules on: what can be asked about / its held-out lines",
    ]
    return "\n".join([*lines, f"left out: {counted(mined.left_out)}"] if mined.left_out else lines)


def pools_of(mined: Mined, earlier: Mined | None) -> list[Known]:
    """Return what every split can ask about, whether or not it fits into chunks of some size; renames of seed 0."""
    cutter = Cutter(1, read_tokenizer(BUNDLED_TOKENIZER))
    found = Splits(mined, earlier, kinds=KINDS, cutter=cutter, shown=0, context_lines=CONTEXT_LINES)
    return [known for split in SPLITS for known in found.pool(split, 0)]


def row(name: str, rules: Sequence[Rule], pools: Sequence[Known]) -> list[str]:
    hard = [rule for rule in rules if rule.is_discriminating]
    right = f"{len(rules) - len(hard)} ({1 - len(hard) / len(rules):.0%})" if rules else "0"
    counts = (len(hard), sum(rule.broken for rule in rules))
    asked = [[known for known in pools if known.split == split] for split in SPLITS]
    yields = [f"{len(of_split)} / {sum(len(known.lines) for known in of_split)}" for of_split in asked]
    folders = sum(rule.scope != PACKAGE for rule in rules)
    return [name, str(len(rules)), str(folders), right, *map(str, counts), *yields]


def main(arguments: Sequence[str]) -> int:
    if len(arguments) not in (0, 1, 3):
        expected = "one package, or one folder, or a repository and two commits"
        print(f"expected {expected}: python -m tasks.conventions [PACKAGE | FOLDER [OLD NEW]]", file=sys.stderr)
        return 2
    try:
        print(table(arguments[0] if arguments else "pandas", arguments[1:] or None))
    except (BadInput, Unavailable) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

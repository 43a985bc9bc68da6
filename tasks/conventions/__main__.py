"""The yield of a package: `python -m tasks.conventions [PACKAGE]`; without a name, of pandas."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from memory_bench.errors import BadInput
from tasks.conventions.questions import ask
from tasks.conventions.rules import KINDS, PACKAGE, PRIOR_PACKAGES, Rule, mine

CONTEXT_LINES = 20
COLUMNS = ("kind", "rules", "of a folder", "prior is right", "discriminating", "asked", "questions", "broken")


def table(package: str) -> str:
    """Return, for each kind and for all, how many rules there are and how many questions they give."""
    mined = mine(package)
    rows = [row(kind, [rule for rule in mined.rules if rule.kind == kind]) for kind in KINDS]
    others = ", ".join(name for name in PRIOR_PACKAGES if name != package)
    return "\n".join(
        [
            f"{package}: rules seen in 70 % of its files; prior: {others}",
            "| " + " | ".join(COLUMNS) + " |",
            "|:--|" + "--:|" * (len(COLUMNS) - 1),
            *("| " + " | ".join(cells) + " |" for cells in [*rows, row("all", mined.rules)]),
            "asked: discriminating rules with a question; questions: held-out lines that keep such a rule and can be "
            "masked; broken: held-out lines that break a discriminating rule, not asked",
        ]
    )


def row(name: str, rules: Sequence[Rule]) -> list[str]:
    hard = [rule for rule in rules if rule.is_discriminating]
    questions = [
        sum(ask(rule, place, context_lines=CONTEXT_LINES) is not None for place in rule.held_out) for rule in hard
    ]
    right = f"{len(rules) - len(hard)} ({1 - len(hard) / len(rules):.0%})" if rules else "0"
    counts = (len(hard), sum(map(bool, questions)), sum(questions), sum(rule.broken for rule in hard))
    return [name, str(len(rules)), str(sum(rule.scope != PACKAGE for rule in rules)), right, *map(str, counts)]


def main(arguments: Sequence[str]) -> int:
    if len(arguments) > 1:
        print("expected one package at most: python -m tasks.conventions [PACKAGE]", file=sys.stderr)
        return 2
    try:
        print(table(arguments[0] if arguments else "pandas"))
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

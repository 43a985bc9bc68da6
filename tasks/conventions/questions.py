"""Questions: a real line of a held-out file with its answer masked, below the lines before it.

    line     exact: ___ = True,
    cloze    def area(             <- context: wherever the answer stands in it, it is masked too
                 self,
                 exact:            <- the line up to its mask
    choices  bool = True, (the rule)   str = True, (other packages)   Axes = True,   int | None = True, (other rules)

A choice goes on to the end of the line: `acme` alone would be likelier than `acme._speed`, whatever is imported.
Where the name that is asked about stands behind the mask (`from ___ import fast`), the masked line comes first, as a
comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from textwrap import dedent
from types import MappingProxyType
from typing import Final

from numpy.random import Generator

from memory_bench.metrics import holds
from tasks.conventions.balance import CHOICES, Circle
from tasks.conventions.imports import MASK, mask_imports, spellings
from tasks.conventions.occurrences import Occurrence
from tasks.conventions.rules import Rule, unquoted
from tasks.conventions.sources import cut

SENTENCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "home": "Which module is {subject} imported from?",
        "annotation": "Which annotation has the parameter {subject}?",
        "default": "Which default has the parameter {subject}?",
        "alias": "Which name is given to what comes by {subject}?",
        "returns": "What is {subject} annotated to return?",
        "argument": "What is the argument {subject} given?",
        "raises": "Which exception is raised?",
        "imports": "By which name is the module imported?",
    }
)
ENDS = frozenset(",=:;#")  # what ends an expression that stands in brackets or at the end of a line
WORD = re.compile(r"[\w.]*")
NAMES = frozenset({"home", "alias", "raises", "imports"})  # kinds whose answers are names; of others, expressions


@dataclass(frozen=True)
class Asked:
    """What a question says: `text` to a memory, `cloze` to a reader that completes. Neither holds the answer.

    `rest` is what follows the answer in its line. `offered` are the choices where the place itself has them: the
    answer, then the other.
    """

    text: str
    cloze: str
    rest: str
    answer: str
    offered: tuple[str, ...] = ()

    def spelled(self, value: str, rule: Rule) -> str:
        """Return a value as it would stand in this line in place of the answer."""
        return value if not self.offered else self.offered[value != rule.value]


def ask(rule: Rule, place: Occurrence, *, context_lines: int, outdated: str = "") -> Asked | None:
    """Return the question about a held-out place; None where it cannot be asked there without giving it away.

    `outdated` is what the file still says where the rule is made to say something else: it is masked as well.
    """
    cut_line = line_around(place)
    offered = spellings(place) if rule.kind == "imports" else (rule.value,)
    if cut_line is None or not offered:
        return None
    answer = offered[0]

    def masked(text: str) -> str:
        if rule.kind == "imports":
            return mask_imports(text, place.source.package)
        return mask(mask(text, answer), outdated) if outdated else mask(text, answer)

    before, after = (mask(part, answer) for part in cut_line)
    line = f"{before}{MASK}{after}".strip()
    lines = place.source.lines[max(0, context_start(place) - context_lines) : context_start(place)]
    context = [masked(one.rstrip()) for one in lines]
    if not holds(before, rule.subject):
        context.append(f"# {line}")
    cloze = f"# {place.source.path}\n" + dedent("\n".join([*context, before])).rstrip()
    text = f"{SENTENCES[rule.kind].format(subject=rule.subject)} {place.source.path}: {line}"
    if not holds(line, rule.subject) or holds(f"{text}\n{cloze}", answer):
        return None
    return Asked(text, cloze, after.rstrip(), answer, offered if len(offered) > 1 else ())


def line_around(place: Occurrence) -> tuple[str, str] | None:
    """Return what stands before and behind the answer in its line; an import is reduced to what is asked about."""
    if place.kind == "home":
        return "from ", f" import {place.subject}"
    if place.kind == "alias":
        return f"{place.subject} as ", ""
    if place.span is None:
        return None
    line = place.source.lines[place.span.line]
    return cut(line, 0, place.span.start), cut(line, place.span.end, None)


def context_start(place: Occurrence) -> int:
    """Return the line at which the context ends."""
    return place.span.line if place.span else place.first


def mask(text: str, answer: str) -> str:
    return re.sub(rf"(?<!\w){re.escape(answer)}(?!\w)", MASK, text)


def choices(rule: Rule, asked: Asked, circle: Circle, rng: Generator) -> list[str]:
    """Return the answer, what others say of the name, what other folders say, and what else is asked for; shuffled.

    Of a name that others do not know they say nothing. What they would say of any (`str`, the package itself) is never
    right here, and could be ruled out wherever it stood: it is offered only where too few others are.
    """
    if asked.offered:
        return [asked.offered[at] for at in rng.permutation(len(asked.offered))]
    different: dict[str, str] = {}
    for one in (rule.value, rule.heard, *rule.elsewhere[:1], *circle.beside(rule.value, rng), rule.prior):
        different.setdefault(unquoted(one), one)
    offered = [one for one in different.values() if one][:CHOICES]
    return [offered[at] for at in rng.permutation(len(offered))]


def completed(kind: str, answer: str) -> str:
    """Return what of a completion stands in place of the mask: what follows it in the line is not asked for."""
    text = answer.strip().strip("`").strip()
    if kind in NAMES:
        found = WORD.match(text)
        return found[0] if found else ""
    return "".join(expression(text)).strip()


def expression(text: str) -> Iterator[str]:
    """Yield the characters of a text up to where an expression ends: outside of its own brackets and quotes."""
    depth, quote = 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        if depth < 0 or (depth == 0 and not quote and character in ENDS):
            return
        yield character

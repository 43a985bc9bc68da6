"""Seeded renames: from a point of the stream on, files say another value. Synthetic updates, for real ones are few.

    # acme/core/ops.py                       # acme/core/ops.py
    from acme._speed import fast      ->     from acme.core.cast import fast

The new value is another rule's: real, of the same kind, and not to be told from the old one by its looks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from numpy.random import Generator

from memory_bench.metrics import holds
from tasks.conventions.occurrences import Occurrence
from tasks.conventions.rules import Rule, same
from tasks.conventions.sources import Source, cut

FILES = 12  # of a rule, at most, are rewritten
NOT_RENAMED = ("imports",)  # a style of many names, not one


def renamed(rule: Rule, rules: Sequence[Rule], rng: Generator) -> Rule | None:
    """Return the rule as files say it that are rewritten; None where no value is left for it, or no file says it."""
    known = [rule.value, rule.prior, *rule.elsewhere]
    values = dict.fromkeys(other.value for other in rules if other.kind == rule.kind)
    free = [one for one in values if not any(same(one, other) for other in known) and not holds(rule.subject, one)]
    if rule.kind in NOT_RENAMED or not free:
        return None
    value = free[int(rng.integers(len(free)))]
    files: dict[str, list[Occurrence]] = {}
    for place in rule.seen:
        files.setdefault(place.source.path, []).append(place)
    rewritten: list[Occurrence] = []
    number = 0
    for at in rng.permutation(len(files)):
        if number == FILES:
            break
        if places := rewrite(files[sorted(files)[at]], value):
            rewritten += places
            number += 1
    if not rewritten:
        return None
    return replace(rule, value=value, seen=tuple(rewritten), elsewhere=(rule.value,), exceptions=(), broken=0)


def rewrite(places: Sequence[Occurrence], value: str) -> list[Occurrence]:
    """Return the places of a rule in one file as they are when it says the value; none where that cannot be done."""
    source = places[0].source
    edits = edits_of(places, value)
    if edits is None:
        return []
    version = f"{places[0].kind} {places[0].subject} is {value}"
    after = Source(source.path, source.raw, version=version, original=source, edits=edits)
    return [replace(place, source=after, value=value, span=None) for place in places]


def edits_of(places: Sequence[Occurrence], value: str) -> Mapping[int, str] | None:
    source, old = places[0].source, places[0].value
    if places[0].kind == "alias":  # a name is used in the whole file
        numbers: Iterable[int] = range(len(source.lines))
        return {at: word(source.lines[at], old, value) for at in numbers if holds(source.lines[at], old)}
    edits: dict[int, str] = {}
    for place in places:
        number = place.span.line if place.span else place.first
        line = source.lines[number]
        if place.kind == "home":
            changed = re.sub(rf"(from\s+){re.escape(old)}(?=\s+import)", lambda found: found[1] + value, line, count=1)
        elif place.span:
            changed = cut(line, 0, place.span.start) + value + cut(line, place.span.end, None)
        else:
            return None
        if changed == line or edits.get(number, changed) != changed:
            return None  # an import in several lines, or two places in one: rare
        edits[number] = changed
    return edits


def word(line: str, old: str, new: str) -> str:
    return re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", lambda _: new, line)

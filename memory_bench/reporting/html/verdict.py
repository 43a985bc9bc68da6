"""The verdict: three sentences made of the comparisons. A tie is called a tie, and what has no interval is not ranked.

Answers ...: on needle nobody wins: “stack” (0.42 [0.36, 0.48]) ties with “bm25”, and is ahead of “none”; ...
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from memory_bench.reporting import contrasts
from memory_bench.reporting.figures import EVIDENCE, Figure, interval
from memory_bench.reporting.html.shown import Figures, Section, Shown
from memory_bench.reporting.table import Row
from memory_bench.statistics import Difference

Sentence = list[str | Shown]
ANSWERS = "Answers (of the hard kinds, where a task has them), beside the highest memory within the budget"
BROUGHT = "Evidence in the prompt, judged without a reader and beside the highest memory within the budget"
FEWEST = {"context_tokens": "the fewest tokens of context", "size_bytes": "the fewest bytes held"}


@dataclass(frozen=True)
class Standing:
    """How memories stand to the highest of those that bring passages within the budget: ties, ahead of it, behind."""

    leader: Row
    figure: Figure
    against: Sequence[tuple[Row, Difference]]

    @property
    def ties(self) -> list[Row]:
        return [row for row, difference in self.against if difference.tie]

    @property
    def ahead(self) -> list[Row]:
        return [row for row, difference in self.against if difference.interval.low > 0]

    @property
    def behind(self) -> list[Row]:
        return [row for row, difference in self.against if difference.interval.high < 0]


def sentences(sections: Sequence[Section], figures: Figures) -> list[Sentence]:
    """Return what was answered, what was brought, and what it costs among those that no comparison tells apart."""
    answered = {section.title: found for section in sections if (found := _answers(section)) is not None}
    brought = _evidence(sections)
    return [
        _said(ANSWERS, answered, figures),
        _said(BROUGHT, brought, figures),
        _cheapest(answered or brought, sections, figures),
    ]


def _answers(section: Section) -> Standing | None:
    table = section.table
    best = table.best_headline if table.hard else table.best
    leader = next((row for row in table.rows if row.name == best), None)
    if leader is None:
        return None
    figure = leader.headline[0] if table.hard else leader.figures["score"]
    others = [(row, row.headline_against if table.hard else row.figures["against"]) for row in table.answers]
    return Standing(leader, figure, [(row, found) for row, found in others if isinstance(found, Difference)])


def _evidence(sections: Sequence[Section]) -> dict[str, Standing]:
    """Return the standings of every task: their comparisons are one family, and hold together at 95 %."""
    rivals = {section.title: section.measured(_bringing(section)) for section in sections}
    bests = {title: contrasts.best_evidence([cell for _, cell in pairs]) for title, pairs in rivals.items()}
    family = sum(len(pairs) - 1 for title, pairs in rivals.items() if bests[title] is not None)
    confidence = 1 - 0.05 / max(1, family)
    found = {}
    for title, best in bests.items():
        if best is not None:
            leader = next(row for row, cell in rivals[title] if cell is best)
            compared = [
                (row, contrasts.evidence(cell, best, confidence=confidence))
                for row, cell in rivals[title]
                if cell is not best
            ]
            against = [(row, one) for row, one in compared if isinstance(one, Difference)]
            found[title] = Standing(leader, interval(best.asked, EVIDENCE), against)
    return found


def _bringing(section: Section) -> list[Row]:
    return [row for row in section.table.answers if row.brings and not row.control]


def _said(what: str, standings: Mapping[str, Standing], figures: Figures) -> Sentence:
    if not standings:
        return [f"{what}: there is nothing to compare."]
    parts: Sentence = [f"{what}: "]
    for number, (title, standing) in enumerate(standings.items()):
        parts += ["; " if number else "", *_clause(title, standing, figures)]
    return [*parts, "."]


def _clause(title: str, standing: Standing, figures: Figures) -> Iterator[str | Shown]:
    leader = _names([standing.leader])
    yield f"on {title} {'nobody wins: ' if standing.ties else ''}{leader} ("
    yield figures.show(standing.figure, standing.leader.cell)
    if standing.ties:
        yield f") ties with {_names(standing.ties)}"
        yield f", and is ahead of {_names(standing.behind)}" if standing.behind else ""
    elif standing.behind:
        yield f") is ahead of {_names(standing.behind)}"
    else:
        yield ")" if standing.ahead else ") has nothing to be compared with"
    if standing.ahead:
        yield f", and behind {_names(standing.ahead)}"


def _cheapest(standings: Mapping[str, Standing], sections: Sequence[Section], figures: Figures) -> Sentence:
    parts: Sentence = ["Costs: "]
    for section in sections:
        if (standing := standings.get(section.title)) is not None:
            names = {name for row in (standing.leader, *standing.ties) for name in (row.name, *row.twins)}
            alike = [row for row in section.table.rows if row.name in names]  # twins have costs of their own
            parts.append(f"of the {len(alike)} at the top on {section.title}, " if len(alike) > 1 else "")
            parts += [*_fewest(alike, section.title, figures), "; "]
    return [*parts, "seconds are medians of one run without an interval, so nothing is called faster."]


def _fewest(alike: Sequence[Row], title: str, figures: Figures) -> Iterator[str | Shown]:
    before = "" if len(alike) > 1 else f"on {title} "
    for key, what in FEWEST.items():
        if least := _least(alike, key):
            verb = "has" if len(least) == 1 else "have"
            yield f"{before}{_listed([_called(row) for row in least])} {verb} {what} ("
            yield figures.show(least[0].figures[key], least[0].cell, unit="count")
            yield ")"
            before = " and "


def _least(rows: Sequence[Row], key: str) -> list[Row]:
    costs = [(row, row.figures[key]) for row in rows]
    found = [(row, cost) for row, cost in costs if isinstance(cost, float)]
    return [row for row, cost in found if cost == min(cost for _, cost in found)]


def _names(rows: Sequence[Row]) -> str:
    """Return the names of rows, and how many twins each has, which no answer tells from it."""
    return _listed([f"{_called(row)} (with its {len(row.twins)} twins)" if row.twins else _called(row) for row in rows])


def _called(row: Row) -> str:
    return f"“{row.name}”"  # one of them is named none


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

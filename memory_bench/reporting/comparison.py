"""The page of an experiment of several tables: memories by tasks, then each task by itself, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from memory_bench.curves import budget_area, effective_length
from memory_bench.metrics import RETRIEVAL_BUDGETS
from memory_bench.reporting.figures import Figure, Null
from memory_bench.reporting.numbers import Notes, alone, grid, named
from memory_bench.reporting.table import BUDGET, MOVES, Row, Table
from memory_bench.statistics import Difference, Interval

ANSWERS = {
    "exact match": ("score", ""),
    "in the event's wording": ("score_event", ""),
    "reworded": ("score_reworded", ""),
    "begins with the value": ("begins", ""),
    "nothing to find": ("absent", ""),
    "lift": ("lift", ""),
    "against the best": ("against", ""),
    "McNemar p": ("p", "p"),
    "would show from": ("detectable", ""),
}
RETRIEVAL = {
    "hit@1": ("hit", ""),
    "stale@1": ("stale", ""),
    "ghosts": ("ghosts", ""),
    **{f"evidence@{budget}": (f"evidence_{budget}", "") for budget in RETRIEVAL_BUDGETS},
    "area": ("area", ""),
    "recall@10": ("recall@10", ""),
    "nDCG@10": ("ndcg@10", ""),
    "MRR": ("mrr", ""),
    "dangling ids": ("dangling", ""),
}
SOMETIMES = ("recall@10", "nDCG@10", "MRR", "dangling ids")  # columns that stand where a row has a figure for them
COSTS = {
    "context used, tokens": ("context_tokens", "count"),
    "write, s an episode": ("write_seconds", "s"),
    "embed, s an episode": ("embed_seconds", "s"),
    "first read, ms": ("first_read_seconds", "ms"),
    "read, ms": ("read_seconds", "ms"),
    "embed, ms": ("query_embed_seconds", "ms"),
    "generate, ms": ("generate_seconds", "ms"),
    "a question in all, ms": ("question_seconds", "ms"),
    "size, bytes": ("size_bytes", "count"),
}

CARRIED = {
    "prompts, tokens an episode": ("prompt_tokens", "count"),
    "repeated, tokens an episode": ("repeated_tokens", "count"),
    "cached, tokens an episode": ("cached_tokens", "count"),
}  # beside COSTS, where texts have ids that a conversation carries along

NO_PART = "no part of this experiment"
LENGTH = "task.length_tokens"

Said = Callable[[Mapping[int, float]], Figure]
"""What a whole curve says in one figure: from place on it to score."""


class Page:
    """The tables of the page, each as Markdown. Reasons of nulls are numbered in the order in which they are shown."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = tables
        self.titles = titles(table.config for table in tables)
        self.notes = Notes()

    @property
    def names(self) -> list[str]:
        """Return the memories and controls that have a row of their own among the answers, controls last."""
        rows = [row for table in self.tables if table.answered for row in table.answers]
        return list(dict.fromkeys(row.name for row in sorted(rows, key=lambda row: row.control)))

    @property
    def memories(self) -> int:
        return len({row.name for table in self.tables for row in table.rows if not row.control})

    @property
    def readers(self) -> str:
        return ", ".join(dict.fromkeys(f"`{table.config['choices']['reader']}`" for table in self.tables))

    @property
    def family(self) -> int:
        """Return how many comparisons the report makes."""
        rows = [row for table in self.tables for row in table.answers]
        return sum(isinstance(row.figures["against"], Difference) for row in rows)

    def tasks(self) -> str:
        heads = ("task", "questions", "episodes", "something to find", "in the event's wording", "reworded")
        rows = [
            [
                *(title, table.questions, table.episodes, table.findable),
                *([table.event, table.reworded] if _is_worded(table) else ["not told apart"] * 2),
                table.questions - table.findable,
                _answered_by(table),
            ]
            for title, table in self.sections()
        ]
        return grid([*heads, "nothing to find", "answered by"], rows)

    def sections(self) -> Iterator[tuple[str, Table]]:
        """Yield the tables in which anything was measured, with their titles."""
        yield from ((title, table) for title, table in zip(self.titles, self.tables, strict=True) if table.questions)

    def answered(self) -> list[tuple[str, Table]]:
        """Return the sections in which anything was answered."""
        return [(title, table) for title, table in self.sections() if table.answered]

    @property
    def controls(self) -> list[str]:
        """Return the controls, as they are called."""
        return list(dict.fromkeys(row.name for table in self.tables for row in table.rows if row.control))

    @property
    def private(self) -> dict[str, str]:
        """Return task -> why its records are not published."""
        return {str(t.config["choices"]["task"]): t.private for t in self.tables if t.private is not None}

    def headline(self) -> str:
        """Return memories by tasks: the mean over the hard kinds, the best in bold, its ties called so."""
        return self._matrix(lambda table, row: (row.headline[0], row.headline_against, table.best_headline))

    def matrix(self) -> str:
        """Return memories by tasks: exact match, the best in bold, its ties called so."""
        return self._matrix(lambda table, row: (row.figures["score"], row.figures["against"], table.best))

    @property
    def has_headline(self) -> bool:
        return any(table.hard for _, table in self.answered())

    def hard(self) -> list[str]:
        """Return what the headline of each task is the mean of, and what stands apart from it."""
        return [
            f"{title}: {', '.join(table.hard)}"
            + "".join(f"; {kind} stands apart ({what})" for kind, what in table.apart.items())
            for title, table in self.answered()
            if table.hard
        ]

    def lengths(self) -> dict[str, str]:
        """Return task -> memories by lengths, of the tasks that were measured at several: score and effective length.

        That is the longest up to which a memory keeps 85 % of its score at the shortest.
        """
        return self._along(LENGTH, "effective length, tokens", _effective, unit="count")

    def budgets(self) -> dict[str, str]:
        """Return task -> memories by budgets, of the tasks that were measured within several: score and its area."""
        return self._along(BUDGET, "area", budget_area)

    def _along(self, key: str, heading: str, said: Said, *, unit: str = "") -> dict[str, str]:
        """Return task -> memories by the option `key`, and what their whole curves say."""
        groups = along(self.tables, key)
        return {str(g[0].config["choices"]["task"]): self._curve(g, key, heading, said, unit=unit) for g in groups}

    def _curve(self, group: Sequence[Table], key: str, heading: str, said: Said, *, unit: str) -> str:
        rows = []
        for name in dict.fromkeys(row.name for table in group for row in table.answers):
            found = {at(t, key): row.figures["score"] for t in group for row in t.answers if row.name == name}
            means = {place: score.mean for place, score in found.items() if isinstance(score, Interval)}
            shown = [self.notes.show(found.get(at(table, key), Null(NO_PART))) for table in group]
            end = said(means) if len(means) == len(group) else Null("a place of the curve has no score")
            rows.append([self._name_of(name), *shown, self.notes.show(end, unit=unit)])
        return grid(["memory", *(f"{at(table, key):,}" for table in group), heading], rows)

    def answers(self, table: Table) -> str:
        wanted = {name: key for name, key in ANSWERS.items() if name not in _left_out(table)}
        wanted = {name.replace("the best", table.best or "the best"): key for name, key in wanted.items()}
        return self._figures(table.answers, wanted)

    def answers_by_kind(self, table: Table) -> str:
        return self._by_kind(table, table.answers, place=0)

    def retrieval(self, table: Table) -> str:
        return self._figures(_bringing(table), {name: key for name, key in RETRIEVAL.items() if _stands(table, name)})

    def retrieval_by_kind(self, table: Table) -> str:
        return self._by_kind(table, _bringing(table), place=1)

    def ranked_by_kind(self, table: Table) -> dict[str, str]:
        """Return measure -> memories by kinds, of how early evidence was ranked; nothing where answers stand."""
        rows = [row for row in _bringing(table) if row.ranked]
        heads = ["memory", *(["hard kinds"] if table.hard else [])]
        heads += [f"{kind} ({count})" for kind, count in table.kinds.items()]
        return {
            name: grid(heads, [[named(row), *map(self.notes.show, row.ranked[name].values())] for row in rows])
            for name in (rows[0].ranked if rows else ())
        }

    def silent(self, table: Table) -> list[str]:
        """Return what was measured and has no retrieval figures."""
        return [named(row) for row in table.answers if row.reason is None and not row.brings]

    def costs(self, table: Table) -> str:
        wanted = COSTS | (CARRIED if is_carried(table) else {})
        rows = [
            [alone(row), row.budget_tokens or "window", *self._shown(row, wanted)]
            for row in table.rows
            if row.reason is None
        ]
        return grid(["memory", "budget, tokens", *wanted], rows)

    def asked(self, table: Table) -> str:
        """Return how many questions share what was spent on an episode."""
        return f"{table.questions / max(1, table.episodes):.3g}"

    def missing(self) -> dict[str, list[str]]:
        """Return reason -> the cells that were not measured for it."""
        found: dict[str, list[str]] = {}
        for title, table in zip(self.titles, self.tables, strict=True):
            for row in table.rows:
                if row.reason is not None:
                    found.setdefault(row.reason, []).append(f"{alone(row)} on {title}")
        return found

    def texts(self) -> dict[str, str]:
        """Return what each memory and control says it is."""
        rows = [row for table in self.tables for row in table.rows]
        return {alone(row): row.text for row in sorted(rows, key=lambda row: row.control)}

    def _name_of(self, name: str) -> str:
        return next(named(row) for table in self.tables for row in table.answers if row.name == name)

    def _matrix(self, chosen: Callable[[Table, Row], tuple[Figure, Figure, str | None]]) -> str:
        """Return memories by tasks; `chosen` takes from a row its figure, its distance from the best, and the best."""
        pairs = zip(self.titles, self.tables, strict=True)
        silent = [table for _, table in self.sections() if not table.answered]
        titles, tables = zip(*((title, table) for title, table in pairs if table not in silent), strict=True)
        rows = [[self._name_of(name), *(self._cell(table, name, chosen) for table in tables)] for name in self.names]
        return grid(["memory", *titles], rows)

    def _cell(self, table: Table, name: str, chosen: Callable[[Table, Row], tuple[Figure, Figure, str | None]]) -> str:
        row = next((row for row in table.answers if row.name == name), None)
        if row is None:
            return self.notes.show(Null(NO_PART))
        figure, against, best = chosen(table, row)
        shown = self.notes.show(figure)
        if row.name == best:
            return f"**{shown}**"
        return f"{shown}, tie" if isinstance(against, Difference) and against.tie else shown

    def _by_kind(self, table: Table, rows: Iterable[Row], *, place: int) -> str:
        # one kind that has nothing to find is the column of that name already
        nothing = table.nothing if place == 0 and len(table.nothing) > 1 else {}
        heads = [f"{kind} ({count})" for kind, count in table.kinds.items()]
        heads += [f"{kind} ({count}), nothing to find" for kind, count in nothing.items()]
        shown = [
            [
                named(row),
                *map(
                    self.notes.show,
                    [
                        *([row.headline[place]] if table.hard else []),
                        *(row.kinds[kind][place] for kind in table.kinds),
                        *(row.nothing[kind] for kind in nothing),
                    ],
                ),
            ]
            for row in rows
            if row.reason is None
        ]
        if place == 0:
            shown += [self._ceiling(table, shares, len(nothing)) for shares in table.ceilings.values()]
        return grid(["memory", *(["hard kinds"] if table.hard else []), *heads], shown)

    def _ceiling(self, table: Table, shares: Mapping[str, float], empty: int) -> list[str]:
        hard = [fmean(shares[kind] for kind in table.hard)] if table.hard else []
        means = [self.notes.show(share) for share in (*hard, *(shares[kind] for kind in table.kinds))]
        return [
            "*ceiling*",
            *means,
            *(self.notes.show(Null("a ceiling is of what there is to find")) for _ in range(empty)),
        ]

    def _figures(self, rows: Iterable[Row], wanted: Mapping[str, tuple[str, str]]) -> str:
        shown = [[named(row), *self._shown(row, wanted)] for row in rows if row.reason is None]
        return grid(["memory", *wanted], shown)

    def _shown(self, row: Row, wanted: Mapping[str, tuple[str, str]]) -> list[str]:
        return [self.notes.show(row.figures[key], unit=unit) for key, unit in wanted.values()]


def along(tables: Sequence[Table], key: str) -> list[list[Table]]:
    """Return the tables that differ in the option `key` alone, a whole number, in its order: two at least a group."""
    groups: dict[str, list[Table]] = {}
    for table in tables:
        options = _flat(table.config)
        if table.questions and options.get(key) is not None:
            fixed = {
                name: value
                for name, value in options.items()
                if name != key and name.rpartition(".")[2] not in MOVES and name.partition(".")[0] not in MOVES
            }
            groups.setdefault(str(sorted(fixed.items())), []).append(table)
    several = [sorted(group, key=lambda table: at(table, key)) for group in groups.values()]
    return [group for group in several if len(group) > 1]


def at(table: Table, key: str) -> int:
    """Return where on a curve over the option `key` a table stands."""
    return int(_flat(table.config)[key])


def _effective(scores: Mapping[int, float]) -> Figure:
    found = effective_length(scores)
    return Null("nothing is right at the shortest length") if found is None else float(found)


def titles(configs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what tells tables apart, given the options of each: the task, and where those of one task differ.

    That is the first option which alone tells them apart, or else all that do.
    """
    options = [_flat({key: value for key, value in config.items() if key not in MOVES}) for config in configs]
    return [", ".join([own["choices.task"], *_apart(own, options)]) for own in options]


def _apart(own: Mapping[str, Any], options: Sequence[Mapping[str, Any]]) -> list[str]:
    same_task = [other for other in options if other["choices.task"] == own["choices.task"]]
    keys = [key for key in own if key.rpartition(".")[2] not in MOVES and len({str(o.get(key)) for o in same_task}) > 1]
    # what follows from another option (the kinds of a set) need not be said
    keys = next(([key] for key in keys if len({str(o.get(key)) for o in same_task}) == len(same_task)), keys)
    return [f"{key.rpartition('.')[2]} {own[key]}" for key in keys]


def _flat(options: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in options.items():
        found |= _flat(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return found


def _left_out(table: Table) -> set[str]:
    """Return the columns that the task has nothing for."""
    measured = [row for row in table.rows if row.reason is None]
    empty = set() if _is_worded(table) else {"in the event's wording", "reworded"}
    if all(isinstance(row.figures["begins"], Null) for row in measured):
        empty.add("begins with the value")
    return empty if table.questions > table.findable else empty | {"nothing to find"}


def is_carried(table: Table) -> bool:
    """Whether the conversation of a task is carried along, with ids in its texts that can lose what defines them."""
    return any(not isinstance(row.figures["dangling"], Null) for row in table.rows)


def _stands(table: Table, column: str) -> bool:
    figures = (row.figures[RETRIEVAL[column][0]] for row in _bringing(table))
    return column not in SOMETIMES or any(not isinstance(figure, Null) for figure in figures)


def _answered_by(table: Table) -> str:
    if not table.answered:
        return "nobody: retrieval alone"
    return "completing" if table.chance is None else f"choosing, chance {table.chance:.2f}"


def _is_worded(table: Table) -> bool:
    return table.event + table.reworded > 0


def _bringing(table: Table) -> list[Row]:
    return [row for row in table.answers if row.brings]

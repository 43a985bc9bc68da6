"""The page of several tables: twins, ties of one family, retrieval apart from answers, and what was not measured."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra.core.config_store import ConfigStore

from memory_bench.__main__ import main
from memory_bench.metrics import RETRIEVAL_BUDGETS
from memory_bench.reporting import cells, markdown
from memory_bench.reporting.cells import Measured
from memory_bench.reporting.comparison import titles
from memory_bench.reporting.figures import Figure, Null
from memory_bench.reporting.table import Table, tables
from memory_bench.statistics import Difference, Interval, holm, mcnemar
from tests import stubs
from tests.measured import CONTROLS, NOTHING, measured

STRONG, WEAK = "1111 1101 " * 5, "0001 1001 " * 5
ONE_TASK = [measured("a", STRONG), measured("b", WEAK), *CONTROLS]


def both(*of: Measured) -> list[Measured]:
    """Return these cells on two tasks, t and u."""
    again = [replace(cell, config={**cell.config, "choices": {**cell.config["choices"], "task": "u"}}) for cell in of]
    return [*of, *again]


def below(page: str, title: str) -> str:
    """Return the table below a title."""
    return page.partition(title)[2].partition("\n\n")[2].partition("\n\n")[0]


def row(table: str, name: str) -> list[str]:
    """Return the fields of a table's row."""
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {name} |")]
    return [field.strip() for field in line.strip("|").split("|")]


def figures(table: Table, name: str) -> dict[str, Figure]:
    return dict(next(row.figures for row in table.rows if row.name == name))


def test_several_tasks_become_a_matrix_with_the_best_in_bold_and_its_ties_called_ties() -> None:
    near = measured("near", "1111 1101 " * 4 + "1111 1011 ")
    page = markdown.render(both(measured("a", STRONG), near, measured("b", WEAK), *CONTROLS), experiment="x")
    matrix = page.partition("### Answers")[2].partition("**t**")[0]
    assert "| memory | t | u |" in matrix
    assert [field[:9] + field[-3:] for field in row(matrix, "`a`")[1:]] == ["**0.83 [0]**"] * 2
    assert [field.endswith(", tie") for field in row(matrix, "`near`")[1:]] == [True, True]
    assert [field.endswith("]") for field in row(matrix, "`b`")[1:]] == [True, True]
    assert row(matrix, "*oracle*")[1:] == row(matrix, "*oracle*")[1:2] * 2


def test_memories_that_returned_the_same_are_one_row_of_answers_and_have_costs_of_their_own() -> None:
    engines = [measured(name, STRONG, returned="same", text=f"Vectors: {name}") for name in ("flat", "graph")]
    page = markdown.render(both(*engines, measured("b", WEAK, returned="other"), *CONTROLS), experiment="x")
    together = "vectors: `flat`, `graph`"
    for title in ("**t**: answers", "**u**: answers", "**t**: retrieval"):
        assert row(below(page, title), together)
    costs = below(page, "**t**: costs")
    assert row(costs, "`flat`")[2:] == row(costs, "`graph`")[2:]
    assert together not in costs


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (measured("graph", STRONG, returned="else"), "it returned something else"),
        (measured("graph", STRONG, returned="same", columns={"answer": ["4411", "4412", "4411", "4411"]}), "answers"),
        (measured("graph", STRONG, returned=None), "nothing is known of what it returned"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_memories_that_something_tells_apart_keep_their_rows(other: Measured, why: str) -> None:
    del why
    (table,) = tables([measured("flat", STRONG, returned="same"), other, measured("b", WEAK), *CONTROLS])
    assert [row.name for row in table.answers] == ["flat", "graph", "b", "closed_book", "oracle"]


def test_memories_are_twins_only_where_they_are_the_same_in_every_task() -> None:
    flat, graph = (both(measured(name, STRONG, returned="same")) for name in ("flat", "graph"))
    assert [len(table.answers) for table in tables([*flat, *graph])] == [1, 1]
    graph[1] = replace(graph[1], returned="else")
    assert [len(table.answers) for table in tables([*flat, *graph])] == [2, 2]


def test_to_be_missing_alike_makes_no_twins() -> None:
    broken = [replace(measured(name, STRONG), questions=pd.DataFrame(), reason="not run") for name in ("m", "n")]
    (table,) = tables([*broken, measured("a", STRONG)])
    assert [row.name for row in table.answers] == ["m", "n", "a"]


def test_all_comparisons_of_a_report_are_one_family_and_twins_count_once() -> None:
    twin = measured("twin", WEAK, returned="same")
    first, second = tables(both(measured("a", STRONG), measured("b", WEAK, returned="same"), twin, *CONTROLS))
    assert first.confidence == second.confidence == pytest.approx(1 - 0.05 / 2)
    ours, theirs = ([float(mark) for mark in marks.replace(" ", "")] for marks in (WEAK, STRONG))
    findable = [place for place in range(len(ours)) if place % 4 != 3]
    raw = mcnemar([ours[place] for place in findable], [theirs[place] for place in findable])
    assert figures(first, "b")["p"] == pytest.approx(holm([raw, raw])[0])
    assert figures(first, "b")["p"] == pytest.approx(2 * raw)
    against = figures(first, "b")["against"]
    assert isinstance(against, Difference)
    assert not against.tie
    page = markdown.render(both(measured("a", STRONG), measured("b", WEAK), *CONTROLS), experiment="x")
    assert "The 2 comparisons of this report are one family" in page
    assert "each at 97.50 %" in page


def test_what_so_many_questions_would_show_stands_beside_the_difference() -> None:
    (table,) = tables([measured("a", "1111 0101 1011 0001 " * 3), measured("b", "1001 0001 0011 0101 " * 3)])
    detectable = figures(table, "b")["detectable"]
    assert isinstance(detectable, float)
    assert 0.0 < detectable < 1.0
    assert figures(table, "a")["detectable"] == Null("itself")


def test_graded_scores_have_no_mcnemar_test_and_say_so() -> None:
    graded = measured("b", WEAK, columns={"scores.exact_match": [0.5, 0.0, 0.0, 0.0]})
    (table,) = tables([measured("a", STRONG), graded])
    assert figures(table, "b")["p"] == Null("graded scores have no McNemar test")
    assert isinstance(figures(table, "b")["against"], Difference)


UNWORDED: dict[str, Sequence[Any]] = {
    "tags.wording": [None] * 4,
    "tags.answer": ["choices"] * 4,
    "tags.choices": ["4", "2", "4", "4"],
}


def test_a_task_without_wordings_has_no_such_columns_and_one_by_choices_says_what_guessing_gets() -> None:
    other = measured("a", STRONG, task="u", columns=UNWORDED)
    page = markdown.render([measured("a", STRONG), measured("b", WEAK), other], experiment="x")
    assert "| t | 40 | 10 | 30 | 20 | 10 | 10 | completing |" in page
    assert "| u | 40 | 10 | 30 | not told apart | not told apart | 10 | choosing, chance 0.33 |" in page
    heads = [page.partition(f"**{task}**: answers")[2].split("\n")[2] for task in "tu"]
    assert ["reworded" in head for head in heads] == [True, False]
    assert not any("begins" in head for head in heads)


BUDGETS = {
    f"evidence@{budget}": share for budget, share in zip(RETRIEVAL_BUDGETS, (0.2, 0.4, 0.6, 0.8, 1.0), strict=True)
}
JUDGED: dict[str, Sequence[Any]] = {
    **{f"scores.{name}": [share, share, share, None] for name, share in BUDGETS.items()},
    "scores.hit@1": [1.0, 0.0, 0.0, None],
    "scores.stale@1": [None, 1.0, None, None],
    "scores.forgotten_in_context": [None, None, None, 1.0],
    "stale": [[], ["e"], [], []],
    "forgotten": [[], [], [], ["e"]],
}


def test_retrieval_is_judged_over_the_questions_that_each_figure_can_be_asked_of() -> None:
    (table,) = tables([measured("a", STRONG, columns=JUDGED)])
    found = {name: figures(table, "a")[name] for name in ("hit", "stale", "ghosts", "evidence_256", "evidence_4096")}
    means = {name: (figure.mean, figure.n) for name, figure in found.items() if isinstance(figure, Interval)}
    assert means == {
        "hit": (pytest.approx(1 / 3), 30), "stale": (1.0, 10), "ghosts": (1.0, 10),
        "evidence_256": (pytest.approx(0.2), 30), "evidence_4096": (1.0, 30),
    }  # fmt: skip


def test_retrieval_that_cannot_be_judged_says_why() -> None:
    (table,) = tables([measured("old", STRONG), measured("inside", STRONG, columns=JUDGED, offered=0)])
    old, inside = (figures(table, name) for name in ("old", "inside"))
    assert old["evidence_256"] == Null("not judged when this was measured: run the experiment again")
    assert (old["stale"], old["ghosts"]) == (Null("the task replaces nothing"), Null("the task forgets nothing"))
    assert inside["evidence_256"] == inside["ghosts"]
    assert isinstance(inside["ghosts"], Null)


def test_evidence_and_answers_never_stand_in_one_table() -> None:
    brought = measured("a", STRONG, columns=JUDGED)
    silent = measured("inside", WEAK, offered=0)
    page = markdown.render(both(brought, silent, *CONTROLS), experiment="x")
    heads = [line for line in page.splitlines() if line.startswith("| memory |")]
    assert sum("evidence@256" in head for head in heads) == 2
    assert not [head for head in heads if "evidence" in head and "exact match" in head]
    retrieval = below(page, "**t**: retrieval")
    assert row(retrieval, "`a`")[2:5] == ["1.00 [0.69, 1.00]", "1.00 [0.69, 1.00]", "0.20 [0.14, 0.45]"]
    assert "`inside`" not in retrieval
    assert "returned no passage and do not work through the context: `inside`, *closed_book*." in page


def test_the_headline_is_a_matrix_of_its_own_with_its_own_best_and_ties() -> None:
    """All are right in two questions of three of an episode, but b answers the smoke test."""
    kinds = {"tags.kind": ["lexical", "updated", "multi", "absent"]}
    marks = {"b": "1100 " * 20, "a": "0110 " * 20, "near": "0110 " * 19 + "0100 "}
    asked = [measured(name, right, task="needle", columns=kinds) for name, right in marks.items()]
    cells = [*asked, *(measured(name, right, task="u") for name, right in marks.items())]
    found = tables(cells)
    assert [(table.best, table.best_headline) for table in found] == [("b", "a"), ("b", None)]
    page = markdown.render(cells, experiment="x")
    headline = page.partition("The headline")[2].partition("All questions together")[0]
    assert row(headline, "`a`")[1].startswith("**1.00")
    assert row(headline, "`near`")[1].endswith(", tie")
    assert row(headline, "`b`")[1].startswith("0.50")
    assert not row(headline, "`b`")[1].endswith("tie")
    assert row(headline, "`a`")[2].startswith("null")
    assert "- needle: multi, updated; lexical stands apart (smoke test)." in page
    assert "a second family of the same size" in page


def test_kinds_with_nothing_to_find_are_slices_of_their_own_where_there_are_several() -> None:
    one: dict[str, Sequence[Any]] = {"tags.kind": ["lexical", "updated", "multi", "absent"]}
    two = {
        **one,
        "gold": [["4411"], ["4411"], ["unknown"], ["unknown"]],
        "tags.kind": [*one["tags.kind"][:2], "gone", "absent"],
    }
    pages = [
        markdown.render(both(measured("a", "1110 " * 10, columns=columns)), experiment="x") for columns in (one, two)
    ]
    heads = [below(page, "**t**: exact match by kind of question").splitlines()[0] for page in pages]
    assert heads[0] == "| memory | hard kinds | lexical (10) | multi (10) | updated (10) |"
    assert heads[1].endswith(" updated (10) | absent (10), nothing to find | gone (10), nothing to find |")
    assert [field[:4] for field in row(below(pages[1], "**t**: exact match by kind"), "`a`")[-2:]] == ["0.00", "1.00"]


def test_the_ceiling_of_those_who_see_a_part_of_a_name_stands_below_the_controls() -> None:
    """entity tags how many others end alike: 3 for suffix, none for attribute."""
    tags = {"tags.kind": ["suffix", "suffix", "attribute", "forgotten"], "tags.rivals": ["3", "1", "0", "3"]}
    asked = [measured(name, right, task="entity", columns=tags) for name, right in (("a", STRONG), ("b", WEAK))]
    page = markdown.render([*asked, measured("a", STRONG)], experiment="x")
    kinds = below(page, "**entity**: exact match by kind")
    shares = (1 / 4 + 1 / 2) / 2, 1.0
    assert row(kinds, "*ceiling*")[1:] == [f"{sum(shares) / 2:.2f}", "1.00", f"{shares[0]:.2f}"]
    assert "sees no more than the last three tokens of a name; 0.58 of all questions." in page
    assert page.count("*ceiling*") == 1
    assert "0.58 is what the best predictor could get" in markdown.render(asked, experiment="x")


def test_where_nothing_was_answered_that_is_why_no_answer_begins_with_the_value() -> None:
    begins = {"scores.begins_with": [1.0, 0.0, 1.0, None]}
    cells = [measured("a", STRONG, columns=begins), measured("whole", "---- " * 10)]
    field = row(below(markdown.render(both(*cells), experiment="x"), "**t**: answers"), "`whole`")
    heads = below(markdown.render(both(*cells), experiment="x"), "**t**: answers").splitlines()[0].split(" | ")
    page = markdown.render(both(*cells), experiment="x")
    number = field[heads.index("begins with the value")].partition("<sup>")[2].partition("<")[0]
    assert f"<sup>{number}</sup> exceeds window: 30 of 30 questions" in page


def test_several_lengths_give_an_effective_length() -> None:
    marks = {1024: "1111 " * 10, 2048: "1101 " * 2 + "1111 " * 8, 4096: "1000 " * 10}
    cells = [measured("a", right, options={"length_tokens": at, "x": {"y": 1}}) for at, right in marks.items()]
    cells += [measured("none", NOTHING, offered=0, options=cell.config["task"]) for cell in cells]
    page = markdown.render(cells, experiment="x")
    table = below(page, "**t**: exact match by length")
    assert table.startswith("| memory | 1,024 | 2,048 | 4,096 | effective length, tokens |")
    assert [field[:5] for field in row(table, "`a`")[1:]] == ["1.00 ", "0.93 ", "0.33 ", "2,048"]
    assert row(table, "`none`")[-1].startswith("null")
    assert "effective length" not in markdown.render(both(*ONE_TASK), experiment="x")


def test_several_budgets_are_tables_of_their_own_and_give_the_area_under_what_was_answered() -> None:
    marks = {64: NOTHING, 128: "1111 " * 10, 256: "1111 " * 10}
    cells = [measured("a", right, budget_tokens=budget) for budget, right in marks.items()]
    cells += [measured("whole", "1111 " * 10, budget_tokens=None)]
    page = markdown.render(cells, experiment="x")
    table = below(page, "**t**: exact match by budget")
    assert table.startswith("| memory | 64 | 128 | 256 | area |")
    assert [field[:4] for field in row(table, "`a`")[1:]] == ["0.00", "1.00", "1.00", "0.75"]
    assert row(table, "`whole`")[1].startswith("1.00")
    assert row(table, "`whole`")[-1].startswith("null")
    assert [below(page, f"**t, budget_tokens {budget}**: answers")[:8] for budget in marks] == ["| memory"] * 3
    assert "by budget of the prompt" not in markdown.render(both(*ONE_TASK), experiment="x")


def test_the_area_under_evidence_against_tokens_is_the_mean_of_that_of_each_question() -> None:
    (table,) = tables([measured("a", STRONG, columns=JUDGED), measured("old", STRONG)])
    area = figures(table, "a")["area"]
    assert isinstance(area, Interval)
    assert area.mean == pytest.approx((0.2 / 2 + 0.4 + 0.6 + 0.8 + 1.0 / 2) / 4)


def test_kinds_have_columns_of_their_own_with_their_counts() -> None:
    kinds = {"tags.kind": ["updated", "lexical", "lexical", "absent"]}
    page = markdown.render(both(measured("a", "1011 " * 10, columns=kinds)), experiment="x")
    table = below(page, "**t**: exact match by kind of question")
    assert table.startswith("| memory | hard kinds | lexical (20) | updated (10) |")
    assert [field[:4] for field in row(table, "`a`")[1:]] == ["0.75", "0.50", "1.00"]


def test_a_question_costs_its_share_of_writing_its_episode() -> None:
    (table,) = tables([measured("a", STRONG), *CONTROLS])
    assert figures(table, "a")["question_seconds"] == pytest.approx(0.002 + 0.05 + 0.5 / 4)


def test_what_was_not_measured_is_listed_once_for_each_reason() -> None:
    broken = replace(measured("m", STRONG), questions=pd.DataFrame(), reason="no result: m is not installed")
    away = [replace(cell, questions=pd.DataFrame(), reason="not run: type this") for cell in both(*ONE_TASK)[4:]]
    page = markdown.render([*ONE_TASK, broken, *away], experiment="x")
    assert "- `m` on t: no result: m is not installed" in page
    assert "- `a` on u, `b` on u, *closed_book* on u, *oracle* on u: not run: type this" in page
    assert "**u**" not in page
    assert "| `m` | null <sup>" in page


def test_tables_of_one_task_are_told_apart_by_what_differs() -> None:
    short, long = (measured("a", STRONG, options={"length": n, "kinds": ["x"]}) for n in (1024, 2048))
    found = tables([short, long, measured("a", STRONG, task="u")])
    assert titles(table.config for table in found) == ["t, length 1024", "t, length 2048", "u"]


def test_an_option_that_alone_tells_tables_apart_stands_for_those_that_follow_from_it() -> None:
    sets = [measured("a", STRONG, options={"set": name, "kinds": [name], "x": 1}) for name in ("real", "made")]
    assert titles(table.config for table in tables(sets)) == ["t, set real", "t, set made"]


def test_engines_are_named_with_their_versions() -> None:
    engine = replace(measured("a", STRONG), versions={"an-engine": "1.2"})
    page = markdown.render(both(engine, measured("b", NOTHING), *CONTROLS), experiment="x")
    assert "- engines: an-engine 1.2" in page
    assert "- memory: 8 GiB" in page


def test_a_page_is_about_what_was_typed() -> None:
    page = markdown.render(both(*ONE_TASK), experiment="x", overrides=["limit=8"])
    assert "python -m memory_bench -m +experiment=x limit=8\n" in page
    assert "python -m memory_bench -m +experiment=x\n" in markdown.render(both(*ONE_TASK), experiment="x")


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to measure in, and an experiment named `seeds` of two tables."""
    stubs.register()
    node = {
        "defaults": [{"/task": "stub"}, {"override /reader": "stub"}],
        "task": {"episodes": 4},
        "cells": [
            {"memory": ["stub", "none"], "seed": [0, 1]},
            {"memory": ["none"], "control": ["closed_book", "oracle"], "seed": [0, 1]},
        ],
    }
    ConfigStore.instance().store(group="experiment", name="seeds", package="_global_", node=node)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    del ConfigStore.instance().repo["experiment"]["seeds.yaml"]


def test_an_experiment_of_two_tables_is_published_with_its_figures_and_made_again(
    experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-m", "+experiment=seeds"]) == 0
    capsys.readouterr()
    assert main(["report", "+experiment=seeds", "--publish"]) == 0
    page = capsys.readouterr().out
    assert "| memory | stub, seed 0 | stub, seed 1 |" in page
    assert (experiment / "reports/seeds.md").read_text() == page
    shown = re.findall(r"\((seeds/[^)]*)\)", page)
    assert len(shown) == 8
    assert all((experiment / "reports" / file).stat().st_size > 1000 for file in shown)
    assert main(["report", "+experiment=seeds", "--from-published"]) == 0
    assert capsys.readouterr().out == page
    again = cells.load(experiment / "results/published", "seeds")
    assert [cell.returned is None for cell in again] == [False, False, True, True, *[True] * 2, *[False] * 2]


def test_what_is_published_is_an_experiment_as_it_stands(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "+experiment=seeds", "limit=2", "--publish"]) == 2
    said = capsys.readouterr().err
    assert said == "limit=2: what is published is an experiment as it stands; leave it out, or write its own\n"
    assert not (experiment / "reports").exists()

"""The report as one file: every number leads to its cell, no text becomes markup, nothing is claimed in the noise."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from memory_bench.reporting.cells import Measured
from memory_bench.reporting.figures import Null
from memory_bench.reporting.html import explorer, fronts, ledger, page
from memory_bench.reporting.html.shown import Figures
from memory_bench.reporting.html.verdict import sentences
from memory_bench.reporting.table import tables
from tests.measured import PROVENANCE, measured
from tests.pages import ASKED, STRONG, WEAK, Taken, cells
from tests.test_reporting_comparison import both

HOSTILE = "<script>pwned=1</script>"
ATTRIBUTE = '"><img src=x onerror=pwned=1> $x_'


def taken(of: Sequence[Measured]) -> Taken:
    return Taken(page.render(of, experiment="x", reports=Path("nowhere")))


@pytest.fixture(scope="module")
def whole() -> Taken:
    return taken(cells())


def verdict(of: Sequence[Measured]) -> list[str]:
    said = sentences(page.sections(of), Figures())
    return ["".join(part if isinstance(part, str) else part.text for part in sentence) for sentence in said]


def asked(of: Sequence[Measured], *, most_bytes: int = 10**6) -> dict[str, Any]:
    return explorer.data(page.sections(of), most_bytes=most_bytes)


def test_every_figure_links_to_a_cell_of_the_page_and_every_null_to_its_reason(whole: Taken) -> None:
    ids = {element.attributes["id"] for element in whole.elements if "id" in element.attributes}
    figures = list(whole.named("td", class_="figure"))
    assert len(figures) > 200
    for figure in figures:
        (link,) = [element for element in figure.inside if element.name == "a"]
        null = "null" in figure.attributes["class"].split()
        assert link.attributes["href"].startswith("#note-" if null else "#cell-")
        assert link.attributes["href"][1:] in ids
        assert link.attributes["title"]
        assert null == (figure.attributes["data-value"] == "")
    assert any("null" in figure.attributes["class"] for figure in figures)


def test_numbers_of_the_verdict_and_points_of_the_figures_link_to_cells_too(whole: Taken) -> None:
    ids = {f"#{element.attributes['id']}" for element in whole.elements if "id" in element.attributes}
    spoken = [link for link in whole.named("a") if link.within("p", **{"class": "sentence"})]
    points = [link.attributes["xlink:href"] for link in whole.named("a") if link.within("svg")]
    assert len(spoken) == 8  # a figure of answers, of evidence, of tokens and of bytes, on two tasks
    assert set(points) | {link.attributes["href"] for link in spoken} <= ids
    assert len(set(points)) == 4


@pytest.mark.parametrize("place", [0, 3], ids=["a memory", "the oracle"])
def test_a_cell_that_is_gone_takes_its_numbers_along(whole: Taken, place: int) -> None:
    left = cells()
    gone = left.pop(place)
    other = taken(left)
    before, after = ([e for e in one.elements if gone.id in "".join(e.attributes.values())] for one in (whole, other))
    assert len(before) > 10
    assert after == []
    assert gone.id not in str(other.data)
    lifts = [[cell.text[:4] for cell in row.inside if cell.name == "td"] for row in rows(other, "answers", "t")]
    assert lifts
    if place == 3:
        assert {row[6] for row in lifts} == {"null"}


def rows(of: Taken, sheet: str, task: str) -> list[Any]:
    found = [row for row in of.named("tr", **{"data-task": task}) if row.within("div", **{"aria-label": sheet})]
    assert found
    return found


def test_the_page_is_one_file_that_asks_for_nothing(whole: Taken) -> None:
    outward = ("src", "srcset", "data", "poster", "action", "background")
    assert not any(name in element.attributes for element in whole.elements for name in outward)
    links = [value for e in whole.elements for name, value in e.attributes.items() if name.endswith("href")]
    assert all(link.startswith("#") for link in links)
    assert not list(whole.named("link"))
    (style,) = whole.named("style")
    assert "url(" not in style.text
    assert "@import" not in style.text
    (policy,) = whole.named("meta", **{"http-equiv": "Content-Security-Policy"})
    (script,) = [element for element in whole.named("script") if not element.attributes]
    digest = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    assert (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in policy.attributes["content"]
    )


def hostile() -> list[Measured]:
    passages = [({"text": HOSTILE, "event_ids": ["a"], "packed": True},)] * 4
    asked = {
        **ASKED, "query": [HOSTILE, ATTRIBUTE, "</script><script>pwned=1//", "<!--"], "cloze": [ATTRIBUTE] * 4,
        "answer": [HOSTILE] * 4, "tags.kind": [HOSTILE, ATTRIBUTE, "a", "b"], "passages": passages,
    }  # fmt: skip
    facts = {
        **PROVENANCE,
        "command": ATTRIBUTE,
        "code": {HOSTILE: ATTRIBUTE},
        "versions": {"torch": "1", HOSTILE: HOSTILE},
    }
    memory = replace(measured(HOSTILE, STRONG, task=ATTRIBUTE, text=ATTRIBUTE, columns=asked), provenance=facts)
    broken = replace(measured("m", WEAK, task=ATTRIBUTE), questions=pd.DataFrame(), reason=HOSTILE)
    return [memory, measured(ATTRIBUTE, WEAK, task=ATTRIBUTE, text=HOSTILE, columns=asked), broken]


def test_text_from_data_stays_text_wherever_it_stands() -> None:
    found = taken(hostile())
    assert found.data["asked"] == 40
    assert len(list(found.named("script"))) == 2
    assert not list(found.named("img"))
    handlers = [name for element in found.elements for name in element.attributes if name.startswith("on")]
    assert handlers == []
    assert HOSTILE in [
        head.attributes["data-value"] for head in found.named("th", scope="row") if "data-value" in head.attributes
    ]
    assert found.data["texts"][0] in (HOSTILE, ATTRIBUTE, "</script><script>pwned=1//", "<!--")
    assert f"m on {ATTRIBUTE}: {HOSTILE}" in [item.text for item in found.named("li")]
    assert any(HOSTILE in text.text for text in found.named("text"))  # the legend of the figures


def test_what_a_comparison_cannot_tell_apart_is_a_tie_and_nobody_wins() -> None:
    near = measured("near", "1111 1101 " * 4 + "1111 1011 ")
    answers, evidence, costs = verdict([measured("a", STRONG), near, measured("b", WEAK)])
    assert "on t nobody wins: “a” (0.83 [" in answers
    assert answers.endswith(") ties with “near”, and is ahead of “b”.")
    assert "on t nobody wins: “a” (1.00 [" in evidence
    assert evidence.endswith(") ties with “near” and “b”.")
    assert "of the 2 at the top on t, “a” and “near” have the fewest tokens of context (100)" in costs
    assert costs.endswith("seconds are medians of one run without an interval, so nothing is called faster.")


def test_a_memory_that_is_ahead_of_all_is_said_to_be_and_one_outside_the_budget_stands_before_it() -> None:
    window = measured("window", "1111 " * 30, budget_tokens=None)
    answers = verdict([measured("a", "1001 " * 30), measured("b", "0001 " * 30), window])[0]
    assert re.search(r"on t “a” \(0.33 \[.*\]\) is ahead of “b”, and behind “window”\.$", answers)


def test_without_anything_to_compare_nothing_is_claimed() -> None:
    answers, evidence, _ = verdict([measured("a", STRONG, offered=0)])
    assert answers.endswith(": there is nothing to compare.")
    assert evidence.endswith(": there is nothing to compare.")
    alone = verdict([measured("a", STRONG)])[0]
    assert alone.endswith(") has nothing to be compared with.")


def test_the_front_is_what_nothing_beats_in_both() -> None:
    points = [("dear", 9.0, 0.5), ("cheap", 1.0, 0.2), ("worse", 2.0, 0.1), ("best", 3.0, 0.9), ("even", 3.0, 0.9)]
    assert fronts.pareto(points) == ["cheap", "best", "even"]
    assert fronts.pareto([]) == []


def test_questions_on_which_memories_disagree_come_first_and_the_rest_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(explorer, "MOST", 3)
    told = asked([measured("a", "1110 1111", columns=ASKED), measured("b", "1100 1111", columns=ASKED)])
    assert (told["asked"], told["left"]) == (8, 5)
    assert [question["i"] for question in told["questions"]] == ["e0-q2", "e0-q0", "e0-q1"]
    first = told["questions"][0]
    assert told["texts"][first["q"]] == "Of gate 3?"
    assert [answer[2] for answer in first["a"]] == [1, 0]
    assert first["g"] == ["4411"]


def test_questions_end_where_the_file_would_grow_too_large() -> None:
    told = asked([measured("a", STRONG, columns=ASKED)], most_bytes=2_000)
    assert 0 < len(told["questions"]) < 40
    assert told["left"] == 40 - len(told["questions"])


def test_passages_stand_as_the_prompt_prints_them_and_those_left_out_do_not() -> None:
    ranked = [{"text": text, "packed": text != "no room"} for text in ("best", "no room", "last")]
    told = asked([measured("a", "1111", columns={**ASKED, "passages": [ranked] * 4})])
    assert [told["texts"][place] for place in told["questions"][0]["a"][0][6]] == ["last", "best"]
    assert told["tables"][0]["passages"]
    assert not asked([measured("a", "1111", columns=ASKED)])["tables"][0]["passages"]


def test_questions_of_a_private_task_are_not_on_the_page() -> None:
    found = taken([measured("a", STRONG, task="locomo", columns=ASKED)])
    assert found.data["questions"] == []
    assert found.data["left"] == 40
    assert any("The questions of locomo are not shown" in one.text for one in found.named("p"))


def test_what_was_not_measured_is_a_row_with_its_reason_on_hover_and_in_a_note() -> None:
    broken = replace(measured("m", STRONG), questions=pd.DataFrame(), reason="no result: m is not installed")
    first, last = both(measured("a", STRONG), broken)[::2]  # and of the task u nothing was measured
    away = replace(last, questions=pd.DataFrame(), provenance={}, reason="not run: type this")
    found = taken([first, broken, away])
    assert "a on u: not run: type this" in [item.text for item in found.named("li")]
    (row,) = [row for row in rows(found, "answers", "t") if row.attributes["data-memory"].startswith("m ")]
    links = [element for element in row.inside if element.name == "a"]
    assert {link.attributes["title"] for link in links} == {"no result: m is not installed"}
    (note,) = found.named("li", id=links[0].attributes["href"][1:])
    assert note.text == "no result: m is not installed"


def test_unlike_hardware_is_a_warning_and_like_hardware_is_none() -> None:
    first, second = measured("a", STRONG), measured("b", WEAK)
    assert ledger.warnings([first, second]) == [
        "Cells were measured with changes that are not committed: their revision does not say what ran."
    ]
    machine = {**PROVENANCE["machine"], "cpu": "another"}
    elsewhere = replace(second, provenance={**PROVENANCE, "machine": machine})
    assert ledger.warnings([first, elsewhere])[0] == (
        "CPU: a CPU, 2 cores; another, 2 cores: "
        "cells were measured on unlike hardware, and their seconds do not compare."
    )


def test_seconds_on_a_device_are_summed_over_phases_and_null_without_one() -> None:
    on_device = {
        "costs.read_gpu_seconds": [0.001] * 4, "costs.generate_gpu_seconds": [0.002] * 4,
        "episode.write_gpu_seconds": [0.004] * 4,
    }  # fmt: skip
    (table,) = tables([measured("a", STRONG, columns=on_device)])
    assert table.rows[0].figures["question_gpu_seconds"] == pytest.approx(0.001 + 0.002 + 0.004 / 4)
    sources = {"gpu_seconds": {"source": "not available", "why": "it is a CPU"}}
    without = replace(measured("a", STRONG), provenance={**PROVENANCE, "sources": sources})
    assert tables([without])[0].rows[0].figures["question_gpu_seconds"] == Null("it is a CPU")
    assert tables([measured("a", STRONG)])[0].rows[0].figures["question_gpu_seconds"] == Null(
        "not measured: costs.generate_gpu_seconds"
    )


def test_halves_of_ngram_covered_stand_open_and_first(whole: Taken) -> None:
    summaries = [one.text for one in whole.named("summary") if one.within("section", id="slices")]
    assert summaries[:2] == ["t: exact_match by ngram_covered", "t: exact_match by wording"]
    folded = [one for one in whole.named("details") if one.within("section", id="slices")]
    assert ["open" in one.attributes for one in folded] == [True, False] * 2


def test_tasks_without_answers_are_compared_by_what_was_brought() -> None:
    nobody = [measured(name, "---- " * 20, columns={**ASKED, "scores.evidence_in_context": found})
              for name, found in (("a", [1.0, 1.0, 1.0, None]), ("b", [0.0, 1.0, 0.0, None]))]  # fmt: skip
    answers, evidence, _ = verdict(both(*nobody))
    assert answers.endswith(": there is nothing to compare.")
    assert "on t “a” (1.00 [" in evidence
    assert evidence.endswith("is ahead of “b”.")
    assert {table["judged"] for table in asked(both(*nobody))["tables"]} == {"evidence in the prompt"}

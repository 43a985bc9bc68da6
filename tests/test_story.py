"""A question as a story: values of memories that were asked just now, and what a memory does not show is said so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.engram.memory import Engram
from adapters.exact import Exact
from adapters.hash_cache import HashCache
from memory_bench.__main__ import main
from memory_bench.embedders.hashing import Hashing
from memory_bench.reporting.html import story as page
from memory_bench.reporting.story import Told
from memory_bench.types import Event, Query, Trace
from tests import stubs
from tests.browser import CHROMIUM, DESKTOP, INSTALL, PHONE, browser
from tests.pages import Taken
from tests.readers import random_model, random_slot, reader
from tests.test_html_report import HOSTILE
from tests.test_records import RECORD

COSTS = {"context_tokens": 3, "read_seconds": 1e-5, "generate_seconds": None}

FACTS = [
    Event("a", "The code of gate 17 is 4411"),
    Event("b", "The code of gate 9 is 2020"),
    Event("c", "Nothing else"),
]
ASKED = Query("What is the code of gate 17?", budget_tokens=4096)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    stubs.register()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_story_walks_from_the_question_to_the_answer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed = ["+task=stub", "+memory=hash_cache,stub,none", "reader=stub", "--story", "q0", "--out", "new/story.html"]
    assert main(["report", *typed]) == 0
    file = folder / "new/story.html"
    assert capsys.readouterr().out == f"new/story.html: {file.stat().st_size:,} bytes\n"
    found = Taken(file.read_text(encoding="utf-8"))
    memories = list(found.named("section", class_="memory"))
    cache, stub, none = (" ".join(one.text.split()) for one in memories)
    assert "the code of gate" in cache
    assert "events that hold it" in cache
    assert "This memory does not show how it comes to what it brings." in stub
    assert "✓" in stub
    assert "No passage: it does not work through the prompt, or found nothing." in none
    assert "✗" in none
    (answer,) = [one.text.split()[1] for one in found.named("p", class_="said") if one.within("section", id="memory-2")]
    assert answer in [one.text.split()[-1] for one in found.named("mark")]
    assert next(iter(found.named("h1"))).text == "What is the code of gate 0?"
    assert not list(found.named("script"))
    assert all(link.attributes["href"].startswith("#") for link in found.named("a"))


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (["--story", "q9"], "--story q9: no such question; there are q0, q1, q2, ..."),
        (["--story"], "--story has no value; type --story QUESTION"),
        (["--story", "q0", "--out", "x.pdf"], "--out x.pdf: expected a file that ends in .html"),
        (["--story", "q0", "--format", "html"], "--story q0: --format does not go with it; leave it out"),
        (["--story", "q0", "--publish"], "--story q0: --publish does not go with it; leave it out"),
    ],
)
def test_a_misspelt_story_is_told_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], typed: list[str], line: str
) -> None:
    assert main(["report", "+task=stub", "+memory=none", "reader=stub", *typed]) == 2
    assert capsys.readouterr().err == f"{line}\n"
    assert list(folder.iterdir()) == []


def test_the_hash_cache_shows_runs_of_words_and_where_they_lead() -> None:
    memory = HashCache(path=None, min_order=2, max_order=5, front_entries=16, top_k=8)
    memory.write(FACTS)
    runs, events = memory.trace(ASKED, "")
    assert ("gate 17", 1) in [row[:2] for row in runs.rows]
    assert ("the code of", 2) in [row[:2] for row in runs.rows]
    assert events.rows[0][0] == FACTS[0].text
    assert memory.trace(Query("xylophone zebra"), "") == []


def test_vectors_show_the_question_and_its_neighbours() -> None:
    memory = Exact(embedder=Hashing(dimensions=64), top_k=8)
    memory.write(FACTS)
    vector, nearest = memory.trace(ASKED, "")
    assert len(vector.strip) == 64
    assert sum(number**2 for number in vector.strip) == pytest.approx(1, abs=1e-5)
    assert nearest.rows == tuple((passage.text, passage.score) for passage in memory.read(ASKED))


def test_engram_shows_rows_that_were_written_and_a_gate_that_is_half_open_where_none_was(tmp_path: Path) -> None:
    memory = Engram(steps=2, rate=0.4, recency=0.5)
    memory.attach(reader(random_model(slot=random_slot()), tmp_path))
    memory.reset()
    memory.write(FACTS)
    memory.settle()
    for layer in memory.trace(ASKED, "The code of gate"):
        assert layer.heads[-1] == "gate"
        held = [(float(length), float(gate)) for _, _, length, gate in layer.rows[1:]]
        assert all(length > 0 and 0 < gate < 1 for length, gate in held)
        assert any(abs(gate - 0.5) > 1e-4 for _, gate in held)
    memory.reset()
    for layer in memory.trace(ASKED, "The code of gate"):
        assert {row[2:] for row in layer.rows} == {(0.0, 0.5)}


def test_text_of_a_story_stays_text_and_one_that_cannot_run_says_why() -> None:
    record = replace(RECORD, query=HOSTILE, answer=HOSTILE, costs=COSTS)
    traces = [Trace(HOSTILE, (HOSTILE,), ((HOSTILE,),))]
    told = [Told(HOSTILE, HOSTILE, HOSTILE, record, traces), Told("m", "M", "", reason="absent")]
    found = Taken(page.render(told, typed=HOSTILE))
    assert not list(found.named("script"))
    assert [one.text for one in found.named("h1")] == [HOSTILE]
    assert any("It was not asked: absent" in one.text for one in found.named("p", class_="warning"))


@pytest.mark.skipif(CHROMIUM is None, reason=INSTALL)
def test_a_story_fits_a_desktop_and_a_phone(tmp_path: Path) -> None:
    strip = Trace("numbers", strip=tuple((-1) ** number / 400 for number in range(384)))
    file = tmp_path / "story.html"
    file.write_text(
        page.render([Told("m", "M", "x", replace(RECORD, costs=COSTS), [strip])], typed="x"), encoding="utf-8"
    )
    with browser() as chromium:
        for size in (DESKTOP, PHONE):
            chromium.open(file.as_uri(), size)
            assert chromium.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
            assert chromium.run("document.querySelector('.strip').offsetHeight > 20")
            assert chromium.troubles == []

"""The page in a real browser: it sorts, filters and opens questions, by keyboard too, and complains of nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memory_bench.reporting.html import page
from tests.browser import CHROMIUM, DESKTOP, INSTALL, PHONE, Browser, browser
from tests.pages import cells
from tests.test_html_report import hostile

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=INSTALL)

TABLE = "document.querySelector('[aria-label=answers] table')"
NAMES = f"[...{TABLE}.tBodies[0].rows].filter(row => !row.hidden).map(row => row.cells[0].dataset.value)"
VALUES = f"[...{TABLE}.tBodies[0].rows].map(row => row.cells[2].dataset.value)"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    file: Path = tmp_path_factory.mktemp("page") / "x.html"
    file.write_text(page.render(cells(), experiment="x", reports=Path("nowhere")), encoding="utf-8")
    return file.as_uri()


@pytest.mark.parametrize(("size", "dark"), [(DESKTOP, False), (PHONE, True)], ids=["desktop", "phone, dark"])
def test_the_page_fits_and_nothing_is_wrong(
    chromium: Browser, address: str, size: tuple[int, int], *, dark: bool
) -> None:
    chromium.open(address, size, dark=dark)
    assert chromium.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    paper, ink = (chromium.run(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    assert (sum(numbers(paper)) < sum(numbers(ink))) == dark
    tick = "getComputedStyle(document.querySelector('.fronts svg text')).fill"
    assert chromium.run(tick) == ink
    assert chromium.run("getComputedStyle(document.querySelector('nav')).display") != "none"
    assert chromium.troubles == []


def fill(chromium: Browser, field: str, text: str) -> None:
    """Put a text into a field of the page, as a person does: the page hears of it."""
    found = f"document.getElementById('{field}')"
    chromium.run(f"{found}.value = '{text}'; {found}.dispatchEvent(new Event('input', {{bubbles: true}}))")


def numbers(colour: str) -> list[int]:
    return [int(part) for part in colour.strip("rgb()").split(",")]


def test_a_column_is_sorted_by_keyboard_and_nulls_come_last(chromium: Browser, address: str) -> None:
    chromium.open(address, DESKTOP)
    head = f"{TABLE}.tHead.rows[0].cells[2]"
    chromium.run(f"{head}.querySelector('button').focus()")
    for order in ("descending", "ascending"):
        chromium.press("Enter")
        assert chromium.run(f"{head}.getAttribute('aria-sort')") == order
        values = [float(value) for value in chromium.run(VALUES)]
        assert values == sorted(values, reverse=order == "descending")
        assert len(set(values)) > 2
    lift = f"[...{TABLE}.tBodies[0].rows].map(row => row.cells[7].dataset.value)"
    chromium.run(f"{TABLE}.tHead.rows[0].cells[7].querySelector('button').click()")
    assert "" in chromium.run(lift)
    found = [value == "" for value in chromium.run(lift)]
    assert found == sorted(found)
    assert chromium.troubles == []


def test_tables_are_filtered_by_task_and_memory(chromium: Browser, address: str) -> None:
    chromium.open(address, DESKTOP)
    assert len(chromium.run(NAMES)) == 8
    fill(chromium, "filter-task", "t")
    assert chromium.run(NAMES) == ["strong", "weak", "closed_book", "oracle"]
    fill(chromium, "filter-memory", "EA")
    assert chromium.run(NAMES) == ["weak"]
    assert chromium.troubles == []


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_questions_are_filtered_by_who_was_right_and_opened(
    chromium: Browser, address: str, size: tuple[int, int]
) -> None:
    chromium.open(address, size)
    asked = "document.querySelectorAll('#list > details').length"
    assert chromium.run("document.getElementById('told').textContent").startswith("80 of 80 questions")
    assert chromium.run(asked) == 50
    chromium.run("document.getElementById('more').click()")
    assert chromium.run(asked) == 80
    for field, name in (("right", "weak"), ("wrong", "strong")):
        fill(chromium, f"ask-{field}", name)
    # in every other episode: the last question, of STRONG 1101 and WEAK 1001, is right in both; none is left
    assert chromium.run("document.getElementById('count').textContent") == "0 questions"
    for field, name in (("right", "strong"), ("wrong", "weak")):
        fill(chromium, f"ask-{field}", name)
    assert chromium.run("document.getElementById('count').textContent") == "40 questions"
    chromium.run("document.querySelector('#list summary').focus()")
    chromium.press("Enter")
    chromium.run("new Promise(done => setTimeout(done, 50))")
    rows = chromium.run("[...document.querySelectorAll('#list details[open] tbody tr')].map(r => r.innerText)")
    assert len(rows) == 4
    assert rows[0].split()[:2] == ["strong", "4411"]
    assert chromium.run("document.querySelector('#list td.right') !== null")
    read = "document.querySelector('#list details[open] tbody tr:last-child td:nth-child(5) a')"
    assert chromium.run(f"[{read}.textContent, {read}.title]") == ["null", "the memory is not asked"]
    assert chromium.troubles == []


def test_what_is_hostile_does_nothing(chromium: Browser, tmp_path: Path) -> None:
    file = tmp_path / "hostile.html"
    file.write_text(page.render(hostile(), experiment="x", reports=Path("nowhere")), encoding="utf-8")
    chromium.open(file.as_uri(), DESKTOP)
    chromium.run("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    chromium.run("new Promise(done => setTimeout(done, 50))")
    shown = chromium.run("document.getElementById('list').innerText")
    assert "<script>pwned=1</script>" in shown
    assert "put 1 passage into the prompt" in shown
    assert chromium.run("typeof pwned") == "undefined"
    assert chromium.run("document.images.length") == 0
    assert chromium.troubles == []


def test_the_console_of_a_page_that_fails_is_seen(chromium: Browser, tmp_path: Path) -> None:
    file = tmp_path / "broken.html"
    file.write_text("<script>console.error('here'); nothing()</script>")
    chromium.open(file.as_uri(), DESKTOP)
    assert len(chromium.troubles) == 2

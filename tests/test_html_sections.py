"""What stands on the page of HTML beside the tables: maps of depths, and pages that commands of their own write."""

from __future__ import annotations

from pathlib import Path

from memory_bench.reporting.html import beside, page
from tests.measured import measured
from tests.pages import ASKED, STRONG, WEAK, Taken
from tests.test_html_report import HOSTILE

DEEP = {**ASKED, "tags.depth": ["0.0", "0.5", "1.0", "1.0"]}


def test_depths_stand_by_length_with_a_colour_and_link_to_the_cell_of_that_length() -> None:
    short, long = (
        [measured("a", right, columns=DEEP, options={"length_tokens": length})]
        for right, length in ((STRONG, 1024), (WEAK, 2048))
    )
    found = Taken(page.render([*short, *long], experiment="x", reports=Path("nowhere")))
    lines = [row for row in found.named("tr") if row.within("div", **{"aria-label": "t by length and depth"})][1:]
    assert [[one.text.strip() for one in row.inside if one.name in ("th", "td")] for row in lines] == [
        ["a", "1,024", "1.00", "1.00", "0.50"],
        ["a", "2,048", "0.50", "0.00", "0.00"],
    ]
    (first, last) = ([one for one in row.inside if one.name == "td"][-1] for row in lines)
    assert (first.attributes["style"], last.attributes["style"]) == ("--heat: 50%", "--heat: 0%")
    assert [[one.attributes["href"] for one in row.inside if one.name == "a"] for row in lines] == [
        [f"#cell-{cell.id}"] * 3 for cell in (*short, *long)
    ]


def test_without_depths_the_page_says_what_to_type() -> None:
    found = Taken(page.render([measured("a", STRONG)], experiment="x", reports=Path("nowhere")))
    (said,) = [one.text for one in found.named("p") if one.within("section", id="depths")]
    assert said.endswith("python -m memory_bench -m +experiment=lengths")


def test_a_page_beside_shows_its_figures_or_else_its_tables_and_one_that_is_missing_its_command(tmp_path: Path) -> None:
    (tmp_path / "engines").mkdir()
    drawn = (
        '<?xml version="1.0"?>\n<svg viewBox="0 0 9 9"><metadata>gone</metadata><g id="gone"><text>7</text></g></svg>'
    )
    (tmp_path / "engines/latency.svg").write_text(drawn)
    (tmp_path / "engines.md").write_text(
        "# Engines\n\nWhat *was* told.\n\n| arm | ms |\n| :-- | --: |\n| `x` | 1 |\n\n![Recall](engines/latency.png)\n"
    )
    (tmp_path / "durability.md").write_text(f"# {HOSTILE}\n\nKills.\n\n| memory | lost |\n| :-- | --: |\n| `x` | 0 |\n")
    found = {one.page.stem: one for one in beside.pages(tmp_path)}
    assert found["engines"].figures == [("Recall", '<svg viewBox="0 0 9 9"><g><text>7</text></g></svg>')]
    assert (found["engines"].title, found["engines"].said, found["engines"].grids) == ("Engines", "What was told.", ())
    assert found["durability"].grids == [[["memory", "lost"], ["x", "0"]]]
    shown = Taken(page.render([measured("a", STRONG)], experiment="x", reports=tmp_path))
    texts = [one.text for one in shown.named("p") if one.within("section", id="beside")]
    assert any(text.startswith("Not measured here:") and found["engram"].command in text for text in texts)
    assert len(list(shown.named("script"))) == 2
    assert [one.text.strip() for one in shown.named("td") if one.within("section", id="beside")] == ["0"]


def test_the_pages_beside_that_are_committed_are_found() -> None:
    found = {one.page.stem: one for one in beside.pages(Path(__file__).parents[1] / "reports")}
    assert found["durability"].grids
    assert all(found[name].figures for name in ("engines", "engram"))

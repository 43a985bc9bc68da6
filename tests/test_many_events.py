"""What memories of many events take is measured in processes of their own, and said where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import many_events
from memory_bench import plans
from memory_bench.provenance import ROOT


def test_a_memory_is_told_and_asked_in_a_process_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "rows.jsonl"
    arguments = ["bm25", "nothing_like_it", "none", "--events", "2040", "--out", str(out)]
    assert many_events.main(arguments) == 0
    found, unknown, silent = plans.read(out)
    assert found["events"] == 2040
    assert found["found"] == found["asked"] == 20
    assert found["size_bytes"] > 2040 * 20
    assert found["peak_rss_bytes"] > found["reader_rss_bytes"] > 0
    assert "nothing_like_it" in unknown["why"]
    assert silent["found"] is None
    shown = capsys.readouterr().out
    assert "20/20 found" in shown
    assert "null: " in shown
    assert "--/20 found" in shown
    assert many_events.main(arguments) == 0  # nothing is measured twice
    assert plans.read(out) == [found, unknown, silent]


def test_what_takes_too_long_is_null(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    assert many_events.main(["bm25", "--seconds", "0.2", "--out", str(out)]) == 0
    (row,) = plans.read(out)
    assert row["why"] == "not done after 0.2 s"


def test_too_few_events_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert many_events.main(["bm25", "--events", "3"]) == 2
    assert capsys.readouterr().err == "--events 3: expected 20 or more, since so many are asked for\n"


def test_events_are_as_many_as_are_asked_for_and_differ() -> None:
    told = [event for batch in many_events.events(2_500) for event in batch]
    assert len({event.id for event in told}) == len({event.text for event in told}) == 2_500


def test_the_page_says_what_is_null_and_why() -> None:
    row = {"events": 100, "at": "2026-01-02T00", **plans.where(["numpy"])}
    taken = {
        "write_seconds": 1.25, "settle_seconds": 0.0001, "read_ms": 0.5, "asked": 20, "found": 19,
        "size_bytes": 2**21, "reader_rss_bytes": 2**30, "peak_rss_bytes": 2**31,
    }  # fmt: skip
    page = many_events.render([
        {**row, "key": {"memory": "one"}, **taken}, {**row, "key": {"memory": "two"}, "why": "not done after 9 s"},
        {**row, "key": {"memory": "three"}, **taken, "found": None},
    ])  # fmt: skip
    assert "| `one` | 1.2 | < 0.001 | 0.500 | 0.95 | 2.0 | 1.0 |" in page
    assert "| `two` | null <sup>1</sup> |" in page
    assert "| `three` | 1.2 | < 0.001 | 0.500 | null <sup>2</sup> | 2.0 | 1.0 |" in page
    assert "<sup>1</sup> not done after 9 s" in page


def test_the_page_in_the_repository_is_the_one_that_its_rows_make() -> None:
    rows = plans.read(ROOT / many_events.PUBLISHED)
    assert (ROOT / many_events.PAGE).read_text(encoding="utf-8") == many_events.render(rows)


def test_nothing_is_published_of_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert many_events.main(["--publish", "--out", str(tmp_path / "none.jsonl")]) == 2
    assert "no rows there; measure some first" in capsys.readouterr().err

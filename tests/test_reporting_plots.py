"""Figures: what can be drawn is drawn, the same numbers give the same file, and no library means one clear line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from memory_bench import drawing
from memory_bench.errors import Unavailable
from memory_bench.reporting import plots
from memory_bench.reporting.cells import Measured
from memory_bench.reporting.table import Table, tables
from tests.measured import CONTROLS, NOTHING, measured
from tests.test_reporting_comparison import JUDGED, STRONG, WEAK, both

DEPTHS: dict[str, Sequence[str]] = {"tags.depth": ["0.00", "0.50", "1.00", "none"]}


def drawable() -> list[Table]:
    twins = [measured(name, STRONG, returned="same", columns=JUDGED) for name in ("flat", "graph")]
    return tables(both(*twins, measured("none", NOTHING, offered=0), *CONTROLS))


def texts(svg: Path) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text(encoding="utf-8"))


def test_every_figure_is_a_png_and_an_svg_with_the_names_of_what_it_shows(tmp_path: Path) -> None:
    found = drawable()
    assert list(plots.drawn(found)) == ["tokens", "seconds", "bytes", "evidence"]
    paths = plots.draw(found, tmp_path / "x")
    assert [path.name for path in paths] == [f"{name}.{form}" for name in plots.drawn(found) for form in ("png", "svg")]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths if path.suffix == ".png")
    seconds = texts(tmp_path / "x/seconds.svg")
    assert {"t", "u", "flat", "graph", "none", "oracle", "closed_book", "seconds a question in all"} <= set(seconds)
    assert "flat, graph" in texts(tmp_path / "x/tokens.svg")  # they share their answers, and what was in the prompt
    assert "none" not in texts(tmp_path / "x/evidence.svg")  # it brings none
    assert {"256", "4,096"} <= set(texts(tmp_path / "x/evidence.svg"))


def test_the_same_numbers_give_the_same_files(tmp_path: Path) -> None:
    first, second = (plots.draw(drawable(), tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    other = plots.draw(tables(both(measured("flat", WEAK, columns=JUDGED), *CONTROLS)), tmp_path / "c")
    assert first[0].read_bytes() != other[0].read_bytes()


def lengths(*right: str) -> list[Measured]:
    """Return a memory at as many lengths, with depths."""
    return [
        measured("a", marks, columns=DEPTHS, options={"length_tokens": 1024 * 2**number})
        for number, marks in enumerate(right)
    ]


def test_several_lengths_make_a_heat_map_of_length_and_depth(tmp_path: Path) -> None:
    found = tables(lengths("1101 " * 4, "1001 " * 4))
    assert "depth" in plots.drawn(found)
    plots.draw(found, tmp_path)
    assert {"t, a", "1,024", "2,048", "0.00", "0.50", "1.00"} <= set(texts(tmp_path / "depth.svg"))
    assert [table.rows[0].depths for table in found] == [
        {"0.00": 1.0, "0.50": 1.0, "1.00": 0.0},
        {"0.00": 1.0, "0.50": 0.0, "1.00": 0.0},
    ]


def test_a_single_length_makes_none() -> None:
    assert "depth" not in plots.drawn(tables(lengths("1101 " * 4)))


def test_a_depth_that_was_not_answered_is_left_empty(tmp_path: Path) -> None:
    found = tables(lengths("1101 " * 4, "-101 " * 4))
    assert found[1].rows[0].depths == {"0.50": 1.0, "1.00": 0.0}
    plots.draw(found, tmp_path)
    assert (tmp_path / "depth.png").stat().st_size > 1000


def test_a_memory_without_a_score_is_no_point_and_the_others_are() -> None:
    beyond = measured("window", "11-1 1111", budget_tokens=None)
    assert "tokens" not in plots.drawn(tables([beyond]))
    assert "tokens" in plots.drawn(tables([beyond, measured("a", "1111 1111")]))


def test_without_the_library_a_line_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "LIBRARY", "no-such-library>=1")
    with pytest.raises(Unavailable, match="cannot be drawn here: no-such-library is not installed: pip install"):
        plots.draw(drawable(), tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ([240.0, 241.0, 239.0], [0.0, 1.0, -1.0]),
        ([1.0, 2.0, 4.0], [0.0, 0.0, 0.0]),
        ([0.0, 0.0, 50.0], [-0.5, 0.5, 0.0]),
        ([], []),
    ],
)
def test_points_that_would_hide_each_other_stand_side_by_side(values: list[float], places: list[float]) -> None:
    assert plots._places(values) == places

"""The capacity curve: its formula on cases that are exact, its facts, its limits, and real memories."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from adapters.bm25 import BM25
from adapters.none import NoMemory
from memory_bench.errors import BadInput
from memory_bench.provenance import ROOT
from memory_bench.task_tokens import BUNDLED_TOKENIZER, read_tokenizer
from memory_bench.types import Event, Passage, Query
from tasks.entity.capacity import figure, page
from tasks.entity.capacity.__main__ import main
from tasks.entity.capacity.curve import (
    curve,
    drawn_facts,
    first_says,
    hopeless,
    measure,
    references,
    sizes,
    sqlite_bytes,
)
from tasks.entity.capacity.points import (
    REFERENCES,
    SILENT,
    TIME,
    Point,
    PointFile,
    read_rows,
    recovered_bits,
    table,
    within,
)
from tasks.entity.sets import unicode_set
from tasks.entity.synthetic import BADGES

PER_FACT = math.log2(len(BADGES))
NO_FILE = PointFile(None, life={}, seconds=60)


def bm25() -> BM25:
    return BM25(k1=1.5, b=0.75, stemmer="english", split_identifiers=True, top_k=64)


@pytest.mark.parametrize(
    ("right", "asked", "values", "facts", "bits"),
    [
        (4, 4, 2, 4, 4.0),  # a bit each
        (2, 4, 2, 4, 0.0),  # as a coin does
        (3, 4, 2, 4, 2.0),  # half way from the coin to all
        (0, 4, 2, 4, 0.0),  # worse than the coin is nothing, not less
        (2, 4, 4, 4, 8 / 3),  # (1/2 - 1/4) / (3/4) of 4 facts of two bits
        (2, 2, 8, 64, 192.0),  # a sample stands for all
    ],
)
def test_bits_are_exact_where_they_can_be_counted(right: int, asked: int, values: int, facts: int, bits: float) -> None:
    assert recovered_bits(right, asked, values=values, facts=facts) == pytest.approx(bits, abs=1e-12)


@pytest.mark.parametrize(("right", "asked", "values"), [(2, 1, 4), (-1, 1, 4), (0, 0, 4), (1, 1, 1)])
def test_a_share_that_is_none_is_refused(right: int, asked: int, values: int) -> None:
    with pytest.raises(ValueError, match="are needed, got"):
        recovered_bits(right, asked, values=values, facts=1)


def test_facts_are_the_seeds_and_fewer_are_the_first_of_more() -> None:
    facts = drawn_facts(300, seed=0)
    assert facts[:64] == drawn_facts(64, seed=0) != drawn_facts(64, seed=1)
    assert len({name for name, _ in facts}) == 300
    assert {len(name.split()) for name, _ in facts} == {5}
    assert all(int(badge) in BADGES for _, badge in facts)
    assert sizes(64) == [64]
    assert sizes(300) == [64, 256, 300]
    assert sizes(2**20)[-2:] == [2**18, 2**20]


def test_real_names_come_first_and_drawn_ones_where_they_run_out() -> None:
    facts = [name for name, _ in drawn_facts(30_000, seed=0, names="unicode")]
    real = [name.text for name in unicode_set(read_tokenizer(BUNDLED_TOKENIZER)).names]
    assert len(set(facts)) == 30_000 > len(real) > 20_000
    assert sorted(facts[: len(real)]) == sorted(real)
    assert {len(name.split()) for name in facts[len(real) :]} == {5}
    assert [name for name, _ in drawn_facts(64, seed=0, names="unicode")] == facts[:64] != real[:64]


def test_a_memory_that_finds_everything_gives_all_bits_back() -> None:
    facts = drawn_facts(256, seed=0)
    small, large = curve("bm25", bm25(), facts, seconds=60, seed=0, file=NO_FILE)
    assert (small.facts, small.right, small.bits) == (64, 1.0, 64 * PER_FACT)
    assert (large.facts, large.bits) == (256, 256 * PER_FACT)
    assert large.size_bytes is not None
    assert large.size_bytes > sum(len(who) + len(badge) for who, badge in facts)
    assert large.bits_per_byte == 256 * PER_FACT / large.size_bytes


class Last:
    """Holds one fact, whatever it is told: the newest."""

    def __init__(self) -> None:
        self.held: Event | None = None

    def reset(self) -> None:
        self.held = None

    def write(self, events: Sequence[Event]) -> None:
        self.held = events[-1]

    def settle(self) -> None: ...

    def read(self, _: Query) -> list[Passage]:
        return [Passage(self.held.text, (self.held.id,))] if self.held else []

    def size_bytes(self) -> int:
        return 100


def test_a_memory_of_one_fact_gives_one_fact_back() -> None:
    point = measure("last", Last(), drawn_facts(64, seed=0), seconds=60, seed=0)  # type: ignore[arg-type]
    assert point.right == 1 / 64
    assert point.bits == pytest.approx(PER_FACT, rel=1e-4)


def test_a_memory_without_passages_has_no_number() -> None:
    point = measure("none", NoMemory(), drawn_facts(64, seed=0), seconds=60, seed=0)
    assert (point.right, point.bits, point.why) == (None, None, SILENT)


def test_what_takes_too_long_is_null_and_so_is_what_is_larger() -> None:
    points = list(curve("bm25", bm25(), drawn_facts(1024, seed=0), seconds=0, seed=0, file=NO_FILE))
    assert [(one.facts, one.bits, one.size_bytes, one.why) for one in points] == [
        (size, None, None, TIME) for size in (64, 256, 1024)
    ]
    assert "| bm25 | 64 | null (time) | null (time) |" in table(points)


class Slow(Last):
    """Its reads take a moment each, and its writes none."""

    def read(self, query: Query) -> list[Passage]:
        time.sleep(0.02)
        return super().read(query)


def test_asking_that_takes_too_long_is_null_and_what_was_written_stays_known() -> None:
    (first, second) = curve("slow", Slow(), drawn_facts(128, seed=0), seconds=0.1, seed=0, file=NO_FILE)  # type: ignore[arg-type]
    assert (first.right, first.bits, first.size_bytes) == (None, None, 100)
    assert re.fullmatch(r"time: \d of 64 were asked", first.why)
    assert (second.facts, second.why) == (128, first.why)


def test_a_size_of_which_a_part_took_too_long_is_not_begun() -> None:
    quick, slow = (Point("m", 1024, 1.0, 9.0, 10, seconds) for seconds in (2.0, 2.1))
    assert hopeless(quick, 4096, seconds=8) is hopeless(None, 4096, seconds=8) is None
    late = hopeless(slow, 4096, seconds=8)
    assert late == Point("m", 4096, why="time: 1,024 took 2 s")
    assert hopeless(late, 16384, seconds=8) == Point("m", 16384, why="time: 1,024 took 2 s")
    assert hopeless(Point("m", 1024, why=SILENT), 4096, seconds=8) is None


def test_the_right_fact_counts_only_in_the_first_passage() -> None:
    memory = bm25()
    memory.write([Event("0", "The badge of a b is 1234567."), Event("1", "The badge of a c is 7654321.")])
    memory.settle()
    assert first_says(memory, "a b", "1234567", now=2) is True
    assert first_says(memory, "a b", "7654321", now=2) is False
    assert first_says(memory, "a b", "234567", now=2) is False


def test_references_hold_everything_and_compression_holds_it_in_less() -> None:
    facts = drawn_facts(1024, seed=0)
    found = [one for one in references(facts) if one.facts == 1024]
    packed, _, stored, quoted = (one.size_bytes or 0 for one in found)
    assert quoted == math.ceil(1024 * PER_FACT)  # two bits in two bytes
    raw = sum(len(who) + len(badge) for who, badge in facts)
    assert packed < raw < stored == sqlite_bytes(facts)
    assert {one.bits for one in found} == {1024 * PER_FACT}


def test_a_budget_has_the_most_bits_that_fit_it() -> None:
    points = [Point("m", 64, 1.0, 9.0, 10), Point("m", 256, 0.5, 18.0, 20), Point("m", 1024, why=TIME)]
    assert (within(points, 9), within(points, 10), within(points, 10**9)) == (None, 9.0, 18.0)


def test_the_curve_is_a_command_over_memories_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bm25", "exact", "--most", "64", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["memory"] for row in rows[:3]] == ["bm25", "exact, hashing", "lines, zlib"]
    assert [row["memory"] for row in rows[3:]] == ["lines, lzma", "SQLite table", "2 bits a parameter"]
    assert all(row["bits_per_byte"] > 0 for row in rows)
    assert rows[0]["right"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["bm25", "--most", "63"], "--most 63: expected a number of facts, 64 or more"),
        (["bm25", "--seconds", "0"], "--seconds 0: expected a number above 0, such as 300"),
        (["bm25", "--out", "nowhere/points.jsonl"], "--out nowhere/points.jsonl: there is no folder nowhere; make it"),
        (["bm26", "--most", "64"], "there is no memory 'bm26'"),
        (["bm25", "--most", "64", "--seed", "-1"], "seed=-1: expected a whole number >= 0"),
    ],
)
def test_a_wrong_word_is_one_line(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert expected in told.err
    assert len(told.err.splitlines()) == 1


def life(seed: int) -> dict[str, object]:
    return {"seed": seed, "names": "synthetic"}


def in_file(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_file_goes_on_where_it_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "points.jsonl"
    assert main(["bm25", "--most", "64", "--out", str(path)]) == 0
    first = path.read_text()
    shown = capsys.readouterr().out
    assert main(["bm25", "--most", "64", "--out", str(path)]) == 0
    assert (path.read_text(), capsys.readouterr().out) == (first, shown)
    assert main(["bm25", "--most", "256", "--out", str(path)]) == 0
    assert path.read_text().startswith(first)
    assert [(row["memory"], row["facts"]) for row in in_file(path)[5:7]] == [("bm25", 256), ("lines, zlib", 256)]
    assert {(row["seed"], row["names"], row["limit_seconds"]) for row in in_file(path)} == {(0, "synthetic", 300.0)}
    assert all(row["cpu"] and row["at"] for row in in_file(path))


def test_a_file_knows_no_other_curve_and_nothing_that_had_less_time(tmp_path: Path) -> None:
    path = tmp_path / "points.jsonl"
    file = PointFile(path, life=life(0), seconds=60)
    points = [Point("m", 64, 1.0, 9.0, 10, 1.0), Point("m", 256, why=TIME), Point("x", 64, why="no engine")]
    for point in points:
        file.add(point, stamp={})
    known = {(0, 60): points[:2], (0, 30): points[:2], (0, 61): points[:1], (1, 60): []}
    for (seed, seconds), expected in known.items():
        again = PointFile(path, life=life(seed), seconds=seconds)
        found = [again.known(point.memory, point.facts) for point in points]
        assert [point for point in found if point] == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{}\n", "line 1: is no point of a curve; take it out"),
        ("[1]\n", "line 1: is no point of a curve; take it out"),
        ('{"memory": "bm2', "line 1: was cut short; take it out"),
    ],
)
def test_a_line_that_is_no_point_is_named(line: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "points.jsonl").write_text(line)
    with pytest.raises(BadInput, match=expected):
        PointFile(tmp_path / "points.jsonl", life={"seed": 0}, seconds=60)


def test_a_memory_without_its_engine_is_null_with_what_to_type_and_the_others_are_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["qdrant_server", "bm25", "--most", "64"]) == 0
    told = capsys.readouterr().out
    assert "| qdrant_server, hashing | 64 | null (" in told
    assert "| bm25 | 64 | 1.000 |" in told


STAMP = {
    "at": "2026-01-02T03:04:05", "commit": "0123456789abcdef", "dirty": True, "cpu": "a CPU", "cores": 2,
    "platform": "an OS", "python": "3.11", "limit_seconds": 60.0, "seed": 0, "names": "synthetic",
}  # fmt: skip


def held(*points: Point, **other: object) -> list[tuple[dict[str, object], Point]]:
    return [({**point.row(), **STAMP, **other}, point) for point in points]


class TestPage:
    def test_every_size_of_every_memory_is_a_field_and_a_null_has_its_reason(self) -> None:
        points = [Point("m", 64, 0.5, 96.0, 6400, 1.5), Point("m", 256, why="time: 64 took 9 s"), *references_of(64)]
        lines = page.render(held(*points)).splitlines()
        assert lines[0] == "# Capacity"
        assert "## Names: synthetic, seed 0" in lines
        fields = [line for line in lines if line.startswith("| `m` |")]
        assert fields == [
            "| `m` | 0.015 | null <sup>1</sup> |",
            "| `m` | 100 | null <sup>1</sup> |",
            "| `m` | 0.500 [0.372, 0.628] | null <sup>1</sup> |",  # exact binomial, 32 of 64
            "| `m` | 1.50 | null <sup>1</sup> |",
            "| `m` | 96 | 96 | 96 | 96 |",
        ]
        assert "<sup>1</sup> time: 64 took 9 s  " in lines
        assert "| *2 bits a parameter* | 1.000 | null <sup>2</sup> |" in lines
        assert sum("*SQLite table*" in line for line in lines) == 3  # it was told and asked nothing
        assert "<sup>2</sup> not measured  " in lines
        assert "a CPU, 2 cores" in lines[-1]
        assert "0123456789ab with changes that are not committed" in lines[-1]

    def test_the_later_of_two_points_counts_and_other_names_are_another_section(self) -> None:
        points = held(Point("m", 64, why=TIME), Point("m", 64, 1.0, 96.0, 6400, 1.5))
        found = page.sections([*points, *held(Point("m", 64, why=TIME), names="unicode")])
        assert list(found) == ["Names: synthetic, seed 0", "Names: unicode, seed 0"]
        assert [curves["m"][64].right for curves in found.values()] == [1.0, None]

    def test_references_stand_below_the_memories(self) -> None:
        (curves,) = page.sections(held(*references_of(64), Point("m", 64, why=TIME))).values()
        assert list(curves) == ["m", *REFERENCES]

    def test_the_same_points_give_the_same_figure(self, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        found = page.sections(held(Point("m", 64, 0.5, 96.0, 6400, 1.5), Point("n", 64, why=TIME), *references_of(64)))
        first, second = (figure.draw(found, tmp_path / name) for name in "ab")
        assert [path.name for path in first] == ["bits.png", "bits.svg"]
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
        assert all(name in first[1].read_text() for name in ("m", *REFERENCES))

    def test_what_is_published_is_the_file_and_without_one_it_is_a_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pytest.importorskip("matplotlib")
        monkeypatch.setattr("tasks.entity.capacity.page.ROOT", tmp_path)
        assert main(["report"]) == 2
        assert "no points are published; type python -m tasks.entity.capacity" in capsys.readouterr().err
        assert main(["report", "--publish"]) == 2
        assert "--out is missing: report --publish needs a file of points" in capsys.readouterr().err
        points = tmp_path / "points.jsonl"
        assert main(["bm25", "--most", "64", "--out", str(points)]) == 0
        assert main(["report", "--publish", "--out", str(points)]) == 0
        assert (tmp_path / page.PUBLISHED).read_bytes() == points.read_bytes()
        assert (tmp_path / page.PAGE).read_text() == page.render(list(read_rows(points)))
        assert (tmp_path / "reports/capacity/bits.svg").exists()

    def test_the_page_in_the_repository_is_the_one_that_its_points_make(self) -> None:
        if not (found := page.published()):
            assert not (ROOT / page.PAGE).exists()
            pytest.skip("no points are published")
        assert (ROOT / page.PAGE).read_text(encoding="utf-8") == page.render(found)


def references_of(facts: int) -> list[Point]:
    return list(references(drawn_facts(facts, seed=0)))

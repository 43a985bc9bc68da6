"""Engines at scale, at small sizes: what is counted is counted right, plans go on, and the page says what rows hold."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memory_bench import plans
from memory_bench.contracts import Embedder, Reader
from memory_bench.drawing import FORMATS
from memory_bench.engines import data, figures, life, report, rows, summary
from memory_bench.engines.__main__ import main
from memory_bench.engines.plan import Plan, load, made, names
from memory_bench.engines.predictions import PREDICTIONS
from memory_bench.errors import BadInput
from memory_bench.events import EventStore, ranked
from memory_bench.provenance import ROOT
from memory_bench.types import Event, Passage, Query

ROWS, DIMENSIONS = 400, 24


@pytest.fixture(scope="module")
def small() -> data.Data:
    return data.load("iid", rows=ROWS, dimensions=DIMENSIONS)


class TestData:
    def test_the_same_every_time_of_unit_length_and_fewer_rows_are_the_first_of_more(self) -> None:
        for name in ("iid", "clustered"):
            one, again = (data.load(name, rows=300, dimensions=16) for _ in range(2))
            assert np.array_equal(one.vectors_ND, again.vectors_ND)
            assert np.allclose(np.linalg.norm(one.vectors_ND, axis=1), 1, atol=1e-6)
            assert len(one.first(100).vectors_ND) == len(one.first(100).scopes) == 100
            assert (len(one.vectors_ND), len(one.queries_QD)) == (300, data.QUERIES)

    def test_clusters_are_clusters(self) -> None:
        nearest = {}
        for name in ("iid", "clustered"):
            part = data.load(name, rows=1000, dimensions=64)
            nearest[name] = float(np.median(np.sort(part.queries_QD @ part.vectors_ND.T)[:, -10]))
        assert nearest["clustered"] > 0.7 > nearest["iid"]

    def test_scopes_hold_their_shares(self) -> None:
        scopes = data.drawn_scopes(1000)
        assert {name: scopes.count(name) for name in data.SHARES} == {"half": 500, "tenth": 100, "hundredth": 10}

    def test_docstrings_of_tests_and_of_what_is_installed_are_left_out(self, tmp_path: Path) -> None:
        for name in ("a", "test/b", "site-packages/c"):
            file = tmp_path / f"{name}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(f'"""{name}: {"says " * 10}"""\ndef f():\n    """Short."""\n')
        assert list(data.standard_library(tmp_path)) == [f"a: {'says ' * 10}"]

    def test_a_source_that_there_is_not_is_one_line(self) -> None:
        with pytest.raises(BadInput, match=r"^data must be one of iid, clustered, docstrings, got 'sift'$"):
            data.load("sift", rows=10, dimensions=4)


class Partial:
    """A memory over an engine that looks at its oldest `effort` rows only, and may keep what it should not."""

    def __init__(self, embedder: Embedder, *, effort: int = ROWS, faithful: bool = True) -> None:
        self.engine = self
        self.effort = effort
        self.sizes: list[int] = []
        self._embedder, self._faithful = embedder, faithful
        self._events = EventStore()

    def attach(self, reader: Reader) -> Reader:
        return reader

    def reset(self) -> None:
        self._events.clear()

    def write(self, events: Sequence[Event]) -> None:
        self._events.put(events)

    def settle(self) -> None: ...

    def forget(self, event_ids: Sequence[str]) -> None:
        if self._faithful:
            self._events.drop(event_ids)

    def read(self, query: Query) -> list[Passage]:
        held = sorted(self._events, key=lambda event: int(event.id))[: self.effort]
        scores_E = self._embedder.embed([e.text for e in held]) @ self._embedder.embed([query.text])[0]
        return ranked(held, scores_E, query=query if self._faithful else Query(query.text), top_k=life.NEIGHBOURS)

    def size_bytes(self) -> int:
        return len(self._events)

    def close(self) -> None: ...


class TestALife:
    def test_recall_is_the_share_of_the_nearest_that_were_looked_at(self, small: data.Data) -> None:
        row = life.lived(Partial, small, build=0, efforts=(40, 200, ROWS))
        cosines_QN = small.queries_QD @ small.vectors_ND.T
        nearest_QK = np.argsort(-cosines_QN, axis=1)[:, : life.NEIGHBOURS]
        expected = [float((nearest_QK < effort).mean()) for effort in (40, 200, ROWS)]
        assert [point["recall"] for point in row["curve"]] == pytest.approx(expected, abs=0.002)
        assert row["plain"]["recall"] == 1  # its effort is again what it was
        assert (row["size_bytes"], row["forgotten_bytes"]) == (ROWS, ROWS // 2)
        assert [part["returned"] for part in row["filters"]] == [10, 10, 4]  # a hundredth of 400 is 4
        assert [part["recall"] for part in row["filters"]] == [1, 1, 1]
        assert row["forgotten"]["recall"] == 1
        assert row["forgotten"]["wrong"] == sum(part["wrong"] for part in row["filters"]) == 0

    def test_what_should_not_be_there_is_counted_and_is_not_found(self, small: data.Data) -> None:
        row = life.lived(partial(Partial, faithful=False), small, build=0, efforts=())
        assert row["curve"] == []
        assert 0.4 < row["forgotten"]["recall"] < 0.6  # half of what it returns is forgotten
        assert row["forgotten"]["wrong"] == pytest.approx((1 - row["forgotten"]["recall"]) * 10 * data.QUERIES)
        assert row["filters"][2]["wrong"] > 9 * data.QUERIES

    def test_a_row_that_is_told_again_is_timed_until_it_is_found(
        self, small: data.Data, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Lazy(Partial):
            """Shows what was written after two more searches."""

            left = 0

            def write(self, events: Sequence[Event]) -> None:
                super().write(events)
                self.left = 2 if len(events) == 1 else 0

            def read(self, query: Query) -> list[Passage]:
                self.left -= 1
                return [] if self.left >= 0 else super().read(query)

        row = life.lived(Lazy, small, build=0, efforts=())
        assert 0 < row["fresh"]["acknowledged_ms"] < row["fresh"]["searchable_ms"]
        assert row["first_ms"] > 0
        monkeypatch.setattr(life, "FRESH_SECONDS", 0.0)
        never = life.lived(Lazy, small, build=0, efforts=())["fresh"]
        assert never["searchable_ms"] is None

    def test_a_build_is_an_order_of_writing(self, small: data.Data) -> None:
        told: list[list[str]] = []

        class Told(Partial):
            def write(self, events: Sequence[Event]) -> None:
                told.append([event.id for event in events])
                super().write(events)

        for build in (0, 1, 0):
            life.lived(Told, small, build=build, efforts=())
        assert [len(batch) for batch in told] == [ROWS, 1] * 3  # and one is told again in the end
        assert told[0] == told[4] != told[2]
        assert sorted(told[0]) == sorted(told[2])

    def test_of_two_equals_either_is_found(self) -> None:
        cosines_N = np.array([0.5] * 12 + [0.1] * 8, dtype=np.float32)
        everything = np.ones(20, dtype=bool)
        assert life.recall(np.arange(2, 12), cosines_N, everything) == 1
        assert life.recall(np.arange(5, 15), cosines_N, everything) == 0.7
        assert life.recall(np.arange(0), cosines_N, everything) == 0

    def test_ruvector_loses_results_without_its_remedies_and_none_with_them(self, small: data.Data) -> None:
        native, remedied = (
            life.lived(partial(made, arm), small, build=0, efforts=())
            for arm in ("ruvector remedied=false", "ruvector")
        )
        assert native["forgotten_settled"]["returned"] < 9
        assert native["filters"][2]["recall"] < 0.9
        for row in (remedied, life.lived(partial(made, "exact"), small, build=0, efforts=())):
            searches = [row["plain"], row["forgotten"], row["forgotten_settled"], *row["filters"]]
            assert [one["recall"] > 0.99 for one in searches] == [True] * len(searches)
            assert sum(one["wrong"] for one in searches) == 0


class TestPlans:
    TINY = Plan(data="iid", rows=[60, 120], builds=2, dimensions=8, scans=["exact", "qdrant_server"])

    def test_a_plan_goes_on_where_it_was_cut_off_and_measures_nothing_twice(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("QDRANT_URL", raising=False)
        file = tmp_path / "runs" / "tiny.jsonl"
        found = rows.run("tiny", self.TINY, file, most=60)
        assert [(row["key"]["rows"], row["key"]["arm"], row["key"]["build"]) for row in found] == [
            (60, "exact", 0), (60, "qdrant_server", 0), (60, "exact", 1), (60, "qdrant_server", 1),
        ]  # fmt: skip
        assert found[0]["plain"]["recall"] == 1
        assert "needs a Qdrant server that runs" in found[1]["why"]
        assert {"machine", "versions", "revision", "load", "at", "peak_rss_bytes"} <= set(found[0])
        text = file.read_text()
        file.write_text(text + text.splitlines()[0][:100])  # cut off while it was written
        told: list[Any] = []
        again = rows.run("tiny", self.TINY, file, most=1000, told=told.append)
        assert again[:4] == plans.read(file)[:4] == json.loads(json.dumps(found))
        assert [row["key"]["rows"] for row in told] == [120] * 4
        assert rows.run("tiny", self.TINY, file, most=1000, told=told.append) == again
        assert len(told) == 4

    def test_rows_of_another_plan_are_refused_and_left_alone(self, tmp_path: Path) -> None:
        file = tmp_path / "tiny.jsonl"
        rows.run("tiny", self.TINY, file, most=60)
        before = file.read_text()
        other = Plan(data="iid", rows=[60], builds=1, dimensions=16, scans=["exact"])
        with pytest.raises(BadInput, match=r"tiny\.jsonl holds rows of other dimensions: name another folder"):
            rows.run("tiny", other, file, most=60)
        assert file.read_text() == before

    def test_every_arm_of_every_plan_is_a_memory_whose_options_are_known(self) -> None:
        plans = [load(name) for name in names()]
        table = life.LookUp(data.load("iid", rows=2, dimensions=DIMENSIONS))
        for arm in sorted({arm for chosen in plans for arm in chosen.efforts()}):
            made(arm, table).close()
        for chosen in plans:
            assert all(claim["arm"] in chosen.efforts() and claim["rows"] in chosen.rows for claim in chosen.claims)

    def test_every_prediction_is_of_an_arm_that_is_run(self) -> None:
        for one in PREDICTIONS:
            chosen = load(one.plan)
            assert one.arm in chosen.efforts()
            assert one.rows in chosen.rows
            assert one.figure in summary.figures(row(one.plan, one.arm, chosen.efforts()[one.arm]))

    def test_a_slip_is_one_line(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        assert main(["idd"]) == 2
        assert main(["report", "--publish", "--out", f"{tmp_path}"]) == 2
        with pytest.raises(BadInput, match=r"^--most 10: the smallest size of this plan has 60 rows$"):
            next(self.TINY.jobs(10))
        first, second = capsys.readouterr().err.splitlines()
        assert first == "plan 'idd': expected one of claims, clustered, docstrings, iid (conf/engines), or report"
        assert second.endswith("no rows there; run a plan first: python -m memory_bench.engines clustered")


def row(
    plan: str, arm: str, efforts: Sequence[int] = (), *, size: int = 10_000, build: int = 0, recall: float = 0.9
) -> dict[str, Any]:
    searched = {"recall": recall + build / 100, "returned": 10.0, "wrong": 0, "p50_ms": 2.0, "p95_ms": 4.0}
    return {
        "plan": plan, "key": {"rows": size, "arm": arm, "build": build}, "insert_seconds": 2.0, "settle_seconds": 3.0,
        "size_bytes": size * 1000, "plain": searched, "curve": [{"effort": effort, **searched} for effort in efforts],
        "filters": [{"share": share, **searched} for share in data.SHARES.values()], "forget_seconds": 1.0,
        "forgotten": searched, "forgotten_settled": searched, "forgotten_settle_seconds": 1.0, "forgotten_bytes": 10,
        "load": [3.5, 0, 0], "peak_rss_bytes": 2**30,
        "at": "2026-01-01T00:00:00", "revision": {"commit": "0123456789abcdef", "dirty": False},
        "machine": {"cpu": "a CPU", "platform": "Linux", "python": "3.11"}, "versions": {"ruvector": "0.1.4"},
    }  # fmt: skip


def held(**of: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[Mapping[str, Any]]]:
    return {**{name: [] for name in names()}, **of}


class TestThePage:
    def test_a_fresh_row_stands_where_it_was_measured(self) -> None:
        fresh = {"first_ms": 9.0, "fresh": {"acknowledged_ms": 0.5, "searchable_ms": None}}
        page = report.render(held(iid=[{**row("iid", "ruvector"), **fresh}, row("iid", "exact")]))
        table = page.partition("and when a search had found it:")[2]
        assert "| `ruvector` | 9.00 (one build) | 2.00 (one build) | 0.50 (one build) | null <sup>" in table
        assert "| `exact` | null <sup>" in table
        assert "no search of 10 s found it" in page

    def test_a_figure_is_a_mean_over_builds_with_the_least_and_the_most(self) -> None:
        page = report.render(held(iid=[row("iid", "ruvector", (50, 100, 200, 400), build=build) for build in range(3)]))
        assert "| `ruvector` | 0.910 [0.900, 0.920] | 2.00 | 4.00 | 5,000 | 3.0 | 1,000 |" in page
        assert "| `ruvector` | 0.910, 2.00 | 0.910, 2.00 | 0.910, 2.00 | 0.910, 2.00 |" in page
        assert "and when a search had found it" not in page
        assert "load: 3.5 to 3.5; a process held 1.0 GiB at most" in page
        assert "ruvector: 0.1.4" in page

    def test_in_short_stand_the_memories_as_they_are_used(self) -> None:
        own = [row("clustered", arm, size=size) for arm in ("exact", "ruvector", "ruvector remedied=false")
               for size in (1_000, 10_000)]  # fmt: skip
        real = [row("docstrings", "ruvector index_from_rows=1000", size=6_300, recall=0.8)]
        page = report.render(held(clustered=own, docstrings=real))
        short = page.partition("## In short")[2].partition("\n## ")[0]
        assert "on 10,000 rows of clustered" in short
        assert "| recall, docstrings, 6,300 rows |" in short
        (line,) = (line for line in short.splitlines() if line.startswith("| `ruvector"))
        assert line.startswith("| `ruvector` | 0.900 (one build) |")
        assert line.endswith("| 1,000 (one build) | 0.800 (one build) |")
        assert re.search(r"\| `exact` .* \| null <sup>\d+</sup> \|\n", short + "\n")
        assert "## In short" not in report.render(held(iid=[row("iid", "exact")]))

    def test_what_took_next_to_no_time_is_no_zero(self) -> None:
        page = report.render(held(iid=[{**row("iid", "exact"), "settle_seconds": 0.004}]))
        assert "| 5,000 (one build) | < 0.1 (one build) | 1,000 (one build) |" in page

    def test_figures_show_the_largest_sizes_of_the_plans_that_compare(self) -> None:
        sizes = [row("iid", arm, size=size) for arm in ("exact", "qdrant") for size in (1_000, 10_000, 100_000)]
        panels = list(figures._panels(held(iid=sizes, claims=[row("claims", "ruvector")])))
        assert [title for title, _ in panels] == ["iid, 10,000 rows", "iid, 100,000 rows"]

    def test_what_was_not_measured_is_null_with_its_reason(self) -> None:
        late = {**row("iid", "qdrant_bruteforce"), "why": "time: too long"}
        del late["plain"]
        page = report.render(held(iid=[row("iid", "exact"), late]))
        number = re.search(r"<sup>(\d+)</sup> time: too long", page)
        assert number
        assert f"| `qdrant_bruteforce` | null <sup>{number[1]}</sup> |" in page
        assert re.search(r"<sup>\d+</sup> not measured: python -m memory_bench\.engines claims  \n", page)
        assert "Nothing was measured yet" in report.render(held())
        assert "nan" not in page

    def test_a_claim_stands_beside_what_was_measured_and_the_machine_in_the_title(self) -> None:
        page = report.render(held(claims=[row("claims", "ruvector", (50,), size=1000)]))
        assert "## Claimed, and measured on one core of a CPU at a load of 3.5" in page
        assert (
            "| `ruvector` | p50_ms, 1,000 rows of 128 dimensions | 0.061 | median latency, k and ef not said |" in page
        )
        assert "| 2.000 (one build) |" in page

    def test_a_prediction_is_kept_or_differs(self) -> None:
        efforts = (50, 100, 200, 400)
        page = report.render(held(iid=[row("iid", "ruvector", efforts, recall=0.35, build=build) for build in (0, 1)]))
        assert "| `ruvector` | recall at 50 | 0.353 | 0.355 [0.350, 0.360] | as predicted |" in page
        assert "| `ruvector` | recall at 400 | 0.924 | 0.355 [0.350, 0.360] | **differs** |" in page

    def test_the_same_rows_give_the_same_figures(self, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        own = held(iid=[row("iid", "exact"), row("iid", "ruvector", (50, 100))])
        first, second = (figures.draw(own, tmp_path / name) for name in "ab")
        assert [path.name for path in first] == ["latency.png", "latency.svg", "filters.png", "filters.svg"]
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
        assert all(arm in first[1].read_text() for arm in ("exact", "ruvector"))
        assert figures.drawable(held()) == {}

    def test_the_page_in_the_repository_is_the_one_that_its_rows_make(self) -> None:
        own = report.published()
        if not any(own.values()):
            assert not (ROOT / report.PAGE).exists()
            pytest.skip("no rows are published")
        assert (ROOT / report.PAGE).read_text(encoding="utf-8") == report.render(own)
        drawn = [f"{name}.{form}" for name in figures.drawable(own) for form in FORMATS]
        assert sorted(drawn) == sorted(path.name for path in (ROOT / report.PAGE).with_suffix("").glob("*"))

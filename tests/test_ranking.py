"""How early a ranking shows the evidence, against values worked out by hand."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_bench.__main__ import main
from memory_bench.ranking import RANKING_METRICS, RANKS, ranking_metrics
from memory_bench.records import load

LOG3, LOG5, LOG6 = math.log2(3), math.log2(5), math.log2(6)


def test_the_drawn_ranking_has_its_hand_computed_values() -> None:
    found = ranking_metrics([{"a"}, set(), {"b"}, {"a"}], {"a", "b", "c"})
    assert found["recall@1"] == 1 / 3
    assert found["recall@5"] == found["recall@10"] == found["recall@20"] == 2 / 3
    assert found["ndcg@1"] == 1.0
    assert found["ndcg@5"] == pytest.approx((1 + 1 / 2) / (1 + 1 / LOG3 + 1 / 2))
    assert found["mrr"] == 1.0


def test_late_evidence_is_discounted_and_cut_off() -> None:
    found = ranking_metrics([set(), set(), set(), set(), {"a"}, {"b"}], {"a", "b"})
    assert (found["recall@1"], found["recall@5"], found["recall@10"]) == (0.0, 0.5, 1.0)
    assert found["ndcg@5"] == pytest.approx((1 / LOG6) / (1 + 1 / LOG3))
    assert found["ndcg@10"] == pytest.approx((1 / LOG6 + 1 / math.log2(7)) / (1 + 1 / LOG3))
    assert found["mrr"] == 1 / 5


def test_evidence_that_comes_again_gains_nothing_and_one_passage_can_hold_all() -> None:
    again = ranking_metrics([{"a"}, {"a"}, {"a"}, {"b"}], {"a", "b"})
    assert again["ndcg@5"] == pytest.approx((1 + 1 / LOG5) / (1 + 1 / LOG3))
    whole = ranking_metrics([{"a", "b"}], {"a", "b"})
    assert (whole["recall@1"], whole["mrr"], whole["ndcg@1"]) == (1.0, 1.0, 1.0)


def test_nothing_found_is_zero_and_nothing_to_find_is_refused() -> None:
    assert set(ranking_metrics([], {"a"}).values()) == {0.0}
    assert set(ranking_metrics([{"x"}, set()], {"a"}).values()) == {0.0}
    with pytest.raises(ValueError, match="judged by its evidence, got none"):
        ranking_metrics([{"a"}], set())


ids = st.sampled_from("abcxyz")


@given(st.lists(st.sets(ids, max_size=2), max_size=24), st.sets(st.sampled_from("abc"), min_size=1))
def test_every_figure_lies_between_0_and_1_and_more_passages_never_show_less(
    shown: list[set[str]], evidence: set[str]
) -> None:
    found = ranking_metrics(shown, evidence)
    assert tuple(found) == RANKING_METRICS
    assert all(0.0 <= value <= 1.0 for value in found.values())
    recalls = [found[f"recall@{k}"] for k in RANKS]
    assert recalls == sorted(recalls)
    assert (found["mrr"] > 0) == any(one & evidence for one in shown)


def test_without_a_reader_the_passages_are_judged_and_answers_are_null(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["+task=qa", "+memory=bm25", "reader=none", f"results={tmp_path}"]) == 0
    told = capsys.readouterr().out
    assert "no answer to 10 of 10 questions: reader=none answers nothing" in told
    heads = next(line for line in told.splitlines() if line.startswith("questions"))
    assert heads.replace(" [95 %]", "").split() == [
        *("questions", "n", "recall@1", "recall@5", "recall@10", "recall@20", "ndcg@10", "mrr"),
    ]
    assert re.search(
        r"^  updated +1 +0.000 \[\S+ \S+\] +1.000", told, re.MULTILINE
    )  # second at best, and in the first 5
    rows = load(tmp_path).set_index("question")
    assert rows["answer"].isna().all()
    assert set(rows["unanswered"]) == {"reader=none answers nothing"}
    assert "scores.exact_match" not in rows
    assert rows["costs.generate_seconds"].isna().all()
    assert list(rows.loc["trip-0", ["scores.recall@1", "scores.mrr", "scores.ndcg@10"]]) == [1.0, 1.0, 1.0]
    assert rows.loc["kitchen-0", "scores.mrr"] == 0.5  # the stale shelf ranks first
    assert rows.loc["trip-1", ["scores.recall@20", "scores.mrr"]].isna().all()
    assert max(rows["costs.context_tokens"]) > 0


def test_a_memory_inside_the_model_cannot_run_without_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["+task=qa", "+memory=engram", "reader=none", f"results={tmp_path}"]) in (1, 2)
    assert capsys.readouterr().err.count("\n") == 1

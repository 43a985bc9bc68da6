"""Predictions beside what was found: the verdict follows from the records, and what was not measured is null."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from memory_bench.provenance import ROOT
from memory_bench.reporting.cells import Measured, load
from memory_bench.statistics import Interval
from tasks import predictions
from tests.measured import measured

EPISODES = "0000 " * 10


def of_needle(memory: str, kind: str, score: str, values: Sequence[float | None]) -> Measured:
    """Return a cell whose episodes have four questions of one kind, judged by these values."""
    return measured(memory, EPISODES, task="needle", columns={"tags.kind": [kind] * 4, f"scores.{score}": values})


def line(page: str, what: str, memory: str) -> str:
    (found,) = [one for one in page.splitlines() if one.startswith(f"| {what} | `{memory}` |")]
    return found.partition(f"`{memory}` | ")[2]


def test_a_figure_stands_beside_what_was_expected_of_it() -> None:
    good = predictions.render([of_needle("bm25", "paraphrase", "hit@1", [1.0] * 4)])
    assert line(good, "needle, paraphrase: hit@1", "bm25") == "0.97 | 1.00 [0.69, 1.00] | yes |"
    bad = predictions.render([of_needle("bm25", "paraphrase", "hit@1", [0.0] * 4)])
    assert line(bad, "needle, paraphrase: hit@1", "bm25") == "0.97 | 0.00 [0.00, 0.31] | **no** |"


def test_what_was_not_measured_is_null_and_so_is_a_kind_that_nobody_asked() -> None:
    page = predictions.render([of_needle("bm25", "lexical", "hit@1", [1.0] * 4)])
    for what, memory in (("needle, lexical: hit@1", "hash_cache"), ("needle, latent: hit@1", "bm25")):
        assert line(page, what, memory).endswith("| null (not measured) | null (not measured) |")


def test_only_questions_that_have_the_score_and_the_wording_count() -> None:
    stale = of_needle("bm25", "updated", "stale@1", [1.0, None, None, None])
    assert "1.00 [0.69, 1.00] | yes" in line(predictions.render([stale]), "needle, updated: stale@1", "bm25")
    values = [0.8, 0.8, 0.0, 0.8]  # the third is reworded, and no part of this expectation
    mixed = predictions.render([of_needle("bm25", "boilerplate", "hit@1", values)])
    shown = line(mixed, "needle, boilerplate in the wording of the event: hit@1", "bm25")
    assert shown.startswith("0.74 to 0.94 | 0.80 [")


def test_tokens_are_saved_session_by_session() -> None:
    cells = [
        measured(name, EPISODES, task="session", columns={"costs.context_tokens": [tokens] * 4})
        for name, tokens in (("rulebook_full", 400), ("rulebook_applicable", 40))
    ]
    page = predictions.render(cells)
    what = "session: tokens of passages saved against `rulebook_full`"
    assert line(page, what, "rulebook_applicable").startswith("0.87 to 0.97 | 0.90 [")
    assert line(page, what, "rulebook_applicable").endswith("| yes |")
    assert "null (not measured)" in line(
        page, "session: tokens of passages saved against `rulebook_applicable`", "rulebook_by_id"
    )


@pytest.mark.parametrize(
    ("low", "high", "kept"), [(0.5, 0.6, False), (0.5, 0.75, True), (0.86, 0.9, True), (0.96, 1.0, False)]
)
def test_as_predicted_is_an_interval_that_comes_near(low: float, high: float, kept: bool) -> None:
    assert predictions.is_kept((0.8, 0.9), Interval((low + high) / 2, low, high, 10, 10)) is kept


def test_the_command_takes_no_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert predictions.main(["needle"]) == 2
    assert capsys.readouterr().err == "expected nothing more: python -m tasks.predictions\n"


def test_the_page_in_the_repository_is_the_one_that_its_records_make() -> None:
    page = ROOT / predictions.PAGE
    if not page.exists():
        pytest.skip("not written yet: python -m tasks.predictions")
    found = load(ROOT / predictions.PUBLISHED, predictions.EXPERIMENT)
    assert page.read_text(encoding="utf-8") == predictions.render(found)

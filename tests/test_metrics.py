"""What counts as right, and what counts as evidence."""

from __future__ import annotations

import pytest

from memory_bench.metrics import evidence_metrics, exact_match, holds
from memory_bench.ranking import RANKING_METRICS
from memory_bench.types import Passage, Query, Question

WRITTEN = {
    "old": "The code of gate 17 is 4411",
    "new": "The code of gate 17 is 7365",
    "hay": "Nothing of note",
    "gone": "The code of gate 9 is 1234",
}


def question(**changes: object) -> Question:
    known = {"answers": ("7365",), "evidence": frozenset({"new"}), "stale": frozenset({"old"})} | changes
    return Question("q", Query("What is it?"), "It is", **known)  # type: ignore[arg-type]


def judged(*passages: Passage, **changes: object) -> dict[str, float | None]:
    ranks = range(len(passages))
    return evidence_metrics(question(**changes), passages, packed=ranks, packed_within={256: ranks}, written=WRITTEN)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (" 7365", 1.0),
        ("7365.", 1.0),
        ("７３６５", 1.0),  # NFKC
        ("7365..", 0.0),
        ("73651", 0.0),
        ("7365 is it", 0.0),
        ("", 0.0),
    ],
)
def test_exact_match(answer: str, right: float) -> None:
    assert exact_match(answer, ["7365"]) == right


def test_any_right_answer_will_do() -> None:
    assert exact_match("two", ["one", "two"]) == 1.0


def test_an_answer_is_held_as_a_word_and_not_inside_one() -> None:
    assert holds("is 441, it says", "441")
    assert not holds("is 4411", "441")


def test_evidence_is_found_at_the_first_rank() -> None:
    found = judged(Passage(WRITTEN["new"], ("new",)), Passage(WRITTEN["old"], ("old",)))
    assert {name: score for name, score in found.items() if name not in RANKING_METRICS} == {
        "evidence_in_context": 1.0,
        "hit@1": 1.0,
        "stale@1": 0.0,
        "answer_in_context": 1.0,
        "forgotten_in_context": None,
        "evidence@256": 1.0,
    }
    assert {found[name] for name in RANKING_METRICS} == {1.0}


def test_the_stale_version_at_the_first_rank_is_seen_though_evidence_is_in_the_context() -> None:
    found = judged(Passage(WRITTEN["old"], ("old",)), Passage(WRITTEN["new"], ("new",)))
    assert (found["evidence_in_context"], found["hit@1"], found["stale@1"]) == (1.0, 0.0, 1.0)


def test_an_id_without_its_text_or_the_answer_is_not_believed() -> None:
    found = judged(Passage("Trust me", ("new",)))
    assert (found["evidence_in_context"], found["answer_in_context"]) == (0.0, 0.0)


def test_an_id_that_stands_with_another_passage_is_not_believed() -> None:
    found = judged(Passage("Trust me", ("new",)), Passage(WRITTEN["new"], ("hay",)))
    assert (found["evidence_in_context"], found["answer_in_context"]) == (0.0, 1.0)


def test_a_part_that_holds_the_answer_counts_for_an_event_that_holds_it() -> None:
    assert judged(Passage("gate 17: 7365", ("new",)))["evidence_in_context"] == 1.0
    assert judged(Passage("gate 17: 7365", ("hay",)))["evidence_in_context"] == 0.0


def test_text_without_ids_counts_as_answer_only() -> None:
    found = judged(Passage("a summary says 7365"))
    assert (found["evidence_in_context"], found["answer_in_context"]) == (0.0, 1.0)


def test_evidence_in_several_events_is_found_in_part() -> None:
    both = frozenset({"new", "hay"})
    assert judged(Passage(WRITTEN["hay"], ("hay",)), evidence=both)["evidence_in_context"] == 0.5


def test_nothing_to_find_has_nothing_to_judge() -> None:
    found = judged(Passage("unknown", ()), answers=("unknown",), evidence=frozenset(), stale=frozenset())
    assert set(found.values()) == {None}


@pytest.mark.parametrize(
    "passage", [Passage("shortened", ("gone",)), Passage(f"before {WRITTEN['gone']} after")], ids=["by id", "by text"]
)
def test_a_forgotten_event_that_comes_back_is_seen(passage: Passage) -> None:
    gone = frozenset({"gone"})
    assert judged(passage, forgotten=gone)["forgotten_in_context"] == 1.0
    assert judged(Passage(WRITTEN["hay"], ("hay",)), forgotten=gone)["forgotten_in_context"] == 0.0


def test_a_forgotten_event_counts_though_it_did_not_fit_the_prompt() -> None:
    asked = question(forgotten=frozenset({"gone"}))
    offered = [Passage(WRITTEN["gone"], ("gone",))]
    found = evidence_metrics(asked, offered, packed=[], packed_within={}, written=WRITTEN)
    assert found["forgotten_in_context"] == 1.0


def test_evidence_counts_where_it_is_packed_and_only_there() -> None:
    """Two events are asked for; the smallest prompt has room for the hay alone, a larger one for one, the largest."""
    both = question(evidence=frozenset({"new", "gone"}), answers=("7365", "1234"))
    offered = [Passage(WRITTEN[id], (id,)) for id in ("hay", "new", "old", "gone")]
    within = {2: [0], 4: [0, 1], 8: [0, 1, 2, 3]}
    found = evidence_metrics(both, offered, packed=[0, 1], packed_within=within, written=WRITTEN)
    assert [found[f"evidence@{budget}"] for budget in within] == [0.0, 0.5, 1.0]
    assert (found["evidence_in_context"], found["hit@1"], found["answer_in_context"]) == (0.5, 0.0, 1.0)


def test_the_first_rank_is_the_first_passage_of_the_prompt() -> None:
    """What did not fit is not what the reader saw first."""
    offered = [Passage(WRITTEN["old"], ("old",)), Passage(WRITTEN["new"], ("new",))]
    found = evidence_metrics(question(), offered, packed=[1], packed_within={}, written=WRITTEN)
    assert (found["hit@1"], found["stale@1"]) == (1.0, 0.0)


def test_a_memory_that_returned_nothing_showed_nothing() -> None:
    found = judged()
    assert (found["evidence_in_context"], found["hit@1"], found["stale@1"], found["evidence@256"]) == (0, 0, 0, 0)

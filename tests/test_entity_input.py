"""The entity task: the user's mistakes, what the templates promise, and the n-gram ceiling."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from Stemmer import Stemmer

from memory_bench.errors import BadInput
from memory_bench.task_tokens import BUNDLED_TOKENIZER
from tasks.entity.__main__ import main
from tasks.entity.ceiling import bag, ceiling, ceilings, last
from tasks.entity.templates import RELATIONS, Relation, Wording
from tests.entities import ROOT, entity, plain


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("facts", 0, "task.facts=0: expected a whole number >= 1"),
        ("facts", 10, "task.facts=10: 4 questions with 16 distractors tell 72 facts; type task.facts=72 or more"),
        ("facts", 10**6, r"task.facts=1000000: there are names for task.facts=\d+ or less"),
        ("facts", "many", "task.facts=many: expected a whole number"),
        ("distractors", 0, "task.distractors=0: expected a whole number >= 1"),
        ("distractors", 1.5, "task.distractors=1.5: expected a whole number"),
        ("episodes", True, "task.episodes=True: expected a whole number"),
        ("questions", -1, "task.questions=-1: expected a whole number >= 1"),
        ("kinds", ["sufix"], r"task.kinds=\['sufix'\]: expected a list of some of suffix, neighbour"),
        ("kinds", "suffix", r"task.kinds=suffix: expected a list .* such as \[suffix\]"),
        ("kinds", [], r"task.kinds=\[\]: expected a list"),
        ("reworded", 2, "task.reworded=2: expected a number from 0 to 1"),
        ("permuted", "no", "task.permuted=no: expected true or false"),
        ("permuted", 1, "task.permuted=1: expected true or false"),
        ("tokenizer", 7, "task.tokenizer=7: expected a path, or null"),
        ("tokenizer", "no/such/place", "task.tokenizer=no/such/place: no such file"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(option: str, value: object, expected: str) -> None:
    with pytest.raises(BadInput, match=expected) as caught:
        entity(**{option: value})
    assert "\n" not in str(caught.value)


def test_a_family_larger_than_any_is_refused_with_the_largest_that_there_is() -> None:
    with pytest.raises(BadInput, match=r"no name has as many relatives of the family suffix") as caught:
        entity(distractors=5000, facts=30_000)
    (most,) = re.findall(r"type task.distractors=(\d+) or less", str(caught.value))
    task = entity(distractors=int(most), facts=1000, questions=1, kinds=["suffix"])
    assert len(next(task.episodes(0)).steps) == 1001
    with pytest.raises(BadInput, match=r"task.questions=2 .*: there are too few names to tell apart"):
        entity(distractors=int(most), facts=1000, questions=2, kinds=["suffix"])


def test_what_was_recommended_is_enough() -> None:
    task = entity(facts=72)
    assert [len([step for step in episode.steps if hasattr(step, "time")]) for episode in task.episodes(0)] == [72] * 10


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(BadInput, match="seed=-1: expected a whole number >= 0"):
        plain().episodes(-1)


# what is left of a sentence when it says nothing
EMPTY = "a as at by do does for from has have in is its of on one the to what where which who".split()


def content_stems(wording: Wording) -> set[str]:
    words = re.findall(r"[a-z]+", f"{wording.cloze} {wording.text}".replace("{name}", " ").lower())
    return set(Stemmer("english").stemWords([word for word in words if word not in EMPTY]))


def tail(wording: Wording) -> str:
    return wording.cloze.split("{name}")[1]


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.name.replace(" ", "_"))
def test_question_wordings_share_only_empty_words_with_event_wordings(relation: Relation) -> None:
    told = {stem for wording in relation.events for stem in content_stems(wording)}
    asked = {stem for wording in relation.questions for stem in content_stems(wording)}
    assert told
    assert asked
    assert not told & asked
    # nor the words after the name, or an n-gram that starts in the name would cover a reworded question
    assert not {tail(one) for one in relation.events if tail(one)} & {tail(one) for one in relation.questions}


def test_wordings_are_prefixes_and_questions_and_differ() -> None:
    wordings = [wording for relation in RELATIONS for wording in (*relation.events, *relation.questions)]
    assert len({wording.cloze for wording in wordings}) == len({wording.text for wording in wordings}) == len(wordings)
    for wording in wordings:
        assert wording.cloze.count("{name}") == wording.text.count("{name}") == 1
        assert wording.cloze == wording.cloze.strip()
        assert wording.text.endswith("?")
        assert not re.search(r"\d", wording.cloze + wording.text)


def test_the_ceiling_is_the_share_of_the_most_frequent_value_of_each_sight() -> None:
    assert ceiling(["a", "a", "b"], [1, 2, 3]) == 2 / 3
    assert ceiling(["a", "a", "a", "b"], [1, 1, 2, 1]) == 3 / 4
    assert ceiling(["a", "b"], [1, 1]) == 1.0
    assert ceiling([(), ()], [1, 2]) == 0.5
    with pytest.raises(ValueError, match="at least one value"):
        ceiling([], [])
    with pytest.raises(ValueError, match="longer"):
        ceiling(["a"], [1, 2])


def test_a_part_of_a_name_is_its_last_tokens_or_its_runs() -> None:
    assert [last([7, 8, 9], number) for number in (1, 2, 4)] == [(9,), (8, 9), (7, 8, 9)]
    assert bag([7, 8, 9]) == {(7, 8), (8, 9), (7, 8, 9)}
    assert bag([7, 7, 7, 7]) == {(7, 7), (7, 7, 7)}
    assert bag([7]) == frozenset()


def test_the_ceilings_of_four_names() -> None:
    names = [[1, 5, 5, 9], [2, 5, 5, 9], [3, 6, 5, 9], [9]]
    assert [(one.seen, one.accuracy) for one in ceilings(names, "abcd")] == [
        ("last token", 0.25),
        ("last 2 tokens", 0.5),
        ("last 3 tokens", 0.75),
        ("last 4 tokens", 1.0),
        ("bag of 2+3-grams", 1.0),
    ]
    same = list(ceilings([[1, 1, 1, 1], [1, 1, 1]], "ab"))
    assert [one.accuracy for one in same] == [0.5, 0.5, 0.5, 1.0, 0.5]


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=30))
def test_seeing_more_of_a_name_never_lowers_the_ceiling(names: list[list[int]]) -> None:
    *ends, everything = [one.accuracy for one in ceilings(names, range(len(names)))]
    assert ends == sorted(ends)
    assert max(*ends, everything) <= ceiling([tuple(name) for name in names], range(len(names)))


def test_the_ceiling_of_unicode_names_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"27,\d{3} names of Unicode \d+", lines[0])
    shares = [float(share) for share in re.findall(r"[01]\.\d{3}", lines[3])]
    assert len(shares) == 6
    assert shares[:5] == sorted(shares[:5])
    assert shares[2] < 0.7  # the last three tokens leave much to composition
    assert shares[4] > 0.98
    assert main([str(BUNDLED_TOKENIZER)]) == 0
    assert capsys.readouterr().out.splitlines() == lines


def test_a_tokenizer_that_is_none_is_one_line_and_no_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    assert main([str(path)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert "not a tokenizer of the library tokenizers" in told.err


def test_the_ceiling_is_a_command() -> None:
    done = subprocess.run([sys.executable, "-m", "tasks.entity"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "bag of 2+3-grams" in done.stdout

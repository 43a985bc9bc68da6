"""Nobody who reads only the choices is right more often than by chance, whatever he knows of the stream."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import pytest
from numpy.random import PCG64, Generator
from scipy import stats

from memory_bench.contracts import Task
from memory_bench.errors import BadInput
from memory_bench.guards import task_leaks
from memory_bench.types import Episode, Event, Query, Question
from tasks.conventions.balance import CHOICES, Circle, balanced
from tests.conventions import conventions, hundred, questions
from tests.test_session import of_pandas, session

CAPPED = [*"aaaaaaaaa", *"bb", "c", "d", "e", "f"]


@pytest.mark.parametrize("answers", [CAPPED, [*"aaabbccd"], [*"abcdef"], [*"aaaaaab"], [*"aaaabbbbc"]])
def test_every_answer_that_is_offered_is_right_equally_often(answers: Sequence[str]) -> None:
    circle, rng = Circle(answers), Generator(PCG64(0))
    size = min(CHOICES, len(set(answers)))
    right: defaultdict[frozenset[str], Counter[str]] = defaultdict(Counter)
    for _ in range(1_500):
        for answer in dict.fromkeys(answers):
            for _ in range(circle.asked(answer, rng)):
                beside = circle.beside(answer, rng)
                offered = frozenset((answer, *beside))
                assert len(beside) == size - 1
                assert len(offered) == size
                right[offered][answer] += 1
    assert sum(right.values(), Counter()).keys() == set(answers)
    for offered, counts in right.items():
        found = [counts[one] for one in sorted(offered)]
        if sum(found) >= 40:
            assert stats.chisquare(found).pvalue > 1e-4, (sorted(offered), found)


def test_an_answer_of_most_rules_is_asked_for_in_one_question_of_four() -> None:
    circle, rng = Circle(CAPPED), Generator(PCG64(0))
    assert circle.lengths["a"] * 4 == sum(circle.lengths.values())
    drawn = Counter(one for _ in range(900) for answer in "abcdef" for one in answer * circle.asked(answer, rng))
    assert drawn["a"] / drawn.total() == pytest.approx(0.25, abs=0.01)
    assert [drawn[one] for one in "bcdef"] == [1800, 900, 900, 900, 900]  # the others: all of them, every time


def test_quotes_make_no_other_answer() -> None:
    circle = Circle(["'a'", '"a"', "b"])
    assert circle.beside("b", Generator(PCG64(0))) == ["'a'"]
    assert circle.asked('"a"', Generator(PCG64(0))) == 1


def test_no_answer_to_questions_of_pandas_is_asked_for_more_than_its_share() -> None:
    pool, rng = conventions().pool, Generator(PCG64(0))
    laps = [[one.rule for one in balanced(pool, rng)] for _ in range(400)]
    assert max(map(len, laps)) < len(pool)
    for rules in (chain.from_iterable(laps), chain.from_iterable(lap[:40] for lap in laps)):  # and how a lap begins
        counts = Counter((rule.kind, rule.value) for rule in rules)
        for kind in ("home", "annotation", "default", "alias"):
            of_kind = [number for (name, _), number in counts.items() if name == kind]
            assert max(of_kind) / sum(of_kind) < 0.28, counts


@pytest.mark.parametrize(("make", "stream"), [(conventions, hundred), (session, of_pandas)])
def test_who_reads_only_the_choices_is_right_by_chance(
    make: Callable[[], Task], stream: Callable[[], Sequence[Episode]]
) -> None:
    for guess in task_leaks.guesses(stream(), make().score):
        error = (guess.chance * (1 - guess.chance) / guess.questions) ** 0.5
        assert guess.accuracy < guess.chance + 3 * error, guess


def test_a_choice_that_only_begins_like_the_answer_is_not_right() -> None:
    """Whoever answers acme.core.dtypes where acme.core is right, is wrong: in every place and at every length."""
    told = Event("6c", "from acme.core import wrap", time=0.0)
    choices = ("acme.core.dtypes import wrap", "acme.core import wrap", "acme import wrap")
    tags = {"kind": "home", "ngram_covered": "no"}
    question = Question("q", Query("?"), "from", ("acme.core",), frozenset({told.id}), choices=choices, tags=tags)
    episodes = [Episode(f"e{number}", (told, question)) for number in range(2)]
    right = {guess.how: guess.accuracy for guess in task_leaks.guesses(episodes, conventions().score)}
    assert right == {
        "one place among the choices": 1.0,
        "the choice that was right most often": 1.0,
        "the longest choice": 0.0,
        "the shortest choice": 0.0,
    }


def test_rules_of_one_answer_are_too_few_to_be_asked_beside_each_other(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    homes = ["acme.core"] * 5 + ["acme.speed"]
    for number, home in enumerate(homes * 20):
        text = f"from {home} import name_{number % len(homes)}\n"
        (tmp_path / "acme" / f"m{number}.py").write_text(text)
    options = {"path": str(tmp_path), "kinds": ["home"], "rules": 6}
    with pytest.raises(BadInput, match=r"task\.questions=3: 2 of the 6 rules of .* can be asked for, or one answer"):
        conventions(questions=3, **options)
    for episode in conventions(questions=2, **options).episodes(0):
        assert {question.answers[0] for question in questions(episode)} == set(homes)

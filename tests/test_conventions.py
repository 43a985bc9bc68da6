"""What is shown and asked, and that no question gives its answer away."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
from scipy import stats

from memory_bench.errors import BadInput
from memory_bench.metrics import holds
from memory_bench.types import Question
from tasks.conventions.balance import CHOICES
from tasks.conventions.imports import MASK
from tasks.conventions.questions import ask, completed
from tasks.conventions.rules import BASIC, PACKAGE, Mined, Rule
from tests.conventions import (
    BY_FOLDER,
    ROOT,
    asked,
    conventions,
    digest,
    events,
    hundred,
    mined_while_installed,
    questions,
    rule_of,
)


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mined]:
    with mined_while_installed(tmp_path_factory.mktemp("site")) as mined:
        yield mined


def test_a_question_masks_the_answer_wherever_it_stands_in_the_context(acme: Mined) -> None:
    rule = rule_of(acme, "default", "strict", "acme/panels")
    place = rule.held_out[0]
    question = ask(rule, place, context_lines=20)
    assert question is not None
    number = place.source.path.rpartition("/m")[2].removesuffix(".py")
    assert question.cloze == (
        f'# acme/panels/m{number}.py\n"""Module {number} draws."""\nfrom acme.core.registry import register\n'
        f"import acme.core.geometry as geo\nfrom typing import Any\n\n\ndef draw_{number}(canvas, *, strict: Mode ="
    )
    assert question.rest == ", depth: int = 3) -> Area:"
    assert question.text.endswith(f"strict: Mode = {MASK}, depth: int = 3) -> Area:")
    alias = rule_of(acme, "alias", "import acme.core.geometry")
    assert (one := ask(alias, alias.held_out[0], context_lines=2))
    assert one.cloze.endswith(' draws."""\nfrom acme.core.registry import register\nimport acme.core.geometry as')


def test_a_name_behind_the_mask_is_shown_before_the_line(acme: Mined) -> None:
    rule = rule_of(acme, "home", "register")
    assert (question := ask(rule, rule.held_out[0], context_lines=0))
    assert question.cloze.endswith(f"\n# from {MASK} import register\nfrom")


def test_what_cannot_be_masked_is_not_asked(acme: Mined) -> None:
    rule = rule_of(acme, "default", "depth")
    spoilt = Rule("default", "depth", PACKAGE, "canvas", rule.seen, rule.held_out, 0, "x", ())
    given_away = Rule("default", "depth", PACKAGE, "widgets", rule.seen, rule.held_out, 0, "x", ())
    assert all(ask(rule, place, context_lines=9) for place in rule.held_out)
    assert all(ask(spoilt, place, context_lines=9) for place in rule.held_out)  # it stands in the line and is masked
    paths = {place.source.folder: ask(given_away, place, context_lines=9) for place in rule.held_out}
    assert paths["acme/panels"]
    assert paths["acme/widgets"] is None  # the path says it


def test_no_question_of_pandas_holds_its_answer() -> None:
    pool = conventions().pool
    searched = 0
    for known in pool:
        for one in known.lines:
            assert not holds(one.cloze, known.rule.value)
            assert not holds(one.text, known.rule.value)
            assert holds(one.text, known.rule.subject)
            searched += 1
    assert searched > 500
    contexts = [one.cloze for known in pool for one in known.lines]
    assert sum(MASK in context for context in contexts) > len(contexts) / 2  # there was something to mask


def pattern(question: Question, answer: str) -> str:
    """Return what a text must match to show that a rule says this: written for this test, without `ast`."""
    name, value = re.escape(question.tags["subject"].split()[-1]), re.escape(answer)
    return {
        "home": rf"from {value} import (\([^)]*|[^\n(]*)\b{name}\b",
        "alias": rf"\b{name}\s+as {value}\b",
        "annotation": rf"\b{name}: {value}(?!\w)",
        "default": rf"\b{name}(: [^=\n]+ = ?|=){value}(?!\w)",
        "returns": rf"def {name}\((.|\n)*?\) -> {value}:",
    }[question.tags["kind"]]


def test_evidence_is_the_chunks_that_show_the_rule_and_no_other_chunk_does() -> None:
    for episode, question in asked():
        shows = re.compile(pattern(question, question.answers[0]))
        shown: list[str] = []
        hay: list[str] = []
        for event in events(episode):
            (shown if event.id in question.evidence else hay).append(event.text)
        assert len({text.split("\n")[0] for text in shown}) == len(shown) == 3  # of different files
        assert all(shows.search(text) for text in shown), question
        if question.tags["kind"] == "home" and not question.query.scope:  # else a call or another folder may look so
            assert not any(shows.search(text) for text in hay), question


def test_questions_are_of_files_that_no_memory_is_told_of() -> None:
    told = {event.text.split("\n")[0] for episode in hundred() for event in events(episode)}
    held_out = {question.cloze.split("\n")[0] for _, question in asked()}
    assert min(len(told), len(held_out)) > 30
    assert not told & held_out


def test_a_scoped_question_is_shown_by_its_folder() -> None:
    scoped = [(episode, question) for episode, question in asked() if question.query.scope]
    assert len(scoped) >= 20
    for episode, question in scoped:
        shown = [event for event in events(episode) if event.id in question.evidence]
        assert {event.scope for event in shown} == {question.query.scope}


def test_chunks_keep_their_size_and_an_episode_does_not_fit_the_budget() -> None:
    tokenizer = conventions().form.tokenizer
    for episode in hundred()[:20]:
        sizes = [len(tokenizer.encode(event.text).ids) for event in events(episode)]
        assert len(sizes) == 36
        assert max(sizes) <= 80
        assert 256 * 5 < sum(sizes) < 4096


def test_evidence_cannot_be_told_from_hay_by_length_place_or_id() -> None:
    tokenizer = conventions().form.tokenizer
    evidence: list[tuple[int, float, int]] = []
    hay: list[tuple[int, float, int]] = []
    for episode in hundred():
        gold = {id for question in questions(episode) for id in question.evidence}
        for at, event in enumerate(events(episode)):
            row = (len(tokenizer.encode(event.text).ids), at / len(events(episode)), int(event.id, 16))
            (evidence if event.id in gold else hay).append(row)
    for column in range(3):
        ours, theirs = ([row[column] for row in rows] for rows in (evidence, hay))
        assert stats.ks_2samp(ours, theirs).pvalue > 0.05


def test_all_rules_are_asked_for_in_the_end() -> None:
    task = conventions(episodes=200)
    asked_for = Counter(known for hand in task.deck(0)[:200] for known in hand)
    assert set(asked_for) == set(task.pool)
    assert max(asked_for.values()) <= 200 * 4 / (len(task.pool) - 40)  # a lap is shorter than the pool: few are capped
    assert {question.tags["kind"] for _, question in asked()} == set(BASIC)


def test_choices_hold_the_answer_once_and_what_others_say_of_the_name() -> None:
    known = {(one.rule.kind, one.rule.subject, one.rule.scope): one.rule for one in conventions().pool}
    places = Counter[int]()
    heard = 0
    for _, question in asked():
        kind = question.tags["kind"]
        offered = [completed(kind, choice) for choice in question.choices]
        rule = known[kind, question.tags["subject"], question.query.scope]
        assert len(set(offered)) == len(offered) == CHOICES == int(question.tags["choices"])
        assert offered.count(question.answers[0]) == 1
        assert question.tags["prior"] != question.answers[0]
        if rule.heard:
            assert rule.heard in offered
            heard += 1
        places[offered.index(question.answers[0])] += 1
    assert heard > 20
    assert stats.chisquare([places[at] for at in range(CHOICES)]).pvalue > 0.01


@pytest.mark.parametrize(("kind", "column"), [("annotation", 0), ("default", 1)])
def test_what_other_folders_say_is_among_the_choices(acme: Mined, kind: str, column: int) -> None:
    task = conventions(package=acme.package, kinds=[kind], rules=2, questions=2, chunk_tokens=120)
    asked = {question.query.scope: question for question in questions(task.episode(0, 0)) if question.query.scope}
    assert asked
    for question in asked.values():
        offered = {completed(kind, choice) for choice in question.choices}
        assert {values[column] for values in BY_FOLDER.values()} <= offered


def test_rules_that_share_their_lines_are_not_asked_for_together(acme: Mined) -> None:
    options = {"package": acme.package, "kinds": ["annotation", "default"], "chunk_tokens": 120}
    for hand in conventions(rules=2, questions=2, **options).deck(0):
        assert len({known.rule.scope for known in hand}) == 2
    with pytest.raises(BadInput, match="cannot be shown so often apart from each other; lower it"):
        conventions(rules=4, questions=4, **options)


def test_a_completion_has_no_choices_and_is_judged_up_to_the_end_of_the_expression() -> None:
    task = conventions(answer="completion", episodes=3)
    found = [question for episode in task.episodes(0) for question in questions(episode)]
    assert not any(question.choices for question in found)
    for question in found:
        rest = {"home": " import x", "alias": "  # note", "returns": ":"}.get(question.tags["kind"], ", y: int = 3):")
        assert task.score(question, f" {question.answers[0]}{rest}") == {"exact_match": 1.0}
        assert task.score(question, f" {question.answers[0]}x{rest}")["exact_match"] == 0.0


@pytest.mark.parametrize(
    ("kind", "answer", "expected"),
    [
        ("home", " acme.core import register", "acme.core"),
        ("home", " .core import (", ".core"),
        ("home", "(nothing)", ""),
        ("alias", " geo", "geo"),
        ("alias", " `geo`", "geo"),
        ("annotation", " int | None = None, b: str):", "int | None"),
        ("annotation", ' Literal["a", "b)"] = "a",', 'Literal["a", "b)"]'),
        ("annotation", " Callable[[int], str],", "Callable[[int], str]"),
        ("default", ' ",", sep=3)', '","'),
        ("default", " (1, 2), x=3", "(1, 2)"),
        ("default", " None) -> None:", "None"),
        ("returns", " dict[str, int]:", "dict[str, int]"),
        ("returns", "", ""),
    ],
)
def test_what_of_an_answer_counts(kind: str, answer: str, expected: str) -> None:
    assert completed(kind, answer) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"package": "no_such_package"}, "task.package=no_such_package: not installed here; pip install"),
        ({"package": "sys"}, "task.package=sys: a single module"),
        ({"package": "six.moves"}, "task.package=six.moves: expected the import name of a package"),
        ({"package": "pandas-stubs"}, "task.package=pandas-stubs: expected the import name"),
        ({"package": 3}, "task.package=3: expected the import name"),
        (
            {"package": "yaml"},
            r"task.package=yaml: \d+ rules that others have not .* lower task.rules or name a larger",
        ),
        ({"rules": 1000}, r"task.package=pandas: \d+ rules .* task.rules=1000 are needed"),
        ({"rules": 3}, "task.questions=4: an episode tells of task.rules=3 only"),
        ({"rules": 0}, "task.rules=0: expected a whole number >= 1"),
        ({"shown": 500}, "task.package=pandas: 0 rules"),
        ({"kinds": ["logger"]}, r"task.kinds=\['logger'\]: expected a list of some of home, annotation"),
        ({"chunk_tokens": 8}, "task.chunk_tokens=8: expected a whole number >= 32"),
        ({"episodes": 0}, "task.episodes=0: expected"),
        ({"questions": 0}, "task.questions=0: expected"),
        ({"context_lines": -1}, "task.context_lines=-1: expected"),
        ({"answer": "both"}, "task.answer=both: expected one of choices, completion"),
        ({"tokenizer": "no/such/place"}, "task.tokenizer=no/such/place: no such file"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(options: dict[str, object], expected: str) -> None:
    with pytest.raises(BadInput, match=expected) as caught:
        conventions(**options)
    assert "\n" not in str(caught.value)


def test_another_process_with_another_hash_seed_draws_the_same_episodes() -> None:
    code = (
        "from itertools import islice; from tests.conventions import conventions, digest;"
        "print(digest(islice(conventions().episodes(3), 2)))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == digest(islice(conventions().episodes(3), 2))


def test_who_follows_the_prior_is_wrong_and_who_reads_the_evidence_is_right() -> None:
    task = conventions()
    right = []
    for episode, question in asked():
        assert task.score(question, question.tags["prior"])["exact_match"] == 0.0
        shown = [event.text for event in events(episode) if event.id in question.evidence]
        said = [one for one in question.choices if re.search(answered(question, one), "\n".join(shown))]
        right.append(len(said) == 1 and task.score(question, said[0])["exact_match"] == 1.0)
    assert np.mean(right) > 0.95


def answered(question: Question, choice: str) -> str:
    return pattern(question, completed(question.tags["kind"], choice))

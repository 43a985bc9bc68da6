"""Sessions of edits: what is written, what is asked again, and that no edit gives another's answer away."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import Any

import pytest
import yaml

from adapters import rulebook
from memory_bench import runner
from memory_bench.errors import BadInput
from memory_bench.meter import Meter
from memory_bench.metrics import holds
from memory_bench.records import Record
from memory_bench.types import Episode, Event, Question
from tasks.conventions.imports import MASK
from tasks.conventions.session import IDS, Session
from tests.conventions import BY_FOLDER, ROOT, digest, write_package
from tests.stubs import StubReader

SMALL = {"rules": 4, "asked": 2, "edits": 6, "episodes": 2}
CARD = re.compile(rf"(?P<id>{IDS}) (?P<about>[^:\n]+): In (?P<where>\S+), .+\.")


def session(**options: Any) -> Session:
    """Return the task as conf/task/session.yaml has it, with some options changed."""
    defaults = yaml.safe_load((ROOT / "conf" / "task" / "session.yaml").read_text())
    del defaults["_target_"], defaults["claims"]
    return Session(**{**defaults, **options})


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a package whose rules are known."""
    root = tmp_path_factory.mktemp("site")
    write_package(root, "acme")
    return str(root / "acme")


@cache
def of_pandas() -> tuple[Episode, ...]:
    return tuple(session(episodes=20).episodes(0))


def events(episode: Episode) -> list[Event]:
    return [step for step in episode.steps if isinstance(step, Event)]


def questions(episode: Episode) -> list[Question]:
    return [step for step in episode.steps if isinstance(step, Question)]


def card_of(episode: Episode, question: Question) -> Event:
    (card,) = [event for event in events(episode) if event.id in question.evidence]
    return card


def test_a_session_has_fourteen_edits_under_twenty_four_cards_and_is_carried() -> None:
    for episode in of_pandas():
        assert (len(events(episode)), len(questions(episode))) == (24, 14)
        assert (episode.carry, episode.ids) == (True, IDS)
        assert len({event.text for event in events(episode)}) == 24


def test_every_rule_that_is_needed_is_needed_again() -> None:
    for episode in of_pandas():
        needed = Counter(card_of(episode, question).id for question in questions(episode))
        assert len(needed) == 6
        assert min(needed.values()) >= 2
        seen: set[str] = set()
        for question in questions(episode):
            card = card_of(episode, question).id
            assert question.tags["needed"] == ("again" if card in seen else "first")
            seen.add(card)
        assert len({(question.query.text, question.cloze) for question in questions(episode)}) == 14


def test_a_card_begins_with_an_id_of_its_own_and_says_the_rule() -> None:
    for episode in of_pandas():
        cards = [CARD.fullmatch(event.text) for event in events(episode)]
        assert all(cards)
        assert len({card["id"] for card in cards if card}) == 24
        for question in questions(episode):
            card = card_of(episode, question)
            assert f" {question.tags['subject']}: In " in card.text
            assert holds(card.text, question.answers[0])


def test_no_question_holds_an_id() -> None:
    for episode in of_pandas():
        for question in questions(episode):
            said = "\n".join((question.query.text, question.cloze, *question.choices))
            assert re.search(IDS, said) is None


def test_no_edit_gives_the_answer_of_another_away() -> None:
    """Whatever a prompt carries of other edits, the reader's own answers aside, holds no answer of this session."""
    for episode in of_pandas():
        answers = {answer for question in questions(episode) for answer in question.answers}
        for question in questions(episode):
            file, _, code = question.cloze.partition("\n")
            assert file.startswith("# pandas/")
            assert not [answer for answer in answers if holds(code, answer)]
            said = [choice.removeprefix(question.answers[0]) for choice in question.choices]
            (rest,) = {one for one in said if all(choice.endswith(one) for choice in question.choices)}
            assert not [answer for answer in answers if holds(rest, answer)]


def test_a_question_names_its_file_and_what_it_is_about() -> None:
    for episode in of_pandas():
        for question in questions(episode):
            file = question.cloze.partition("\n")[0].removeprefix("# ")
            assert f"{file}: " in question.query.text
            assert question.query.scope == ""  # rules of the package and of folders stand in one book
            line = question.query.text.partition(f"{file}: ")[2]
            assert MASK in line
            assert holds(line, question.tags["subject"])


def test_a_rule_of_a_folder_stands_beside_what_other_folders_say(acme: str) -> None:
    made = session(path=acme, kinds=["annotation"], rules=2, asked=1, edits=4, episodes=4)
    for episode in made.episodes(0):
        said = {event.scope: event.text.rpartition(" ")[2] for event in events(episode)}
        assert {scope.rpartition("/")[2] for scope in said} == {"panels", "widgets"}
        for question in questions(episode):
            folder = card_of(episode, question).scope
            assert question.answers == (BY_FOLDER[folder.rpartition("/")[2]][0],)
            assert f" {folder}/m" in question.query.text
            assert question.tags["scope"] == "folder"


def test_the_place_of_a_card_does_not_say_whether_it_is_needed() -> None:
    places = [
        place
        for episode in of_pandas()
        for place, event in enumerate(events(episode))
        if any(event.id in question.evidence for question in questions(episode))
    ]
    assert len(places) == 6 * 20
    assert sum(places) / len(places) == pytest.approx(11.5, abs=2.0)  # three standard errors of 120 of 24 places


def test_a_session_follows_from_its_seed_and_number_alone(acme: str) -> None:
    made = session(path=acme, **SMALL)
    assert digest(made.episodes(3)) == digest(session(path=acme, **SMALL).episodes(3)) != digest(made.episodes(4))
    assert made.episode(3, 1) == list(made.episodes(3))[1]


def test_a_completion_is_judged_up_to_the_end_of_the_expression(acme: str) -> None:
    made = session(path=acme, **{**SMALL, "answer": "completion"})
    for question in questions(made.episode(0, 0)):
        assert question.choices == ()
        assert made.score(question, f" {question.answers[0]}, more")["exact_match"] == 1.0
        assert made.score(question, " something else")["exact_match"] == 0.0


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"rules": 5, "asked": 6}, "task.rules=5: expected task.asked=6 or more, and 1000 at most"),
        ({"rules": 1001}, "task.rules=1001: expected task.asked=6 or more, and 1000 at most"),
        ({"asked": 15}, "task.edits=14: too few for task.asked=15 different rules; lower that"),
        ({"edits": 0}, "task.edits=0: expected a whole number >= 1"),
        ({"carry": "yes"}, "task.carry=yes: expected true or false"),
        ({"answer": "some"}, "task.answer=some: expected one of choices, completion"),
        ({"kinds": ["homes"]}, "task.kinds=['homes']: expected a list of some of home, annotation"),
        ({"rules": 600}, "pandas: it has 169 rules"),
    ],
)
def test_what_cannot_be_is_one_line(options: dict[str, Any], line: str) -> None:
    with pytest.raises(BadInput) as error:
        session(**options)
    assert str(error.value).startswith(line) or (line.startswith("pandas") and "task.rules=600" in str(error.value))
    assert "\n" not in str(error.value)


def measured(policy: str, task: Session, *, budget_tokens: int | None, window_tokens: int = 4096) -> list[Record]:
    reader = StubReader(window_tokens=window_tokens)
    options = runner.Options(seed=0, budget_tokens=budget_tokens, answer_tokens=8, limit=None, write_batch=32)
    rows = runner.run(
        task,
        rulebook.memory(policy=policy, over=None),
        reader,
        control=runner.Control(writes=True, packs_evidence=False),
        options=options,
        meter=Meter(reader),
    )
    return [row for row in rows if isinstance(row, Record)]


def total(found: list[Record], name: str) -> float:
    return sum(record.costs[name] or 0.0 for record in found)


def test_every_policy_has_its_rule_in_the_prompt_and_less_of_it_costs_less(acme: str) -> None:
    task = session(path=acme, **SMALL)
    budgets = {"full": None, "prefix": None, "applicable": 256, "by_id": 256}
    found = {policy: measured(policy, task, budget_tokens=budget) for policy, budget in budgets.items()}
    for records in found.values():
        assert {record.scores["evidence_in_context"] for record in records} == {1.0}
        assert total(records, "dangling_ids") == 0
    full, prefix, applicable, by_id = (
        total(found[policy], "repeated_tokens") for policy in ("full", "prefix", "applicable", "by_id")
    )
    assert full > prefix > 0
    assert full > applicable > by_id > 0
    assert {record.costs["cached_tokens"] for record in found["prefix"]} == {None}


def test_ids_dangle_where_nothing_is_carried_and_where_the_window_is_small(acme: str) -> None:
    by_one_rule = {**SMALL, "kinds": ["home", "alias"], "rules": 2, "carry": False}  # no edit brings another's rule
    apart = measured("by_id", session(path=acme, **by_one_rule), budget_tokens=256)
    first = [record for record in apart if record.tags["needed"] == "first"]
    again = [record for record in apart if record.tags["needed"] == "again"]
    assert {record.scores["evidence_in_context"] for record in first} == {1.0}
    assert {record.scores["evidence_in_context"] for record in again} == {0.0}
    assert {record.scores["dangling_in_context"] for record in again} == {1.0}
    carried = session(path=acme, **SMALL)
    small = measured("by_id", carried, budget_tokens=64, window_tokens=120)
    assert total(small, "dangling_ids") > 0
    assert total(measured("applicable", carried, budget_tokens=64, window_tokens=120), "dangling_ids") == 0

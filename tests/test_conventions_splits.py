"""What the conventions task asks about beside rules: folders that disagree, lines that break a rule, renames."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from memory_bench.errors import BadInput
from memory_bench.metrics import holds
from memory_bench.types import Episode, Event, Question
from tasks.conventions import Conventions
from tasks.conventions.questions import completed
from tasks.conventions.rules import Mined, mine_tree
from tasks.conventions.sources import read_package
from tests.conventions import conventions, digest, events, questions

LINES = '''from {home} import fast


def draw_{number}(canvas, *, exact: {annotation} = {default}) -> Area:
    """Draw with fast."""
    if canvas is None:
        raise {error}("nothing to draw on")
    {module}
    return fast(canvas, tolerance={tolerance}, rest=number)
'''


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder that keeps its rules in nine files of ten, in folders with styles of their own."""
    root = tmp_path_factory.mktemp("shop")
    (root / "shop").mkdir()
    (root / "shop" / "__init__.py").write_text("")
    for folder, style in (("goods", "relative"), ("bills", "absolute")):
        (root / "shop" / folder).mkdir()
        for number in range(60):
            breaks = number % 12 == 0
            text = LINES.format(
                number=number,
                home="shop._slow" if breaks else "shop._speed",
                annotation="Mode" if folder == "goods" else "Flag",
                default="None" if breaks else "Mode.ALL",
                error="GoodsError" if folder == "goods" else "BillError",
                module="from ..text import wrap" if style == "relative" else "from shop.text import wrap",
                tolerance="WIDE",
            )
            (root / "shop" / folder / f"m{number}.py").write_text(text)
    return str(root)


@cache
def of_pandas(split: str, written: str = "chunks", **options: int) -> tuple[Episode, ...]:
    return tuple(task_of_pandas(split, written, **options).episodes(0))


def task_of_pandas(split: str, written: str = "chunks", **options: int) -> Conventions:
    return conventions(splits=[split], written=written, **{"questions": 2, "episodes": 6, **options})


def evidence(episode: Episode, question: Question) -> list[Event]:
    return [event for event in events(episode) if event.id in question.evidence]


def rules_of(mined: Mined) -> dict[tuple[str, str, str], tuple[str, str]]:
    return {(rule.kind, rule.subject, rule.scope): (rule.value, rule.prior) for rule in mined.rules}


def test_the_kinds_of_expressions_are_mined(shop: str) -> None:
    found = rules_of(mine_tree(shop, ("argument", "raises", "imports")))
    assert found[("argument", "tolerance", "")][0] == "WIDE"
    assert found[("raises", "raise", "shop/goods")][0] == "GoodsError"
    assert found[("raises", "raise", "shop/bills")][0] == "BillError"
    assert {value for (kind, _, _), (value, _) in found.items() if kind == "argument"} == {"WIDE", "number"}


def test_folders_that_import_by_other_names_are_asked_for_their_own(tmp_path: Path) -> None:
    for folder, module in (("goods", "..text"), ("bills", "shop.text")):
        (tmp_path / "shop" / folder).mkdir(parents=True)
        for number in range(40):
            (tmp_path / "shop" / folder / f"m{number}.py").write_text(
                f"x = {number}\nfrom {module} import wrap\ny = 1\n"
            )
    task = conventions(path=str(tmp_path), kinds=["imports"], splits=["conflicts"], rules=1, questions=1, episodes=2)
    asked = {question.tags["kind"]: question for episode in task.episodes(0) for question in questions(episode)}
    assert set(asked) == {"imports"}
    for episode in task.episodes(0):
        (question,) = questions(episode)
        assert question.query.scope == ""
        folder = question.cloze.split("/")[1]
        assert question.answers == ({"goods": "..text", "bills": "shop.text"}[folder],)
        assert {completed("imports", choice) for choice in question.choices} == {"..text", "shop.text"}
        assert {event.scope for event in evidence(episode, question)} == {f"shop/{folder}"}
        assert {event.scope for event in events(episode)} == {"shop/goods", "shop/bills"}
        other = question.tags["instead"]
        assert task.score(question, f" {other} import wrap") == {"exact_match": 0.0, "right_scope": 0.0}


def test_folders_that_disagree_are_both_told_and_the_question_has_no_scope_but_its_path() -> None:
    subjects = Counter[str]()
    for episode in of_pandas("conflicts"):
        for question in questions(episode):
            subjects[question.tags["subject"]] += 1
            assert (question.tags["split"], question.tags["scope"], question.query.scope) == ("conflicts", "folder", "")
            folder = question.cloze.split("\n")[0].removeprefix("# ").rpartition("/")[0]
            assert {event.scope for event in evidence(episode, question)} == {folder}
            misleading = [
                event
                for event in events(episode)
                if event.scope != folder and holds(event.text, question.tags["instead"])
            ]
            assert misleading
            assert question.stale == frozenset()
    assert len(subjects) >= 5


def test_a_line_that_breaks_a_rule_is_asked_for_beside_more_for_the_rule() -> None:
    task = task_of_pandas("exceptions")
    for episode in of_pandas("exceptions"):
        for question in questions(episode):
            value, blind = question.answers[0], question.tags["instead"]
            assert value != blind
            shown = evidence(episode, question)
            assert 1 <= len(shown) <= 3
            assert all(holds(event.text, value) for event in shown)
            others = [event for event in events(episode) if event.id not in question.evidence]
            assert sum(holds(one.text, blind) and holds(one.text, question.tags["subject"]) for one in others) >= 1
            assert task.score(question, blind) == {"exact_match": 0.0, "not_blind": 0.0}
            assert task.score(question, value) == {"exact_match": 1.0, "not_blind": 1.0}
            assert task.score(question, "neither") == {"exact_match": 0.0}


def test_what_is_renamed_was_otherwise_before_and_is_marked_synthetic() -> None:
    for episode in of_pandas("renames"):
        order = [event.id for event in events(episode)]
        texts = {event.id: event.text for event in events(episode)}
        for question in questions(episode):
            new, old = question.answers[0], question.tags["instead"]
            assert question.tags["synthetic"] == "yes"
            assert len(question.evidence) == len(question.stale) == 3
            assert all(holds(texts[id], new) for id in question.evidence)
            assert all(holds(texts[id], old) for id in question.stale)
            assert max(map(order.index, question.stale)) < min(map(order.index, question.evidence))
            assert not holds(question.cloze, old) or old in question.tags["prior"]
            assert new != question.tags["prior"]
        hay = [at for at, id in enumerate(order) if not any(id in q.evidence | q.stale for q in questions(episode))]
        last_stale = max(order.index(id) for question in questions(episode) for id in question.stale)
        assert hay[0] < last_stale < hay[-1]  # the rest is on both sides


def test_a_renamed_value_is_a_real_one_and_the_files_are_left_alone() -> None:
    task = task_of_pandas("renames")
    values = {(rule.kind, rule.value) for rule in task.mined.rules}
    raws = {source.path: source.raw for source in read_package("pandas")}
    for known in task.found.pool("renames", 0):
        assert (known.rule.kind, known.rule.value) in values
        for place in known.rule.seen[:1]:
            original = place.source.original
            assert original is not None
            assert original.raw == raws[place.source.path]
            changed = [at for at, line in enumerate(place.source.lines) if line != original.lines[at]]
            assert changed
            if known.rule.kind != "alias":  # a name is changed wherever it is used
                assert all(holds(place.source.lines[at], known.rule.value) for at in changed)


def test_another_seed_renames_otherwise() -> None:
    task = task_of_pandas("renames")
    one, other = ({known.name: known.rule.value for known in task.found.pool("renames", seed)} for seed in (0, 1))
    both = one.keys() & other.keys()  # a new value may not be askable where the old one is: the path may hold it
    assert len(both) > 0.9 * len(one)
    assert sum(one[name] != other[name] for name in both) > len(both) / 2
    assert digest(task.episodes(0)) == digest(task_of_pandas("renames").episodes(0))


@pytest.mark.parametrize(("written", "told"), [("chunks", 36), ("cards", 12), ("both", 48)])
def test_rules_are_told_by_chunks_by_cards_or_by_both(written: str, told: int) -> None:
    task = conventions(written=written, splits=["rules", "conflicts"], questions=2, episodes=4)
    for number, episode in enumerate(task.episodes(0)):
        split = ("rules", "conflicts")[number % 2]
        cards = [event for event in events(episode) if event.text.startswith("In pandas")]
        chunks = [event for event in events(episode) if event.text.startswith("# pandas")]
        assert len(cards) + len(chunks) == len(events(episode))
        assert bool(cards) == (written != "chunks")
        assert bool(chunks) == (written != "cards")
        if split == "rules":
            assert len(events(episode)) == told
        for question in questions(episode):
            assert question.tags["split"] == split
            of_cards = [event for event in evidence(episode, question) if event in cards]
            assert len(of_cards) == (written != "chunks")
            assert all(holds(event.text, question.answers[0]) for event in of_cards)


def test_cards_are_short_and_none_is_told_twice() -> None:
    tokenizer = conventions().form.tokenizer
    for split in ("rules", "conflicts", "renames"):
        for episode in of_pandas(split, "cards"):
            texts = [event.text for event in events(episode)]
            assert len(set(texts)) == len(texts)
            sizes = sorted(len(tokenizer.encode(text).ids) for text in texts)
            assert 10 <= sizes[len(sizes) // 2] <= 40


def test_a_stream_of_rules_alone_has_no_tags_of_splits() -> None:
    (question, *_) = questions(next(iter(conventions(splits=["rules"]).episodes(0))))
    assert not {"split", "synthetic", "instead"} & question.tags.keys()


def test_too_few_of_a_split_is_said_with_what_there_is() -> None:
    with pytest.raises(BadInput, match=r"task\.splits=\[conflicts\]: rich has 0 that can be shown and asked for"):
        conventions(package="rich", splits=["conflicts"], rules=2, questions=2)

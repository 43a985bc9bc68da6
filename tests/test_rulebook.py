"""The policies of a rulebook: which rules each brings, how it tells them, and when."""

from __future__ import annotations

import pytest

from adapters import rulebook
from adapters.bm25 import BM25
from memory_bench import config
from memory_bench.contracts import Memory
from memory_bench.errors import BadInput
from memory_bench.types import Event, Passage, Query

FAST = Event("a", "[r17] fast: from acme._speed import fast", time=0.0)
HERE = Event("b", "[r52] exact: parameter exact: bool (acme/io)", scope="acme/io", time=1.0)
THERE = Event("c", "[r08] exact: parameter exact: str (acme/text)", scope="acme/text", time=2.0)
NOTE = Event("d", "Ask before you delete: always", time=3.0)  # no id: it is about anything
RULES = [FAST, HERE, THERE, NOTE]


def told(policy: str, over: Memory | None = None) -> Memory:
    made = rulebook.memory(policy=policy, over=over)
    made.write(RULES)
    made.settle()
    return made


def ask(text: str, turn: float | None = 4.0, scope: str = "") -> Query:
    return Query(text, scope=scope, time=turn)


def texts(passages: list[Passage]) -> list[str]:
    return [passage.text for passage in passages]


def ids(passages: list[Passage]) -> str:
    return "".join(event_id for passage in passages for event_id in passage.event_ids)


EXACT = "Which annotation has the parameter exact? acme/io/html.py: exact: ___ = True"


def test_the_full_rulebook_is_brought_every_time_newest_first() -> None:
    book = told("full")
    for turn in (4.0, 5.0):
        assert texts(book.read(ask(EXACT, turn))) == [rule.text for rule in RULES[::-1]]


@pytest.mark.parametrize(
    ("text", "brought"),
    [
        (EXACT, "db"),
        ("Which annotation has the parameter exact? acme/text/wrap.py: exact: ___", "dc"),
        ("Which annotation has the parameter exact? acme/io/deep/html.py: exact: ___", "d"),  # a folder of its own
        ("Which annotation has the parameter exact?", "dcb"),  # no file: about every folder
        ("Which module is fast imported from? acme/io/html.py: from ___ import fast", "da"),
        ("Which module is faster imported from? acme/io/html.py: from ___ import faster", "d"),
        ("Which is it? setup.py: fast = ___", "da"),
    ],
)
def test_a_rule_applies_in_its_folder_to_what_it_is_about(text: str, brought: str) -> None:
    assert ids(told("applicable").read(ask(text))) == brought


def test_rules_that_apply_are_whole_every_time() -> None:
    book = told("applicable")
    for turn in (4.0, 5.0):
        assert texts(book.read(ask(EXACT, turn))) == [NOTE.text, HERE.text]


def test_a_rule_is_whole_the_first_time_and_then_its_id() -> None:
    book = told("by_id")
    assert texts(book.read(ask(EXACT, 4.0))) == [NOTE.text, HERE.text]
    assert book.read(ask(EXACT, 5.0)) == [Passage(NOTE.text, ("d",)), Passage("[r52]", ("b",))]
    assert texts(book.read(ask("acme/io/html.py: from ___ import fast", 6.0))) == [NOTE.text, FAST.text]
    assert texts(book.read(ask("acme/io/html.py: from ___ import fast", 7.0))) == [NOTE.text, "[r17]"]


def test_the_prefix_is_brought_once_and_what_is_written_later_when_it_is_there() -> None:
    book = told("prefix")
    assert texts(book.read(ask(EXACT, 4.0))) == [rule.text for rule in RULES[::-1]]
    assert book.read(ask(EXACT, 5.0)) == []
    late = Event("e", "[r99] depth: parameter depth = 3", time=5.5)
    book.write([late])
    assert texts(book.read(ask(EXACT, 6.0))) == [late.text]


@pytest.mark.parametrize("policy", ["by_id", "prefix"])
class TestWhatWasToldBefore:
    def test_the_same_question_has_the_same_answer(self, policy: str) -> None:
        book = told(policy)
        assert book.read(ask(EXACT, 4.0)) == book.read(ask(EXACT, 4.0)) != book.read(ask(EXACT, 5.0))

    def test_a_question_without_a_time_is_of_no_session(self, policy: str) -> None:
        book = told(policy)
        book.read(ask(EXACT, 4.0))
        assert HERE.text in texts(book.read(ask(EXACT, None)))
        assert HERE.text in texts(told(policy).read(ask(EXACT, None)))

    def test_a_reset_a_new_text_and_a_forgotten_one_are_told_anew(self, policy: str) -> None:
        book = told(policy)
        size = book.size_bytes()
        book.read(ask(EXACT, 4.0))
        assert book.size_bytes() > size
        newer = Event("b", "[r52] exact: parameter exact: Flag (acme/io)", scope="acme/io", time=5.0)
        book.write([newer])
        assert newer.text in texts(book.read(ask(EXACT, 5.0)))
        book.forget(["b"])
        assert "b" not in ids(book.read(ask(EXACT, 6.0)))
        book.write([HERE])
        assert HERE.text in texts(book.read(ask(EXACT, 7.0)))
        book.reset()
        assert book.read(ask(EXACT, 8.0)) == []
        book.write(RULES)
        assert HERE.text in texts(book.read(ask(EXACT, 9.0)))


def test_an_ordinary_memory_brings_what_it_finds() -> None:
    def bm25() -> BM25:
        return BM25(k1=1.5, b=0.75, stemmer="english", split_identifiers=True, top_k=64)

    alone = bm25()
    alone.write(RULES)
    alone.settle()
    found = told("memory", bm25()).read(ask(EXACT))
    assert found == alone.read(ask(EXACT))
    assert {"b", "c"} <= set(ids(found))


def test_the_yaml_of_an_ordinary_memory_names_one() -> None:
    made = config.build(config.compose(["+task=needle", "+memory=rulebook_memory", "memory.over.top_k=1"]), "memory")
    made.write(RULES)
    made.settle()
    assert len(made.read(ask(EXACT))) == 1


@pytest.mark.parametrize(
    ("policy", "over", "line"),
    [
        ("some", False, "memory.policy=some: expected one of full, applicable, by_id, prefix, memory"),
        ("memory", False, "memory.policy=memory needs an ordinary memory: type +memory=rulebook_memory"),
        ("full", True, "memory.policy=full brings rules by itself and takes no memory.over; leave it null"),
    ],
)
def test_a_policy_that_cannot_be_is_one_line(policy: str, over: bool, line: str) -> None:
    with pytest.raises(BadInput) as error:
        rulebook.memory(policy=policy, over=rulebook.memory(policy="full", over=None) if over else None)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)

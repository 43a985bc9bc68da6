"""What of an episode so far stands in a prompt, what of it comes again, and which ids point to nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from rich.console import Console

from memory_bench import terminal
from memory_bench.records import Record
from memory_bench.types import Completion, Episode, Event, Passage, Query, Question, Step
from tests.stubs import StubMemory, StubReader
from tests.test_runner import CLOSED_BOOK, ORACLE, Given, records, walk

IDS = r"\[r\d+\]"
RULES = [Event(f"id{number}", f"[r{number}] The code of gate {number} is 100{number}") for number in range(3)]
RULE_TOKENS = 8  # a token of the stub is a word
QUESTION_TOKENS = 6
ANSWER_TOKENS = 8


def question(gate: int, turn: int = 0) -> Question:
    query = Query(f"What is the code of gate {gate}?", time=float(turn))
    evidence = frozenset({RULES[gate].id})
    return Question(f"q{turn}", query, f"The code of gate {gate} is", (f"100{gate}",), evidence)


class Saying(StubMemory):
    """Returns, one question after the other, passages that were laid down before."""

    def __init__(self, *said: Sequence[Passage]) -> None:
        super().__init__()
        self._said = list(said)

    def read(self, query: Query) -> list[Passage]:  # noqa: ARG002
        return list(self._said.pop(0))


class Listening(StubReader):
    def __init__(self, window_tokens: int = 1024) -> None:
        super().__init__(window_tokens=window_tokens)
        self.prompts: list[str] = []

    def generate(self, prompts: Sequence[str]) -> list[Completion]:
        self.prompts.extend(prompts)
        return super().generate(prompts)


def whole(gate: int) -> Passage:
    return Passage(RULES[gate].text, (RULES[gate].id,))


def by_id(gate: int) -> Passage:
    return Passage(f"[r{gate}]", (RULES[gate].id,))


def ask(
    memory: StubMemory,
    *gates: int,
    carry: bool = True,
    ids: str = IDS,
    reader: StubReader | None = None,
    budget_tokens: int | None = 64,
) -> list[Record]:
    episode = Episode("e", (*RULES, *(question(gate, turn) for turn, gate in enumerate(gates))), carry=carry, ids=ids)
    return records(walk(Given([episode]), memory, reader or StubReader(), budget_tokens=budget_tokens))


def costs(found: Sequence[Record], name: str) -> list[float | None]:
    return [record.costs[name] for record in found]


def scores(found: Sequence[Record], name: str) -> list[float | None]:
    return [record.scores[name] for record in found]


def test_an_id_stands_for_what_an_earlier_turn_holds() -> None:
    reader = Listening()
    found = ask(Saying([whole(1)], [by_id(1)]), 1, 1, reader=reader)
    first = f"{RULES[1].text}\nThe code of gate 1 is"
    assert reader.prompts == [first, f"{first} 1001\n[r1]\nThe code of gate 1 is"]
    assert [record.answer for record in found] == [" 1001", " 1001"]
    assert costs(found, "dangling_ids") == [0, 0]
    assert scores(found, "dangling_in_context") == [0.0, 0.0]


def test_evidence_counts_where_an_earlier_turn_holds_it_whole() -> None:
    found = ask(Saying([whole(1)], [by_id(1)], []), 1, 1, 1)
    assert scores(found, "evidence_in_context") == [1.0, 1.0, 1.0]
    assert scores(found, "hit@1") == [1.0, 0.0, 0.0]  # what the memory brought itself
    assert scores(found, "evidence@256") == [1.0, 0.0, 0.0]
    apart = ask(Saying([whole(1)], [by_id(1)], []), 1, 1, 1, carry=False)
    assert scores(apart, "evidence_in_context") == [1.0, 0.0, 0.0]


def test_evidence_is_not_what_a_turn_says_of_another_event() -> None:
    assert scores(ask(Saying([whole(1)], [by_id(2)]), 1, 2), "evidence_in_context") == [1.0, 0.0]


def test_an_id_dangles_where_turns_are_not_carried() -> None:
    found = ask(Saying([whole(1)], [by_id(1), by_id(2)], [whole(2), by_id(2)]), 1, 1, 2, carry=False)
    assert costs(found, "dangling_ids") == [0, 2, 0]
    assert scores(found, "dangling_in_context") == [0.0, 1.0, 0.0]


def test_an_id_that_no_event_defines_dangles_and_counts_once() -> None:
    found = ask(Saying([Passage("[r9] [r9]")], []), 1, 1)
    assert costs(found, "dangling_ids") == [1, 1]  # it is carried into the second prompt


def test_without_ids_there_is_nothing_to_dangle() -> None:
    found = ask(Saying([by_id(1)]), 1, ids="")
    assert (costs(found, "dangling_ids"), scores(found, "dangling_in_context")) == ([None], [None])


def test_an_id_is_defined_by_the_newest_event_that_holds_it() -> None:
    newer = Event("id9", "[r1] The code of gate 1 is 2002")
    steps: tuple[Step, ...] = (*RULES, newer, question(1), question(1, 1))
    memory = Saying([Passage(newer.text)], [whole(1)])
    found = records(walk(Given([Episode("e", steps, ids=IDS)]), memory))
    assert costs(found, "dangling_ids") == [0, 1]


TURN_TOKENS = RULE_TOKENS + QUESTION_TOKENS + 1  # a passage, what was asked, the answer


def test_the_oldest_turns_go_when_the_window_is_full() -> None:
    """Two turns fit before the third prompt, one token less and it is one; the id of turn 0 then dangles."""
    said = ([whole(0)], [whole(1)], [by_id(0)])
    full = 2 * TURN_TOKENS + 1 + QUESTION_TOKENS + ANSWER_TOKENS
    reader = Listening(full)
    fits = ask(Saying(*said), 0, 1, 0, reader=reader, budget_tokens=20)
    assert reader.prompts[2].startswith(RULES[0].text)
    assert costs(fits, "dangling_ids") == [0, 0, 0]
    reader = Listening(full - 1)
    over = ask(Saying(*said), 0, 1, 0, reader=reader, budget_tokens=20)
    assert reader.prompts[2] == f"{RULES[1].text}\nThe code of gate 1 is 1001\n[r0]\nThe code of gate 0 is"
    assert costs(over, "dangling_ids") == [0, 0, 1]
    assert scores(over, "evidence_in_context") == [1.0, 1.0, 0.0]
    assert [record.answer for record in over] == [" 1000", " 1001", " unknown"]
    assert [record.unanswered for record in over] == [None, None, None]


def test_a_turn_that_went_does_not_come_back() -> None:
    reader = Listening(2 * TURN_TOKENS + ANSWER_TOKENS)
    ask(Saying([whole(0)], [whole(1)], [whole(1), whole(2)], []), 0, 1, 2, 2, reader=reader, budget_tokens=20)
    assert RULES[0].text in reader.prompts[1]
    assert reader.prompts[2].count("\n") == 2  # two passages and the question: they left room for no turn
    assert reader.prompts[3].startswith(f"{RULES[2].text}\n{RULES[1].text}\nThe code of gate 2 is")


def test_a_prompt_that_fits_alone_is_read_without_a_budget_whatever_went_before() -> None:
    reader = Listening(2 * RULE_TOKENS + QUESTION_TOKENS + ANSWER_TOKENS)
    both = [whole(0), whole(1)]
    found = ask(Saying(both, both, [*both, whole(2)]), 0, 1, 2, reader=reader, budget_tokens=None)
    assert [record.unanswered for record in found] == [None, None, "exceeds window"]
    assert costs(found, "repeated_tokens") == [0, 2 * RULE_TOKENS, None]
    assert costs(found, "dangling_ids") == [0, 0, None]


@pytest.mark.parametrize("carry", [True, False])
def test_repeated_tokens_are_those_of_passages_less_the_first_time_of_each(carry: bool) -> None:
    found = ask(Saying([whole(0), whole(1)], [whole(1), whole(2)], [whole(2)], []), 0, 1, 2, 2, carry=carry)
    # carried: two, then two and one again, then those four and one again, then all five
    carried = [0, 2 * RULE_TOKENS + RULE_TOKENS, 4 * RULE_TOKENS + RULE_TOKENS, 5 * RULE_TOKENS]
    assert costs(found, "repeated_tokens") == (carried if carry else [0, RULE_TOKENS, RULE_TOKENS, 0])


def test_a_passage_that_stands_twice_in_one_prompt_is_repeated_once() -> None:
    assert costs(ask(Saying([whole(0), whole(0)]), 0), "repeated_tokens") == [RULE_TOKENS]


def test_what_was_not_packed_was_not_shown() -> None:
    found = ask(Saying([whole(0), whole(1)], [whole(1)]), 0, 1, carry=False, budget_tokens=RULE_TOKENS)
    assert costs(found, "repeated_tokens") == [0, 0]


def test_an_episode_knows_nothing_of_the_one_before() -> None:
    episodes = [Episode(f"e{number}", (*RULES, question(0)), carry=True, ids=IDS) for number in range(2)]
    found = records(walk(Given(episodes), Saying([whole(0)], [by_id(0)])))
    assert costs(found, "repeated_tokens") == [0, 0]
    assert costs(found, "dangling_ids") == [0, 1]
    assert found[1].answer == " unknown"


def test_controls_carry_too() -> None:
    steps: tuple[Step, ...] = (*RULES, question(0), question(1, 1))
    episodes = [Episode("e", steps, carry=True, ids=IDS)]
    given = records(walk(Given(episodes), control=ORACLE))
    assert costs(given, "repeated_tokens") == [0, RULE_TOKENS]
    assert scores(given, "evidence_in_context") == [1.0, 1.0]
    closed = records(walk(Given(episodes), control=CLOSED_BOOK))
    assert costs(closed, "repeated_tokens") == [0, 0]
    assert scores(closed, "evidence_in_context") == [0.0, 0.0]


def test_the_summary_says_how_often_an_id_dangled() -> None:
    console = Console(record=True, width=120)
    terminal.summary(ask(Saying([whole(1)], [by_id(2)]), 1, 2), console)
    assert "an id without its text  0.500 [" in console.export_text()
    terminal.summary(ask(Saying([whole(1)], [whole(2)]), 1, 2, ids=""), console)
    assert "an id without its text" not in console.export_text()

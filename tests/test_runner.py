"""The loop: who is told what, in which order, and what is judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from memory_bench import runner
from memory_bench.contracts import Reader
from memory_bench.errors import BadInput
from memory_bench.meter import Meter
from memory_bench.records import Operation, Record
from memory_bench.types import Completion, Episode, Event, Forget, Passage, Query, Question
from tests.stubs import StubMemory, StubReader, StubTask

NONE = runner.Control(writes=True, packs_evidence=False)
CLOSED_BOOK = runner.Control(writes=False, packs_evidence=False)
ORACLE = runner.Control(writes=False, packs_evidence=True)


def walk(
    task: object = None,
    memory: object = None,
    reader: object = None,
    *,
    control: runner.Control = NONE,
    **options: int | None,
) -> list[Operation | Record]:
    numbers = {"seed": 0, "budget_tokens": 64, "answer_tokens": 8, "limit": None, "write_batch": 32} | options
    bare = reader or StubReader()
    return list(
        runner.run(
            task or StubTask(),  # type: ignore[arg-type]
            memory or StubMemory(),  # type: ignore[arg-type]
            bare,  # type: ignore[arg-type]
            control=control,
            options=runner.Options(**numbers),  # type: ignore[arg-type]
            meter=Meter(bare),  # type: ignore[arg-type]
        )
    )


def records(rows: Sequence[Operation | Record]) -> list[Record]:
    return [row for row in rows if isinstance(row, Record)]


def operations(rows: Sequence[Operation | Record]) -> list[str]:
    return [row.operation for row in rows if isinstance(row, Operation)]


@dataclass
class Given:
    """A task of given episodes."""

    given: Sequence[Episode]
    scores: Mapping[str, float] = field(default_factory=lambda: {"exact_match": 1.0})
    version: str = "1"

    def identity(self) -> Mapping[str, str]:
        return {}

    def episodes(self, seed: int) -> Iterator[Episode]:  # noqa: ARG002
        yield from self.given

    def score(self, question: Question, answer: str) -> dict[str, float]:  # noqa: ARG002
        return dict(self.scores)


@dataclass
class Diary(StubMemory):
    """Writes down what it is asked to do."""

    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def reset(self) -> None:
        self.lines.append("reset")
        super().reset()

    def write(self, events: Sequence[Event]) -> None:
        self.lines.append(f"write {' '.join(event.id for event in events)}")
        super().write(events)

    def settle(self) -> None:
        self.lines.append("settle")

    def forget(self, event_ids: Sequence[str]) -> None:
        self.lines.append(f"forget {' '.join(event_ids)}")
        super().forget(event_ids)

    def read(self, query: Query) -> list[Passage]:
        self.lines.append(f"read {query.budget_tokens}")
        return super().read(query)


def event(gate: int, code: int = 1000) -> Event:
    return Event(f"id{gate}-{code}", f"The code of gate {gate} is {code}")


def ask(gate: int, code: int = 1000, **more: object) -> Question:
    evidence = frozenset({event(gate, code).id})
    query = Query(f"What is the code of gate {gate}?")
    return Question(f"q{gate}", query, f"The code of gate {gate} is", (str(code),), evidence, **more)  # type: ignore[arg-type]


def test_a_memory_answers_and_its_evidence_is_seen() -> None:
    rows = walk()
    found = [record for record in records(rows) if record.evidence]
    assert len(found) == 4
    for record in found:
        assert record.answer == f" {record.gold[0]}"
        assert record.scores["exact_match"] == record.scores["evidence_in_context"] == record.scores["hit@1"] == 1.0
        assert record.passages[0]["packed"]
    absent = [record for record in records(rows) if not record.evidence]
    assert [record.answer for record in absent] == [" unknown"] * 2
    assert operations(rows) == ["attach", *(["reset", "write", "settle"] * 2)]


def test_the_order_of_things() -> None:
    steps = (event(0), event(1), event(2), ask(0), ask(1), event(3), Forget((event(0).id,)), ask(3))
    diary = Diary()
    walk(Given([Episode("e", steps)]), diary, write_batch=2, budget_tokens=50)
    assert diary.lines == [
        "reset",
        "write id0-1000 id1-1000",
        "write id2-1000",
        "settle",
        "read 4096",
        "read 4096",
        "write id3-1000",
        "forget id0-1000",
        "settle",
        "read 4096",
    ]


def test_closed_book_is_told_nothing() -> None:
    diary = Diary()
    rows = walk(memory=diary, control=CLOSED_BOOK)
    assert set(diary.lines) == {"reset", "read 4096"}
    assert [record.answer for record in records(rows)] == [" unknown"] * 6


def test_oracle_packs_the_evidence_newest_first_and_asks_no_memory() -> None:
    steps = (event(0), event(1), event(2))
    question = Question("q", Query("?"), "The code of gate 1 is", ("1000",), frozenset({event(0).id, event(1).id}))
    diary = Diary()
    [record] = records(walk(Given([Episode("e", (*steps, question))]), diary, control=ORACLE))
    assert diary.lines == ["reset"]
    assert [passage["event_ids"] for passage in record.passages] == [[event(1).id], [event(0).id]]
    assert record.scores["evidence_in_context"] == 1.0
    assert record.answer == " 1000"
    assert record.costs["read_seconds"] is None


@pytest.mark.parametrize(("limit", "asked"), [(1, 1), (3, 3), (4, 4), (6, 6), (99, 6)])
def test_limit_keeps_the_first_questions_of_the_stream(limit: int, asked: int) -> None:
    every = [(record.episode, record.question) for record in records(walk())]
    kept = [(record.episode, record.question) for record in records(walk(limit=limit))]
    assert kept == every[:asked]
    assert runner.count_questions(StubTask(), seed=0, limit=limit) == asked


def test_what_follows_the_last_question_is_left_out() -> None:
    diary = Diary()
    walk(Given([Episode("e", (event(0), ask(0), event(1), ask(1)))] * 2), diary, limit=1)
    assert diary.lines == ["reset", "write id0-1000", "settle", "read 4096"]


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    def answers(seed: int) -> list[str | None]:
        return [record.answer for record in records(walk(seed=seed))]

    assert answers(0) == answers(0)
    assert answers(0) != answers(1)


def test_carry_keeps_earlier_prompts_and_answers_in_the_context() -> None:
    prompts: list[str] = []

    class Listening(StubReader):
        def generate(self, given: Sequence[str]) -> list[Completion]:
            prompts.extend(given)
            return super().generate(given)

    steps = (event(0), ask(0), event(1), ask(1))
    walk(Given([Episode("e", steps, carry=True)]), StubMemory(top_k=1), Listening())
    first = "The code of gate 0 is 1000\nThe code of gate 0 is"
    assert prompts == [first, f"{first} 1000\nThe code of gate 1 is 1000\nThe code of gate 1 is"]
    prompts.clear()
    walk(Given([Episode("e", steps)]), StubMemory(top_k=1), Listening())
    assert prompts[1] == "The code of gate 1 is 1000\nThe code of gate 1 is"


def test_a_chat_reader_is_asked_in_natural_language() -> None:
    class Chat(StubReader):
        style = "chat"

        def generate(self, prompts: Sequence[str]) -> list[Completion]:
            assert all(prompt.endswith("What is the code of gate 0?") for prompt in prompts)
            return super().generate(prompts)

    [record] = records(walk(reader=Chat(), limit=1))
    assert record.scores["exact_match"] == 1.0


def test_choices_are_scored_per_token() -> None:
    class Scoring(StubReader):
        def score(self, prompt: str, continuations: Sequence[str]) -> list[float]:
            assert prompt.endswith("The code of gate 0 is")
            return {(" a", " b c d"): [-2.0, -3.0]}[tuple(continuations)]  # type: ignore[index]

    task = Given([Episode("e", (event(0), ask(0, choices=("a", "b c d"))))])
    [record] = records(walk(task, reader=Scoring()))
    assert (record.answer, record.logprob) == (" b c d", -3.0)
    assert record.costs["prompt_tokens"] == 7 + 6 + 4  # context, question, and the texts that were scored
    assert record.costs["completion_tokens"] == 0


def test_without_a_budget_an_answer_from_a_part_is_no_answer() -> None:
    task = Given([Episode("e", (event(0), event(1), ask(0)))])
    whole = 7 + 7 + 6 + 8  # two events, the question, the answer
    [fits] = records(walk(task, reader=StubReader(window_tokens=whole), budget_tokens=None))
    assert (fits.answer, fits.unanswered) == (" 1000", None)
    [exceeds] = records(walk(task, reader=StubReader(window_tokens=whole - 1), budget_tokens=None))
    assert (exceeds.answer, exceeds.unanswered) == (None, "exceeds window")
    assert set(exceeds.scores.values()) == {None}
    assert exceeds.costs["generate_seconds"] is None
    assert exceeds.costs["read_seconds"] is not None


def test_an_invented_id_fails_the_cell() -> None:
    class Inventing(StubMemory):
        def read(self, query: Query) -> list[Passage]:  # noqa: ARG002
            return [Passage("anything", ("made-up",))]

    with pytest.raises(ValueError, match=r"never written: \['made-up'\]"):
        walk(memory=Inventing())


@pytest.mark.parametrize(
    ("scores", "message"), [({"exact_match": 1.5}, r"lie in \[0, 1\]"), ({"hit@1": 1.0}, r"rename \['hit@1'\]")]
)
def test_a_task_that_breaks_its_contract_fails_the_cell(scores: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        walk(Given([Episode("e", (event(0), ask(0)))], scores))


def test_a_budget_below_the_shortest_event_is_refused_before_anything_is_attached() -> None:
    class Untouched(StubMemory):
        def attach(self, reader: Reader) -> Reader:  # noqa: ARG002
            raise AssertionError("attached")

    with pytest.raises(BadInput, match=r"budget_tokens=6 is below the shortest event .* \(7 tokens\).*budget_tokens=7"):
        walk(memory=Untouched(), budget_tokens=6)
    assert records(walk(budget_tokens=7))[0].scores["exact_match"] == 1.0


def test_a_budget_beyond_the_window_is_refused() -> None:
    with pytest.raises(BadInput, match=r"budget_tokens=100 does not fit .* type budget_tokens=55 or less"):
        walk(reader=StubReader(window_tokens=64), budget_tokens=100)


def test_a_task_without_episodes_is_a_bug() -> None:
    with pytest.raises(ValueError, match="asks nothing for seed=3"):
        walk(Given([]), seed=3)


def test_a_memory_inside_the_model_answers_through_its_own_reader() -> None:
    class Inside(StubMemory):
        """Returns no passage; its reader knows all that was written."""

        def attach(self, reader: Reader) -> Reader:
            held = self._held

            class Knowing(StubReader):
                def generate(self, prompts: Sequence[str]) -> list[Completion]:
                    told = "".join(f"{event.text}\n" for event in held.values())
                    [completion] = reader.generate([told + prompts[0]])
                    return [Completion(completion.text, self.count_tokens(prompts[0]), 1)]

            return Knowing()

        def read(self, query: Query) -> list[Passage]:  # noqa: ARG002
            return []

    found = [record for record in records(walk(memory=Inside())) if record.evidence]
    assert [record.scores["exact_match"] for record in found] == [1.0] * 4
    assert [record.scores["evidence_in_context"] for record in found] == [0.0] * 4
    assert [record.scores["evidence@4096"] for record in found] == [0.0] * 4
    assert found[0].costs["prompt_tokens"] == 14 + 6  # counted once, where the model was called


def test_sizes_are_taken_empty_and_full_and_not_between_batches() -> None:
    rows = [row for row in walk() if isinstance(row, Operation)]
    sizes = {row.operation: row.costs["size_bytes"] for row in rows}
    assert sizes["reset"] == 0
    assert sizes["settle"] == 2 * (len("s0-0-x") + len("The code of gate 0 is 4411"))
    assert sizes["write"] is None
    told = next(row for row in rows if row.operation == "write")
    assert (told.events, told.costs["write_tokens"], told.costs["write_bytes"]) == (2, 14, 52)


def hay(number: int) -> Event:
    """An event of 64 words that nobody asks for: a budget of the curve is full of them to the last token."""
    return Event(f"hay{number}", f"of gate {number + 100} " + "straw " * 61)


class NewestFirst(StubMemory):
    """Offers all that it holds, the newest first: where evidence stands in its ranking is known."""

    def read(self, query: Query) -> list[Passage]:  # noqa: ARG002
        return [Passage(event.text, (event.id,)) for event in reversed(self._held.values())]


def buried(under: int) -> Given:
    """One fact of 7 words under so many events of 64, and a question for it."""
    return Given([Episode("e", (event(0), *map(hay, range(under)), ask(0)))])


@pytest.mark.parametrize(
    ("under", "within"),
    [
        (3, [1.0, 1.0, 1.0, 1.0, 1.0]),
        (4, [0.0, 1.0, 1.0, 1.0, 1.0]),
        (15, [0.0, 0.0, 1.0, 1.0, 1.0]),
        (16, [0.0, 0.0, 0.0, 1.0, 1.0]),
        (63, [0.0, 0.0, 0.0, 0.0, 1.0]),
        (64, [0.0, 0.0, 0.0, 0.0, 0.0]),
    ],
)
def test_the_one_ranking_is_judged_at_every_budget(under: int, within: list[float]) -> None:
    [record] = records(walk(buried(under), NewestFirst(), budget_tokens=256))
    assert [record.scores[f"evidence@{budget}"] for budget in (256, 512, 1024, 2048, 4096)] == within
    assert record.scores["evidence_in_context"] == within[0]
    assert record.costs["context_tokens"] <= 256  # type: ignore[operator]


@pytest.mark.parametrize("budget", [256, 512, 1024, 2048, 4096])
@pytest.mark.parametrize("under", [3, 4, 8, 16, 63, 64])
def test_at_the_budget_of_the_run_the_curve_is_the_evidence_in_context(budget: int, under: int) -> None:
    [record] = records(walk(buried(under), NewestFirst(), StubReader(window_tokens=9999), budget_tokens=budget))
    assert record.scores[f"evidence@{budget}"] == record.scores["evidence_in_context"]


def test_what_the_reader_is_given_depends_on_the_budget_of_the_run_alone() -> None:
    """The prompt is what the whole ranking makes at 256 tokens, however much of it was offered."""
    prompts: list[str] = []

    class Listening(StubReader):
        def generate(self, given: Sequence[str]) -> list[Completion]:
            prompts.extend(given)
            return super().generate(given)

    [record] = records(walk(buried(20), NewestFirst(), Listening(), budget_tokens=256))
    newest = [hay(number).text + "\n" for number in range(16, 20)]
    assert prompts == ["".join(newest) + "The code of gate 0 is"]
    assert [passage["packed"] for passage in record.passages] == [True] * 4 + [False] * 17


@pytest.mark.parametrize(("budget", "seen"), [(64, 4096), (4096, 4096), (5000, 5000), (None, 9999 - 8 - 6)])
def test_a_memory_is_told_the_largest_budget_at_which_it_is_judged(budget: int | None, seen: int) -> None:
    diary = Diary()
    walk(Given([Episode("e", (event(0), ask(0)))]), diary, StubReader(window_tokens=9999), budget_tokens=budget)
    assert diary.lines[-1] == f"read {seen}"


def test_where_there_is_nothing_to_find_there_is_no_curve() -> None:
    absent = [record for record in records(walk()) if not record.evidence]
    assert len(absent) == 2
    assert {record.scores[f"evidence@{budget}"] for record in absent for budget in (256, 4096)} == {None}

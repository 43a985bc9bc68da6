"""Episodes as JSON lines: what is written comes back, and what is wrong in a file is said with its line and field."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_bench import config
from memory_bench.contracts import Task
from memory_bench.episode_file import Header, read_episodes, read_header, write_episodes
from memory_bench.episode_lines import SCHEMA
from memory_bench.errors import BadInput
from memory_bench.types import UNKNOWN, Episode, Event, Forget, Query, Question, Step

Rows: TypeAlias = list[dict[str, Any] | str]

HEADER = Header("a stream", "3", "CC0-1.0")
FIRST = {"format": "memory_bench episodes 1", "name": "x", "version": "1", "licence": "CC0-1.0"}
EPISODE = {"episode": "e0"}
EVENT = {"event": "a", "text": "The code is 1.", "time": 0}
QUESTION = {"question": "q0", "text": "Which code?", "answers": ["1"], "evidence": ["a"]}
GOOD: Rows = [FIRST, EPISODE, EVENT, QUESTION]


def file_of(folder: Path, *rows: dict[str, Any] | str) -> Path:
    path = folder / "episodes.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", ["needle", "entity", "conventions"])
def test_the_default_stream_of_a_task_comes_back_bit_for_bit(name: str, tmp_path: Path) -> None:
    task: Task = config.build(config.compose([f"+task={name}", "+memory=none"]), "task")
    told = list(task.episodes(0))
    path = tmp_path / "stream.jsonl"
    sha256 = write_episodes(path, HEADER, told)
    played = list(read_episodes(path))
    assert len(played) == len(told) >= 5
    assert played == told
    assert [repr(episode.steps[0]) for episode in played] == [repr(episode.steps[0]) for episode in told]
    assert read_header(path) == HEADER
    assert write_episodes(tmp_path / "again.jsonl", HEADER, played) == sha256
    assert (tmp_path / "again.jsonl").read_bytes() == path.read_bytes()


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda text: text.strip())
scopes = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
times = st.none() | st.integers(-(10**12), 10**12) | st.floats(-1e12, 1e12)


@st.composite
def episodes(draw: st.DrawFn, number: int) -> Episode:
    ids = draw(st.lists(words, min_size=2, max_size=6, unique=True))
    steps: list[Step] = [Event(id, draw(words), scope=draw(scopes), time=draw(times)) for id in ids]
    gone = draw(st.sets(st.sampled_from(ids[1:])))
    if gone:
        steps.append(Forget(tuple(draw(st.permutations(sorted(gone))))))
    stale = draw(st.sets(st.sampled_from(ids[1:]))) - gone
    found = draw(st.booleans())
    answer = draw(words.filter(lambda text: text != UNKNOWN))
    question = Question(
        f"q{number}",
        Query(draw(words), scope=draw(scopes), time=draw(times)),
        draw(words),
        answers=(answer, draw(words.filter(lambda text: text != UNKNOWN))) if found else (UNKNOWN,),
        evidence=frozenset(ids[:1]) if found else frozenset(),
        stale=frozenset(stale),
        forgotten=frozenset(gone),
        choices=tuple(draw(st.lists(words, max_size=3))),
        tags=draw(st.dictionaries(words, scopes, max_size=3)),
    )
    return Episode(
        f"e{number}", (*steps, question, Event("\u2028 late", "a\u2028\u0085 \r\x0b")), carry=draw(st.booleans())
    )


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_an_episode_can_be_comes_back(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    told = [data.draw(episodes(number)) for number in range(data.draw(st.integers(1, 3)))]
    path = tmp_path_factory.mktemp("file") / "episodes.jsonl"
    write_episodes(path, HEADER, told)
    assert list(read_episodes(path)) == told


def test_every_field_of_the_contract_has_a_place_in_the_file() -> None:
    held = {
        Episode: set(SCHEMA["episode"]) | {"steps"},
        Event: set(SCHEMA["event"]),
        Question: set(SCHEMA["question"]) | {"query"},
        Query: set(SCHEMA["question"]) | {"budget_tokens"},
    }
    for noun, places in held.items():
        assert {field.name for field in fields(noun)} - {"id"} <= places, noun


def test_a_stream_that_breaks_a_rule_is_not_written(tmp_path: Path) -> None:
    twice = Episode(
        "e", (Event("a", "One."), Event("a", "Two."), Question("q", Query("?"), "It", (UNKNOWN,), frozenset()))
    )
    with pytest.raises(ValueError, match="line 4: field \"event\": 'a' was told before"):
        write_episodes(tmp_path / "file.jsonl", HEADER, [twice])
    asks_for_room = Question("q", Query("?", budget_tokens=9), "It", (UNKNOWN,), frozenset())
    with pytest.raises(ValueError, match="question q sets budget_tokens"):
        write_episodes(tmp_path / "file.jsonl", HEADER, [Episode("e", (asks_for_room,))])
    assert list(tmp_path.iterdir()) == []


def test_what_is_left_out_has_its_default_and_blank_lines_say_nothing(tmp_path: Path) -> None:
    short = {"question": "q0", "text": "Which code?", "answers": ["unknown"]}
    [episode] = read_episodes(file_of(tmp_path, FIRST, "", {"episode": "e0"}, EVENT, "  ", short))
    query = Query("Which code?")
    assert episode == Episode(
        "e0", (Event("a", "The code is 1.", time=0), Question("q0", query, "Which code?", (UNKNOWN,), frozenset()))
    )


def opens(row: dict[str, Any] | str) -> Rows:
    return [FIRST, EPISODE, row]


def tells(change: dict[str, Any]) -> Rows:
    return [FIRST, EPISODE, EVENT | change]


def asks(change: dict[str, Any]) -> Rows:
    return [FIRST, EPISODE, EVENT, QUESTION | change]


MALFORMED: dict[str, tuple[Rows, str]] = {
    "empty": ([], "line 0: the file is empty"),
    "no header": ([EPISODE], "line 1: expected the header"),
    "another format": ([FIRST | {"format": "x"}], 'line 1: field "format": expected "memory_bench episodes 1"'),
    "no licence": ([{key: FIRST[key] for key in ("format", "name", "version")}], 'line 1: field "licence" is missing'),
    "nothing after the header": ([FIRST], "line 1: no episode follows the header"),
    "outside an episode": ([FIRST, EVENT], 'line 2: "event" stands outside an episode'),
    "a list": ([FIRST, "[1]"], "line 2: expected an object in braces"),
    "not JSON": (opens("{'event': 1}"), "line 3: not JSON: Expecting property name"),
    "cut off": (opens('{"event": "a", "te'), "line 3: not JSON: Unterminated string"),
    "deep": (opens("[" * 100_000), "line 3: not JSON that can be read"),
    "a long number": (opens('{"event": "a", "time": ' + "9" * 5000 + "}"), "line 3: not JSON that can be read"),
    "no number": (opens('{"event": "a", "text": "b", "time": NaN}'), "line 3: NaN is no number in JSON"),
    "infinite": (opens('{"event": "a", "text": "b", "time": 1e999}'), 'field "time": expected a number'),
    "true is no time": (tells({"time": True}), 'line 3: field "time": expected a number, or null, got true'),
    "unknown kind": (opens({"evnt": "a"}), "line 3: the first field says what a line is: .* got 'evnt'"),
    "unknown field": (tells({"scpe": "a"}), 'field "scpe": no such field; did you mean scope'),
    "repeated field": (opens('{"event": "a", "event": "b", "text": "c"}'), 'line 3: field "event" comes twice'),
    "no text": (opens({"event": "a"}), 'line 3: field "text" is missing'),
    "empty text": (tells({"text": " "}), 'field "text": expected text that is not empty, got " "'),
    "text as a number": (tells({"text": 5}), 'field "text": expected text in quotes, got 5'),
    "half a character": (tells({"text": "\ud800"}), 'field "text": half of a character'),
    "carry as text": ([FIRST, {"episode": "e", "carry": "yes"}], 'line 2: field "carry": expected true or false'),
    "answers as text": (asks({"answers": "1"}), 'line 4: field "answers": expected a list of texts'),
    "no answer": (asks({"answers": []}), 'field "answers": expected a list with one text at least'),
    "tags as a list": (asks({"tags": ["a"]}), 'field "tags": expected an object of texts'),
    "evidence twice": (asks({"evidence": ["a", "a"]}), "field \"evidence\": 'a' comes twice"),
    "evidence not told": (asks({"evidence": ["b"]}), "field \"evidence\": no event 'b' was told before"),
    "evidence forgotten": ([*GOOD[:3], {"forget": ["a"]}, QUESTION], "field \"evidence\": 'a' was to be forgotten"),
    "stale is evidence": (asks({"stale": ["a"]}), "field \"stale\": 'a' is evidence too"),
    "not forgotten": (asks({"forgotten": ["a"]}), "field \"forgotten\": no line before orders to forget 'a'"),
    "unknown with evidence": (asks({"answers": ["unknown"]}), 'field "answers": the answer is'),
    "an answer from nowhere": (asks({"evidence": []}), 'field "answers": the answer is'),
    "forget what was not told": ([*GOOD[:3], {"forget": ["b"]}], "field \"forget\": no event 'b' was told before"),
    "forget nothing": ([*GOOD[:3], {"forget": []}], 'field "forget": expected a list with one text at least'),
    "told twice": ([*GOOD[:3], EVENT], "line 4: field \"event\": 'a' was told before"),
    "asked twice": ([*GOOD, QUESTION], "line 5: field \"question\": 'q0' was asked before"),
    "episode twice": ([*GOOD, EPISODE], "line 5: field \"episode\": 'e0' comes twice"),
    "asks nothing": ([FIRST, EPISODE, EVENT], "line 3: episode 'e0' asks nothing"),
    "a second header": ([*GOOD, FIRST], "line 5: the first field says what a line is: .* got 'format'"),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "said"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_file_is_one_line_that_says_where(rows: Rows, said: str, tmp_path: Path) -> None:
    path = file_of(tmp_path, *rows)
    with pytest.raises(BadInput, match=said) as raised:
        list(read_episodes(path))
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_utf8_or_not_there_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.jsonl"
    path.write_bytes(b'{"format": "caf\xe9"}\n')
    with pytest.raises(BadInput, match=r"line 1: not UTF-8 at byte 15"):
        read_header(path)
    with pytest.raises(BadInput, match="No such file"):
        read_header(tmp_path / "nowhere.jsonl")
    with pytest.raises(BadInput, match="Is a directory"):
        read_header(tmp_path)


def test_a_good_file_is_read(tmp_path: Path) -> None:
    [episode] = read_episodes(file_of(tmp_path, *GOOD))
    assert [type(step) for step in episode.steps] == [Event, Question]

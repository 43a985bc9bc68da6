"""Real conversations: a small file of our own shows every rule, the published one is read where the user has it."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from memory_bench.__main__ import main
from memory_bench.errors import BadInput, Unavailable
from memory_bench.types import UNKNOWN, Episode, Event, Question
from memory_bench.user_data import find_data
from tasks.locomo import Locomo
from tasks.locomo.__main__ import told
from tasks.locomo.conversations import CATEGORIES, PUBLISHED, read_file

DATA = "locomo/locomo10.json"
KINDS = list(CATEGORIES.values())
SMALL: list[dict[str, Any]] = [
    {
        "sample_id": "conv-1",
        "conversation": {
            "speaker_a": "Ines",
            "speaker_b": "Tomas",
            "session_2_date_time": "9:05 am on 3 June, 2023",
            "session_2": [
                {"dia_id": "D2:1", "speaker": "Ines", "text": "Look, my new kiln!\n", "blip_caption": "an oven"},
                {"dia_id": "D2:2", "speaker": "Tomas", "text": "Big enough for plates?", "blip_caption": None},
            ],
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": [
                {"dia_id": "D1:1", "speaker": "Ines", "text": "I sold my loom yesterday."},
                {"dia_id": "D1:2", "speaker": "Tomas", "text": "I adopted a greyhound, Pilot."},
            ],
            "session_3_date_time": "1:56 pm on 9 May, 2024",
        },
        "qa": [
            {"question": "When did Ines sell her loom?", "answer": "7 May 2023", "evidence": ["D1:1"], "category": 2},
            {"question": "How many dogs has Tomas?", "answer": 1, "evidence": ["D1:2; D2:2"], "category": 1},
            {"question": "What did Ines buy?", "answer": "a kiln", "evidence": ["D:2:1", "D", "D9:9"], "category": 4},
            {"question": "Is Ines crafty?", "answer": "yes", "evidence": [], "category": 3},
            {"question": "Which cat has Ines?", "adversarial_answer": "Pilot", "evidence": ["D1:02"], "category": 5},
        ],
    },
    {
        "sample_id": "conv-2",
        "conversation": {
            "session_1_date_time": "12:00 am on 1 January, 2024",
            "session_1": [{"dia_id": "D1:1", "speaker": "Ada", "text": "Happy new year."}],
        },
        "qa": [],
    },
]  # fmt: skip


def file_of(folder: Path, content: object = SMALL) -> Path:
    path = folder / "talk.json"
    path.write_text(json.dumps(content))
    return path


def locomo(path: Path | str | None, **options: Any) -> Locomo:
    given = {"data": DATA, "kinds": KINDS, "captions": True, "dates": False, **options}
    return Locomo(path=None if path is None else str(path), **given)


def questions(episode: Episode) -> list[Question]:
    return [step for step in episode.steps if isinstance(step, Question)]


def texts(episode: Episode) -> dict[str, str]:
    return {step.id: step.text for step in episode.steps if isinstance(step, Event)}


def test_turns_are_events_in_the_order_of_their_sessions(tmp_path: Path) -> None:
    [episode] = locomo(file_of(tmp_path)).episodes(0)  # the second conversation asks nothing
    events = [step for step in episode.steps if isinstance(step, Event)]
    assert [event.text for event in events] == [
        "Ines: I sold my loom yesterday.",
        "Tomas: I adopted a greyhound, Pilot.",
        "Ines: Look, my new kiln! [photo: an oven]",
        "Tomas: Big enough for plates?",
    ]
    assert [event.time for event in events] == [1683554160.0, 1683554160.0, 1685783100.0, 1685783100.0]
    assert len({event.id for event in events}) == 4
    assert all(re.fullmatch("[0-9a-f]{16}", event.id) for event in events)


def test_evidence_is_read_however_it_is_written_and_what_names_no_turn_is_dropped(tmp_path: Path) -> None:
    task = locomo(file_of(tmp_path))
    [episode] = task.episodes(0)
    held = texts(episode)
    evidence = [sorted(held[id].split(":")[0] for id in question.evidence) for question in questions(episode)]
    assert evidence == [["Ines"], ["Tomas", "Tomas"], ["Ines"], []]
    assert [question.tags["kind"] for question in questions(episode)] == [
        *("temporal", "multi-hop", "single-hop", "adversarial"),
    ]
    assert [question.answers for question in questions(episode)] == [("7 May 2023",), ("1",), ("a kiln",), (UNKNOWN,)]
    assert task.identity()["dropped"] == "D, D9:9"
    assert task.identity()["left out"] == "1 questions without evidence"
    assert "2 entries name none: conv-1 D; conv-1 D9:9" in told(file_of(tmp_path))


def test_options_choose_kinds_captions_and_dates(tmp_path: Path) -> None:
    path = file_of(tmp_path)
    [episode] = locomo(path, kinds=["temporal"], captions=False, dates=True).episodes(0)
    assert [question.tags["kind"] for question in questions(episode)] == ["temporal"]
    assert list(texts(episode).values())[2] == "[9:05 am on 3 June, 2023] Ines: Look, my new kiln!"
    with pytest.raises(BadInput, match=r"task.kinds=\['spatial'\]: expected a list of some of multi-hop, temporal"):
        locomo(path, kinds=["spatial"])


def test_a_file_is_named_by_its_bytes_and_by_its_content(tmp_path: Path) -> None:
    first = locomo(file_of(tmp_path)).identity()
    (tmp_path / "talk.json").write_text(json.dumps(SMALL, indent=2, sort_keys=True))
    second = locomo(tmp_path / "talk.json").identity()
    assert first["file"] != second["file"]
    assert first["canonical"] == second["canonical"]
    assert second["file"] == hashlib.sha256((tmp_path / "talk.json").read_bytes()).hexdigest()
    assert first["published"] == "another file"


GONE = "taken away"
FIRST = "talk.json, conversation 1 (conv-1)"
TOLD = f"{FIRST}, field conversation"
SECOND_TURN = (0, "conversation", "session_2", 1)
MALFORMED: dict[str, tuple[tuple[int | str, ...], object, str]] = {
    "nothing": ((), [], "talk.json: holds no conversation"),
    "an object": ((), {"qa": []}, "talk.json: expected a list, got"),
    "no name": ((0, "sample_id"), GONE, "talk.json, conversation 1: field sample_id is missing"),
    "a name twice": ((1, "sample_id"), "conv-1", "talk.json: field sample_id: 'conv-1' comes twice"),
    "no qa": ((0, "qa"), GONE, f"{FIRST}: field qa is missing"),
    "no session": ((0, "conversation"), {}, f"{TOLD}: expected an object with session_1"),
    "no date": (
        (0, "conversation", "session_2_date_time"), GONE, f"{TOLD}: field session_2_date_time is missing"
    ),
    "another date": (
        (0, "conversation", "session_1_date_time"), "2023-05-08",
        f"{TOLD}, field session_1_date_time: expected a date such as '1:56 pm on 8 May, 2023', got \"2023-05-08\"",
    ),
    "a session of text": ((0, "conversation", "session_1"), "hello", f"{TOLD}, field session_1: expected a list"),
    "no text": ((*SECOND_TURN, "text"), GONE, f"{TOLD}, field session_2, turn 2: field text is missing"),
    "empty text": ((*SECOND_TURN, "text"), " ", f"{TOLD}, field session_2, turn 2, field text: expected text that is"),
    "another id": (
        (*SECOND_TURN, "dia_id"), "2/2", f"{TOLD}, field session_2, turn 2, field dia_id: expected an id such as D1:3"
    ),
    "a turn twice": ((*SECOND_TURN, "dia_id"), "D2:1", f"{TOLD}: dia_id D2:1 comes twice"),
    "a turn of text": (SECOND_TURN, "hi", f"{TOLD}, field session_2, turn 2: expected an object, got \"hi\""),
    "another category": (
        (0, "qa", 1, "category"), 6, f"{FIRST}, field qa, question 2, field category: expected one of 1 (multi-hop)"
    ),
    "no answer": ((0, "qa", 0, "answer"), GONE, f"{FIRST}, field qa, question 1: field answer is missing"),
    "evidence as text": (
        (0, "qa", 0, "evidence"), "D1:1", f"{FIRST}, field qa, question 1, field evidence: expected a list"
    ),
    "evidence as a number": (
        (0, "qa", 0, "evidence"), ["D1:1", 7],
        f"{FIRST}, field qa, question 1, field evidence, entry 2: expected an id such as D1:3, got 7",
    ),
}  # fmt: skip


def changed(place: tuple[int | str, ...], value: object) -> object:
    """Return the small file with another value at one place."""
    content: Any = copy.deepcopy(SMALL)
    if not place:
        return value
    *above, last = place
    node = content
    for key in above:
        node = node[key]
    if value == GONE:
        del node[last]
    else:
        node[last] = value
    return content


@pytest.mark.parametrize(("place", "value", "said"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_file_is_one_line_with_place_and_field(
    place: tuple[int | str, ...], value: object, said: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=re.escape(said)) as raised:
        locomo(file_of(tmp_path, changed(place, value)))
    assert "\n" not in str(raised.value)


def test_what_is_not_json_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    path.write_text('[\n {"sample_id": "conv-1",}\n]')
    with pytest.raises(BadInput, match=r"talk.json, line 2, column 2\d: not JSON"):
        read_file(path)
    path.write_bytes(b"\xff\xfe\x00[")
    with pytest.raises(BadInput, match="not JSON"):
        read_file(path)


def test_where_there_is_no_file_the_path_that_was_looked_for_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEMORY_BENCH_DATA", str(tmp_path))
    with pytest.raises(Unavailable, match=re.escape(f"there is no file {tmp_path / DATA}")):
        locomo(None)
    monkeypatch.delenv("MEMORY_BENCH_DATA")
    with pytest.raises(Unavailable, match="set MEMORY_BENCH_DATA to the folder that holds it"):
        locomo(None)
    assert main(["list"]) == 0
    said = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("  locomo "))
    assert f"cannot run here: {DATA} is the user's to supply" in said
    assert main(["+task=locomo", "+memory=none", f"results={tmp_path}"]) == 1
    with pytest.raises(BadInput, match=r"task.path=nowhere.json: no such file"):
        locomo("nowhere.json")


def test_a_file_below_the_folder_is_found_and_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "locomo").mkdir()
    file_of(tmp_path).rename(tmp_path / DATA)
    monkeypatch.setenv("MEMORY_BENCH_DATA", str(tmp_path))
    assert len(list(locomo(None).episodes(0))) == 1
    assert main(["list"]) == 0
    assert any(line.startswith("  locomo ") and "(runs here)" in line for line in capsys.readouterr().out.splitlines())


@pytest.fixture
def published() -> Locomo:
    try:
        return locomo(find_data(None, DATA))
    except Unavailable as error:
        pytest.skip(str(error))


def test_the_published_file_has_the_counts_that_its_authors_and_others_found(published: Locomo) -> None:
    asked = [question for episode in published.episodes(0) for question in questions(episode)]
    assert Counter(question.tags["kind"] for question in asked) == {
        **{"multi-hop": 282, "temporal": 321, "open-domain": 92, "single-hop": 841, "adversarial": 446},
    }
    assert sum(len(texts(episode)) for episode in published.episodes(0)) == 5882
    assert published.identity()["file"] == PUBLISHED, f"another file in {os.environ['MEMORY_BENCH_DATA']}"
    assert published.identity()["dropped"] == "D, D10:19, D4:36"
    assert published.identity()["left out"] == "4 questions without evidence"

"""The needle task: the user's texts, the user's mistakes, and what the templates promise."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from Stemmer import Stemmer

from memory_bench.errors import BadInput
from tasks.needle import licences
from tasks.needle.sources import is_word, prose, standard_library, user_haystack
from tasks.needle.templates import RELATIONS, Relation, Wording
from tests.needles import EMPTY, events, needle, questions

SMALL = {"length_tokens": 512, "distractors": 0, "boilerplate": 0}


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("length_tokens", 10, "task.length_tokens=10: expected a whole number >= 64"),
        ("length_tokens", 2048.5, "task.length_tokens=2048.5: expected a whole number"),
        ("length_tokens", "long", "task.length_tokens=long: expected a whole number"),
        ("chunk_tokens", 0, "task.chunk_tokens=0: expected a whole number >= 16"),
        ("chunk_tokens", 16, "task.chunk_tokens=16 .* raise task.chunk_tokens"),
        ("episodes", 0, "task.episodes=0: expected a whole number >= 1"),
        ("episodes", True, "task.episodes=True: expected a whole number"),
        ("questions", 0, "task.questions=0: expected a whole number >= 1"),
        ("questions", 1, "task.questions=1: multi asks for several needles"),
        ("questions", 60, "task.questions=60 .* raise task.length_tokens or lower"),
        ("distractors", -1, "task.distractors=-1: expected a whole number >= 0"),
        ("distractors", 200, "task.distractors=200: .* raise task.length_tokens or lower task.distractors"),
        (
            "distractor_types",
            ["neighbor"],
            r"task.distractor_types=.*: expected a list of some of neighbour, attribute",
        ),
        ("distractor_types", [], "task.distractor_types=.*: expected a list"),
        ("distractor_types", "block", "task.distractor_types=block: expected a list"),
        ("updates", -1, "task.updates=-1: expected a whole number >= 0"),
        ("updates", 0, "task.updates=0: updated asks for the newest of several values: type task.updates=1"),
        ("updates", 60, "task.* raise task.length_tokens or lower"),
        ("unanswerable", 1.2, "task.unanswerable=1.2: expected a number from 0 to 1"),
        ("unanswerable", 1.0, "task.unanswerable=1.0: leaves no question for lexical, paraphrase"),
        ("forget", 0.2, r"task.forget=0.2: add forgotten to task.kinds, or type task.forget=null"),
        ("licences", ["debain"], "task.licences=.*: expected a list of some of python, project, packages, debian"),
        ("depths", 0, "task.depths=0: expected a whole number >= 1"),
        ("boilerplate", 1.5, "task.boilerplate=1.5: expected a number from 0 to 1"),
        ("slots", -0.1, "task.slots=-0.1: expected a number from 0 to 1"),
        ("boilerplate", "half", "task.boilerplate=half: expected a number from 0 to 1"),
        ("reworded", -0.1, "task.reworded=-0.1: expected a number from 0 to 1"),
        ("reworded", float("nan"), "task.reworded=nan: expected a number from 0 to 1"),
        ("kinds", ["lexcial"], r"task.kinds=\['lexcial'\]: expected a list of some of lexical, paraphrase"),
        ("kinds", [], r"task.kinds=\[\]: expected a list"),
        ("kinds", "lexical", r"task.kinds=lexical: expected a list .* such as \[lexical\]"),
        ("kinds", ["multi", "multi"], "task.kinds=.*: expected a list"),
        ("value_types", ["hex"], "task.value_types=.*digits, words, date, uuid"),
        ("haystack", 7, "task.haystack=7: expected a path, or null"),
        ("haystack", "no/such/place", "task.haystack=no/such/place: no such file or folder"),
        ("tokenizer", "no/such/place", "task.tokenizer=no/such/place: no such file"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(option: str, value: object, expected: str) -> None:
    with pytest.raises(BadInput, match=expected) as caught:
        needle(**{option: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"kinds": ["absent"], "unanswerable": 0.2}, "task.unanswerable=0.2: a share beside nothing; add another kind"),
        (
            {"kinds": ["lexical", "absent", "forgotten"], "unanswerable": 0.5, "forget": 0.5},
            "task.unanswerable=0.5 task.forget=0.5: leaves no question for lexical",
        ),
        (
            {"kinds": ["latent"], "distractors": 50, "distractor_types": ["neighbour"], "length_tokens": 16384},
            "task.distractors=50: no free city or language for kind latent; lower task.distractors",
        ),
        (
            {"kinds": ["lexical"], "distractors": 16, "distractor_types": ["block"], "length_tokens": 1024},
            "task.distractors=16: more blocks than chunks; raise task.length_tokens or lower task.distractors",
        ),
        (
            {"kinds": ["scoped"], "questions": 8, "length_tokens": 640, "distractors": 0},
            "task.questions=8 task.distractors=0: more needles than chunks; raise task.length_tokens",
        ),
    ],
)
def test_options_that_do_not_go_together_are_named(options: dict[str, object], expected: str) -> None:
    with pytest.raises(BadInput, match=expected) as caught:
        needle(**options)
    assert "\n" not in str(caught.value)


def test_a_collection_of_licences_that_is_not_here_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(licences.COLLECTIONS, "debian", lambda: licences.debian_licences(tmp_path))
    with pytest.raises(BadInput, match=r"task\.licences=debian: there are none on this machine; leave debian out"):
        licences.licence_texts(("debian",))
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "copyright").write_text("Anyone may do anything.")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "copyright").write_bytes(b"\xa9 nobody")
    found = licences.licence_texts(("debian",))
    assert [document.name for document in found.documents] == ["one/copyright"]


def test_templates_must_have_the_values_that_are_asked_for() -> None:
    wordings = (Wording("{entity} glows", "How does {entity} glow?"),)
    with pytest.raises(BadInput, match=r"task\.value_types=date: no relation"):
        needle(templates=[Relation("glow", ("digits", "words"), wordings, wordings)])


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(BadInput, match="seed=-1: expected a whole number >= 0"):
        needle().episodes(-1)


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    with pytest.raises(BadInput, match="not a tokenizer of the library tokenizers"):
        needle(tokenizer=str(path))


def haystack_words(path: Path) -> set[str]:
    (episode,) = needle(haystack=str(path), episodes=1, **SMALL, kinds=["lexical"], questions=1).episodes(0)
    return {word for event in events(episode) for word in event.text.split()}


def test_a_file_a_folder_and_json_lines_are_haystacks(tmp_path: Path) -> None:
    text = " ".join(f"straw{number}" for number in range(600))
    (tmp_path / "plain.md").write_text(text)
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"text": line}) for line in [text, "", text]) + "\n\n")
    folder = tmp_path / "folder"
    (folder / "deep" / "tests").mkdir(parents=True)
    (folder / "deep" / "tests" / "a.txt").write_text(text)
    (folder / "picture.png").write_bytes(b"\x89PNG\0\xff")
    (folder / ".hidden").write_text("secret " * 600)
    for path in (tmp_path / "plain.md", tmp_path / "rows.jsonl", folder):
        words = haystack_words(path)
        assert len([word for word in words if word.startswith("straw")]) > 50
        assert "secret" not in words


def test_links_and_pipes_in_a_folder_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / "hay.txt").write_text(" ".join(f"straw{number}" for number in range(600)))
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "nowhere.txt").symlink_to(tmp_path / "gone.txt")
    os.mkfifo(tmp_path / "pipe")
    assert [document.name for document in user_haystack(tmp_path).documents] == ["hay.txt"]


def test_the_hash_of_a_haystack_follows_its_content(tmp_path: Path) -> None:
    path = tmp_path / "hay.txt"
    hashes = set()
    for text in ("straw ", "chaff "):
        path.write_text(text * 2000)
        identity = needle(haystack=str(path)).identity()
        assert "prose/standard-library" not in identity
        hashes.add(identity["haystack/hay.txt"])
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("empty.txt", b"", "empty"),
        ("blank.txt", b" \n\t\n", "empty"),
        ("ruler.txt", b"-------- ========", "empty"),
        ("binary.txt", b"GIF89a\0\0\xff\xfe", "binary: expected UTF-8 text"),
        ("latin.txt", "Gr\u00fc\u00dfe".encode("latin-1") * 1000, "binary: expected UTF-8 text"),
        ("short.txt", b"too short a text ", "too short: its 4 words do not fill task.length_tokens=2048"),
        ("array.jsonl", b'{"text": "a"}\n["b"]\n', 'line 2: expected a JSON object with a string "text"'),
        ("number.jsonl", b'{"text": 1}\n', "line 1: expected a JSON object"),
        ("other.jsonl", b'{"txet": "a"}\n', "line 1: expected a JSON object"),
        ("broken.jsonl", b'{"text": "a"', "line 1: expected a JSON object"),
    ],
)
def test_a_haystack_that_is_none_says_why(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput, match=re.escape(str(path))) as caught:
        needle(haystack=str(path))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_texts_says_why(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="empty"):
        needle(haystack=str(tmp_path))
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0\xff")
    with pytest.raises(BadInput, match="binary: none of its 1 files is UTF-8 text"):
        needle(haystack=str(tmp_path))


def test_words_without_end_do_not_stop_a_run(tmp_path: Path) -> None:
    path = tmp_path / "hay.txt"
    path.write_text(("x" * 5000 + " \u4e16\u754c" * 3 + " " + "\U0001f600" * 40 + " grain ") * 800)
    assert "grain" in haystack_words(path)


def test_prose_is_docstrings_and_comments_without_examples_and_header() -> None:
    source = b'#!/bin/python\n# Copyright nobody\n\n"""Says.\n\n>>> 1 + 1\n"""\nx = 1  # trailing\n# Full line.\n'
    assert prose(source).split() == ["Says.", "Full", "line."]


def test_the_standard_library_is_read_without_its_tests_and_tables() -> None:
    names = [document.name for document in standard_library()]
    assert {"argparse.py", "asyncio/events.py", "pydoc_data/topics.py"} <= set(names)
    assert not [name for name in names if {"test", "tests", "encodings", "site-packages"} & set(name.split("/"))]
    assert names == sorted(names, key=lambda name: name.split("/"))


def test_rulers_and_addresses_are_no_words() -> None:
    assert [word for word in ["a", "--", "---", "x" * 40, "x" * 41, "C++"] if is_word(word)] == [
        "a",
        "--",
        "x" * 40,
        "C++",
    ]


def content_stems(wording: Wording) -> set[str]:
    words = re.findall(r"[a-z]+", f"{wording.cloze} {wording.text}".replace("{entity}", " ").lower())
    return set(Stemmer("english").stemWords([word for word in words if word not in EMPTY.split()]))


def tail(wording: Wording) -> str:
    return wording.cloze.split("{entity}")[1]


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.name.replace(" ", "_"))
def test_question_wordings_share_only_empty_words_with_event_wordings(relation: Relation) -> None:
    told = {stem for wording in relation.events for stem in content_stems(wording)}
    asked = {stem for wording in relation.questions for stem in content_stems(wording)}
    assert told
    assert asked
    assert not told & asked
    # nor the words after the entity, or an n-gram that starts in the entity would cover a reworded question
    assert not {tail(one) for one in relation.events if tail(one)} & {
        tail(one) for one in relation.questions if tail(one)
    }


def test_templates_are_as_many_and_as_varied_as_promised() -> None:
    assert len({relation.name for relation in RELATIONS}) == len(RELATIONS) >= 12
    wordings = [wording for relation in RELATIONS for wording in (*relation.events, *relation.questions)]
    assert len({wording.cloze for wording in wordings}) == len({wording.text for wording in wordings}) == len(wordings)
    for relation in RELATIONS:
        assert min(len(relation.events), len(relation.questions)) >= 3
    for wording in wordings:
        assert wording.cloze.count("{entity}") == wording.text.count("{entity}") == 1
        assert wording.cloze == wording.cloze.strip()
        assert wording.text.endswith("?")


def test_every_type_of_value_can_be_asked_for() -> None:
    for kind in ("digits", "words", "date", "uuid"):
        task = needle(value_types=[kind], chunk_tokens=96, length_tokens=4096, episodes=1, kinds=["lexical"])
        (episode,) = task.episodes(0)
        assert {question.tags["value_type"] for question in questions(episode)} == {kind}

"""The needle task: what every episode obeys, what it depends on, and how an answer is scored."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_bench.errors import BadInput
from memory_bench.types import UNKNOWN, Episode, Question
from tasks.needle import Needle
from tasks.needle.episode import is_clean
from tasks.needle.facts import Storyteller
from tasks.needle.layout import Layout
from tasks.needle.schedule import KINDS
from tasks.needle.templates import RELATIONS, Relation, Wording
from tests.needles import ROOT, all_questions, default_kinds, digest, events, needle, questions, texts

COLOUR = Relation(
    "colour",
    ("digits", "words"),
    tuple(Wording(f"{word} {{entity}} glows", f"How does {word} {{entity}} glow?") for word in ("Zub", "Zob", "Zab")),
    tuple(Wording(f"{word} {{entity}} shines", f"How does {word} {{entity}} shine?") for word in ("Pif", "Paf", "Puf")),
)


def test_the_example_of_an_updated_fact_in_a_haystack_of_two_words(tmp_path: Path) -> None:
    hay = tmp_path / "hay.txt"
    hay.write_text("hay straw. " * 500)
    task = needle(
        haystack=str(hay), kinds=["updated"], episodes=1, questions=1, distractors=0, boilerplate=0, length_tokens=256,
        reworded=0, value_types=["digits"], templates=[COLOUR],
    )  # fmt: skip
    (episode,) = task.episodes(7)
    (question,) = questions(episode)
    (new,), (old,) = ([texts(episode)[id] for id in ids] for ids in (question.evidence, question.stale))
    assert question.cloze in new
    assert question.cloze in old
    assert re.search(rf" {re.escape(question.cloze)} {question.answers[0]}\. ", new)
    assert new.replace(f"{question.cloze} {question.answers[0]}.", "").split()[:2] in (
        ["hay", "straw."],
        ["straw.", "hay"],
    )
    assert [event.time for event in events(episode)] == [0, 1, 2, 3]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    length_tokens=st.integers(2048, 4096),
    chunk_tokens=st.sampled_from([56, 64, 100]),
    boilerplate=st.floats(0, 1),
    distractors=st.integers(0, 6),
    reworded=st.floats(0, 1),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, unique=True),
)
def test_every_episode_obeys_the_laws(
    seed: int,
    length_tokens: int,
    chunk_tokens: int,
    boilerplate: float,
    distractors: int,
    reworded: float,
    kinds: list[str],
) -> None:
    if "scoped" in kinds and chunk_tokens == 56:
        chunk_tokens = 72  # facts that name their section are longer, and 56 tokens are refused in one line
    if chunk_tokens == 100:
        length_tokens *= 2  # blocks take chunks, and there must be enough of them
    task = needle(
        length_tokens=length_tokens, chunk_tokens=chunk_tokens, boilerplate=boilerplate, distractors=distractors,
        reworded=reworded, kinds=kinds, episodes=2,
    )  # fmt: skip
    for episode in task.episodes(seed):
        obeys_laws_of_events(episode, task, chunk_tokens, length_tokens)
        for question in questions(episode):
            obeys_laws_of_questions(question, episode)


def obeys_laws_of_events(episode: Episode, task: Needle, chunk_tokens: int, length_tokens: int) -> None:
    told = events(episode)
    sizes = [len(task.tokenizer.encode(event.text).ids) for event in told]
    assert max(sizes) <= chunk_tokens
    assert abs(sum(sizes) - length_tokens) < 0.06 * length_tokens + chunk_tokens
    assert all(event.text == " ".join(event.text.split()) for event in told)
    assert [event.time for event in told] == list(range(len(told)))
    assert len({event.id for event in told}) == len(told)
    assert all(re.fullmatch("[0-9a-f]{16}", event.id) for event in told)
    assert episode.steps[: len(told)] == tuple(told)  # everything is told before anything is asked


def obeys_laws_of_questions(question: Question, episode: Episode) -> None:
    held, (answer,) = texts(episode), question.answers
    assert question.cloze == question.cloze.rstrip()
    assert question.evidence <= held.keys()
    assert question.stale <= held.keys()
    if question.tags["kind"] in ("absent", "forgotten"):
        assert (answer, question.evidence, question.stale) == (UNKNOWN, frozenset(), frozenset())
        assert len(question.forgotten) == (question.tags["kind"] == "forgotten")
        return
    assert {id for id, text in held.items() if answer.casefold() in text.casefold()} == question.evidence
    assert answer.casefold() not in f"{question.cloze} {question.query.text}".casefold()
    assert len(question.evidence) == 1
    assert len(question.stale) == (question.tags["kind"] == "updated")
    order = [event.id for event in events(episode)]
    assert all(order.index(old) < order.index(new) for old, new in product(question.stale, question.evidence))
    if question.tags["wording"] == "event":
        assert f"{question.cloze} {answer}." in held[min(question.evidence)]
        assert question.tags["ngram_covered"] == "yes"
        assert all(question.cloze in held[old] for old in question.stale)
    else:
        assert not any(question.cloze in text for text in held.values())


def test_facts_that_are_longer_than_a_chunk_has_room_for_are_refused() -> None:
    room = "a chunk can have room for 41 tokens, a fact has more; raise task.chunk_tokens"
    with pytest.raises(BadInput, match=room):
        needle(length_tokens=2048, chunk_tokens=56, boilerplate=0, distractors=3, kinds=["lexical", "scoped"])


def test_a_value_in_a_second_place_spoils_a_draw() -> None:
    task, rng = needle(), np.random.default_rng(0)
    asked = Storyteller(RELATIONS, task.sizes, task.tokenizer, rng).draw(task.schedule.plans(0, 0))
    layout = Layout(task.sizes, task.tokenizer, rng)
    layout.lay_out(asked)
    told = task.fill(layout, rng)
    assert is_clean(asked, told)
    gold = next(one.gold for one in asked if one.gold)
    elsewhere = (gold.chunk + 1) % len(told)
    assert not is_clean(asked, [text + gold.value.upper() * (at == elsewhere) for at, text in enumerate(told)])
    assert not is_clean(asked, [text.replace(gold.value, "") for text in told])
    asked[0].wording = Wording(f"{{entity}} {gold.value}", "?")
    assert not is_clean(asked, told)


def test_the_same_seed_gives_the_same_episodes_in_another_process() -> None:
    code = "from tests.needles import digest, needle; print(digest(needle().episodes(3)))"
    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]  # fmt: skip
    here = digest(needle().episodes(3))
    assert told == [here, here]
    assert list(needle().episodes(4)) != list(needle().episodes(3))


@pytest.mark.parametrize(
    ("length_tokens", "distractors", "kinds"),
    [
        (512, 1, default_kinds()),
        (1024, 1, KINDS),
        (768, 1, ["updated"]),
        (1024, 4, default_kinds()),
        (1024, 2, ["boilerplate", "updated"]),
    ],
)
def test_a_crowded_haystack_holds_every_episode(length_tokens: int, distractors: int, kinds: list[str]) -> None:
    task = needle(length_tokens=length_tokens, distractors=distractors, kinds=list(kinds), episodes=60)
    for episode in task.episodes(0):
        for question in questions(episode):
            obeys_laws_of_questions(question, episode)


def test_an_episode_does_not_depend_on_those_before_it() -> None:
    task = needle()
    assert task.episode(5, 3) == list(task.episodes(5))[3]


def test_episodes_are_made_one_at_a_time() -> None:
    endless = needle(episodes=10**6).episodes(0)
    assert next(endless).id == "needle-0-0000"
    assert next(endless).id == "needle-0-0001"


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("4411093", 1.0),
        (" 4411093. ", 1.0),
        ("４４１１０９３", 1.0),
        ("441109", 0.0),
        ("4411093 or so", 0.0),
        ("", 0.0),
    ],
)
def test_an_answer_is_right_or_wrong(answer: str, score: float) -> None:
    _, asked = next(pair for pair in all_questions() if pair[1].evidence)
    question = Question(asked.id, asked.query, asked.cloze, ("4411093",), asked.evidence)
    assert needle().score(question, answer)["exact_match"] == score


def test_unknown_is_right_where_there_is_nothing_to_find() -> None:
    _, absent = next(pair for pair in all_questions() if not pair[1].evidence)
    assert needle().score(absent, "Unknown.")["exact_match"] == 0.0
    assert needle().score(absent, " unknown") == {"exact_match": 1.0, "begins_with": 1.0}


def test_other_templates_need_no_other_code() -> None:
    unseen = [COLOUR, Relation("size", ("digits", "date"), COLOUR.questions, COLOUR.events)]
    task = needle(templates=unseen)
    words = {"Zub", "Zob", "Zab", "Pif", "Paf", "Puf"}
    for episode in task.episodes(0):
        for question in questions(episode):
            assert question.cloze.split()[0] in words
            if question.evidence:
                assert question.answers[0] in texts(episode)[min(question.evidence)]


def test_what_was_read_is_named_by_its_hash() -> None:
    identity = needle().identity()
    hashes = {name: value for name, value in identity.items() if name not in ("python", "unicode")}
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in hashes.values())
    assert {"prose/standard-library", "licences/standard-library", "licences/numpy", "tokenizer"} <= hashes.keys()
    assert identity["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")

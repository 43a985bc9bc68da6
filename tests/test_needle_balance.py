"""The needle task: what the haystack and the questions are like as a whole."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from memory_bench.types import Episode, Event, Question
from tasks.needle.facts import Storyteller
from tasks.needle.schedule import Schedule, deal
from tasks.needle.templates import RELATIONS
from tests.needles import all_questions, default_kinds, events, hundred, needle, questions, texts

WORD = re.compile(r"\w+")
DIGITS = re.compile(r"(?<!\d)\d{7}(?!\d)")


def test_the_needles_of_a_multi_episode_share_a_template_and_stand_in_different_chunks() -> None:
    multi = [episode for episode in hundred() if questions(episode)[0].tags["kind"] == "multi"]
    assert len(multi) == 17
    for episode in multi:
        asked = questions(episode)
        assert {question.tags["kind"] for question in asked} == {"multi"}
        assert len({id for question in asked for id in question.evidence}) == 4
        assert len({question.tags["value_type"] for question in asked}) == 1


def test_kinds_wordings_depths_and_value_types_are_balanced() -> None:
    tags = [question.tags for _, question in all_questions()]
    kinds = Counter(tag["kind"] for tag in tags)
    assert kinds == {"multi": 68, "lexical": 67, "paraphrase": 67, "boilerplate": 66, "updated": 66, "absent": 66}
    wordings = Counter((tag["kind"], tag["wording"]) for tag in tags)
    assert wordings["lexical", "event"] == wordings["paraphrase", "reworded"] == 67
    assert all(wordings[kind, "event"] == wordings[kind, "reworded"] for kind in default_kinds()[2:])
    for kind in default_kinds():
        types = Counter(tag["value_type"] for tag in tags if tag["kind"] == kind)
        assert max(types.values()) - min(types.values()) <= (4 if kind == "multi" else 1)
    depths = Counter(tag["depth"] for tag in tags if tag["kind"] != "absent")
    assert sorted(depths) == [f"{depth / 10:.2f}" for depth in range(11)]
    assert stats.chisquare(list(depths.values())).pvalue > 0.5  # dealt, not drawn: flatter than chance


def test_ten_episodes_ask_every_kind_in_both_wordings() -> None:
    tags = [question.tags for episode in needle().episodes(0) for question in questions(episode)]
    assert len(tags) == 40
    assert {tag["kind"] for tag in tags} == set(default_kinds())
    assert Counter(tag["wording"] for tag in tags) == {"event": 20, "reworded": 20}


def test_the_schedule_is_the_one_in_its_docstring() -> None:
    schedule = Schedule(10, 4, default_kinds(), 0.5, 11, ["digits"])
    assert [[plan.kind[:3] for plan in schedule.plans(0, episode)] for episode in range(6)] == [
        ["lex", "par", "boi", "upd"],
        ["abs", "lex", "par", "boi"],
        ["upd", "abs", "lex", "par"],
        ["boi", "upd", "abs", "lex"],
        ["mul"] * 4,
        ["par", "boi", "upd", "abs"],
    ]


@given(cards=st.integers(1, 20), seed=st.integers(0, 1000))
def test_each_lap_deals_every_card_once(cards: int, seed: int) -> None:
    turns = [deal(cards, turn, (seed,)) for turn in range(2 * cards)]
    assert sorted(turns[:cards]) == sorted(turns[cards:]) == list(range(cards))


@given(share=st.floats(0, 1), turns=st.integers(1, 200))
def test_the_share_of_reworded_questions_is_kept_to_within_one(share: float, turns: int) -> None:
    schedule = Schedule(1, 1, ["absent"], share, 1, ["digits"])
    reworded = sum(schedule.plan(0, "absent", turn, turn).reworded for turn in range(turns))
    assert abs(reworded - share * turns) < 1


def test_evidence_cannot_be_told_from_hay_by_length_place_or_id() -> None:
    tokenizer = needle().tokenizer
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
    places, ids = zip(*((place, id) for _, place, id in evidence + hay), strict=True)
    assert stats.spearmanr(places, ids).pvalue > 0.05


def test_a_pattern_for_values_does_not_find_the_needle() -> None:
    patterns = {"digits": r"\b\d{7}\b", "date": r"\b\d{1,2} [A-Z][a-z]+ \d{4}\b"}
    for episode, question in all_questions():
        pattern = patterns.get(question.tags["value_type"])
        found = {hit for text in texts(episode).values() for hit in re.findall(pattern or "$^", text)}
        if pattern and question.evidence:
            assert question.answers[0] in found
            assert len(found) >= 8  # the needle, six distractors and a remark


def test_words_in_common_find_lexical_needles_and_few_others() -> None:
    hits: dict[str, list[bool]] = {}
    for episode, question in all_questions():
        if question.evidence:
            key = question.tags["kind"] if question.tags["kind"] != "boilerplate" else question.tags["wording"]
            hits.setdefault(key, []).append(best_overlap(episode, question) in question.evidence)
    rate = {key: float(np.mean(values)) for key, values in hits.items()}
    assert rate["lexical"] > 0.8
    assert rate["event"] > 0.8  # boilerplate asked in the words of its slot
    assert rate["paraphrase"] < 0.6
    assert rate["reworded"] < 0.6  # boilerplate asked in other words: the entity stands in five of its blocks
    assert rate["updated"] < 0.5  # the old version has the same words


def best_overlap(episode: Episode, question: Question) -> str:
    """Return the event that shares the most words with the query, rare words counting more (BM25, b = 0)."""
    bags = {id: Counter(WORD.findall(text.lower())) for id, text in texts(episode).items()}
    spread = Counter(word for bag in bags.values() for word in bag)
    asked = sorted(set(WORD.findall(question.query.text.lower())))
    weight = {word: np.log(1 + len(bags) / (spread[word] + 0.5)) for word in asked}
    return max(bags, key=lambda id: sum(weight[word] * bags[id][word] * 2.5 / (bags[id][word] + 1.5) for word in asked))


def test_the_dial_makes_the_hay_repeat_itself() -> None:
    shares = []
    for boilerplate in (0, 0.5, 0.9):
        task = needle(boilerplate=boilerplate, episodes=3, length_tokens=8192)
        shares.append(float(np.mean([redundancy(episode) for episode in task.episodes(0)])))
    assert shares[0] < 0.02
    assert shares[1] > shares[0] + 0.1
    assert shares[2] > shares[1] + 0.1


def test_slots_of_the_boilerplate_hold_one_more_distractor_each_and_longer_haystacks_more_of_them() -> None:
    numbers = []
    for length_tokens in (2048, 4096):
        plain: dict[str, Any] = {"kinds": ["lexical"], "value_types": ["digits"], "boilerplate": 0.9, "distractors": 0}
        plain["length_tokens"] = length_tokens
        bare, half, full = (next(needle(**plain, slots=slots).episodes(0)) for slots in (0.0, 0.5, 1.0))
        assert [len(events(one)) for one in (half, full)] == [len(events(bare))] * 2
        told = [len(with_values(one)) for one in (bare, half, full)]
        assert told[0] < told[1] < told[2] >= 0.85 * len(events(full))
        numbers.append(told[2] - told[0])
    assert numbers[1] > 1.5 * numbers[0]


def test_without_boilerplate_there_are_no_slots() -> None:
    first, second = (next(needle(boilerplate=0.0, slots=slots).episodes(0)) for slots in (0.0, 1.0))
    assert first == second


def with_values(episode: Episode) -> list[Event]:
    return [event for event in events(episode) if DIGITS.search(event.text)]


def redundancy(episode: Episode) -> float:
    """Return the share of 12-word shingles that are repetitions."""
    words = [event.text.split() for event in events(episode)]
    shingles = Counter(tuple(text[at : at + 12]) for text in words for at in range(len(text) - 11))
    return 1 - len(shingles) / sum(shingles.values())


def test_names_have_two_to_eight_tokens_and_a_neighbour_differs_in_one_word() -> None:
    task, rng = needle(), np.random.default_rng(0)
    draw = Storyteller(RELATIONS, task.sizes, task.tokenizer, rng)
    named: set[str] = set()
    lengths = set()
    for _ in range(200):
        entity = draw.new_entity(named)
        near = draw.new_entity(named, near=entity)
        assert sum(ours != theirs for ours, theirs in zip(str(entity).split(), str(near).split(), strict=True)) == 1
        lengths |= {len(task.tokenizer.encode(f" {one.name}").ids) for one in (entity, near)}
    assert {3, 4, 5, 6, 7, 8} <= lengths <= set(range(2, 9))
    assert len(named) == 400


@pytest.mark.parametrize("distractors", [0, 1, 2, 5])
def test_every_needle_has_the_distractors_that_were_asked_for(distractors: int) -> None:
    task = needle(distractors=distractors, length_tokens=4096, kinds=["lexical"])
    (question, *_) = questions(next(task.episodes(0)))
    rng = np.random.default_rng(1)
    (one, *_) = Storyteller(RELATIONS, task.sizes, task.tokenizer, rng).draw(task.schedule.plans(0, 0))
    assert question.tags["distractors"] == str(distractors)
    assert len(one.distractors) == distractors
    assert sum(str(one.entity) in fact.sentence for fact in one.distractors) == distractors * 2 // 3

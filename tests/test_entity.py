"""The entity task: what every episode obeys, and what its names, families and values are like as a whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from itertools import product
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng
from scipy import stats

from memory_bench.types import UNKNOWN, Episode, Event, Question
from tasks.entity.families import Families
from tasks.entity.names import Name, digest_names, unicode_names
from tasks.entity.schedule import KINDS, Schedule
from tasks.entity.templates import RELATIONS, Relation, Wording
from tasks.entity.values import World, one_cycle
from tests.entities import ROOT, asked, digest, entity, events, hundred, orders, plain, questions, texts

SHAPES = {
    wording.cloze: re.compile(re.escape(f"{wording.cloze} ").replace(r"\{name\}", "(.+)") + r"(\d+)\.")
    for relation in RELATIONS
    for wording in relation.events
}


def told(text: str) -> tuple[str, Relation, str, str]:
    """Return (name, relation, cloze of the wording, value) of an event's text."""
    for relation in RELATIONS:
        for wording in relation.events:
            if match := SHAPES[wording.cloze].fullmatch(text):
                return match[1], relation, wording.cloze, match[2]
    raise AssertionError(f"in no event wording: {text}")


def asked_wording(question: Question) -> tuple[str, Relation, Wording]:
    """Return the name that a question is about, its relation and its wording."""
    for relation in RELATIONS:
        for wording in (*relation.events, *relation.questions):
            head, tail = wording.cloze.split("{name}")
            name = question.cloze.removeprefix(head).removesuffix(tail)
            if f"{head}{name}{tail}" == question.cloze and wording.text.format(name=name) == question.query.text:
                return name, relation, wording
    raise AssertionError(f"in no wording: {question.cloze}")


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    facts=st.integers(100, 300),
    distractors=st.integers(1, 20),
    reworded=st.floats(0, 1),
    permuted=st.booleans(),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, unique=True),
)
def test_every_episode_obeys_the_laws(
    seed: int, facts: int, distractors: int, reworded: float, permuted: bool, kinds: list[str]
) -> None:
    task = entity(facts=facts, distractors=distractors, reworded=reworded, permuted=permuted, kinds=kinds, episodes=2)
    for episode in task.episodes(seed):
        obeys_laws_of_events(episode, facts)
        for question in questions(episode):
            obeys_laws_of_questions(question, episode, distractors)


def obeys_laws_of_events(episode: Episode, facts: int) -> None:
    happened = events(episode)
    assert len(happened) == facts
    assert [event.time for event in happened] == list(range(facts))
    assert len({event.id for event in happened}) == len({event.text for event in happened}) == facts
    assert all(re.fullmatch("[0-9a-f]{16}", event.id) for event in happened)
    assert all(told(event.text) for event in happened)
    last = max(at for at, step in enumerate(episode.steps) if not isinstance(step, Question))
    assert last < min(at for at, step in enumerate(episode.steps) if isinstance(step, Question))


def obeys_laws_of_questions(question: Question, episode: Episode, distractors: int) -> None:
    held, (answer,) = texts(episode), question.answers
    name, relation, wording = asked_wording(question)
    own = {id for id, text in held.items() if told(text)[:2] == (name, relation)}
    assert own == question.evidence | question.stale | question.forgotten
    assert (question.tags["wording"] == "event") == (wording in relation.events)
    assert wording in (*relation.events, *relation.questions)
    assert not any(
        value in f"{question.cloze} {question.query.text}" for value in (told(text)[3] for text in held.values())
    )
    order = [event.id for event in events(episode)]
    assert all(order.index(old) < order.index(new) for old, new in product(question.stale, question.evidence))
    if question.tags["kind"] == "forgotten":
        assert (answer, question.evidence, question.stale) == (UNKNOWN, frozenset(), frozenset())
        obeys_laws_of_forgetting(min(question.forgotten), episode)
    else:
        assert len(question.evidence) == 1
        assert len(question.stale) == (question.tags["kind"] == "updated")
        assert not question.forgotten & {id for order in orders(episode) for id in order.event_ids}
        assert {id for id, text in held.items() if answer in text} == question.evidence
        # of an updated fact it is the old event whose words a question repeats: n-grams lead astray
        covered = question.tags["wording"] == "event" and not question.stale
        assert question.tags["ngram_covered"] == ("yes" if covered else "no")
        assert all(question.cloze in held[id] for id in (question.evidence if covered else ()))
    obeys_laws_of_families(question, episode, distractors)


def obeys_laws_of_forgetting(forgotten: str, episode: Episode) -> None:
    (order,) = [order for order in orders(episode) if forgotten in order.event_ids]
    before = {step.id for step in episode.steps[: episode.steps.index(order)] if isinstance(step, Event)}
    assert len(order.event_ids) == 2  # another name of the family shares its fate
    assert set(order.event_ids) <= before


def obeys_laws_of_families(question: Question, episode: Episode, distractors: int) -> None:
    """The rest of the family is told the same attribute, in the same words."""
    held = texts(episode)
    name, relation, cloze, _ = told(held[min(question.stale or question.evidence | question.forgotten)])
    others = {other for other, *rest in map(told, held.values()) if rest[:2] == [relation, cloze]} - {name}
    if question.tags["family"] == "neighbour":
        assert sum(is_neighbour(name, other) for other in others) >= distractors
    else:
        assert int(question.tags["rivals"]) >= distractors
        assert len(others) >= distractors


def is_neighbour(name: str, other: str) -> bool:
    ours, theirs = name.split(), other.split()
    return len(ours) == len(theirs) and sum(a != b for a, b in zip(ours, theirs, strict=True)) == 1


def test_rivals_are_the_names_with_the_same_last_three_tokens() -> None:
    tokenizer = plain().tokenizer

    def suffix(name: str) -> list[int]:
        return list(tokenizer.encode(f" {name}", add_special_tokens=False).ids)[-3:]

    for episode in hundred()[:5]:
        for question in questions(episode):
            name, relation, _ = asked_wording(question)
            names = {other for other, one, *_ in map(told, texts(episode).values()) if one is relation}
            rivals = [other for other in names - {name} if suffix(other) == suffix(name)]
            assert question.tags["rivals"] == str(len(rivals))


def test_kinds_wordings_and_attributes_are_balanced() -> None:
    tags = [question.tags for _, question in asked()]
    assert Counter(tag["kind"] for tag in tags) == dict.fromkeys(KINDS, 80)
    assert set(Counter((tag["kind"], tag["wording"]) for tag in tags).values()) == {40}
    assert set(Counter((tag["kind"], tag["wording"], tag["attribute"]) for tag in tags).values()) == {20}
    depths = Counter(tag["depth"] for tag in tags)
    assert sorted(depths) == [f"{depth / 10:.1f}" for depth in range(10)]


def test_ten_episodes_ask_every_kind_in_both_wordings() -> None:
    tags = [question.tags for episode in plain().episodes(0) for question in questions(episode)]
    assert Counter((tag["kind"], tag["wording"]) for tag in tags) == {
        (kind, wording): 4 for kind in KINDS for wording in ("event", "reworded")
    }


def test_the_schedule_is_the_one_in_its_docstring() -> None:
    schedule = Schedule(10, 4, KINDS, 0.5)
    short = [
        [(plan.kind[:3], plan.relation.name[:1], plan.reworded) for plan in schedule.plans(episode)]
        for episode in range(3)
    ]
    assert short == [
        [("suf", "c", False), ("nei", "s", True), ("att", "s", False), ("upd", "c", True)],
        [("for", "c", False), ("suf", "c", True), ("nei", "c", False), ("att", "s", True)],
        [("upd", "s", False), ("for", "c", True), ("suf", "s", False), ("nei", "c", True)],
    ]


@given(share=st.floats(0, 1), laps=st.integers(1, 100))
def test_the_share_of_reworded_questions_is_kept_to_within_one(share: float, laps: int) -> None:
    schedule = Schedule(laps, 1, ["suffix"], share)
    assert abs(sum(schedule.plan(slot).reworded for slot in range(laps)) - share * laps) < 1


def test_evidence_cannot_be_told_from_other_events_by_length_place_or_id() -> None:
    tokenizer = plain().tokenizer
    evidence: list[tuple[int, float, int]] = []
    others: list[tuple[int, float, int]] = []
    for episode in hundred():
        gold = {id for question in questions(episode) for id in question.evidence}
        for at, event in enumerate(events(episode)):
            row = (len(tokenizer.encode(event.text).ids), at / len(events(episode)), int(event.id, 16))
            (evidence if event.id in gold else others).append(row)
    assert len(evidence) == 320
    for column in range(3):
        ours, theirs = ([row[column] for row in rows] for rows in (evidence, others))
        assert stats.ks_2samp(ours, theirs).pvalue > 0.05
    places, ids = zip(*((place, id) for _, place, id in evidence + others), strict=True)
    assert stats.spearmanr(places, ids).pvalue > 0.05


def test_being_told_twice_or_forgotten_betrays_no_question() -> None:
    """Another name of the family shares the fate of the asked one: as often as not it is the one that is asked."""
    for episode in hundred():
        for question in questions(episode):
            if question.tags["kind"] in ("updated", "attribute"):
                names = Counter(told(text)[0] for text in texts(episode).values())
                twice = {name for name, times in names.items() if times == 2}
                assert asked_wording(question)[0] in twice
                assert len(twice) >= 2
    assert all(len(order.event_ids) == 2 for episode in hundred() for order in orders(episode))


def test_updates_leave_a_trap_and_forgetting_leaves_neighbours() -> None:
    for episode, question in asked():
        held = texts(episode)
        if question.stale:
            old, new = (told(held[min(ids)]) for ids in (question.stale, question.evidence))
            assert old[:2] == new[:2]
            assert all(ours != theirs for ours, theirs in zip(old[2:], new[2:], strict=True))
            assert (question.cloze in held[min(question.stale)]) == (question.tags["wording"] == "event")
        for id in question.forgotten:
            _, relation, cloze, _ = told(held[id])
            gone = {one for order in orders(episode) for one in order.event_ids}
            assert sum(told(text)[1:3] == (relation, cloze) for id, text in held.items() if id not in gone) >= 15


def test_the_default_does_not_fit_the_default_budget() -> None:
    tokenizer = plain().tokenizer
    sizes = [sum(len(tokenizer.encode(event.text).ids) for event in events(episode)) for episode in hundred()]
    assert min(sizes) > 4 * 256
    assert mean(sizes) < 2048


def test_values_are_code_points_and_no_name_keeps_its_own() -> None:
    task = plain()
    names = {name.text: name for name in task.names}
    for episode in hundred():
        for event in events(episode):
            name, relation, _, value = told(event.text)
            assert unicodedata.name(chr(int(value))).lower() in names
            assert value != str(names[name].number) or relation.name == "successor"


@given(size=st.integers(2, 50), seed=st.integers(0, 100))
def test_a_permutation_is_one_cycle(size: int, seed: int) -> None:
    after = one_cycle(size, default_rng(seed))
    place, visited = 0, set()
    for _ in range(size):
        place = after[place]
        visited.add(place)
    assert visited == set(range(size))
    assert place == 0


def test_without_the_permutation_unicode_is_right_and_what_held_before_is_not() -> None:
    names = [Name(at, chr(at), ()) for at in range(97, 123)]
    world = World(names, seed=0, permuted=False)
    assert [world.value(name, "code point") for name in names[:3]] == ["97", "98", "99"]
    assert [world.value(name, "successor") for name in names[-2:]] == ["122", "97"]
    assert all(world.value(name, "code point", version=1) != str(name.number) for name in names)
    permuted = World(names, seed=0, permuted=True)
    assert all(permuted.value(name, "code point") != str(name.number) for name in names)
    assert {permuted.value(name, "code point") for name in names} == {str(name.number) for name in names}
    task = entity(permuted=False, episodes=3)
    for episode in task.episodes(0):
        for question in questions(episode):
            if question.evidence and question.tags["attribute"] == "code point":
                name, _, _ = asked_wording(question)
                assert question.answers == (str(ord(unicodedata.lookup(name))),)


def test_another_seed_has_other_values_for_the_same_names() -> None:
    task = plain()
    values = [[task.world(seed).value(name, "code point") for name in task.names] for seed in (0, 1)]
    assert sum(ours == theirs for ours, theirs in zip(*values, strict=True)) < 10


def test_names_are_all_that_unicode_has_but_numbers() -> None:
    names = unicode_names()
    assert names[0xE1] == "latin small letter a with acute"
    assert not [name for name in names.values() if re.search(r"\d", name)]
    assert not [name for name in names.values() if name.startswith(("cjk unified ideograph-", "hangul syllable "))]
    assert "hangul letter kiyeok" in names.values()
    assert len(names) == len(set(names.values())) > 27_000
    assert all(len(name.tokens) >= 3 for name in plain().names)


def test_families_share_a_suffix_or_all_words_but_one() -> None:
    words = "red big a|red big b|blue big a|red small a|alone".split("|")
    numbers = {word: number for number, word in enumerate("red big small blue a b alone x".split())}
    names = [Name(at, text, tuple(numbers[word] for word in f"x {text}".split())) for at, text in enumerate(words)]
    families = Families(names, size=2)
    assert [{name.text for name in group} for group in families.groups["suffix"]] == []
    neighbours = [{name.text for name in group} for group in families.groups["neighbour"]]
    assert sorted(map(sorted, neighbours)) == [
        ["blue big a", "red big a"],
        ["red big a", "red big b"],
        ["red big a", "red small a"],
    ]
    longer = [Name(at, text, (at, 1, 2, 3 + (at == 2))) for at, text in enumerate("p q r".split())]
    (group,) = Families(longer, size=2).groups["suffix"]
    assert {name.text for name in group} == {"p", "q"}
    assert Families(longer, size=2).largest == {"suffix": 2, "neighbour": 0}


def test_the_same_seed_gives_the_same_episodes_in_another_process() -> None:
    code = "from tests.entities import digest, plain; print(digest(plain().episodes(3)))"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip
    assert digests == {digest(plain().episodes(3))}
    assert list(plain().episodes(3)) != list(plain().episodes(4))


def test_an_episode_does_not_depend_on_those_before_it() -> None:
    assert plain().episode(5, 3) == list(entity().episodes(5))[3]


def test_episodes_are_made_one_at_a_time() -> None:
    endless = entity(episodes=10**6).episodes(0)
    assert [next(endless).id, next(endless).id] == ["entity-0-0000", "entity-0-0001"]


def test_what_was_read_is_named_by_its_hash() -> None:
    identity = plain().identity()
    assert identity["unicode"] == unicodedata.unidata_version
    assert all(re.fullmatch("[0-9a-f]{64}", identity[name]) for name in ("unicodedata names", "tokenizer"))
    assert digest_names({65: "a"}) != digest_names({65: "b"}) != digest_names({66: "b"})


@pytest.mark.parametrize(
    ("answer", "score"), [("4411", 1.0), (" 4411. ", 1.0), ("441", 0.0), ("44110", 0.0), ("", 0.0)]
)
def test_an_answer_is_right_or_wrong(answer: str, score: float) -> None:
    _, one = asked()[0]
    question = Question(one.id, one.query, one.cloze, ("4411",), one.evidence)
    assert plain().score(question, answer) == {"exact_match": score, "begins_with": score}


def test_unknown_is_right_where_the_fact_was_forgotten() -> None:
    _, gone = next(pair for pair in asked() if pair[1].forgotten)
    assert plain().score(gone, " unknown")["exact_match"] == 1.0
    assert plain().score(gone, "4411")["exact_match"] == 0.0

"""The needle task: sections, links, what is forgotten, older values, what leads astray, and shares of kinds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from memory_bench.types import UNKNOWN, Episode, Event, Forget, Question
from tasks.needle.facts import DISTRACTORS, Asked, Storyteller
from tasks.needle.links import CITIES, ENGLISH_WORDS, LANGUAGES, LINKS
from tasks.needle.schedule import KINDS, Schedule
from tasks.needle.templates import RELATIONS
from tests.needles import EMPTY, digest, events, needle, questions, texts

ZONES = Path("/usr/share/zoneinfo")


def of_kind(kind: str, **options: object) -> Iterator[tuple[Episode, Question]]:
    task = needle(kinds=[kind], **{"length_tokens": 4096, "episodes": 10, **options})
    for episode in task.episodes(0):
        yield from ((episode, question) for question in questions(episode))


def asked(seed: int = 0, **options: object) -> list[Asked]:
    task = needle(length_tokens=4096, **options)
    story = Storyteller(RELATIONS, task.sizes, task.tokenizer, np.random.default_rng(seed))
    return story.draw(task.schedule.plans(seed, 0))


def test_a_scoped_question_names_one_of_two_sections_with_different_values() -> None:
    newest = []
    for episode, question in of_kind("scoped"):
        section = re.search(r"[Ii]n (the section \w+ \w+), ", question.cloze)
        assert section
        assert section[1] in question.query.text
        (gold,), other, held = question.answers, question.tags["other_section"], texts(episode)
        assert other != gold
        (evidence,) = question.evidence
        (rival,) = [id for id, text in held.items() if other.casefold() in text.casefold()]
        assert section[1] in held[evidence]
        assert section[1] not in held[rival]
        if question.tags["wording"] == "event":
            assert f"{question.cloze} {gold}." in held[evidence]
            said = question.cloze.replace(section[0], "")
            assert f"{said} {other}." in held[rival]  # the same words: only the section tells the two apart
        newest.append(list(held).index(evidence) > list(held).index(rival))
    assert 0.25 < np.mean(newest) < 0.75  # the later one is no better a guess than the earlier


def test_answers_from_the_wrong_section_can_be_counted() -> None:
    task = needle()
    _, question = next(of_kind("scoped"))
    gold, other = question.answers[0], question.tags["other_section"]
    assert task.score(question, gold) == {"exact_match": 1.0, "begins_with": 1.0, "either_section": 1.0}
    assert task.score(question, other) == {"exact_match": 0.0, "begins_with": 0.0, "either_section": 1.0}
    assert task.score(question, "something else") == {"exact_match": 0.0, "begins_with": 0.0, "either_section": 0.0}
    _, question = next(of_kind("updated"))
    assert "either_section" not in task.score(question, other)


def content(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold())) - set(EMPTY.split())


def test_a_latent_question_shares_no_word_with_what_is_told_of_it() -> None:
    sorts = set()
    for seed in range(40):
        for one in asked(seed, kinds=["latent"], distractor_types=list(DISTRACTORS)):
            assert one.gold
            told = content(one.gold.sentence.replace(one.gold.value, ""))
            assert len(told) > 2
            assert not told & content(f"{one.cloze} {one.text}")
            assert str(one.entity) in one.gold.sentence
            assert str(one.entity) not in one.cloze
            sorts.add("Kenya" if "site" in one.cloze else "fi")
    assert sorts == {"Kenya", "fi"}


def test_no_two_ends_of_an_episode_are_the_same() -> None:
    for seed in range(20):
        drawn = asked(seed, kinds=["latent"], distractors=6, distractor_types=["neighbour"])
        told = [re.search(r"(depot in|the) [\w -]+?( reading|\b)", one.gold.sentence) for one in drawn if one.gold]
        assert all(told)
        neighbours = [fact.sentence for one in drawn for fact in one.distractors]
        assert not [text for one in drawn for text in neighbours if str(one.entity) in text]


def test_links_lead_from_one_name_to_one_other() -> None:
    for table in (CITIES, LANGUAGES):
        for column in zip(*table, strict=True):
            assert len(set(column)) == len(column) >= 50
    assert not [pair for pair in CITIES if content(pair[0]) & content(pair[1])]
    assert {link.sort for links in LINKS.values() for link in links} == set(LINKS)
    assert "my" in ENGLISH_WORDS
    assert not [link for link in LINKS["language"] if link.asked.endswith(" my")]


def test_cities_lie_where_the_time_zone_database_has_them() -> None:
    if not (ZONES / "zone.tab").is_file():
        pytest.skip(f"no {ZONES / 'zone.tab'} on this machine")
    rows = [line.split("\t") for line in (ZONES / "zone.tab").read_text().splitlines() if not line.startswith("#")]
    codes = {row[2].rpartition("/")[2].replace("_", " "): row[0] for row in rows}
    names = dict(
        line.split("\t") for line in (ZONES / "iso3166.tab").read_text().splitlines() if not line.startswith("#")
    )
    for city, country in CITIES:
        assert names[codes[city]] == country


def test_codes_of_languages_are_those_of_python() -> None:
    import locale

    known = {name: alias[:2] for name, alias in locale.locale_alias.items()}
    checked = [(name, code) for name, code in LANGUAGES if name.lower() in known]
    assert len(checked) > 20
    assert all(known[name.lower()] == code for name, code in checked)


def test_what_is_forgotten_is_told_then_forgotten_then_asked_for() -> None:
    for episode, question in of_kind("forgotten", questions=3):
        (gone,) = question.forgotten
        steps = [type(step) for step in episode.steps]
        at = steps.index(Forget)
        assert steps == [Event] * at + [Forget] + [Question] * 3
        forget = episode.steps[at]
        assert isinstance(forget, Forget)
        assert gone in forget.event_ids
        assert len(forget.event_ids) == 3
        assert (question.answers, question.evidence) == ((UNKNOWN,), frozenset())
        assert question.tags["depth"] != "none"
        if question.tags["wording"] == "event":
            assert question.cloze in texts(episode)[gone]


def test_what_is_not_to_be_forgotten_stays() -> None:
    task = needle(kinds=["lexical", "forgotten"], episodes=10, forget=0.5)
    for episode in task.episodes(0):
        gone = {id for step in episode.steps if isinstance(step, Forget) for id in step.event_ids}
        asked = questions(episode)
        assert gone == {id for question in asked for id in question.forgotten}
        assert not gone & {id for question in asked for id in question.evidence}


def test_the_needles_of_these_kinds_cannot_be_told_from_hay_by_length_place_or_id() -> None:
    task = needle(kinds=["scoped", "latent", "forgotten"], episodes=60, distractor_types=list(DISTRACTORS))
    needles: list[tuple[int, float, int]] = []
    hay: list[tuple[int, float, int]] = []
    for episode in task.episodes(0):
        ours = {id for question in questions(episode) for id in question.evidence | question.forgotten}
        for at, event in enumerate(events(episode)):
            row = (len(task.tokenizer.encode(event.text).ids), at / len(events(episode)), int(event.id, 16))
            (needles if event.id in ours else hay).append(row)
    assert len(needles) == 240
    for one, other in zip(zip(*needles, strict=True), zip(*hay, strict=True), strict=True):
        assert stats.ks_2samp(one, other).pvalue > 0.05


@pytest.mark.parametrize("kind", ["scoped", "latent"])
def test_a_pattern_for_digits_finds_more_than_the_needle(kind: str) -> None:
    for episode, question in of_kind(kind, value_types=["digits"], distractors=1, distractor_types=["format"]):
        found = {hit for text in texts(episode).values() for hit in re.findall(r"\b\d{7}\b", text)}
        assert question.answers[0] in found
        assert len(found) >= 3  # the needle, a fact that looks like it, and a remark


@pytest.mark.parametrize("updates", [1, 3])
def test_an_updated_needle_has_so_many_older_values(updates: int) -> None:
    for episode, question in of_kind("updated", updates=updates):
        order = [event.id for event in events(episode)]
        assert len(question.stale) == updates
        assert max(map(order.index, question.stale)) < min(map(order.index, question.evidence))
        held = texts(episode)
        values = {held[id].partition(question.cloze)[2][:12] for id in question.stale | question.evidence}
        assert len(values) == updates + 1 or question.tags["wording"] == "reworded"


def test_each_type_of_distractor_leads_astray_in_its_own_way() -> None:
    for seed in range(20):
        for one in asked(seed, kinds=["lexical"], distractors=5, distractor_types=list(DISTRACTORS)):
            assert one.gold
            neighbour, attribute, alike, block, negated = (fact.sentence for fact in one.distractors)
            before, after = one.wording.cloze.split("{entity}")
            assert neighbour.startswith(before)
            assert block.startswith(before)
            assert after in neighbour
            assert after in block
            assert str(one.entity) not in neighbour + alike + block
            assert str(one.entity) in attribute
            assert one.cloze not in attribute
            assert negated.startswith("It is wrong that ")
            assert one.cloze[1:] in negated
            assert one.gold.value not in negated


def test_a_distractor_of_type_block_stands_in_the_text_of_the_needle() -> None:
    types = {"distractor_types": ["block"], "distractors": 2, "value_types": ["digits"], "boilerplate": 0.0}
    for episode, question in of_kind("lexical", reworded=0.0, **types):
        (evidence,) = question.evidence
        left = texts(episode)[evidence].partition(question.cloze)[0]  # prose never comes twice by itself
        assert len(left) > 3
        assert sum(text.startswith(left) for text in texts(episode).values()) == 3  # the needle and two distractors


@pytest.mark.parametrize("distractors", [0, 1, 4, 16])
def test_needles_can_have_up_to_sixteen_distractors_of_every_type(distractors: int) -> None:
    task = needle(
        kinds=list(KINDS), distractors=distractors, distractor_types=list(DISTRACTORS), length_tokens=8192, episodes=9
    )
    counts = {question.tags["distractors"] for episode in task.episodes(1) for question in questions(episode)}
    assert counts == {str(distractors)} | ({"2"} if distractors < 2 else set())  # a block repeats at least twice


def test_named_twice_comes_twice_as_often() -> None:
    (one, *_) = asked(kinds=["lexical"], distractors=6, distractor_types=["negated", "negated", "neighbour"])
    assert sum(fact.sentence.startswith("It is wrong") for fact in one.distractors) == 4


@pytest.mark.parametrize(
    ("kinds", "shares"),
    [
        (KINDS, {"absent": 0.2}),
        (KINDS, {"absent": 0.2, "forgotten": 0.3}),
        (["multi", "absent"], {"absent": 0.2}),
        (["lexical", "absent", "forgotten"], {"absent": 0.0, "forgotten": 0.9}),
    ],
)
def test_kinds_come_as_often_as_their_shares_say(kinds: list[str], shares: dict[str, float]) -> None:
    schedule = Schedule(100, 4, list(kinds), 0.5, 11, ["digits"], shares)
    counts = Counter(plan.kind for episode in range(100) for plan in schedule.plans(0, episode))
    others = (1 - sum(shares.values())) / (len(kinds) - len(shares))
    for kind in kinds:
        expected = 400 * shares.get(kind, others)
        assert abs(counts[kind] - expected) <= 2 + 4 * ("multi" in kinds)
    for kind in shares:  # turns are counted without a gap: wordings and depths are dealt by them
        plans = [plan for episode in range(100) for plan in schedule.plans(0, episode) if plan.kind == kind]
        assert abs(sum(plan.reworded for plan in plans) - len(plans) / 2) <= 1


def test_the_licences_of_debian_and_of_all_packages_can_be_the_boilerplate() -> None:
    plain = needle(boilerplate=0.9, episodes=2)
    packages = needle(boilerplate=0.9, episodes=2, licences=["packages"])
    assert "licences/packages" in packages.identity()
    assert "licences/standard-library" not in packages.identity()
    assert digest(plain.episodes(0)) != digest(packages.episodes(0))
    if not Path("/usr/share/doc/base-files/copyright").is_file():
        pytest.skip("no /usr/share/doc/*/copyright on this machine")
    debian = needle(boilerplate=0.9, episodes=2, licences=["python", "debian"])
    assert len(debian.identity()["licences/debian"]) == 64
    assert debian.licences.words > plain.licences.words

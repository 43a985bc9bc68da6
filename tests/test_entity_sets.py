"""The entity task beside its default: other sets of names, names drawn token by token, and further kinds."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
import zlib
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from adapters.bm25 import BM25
from adapters.hash_cache import HashCache
from adapters.hash_cache.keys import Keys
from memory_bench.errors import BadInput, Unavailable
from memory_bench.metrics import holds
from memory_bench.types import Episode, Event, Forget, Question
from tasks.entity import Entity
from tasks.entity.__main__ import main
from tasks.entity.ceiling import majority
from tasks.entity.registries import ISO_CODES, iso_codes, mime_types, time_zones, without_doubles
from tasks.entity.schedule import ALL_KINDS, FAMILY_KINDS
from tasks.entity.symbols import defined, symbols
from tasks.entity.synthetic import near, same_crc
from tasks.entity.templates import ALIAS, BADGE, CODE, EXTENSION, MODULE, POSITION, RELATIONS, Relation
from tests.entities import digest, entity, events, orders, questions, texts
from tests.test_entity_input import content_stems, tail
from tests.test_task_contract import faults

SMALL: dict[str, dict[str, Any]] = {
    "symbols": {},
    "iso": {},
    "mime": {},
    "zones": {"kinds": ["neighbour", "attribute", "updated", "forgotten"]},
    "synthetic": {"kinds": list(ALL_KINDS), "facts": 120, "episodes": 13},
}


@cache
def of_set(name: str) -> Entity:
    try:
        return entity(set=name, **SMALL[name])
    except Unavailable as error:
        pytest.skip(str(error))


@cache
def drawn(name: str) -> tuple[Episode, ...]:
    return tuple(of_set(name).episodes(1))


def asked(kind: str) -> list[tuple[Episode, Question]]:
    found = [(one, question) for one in drawn("synthetic") for question in questions(one)]
    return [(one, question) for one, question in found if question.tags["kind"] == kind]


@pytest.mark.parametrize("name", SMALL)
def test_every_set_obeys_the_laws_of_tasks(name: str) -> None:
    for episode in drawn(name):
        assert list(faults(episode)) == []
        held = texts(episode)
        for question in questions(episode):
            told = {id for id, text in held.items() if holds(text, question.answers[0])}
            assert told <= question.evidence
            assert bool(told) == bool(question.evidence)


@pytest.mark.parametrize("name", SMALL)
def test_values_of_a_set_are_its_own_but_not_each_names_own(name: str) -> None:
    task = of_set(name)
    world = task.world(3)
    relation = task.set.relations[0].name
    own = task.set.truth[relation]
    told = [world.value(one, relation) for one in task.names]
    assert sorted(told) == sorted(own)
    common = majority(own)
    assert sum(one == other for one, other in zip(told, own, strict=True)) / len(own) <= 3 * common + 0.01


@pytest.mark.parametrize("name", ["symbols", "iso", "mime", "zones"])
def test_without_the_permutation_a_set_says_what_its_source_says(name: str) -> None:
    of_set(name)
    task = entity(set=name, permuted=False, episodes=2, **SMALL[name])
    own = {one.text: value for one, value in task.set.every}
    relation = task.set.relations[0]
    for question in (question for episode in task.episodes(0) for question in questions(episode)):
        if question.evidence and question.tags["attribute"] == relation.name:
            (known,) = {
                name
                for name in own
                if question.cloze
                in {wording.cloze.format(name=name) for wording in (*relation.events, *relation.questions)}
            }
            assert question.answers == (own[known],)


def test_symbols_are_what_public_modules_define_once() -> None:
    found = symbols()
    assert found["JSONDecoder.raw_decode"] == "json.decoder"
    assert found["OrderedDict.move_to_end"] == "collections"
    assert "main" not in found  # many modules define it
    assert len(found) > 5000
    source = (
        "def f(): ...\ndef _g(): ...\nclass A:\n  x = 1\n  def m(self): ...\n  def _n(self): ...\nif 1:\n  def h(): ..."
    )
    assert list(defined(ast.parse(source))) == ["f", "A", "A.m"]


def test_registries_give_each_name_one_value(tmp_path: Path) -> None:
    (tmp_path / "iso_639-3.json").write_text(
        json.dumps({"639-3": [{"name": "Ghotuo", "alpha_3": "aaa"}, {"name": "Canillo", "alpha_3": "can"}]})
    )
    with pytest.raises(Unavailable, match=r"there is no .*iso_3166-2.json: apt install iso-codes"):
        iso_codes(tmp_path)
    (tmp_path / "iso_3166-2.json").write_text(json.dumps({"3166-2": [{"name": "Canillo", "code": "AD-02"}]}))
    assert iso_codes(tmp_path) == {"Ghotuo": "AAA"}
    (tmp_path / "mime.types").write_text("# no type\ntext/x-one one uno\ntext/x-none\n")
    assert mime_types(tmp_path / "mime.types")["text/x-one"] == "one"
    assert "text/x-none" not in mime_types(tmp_path / "mime.types")
    assert mime_types(tmp_path / "missing")["text/html"] == "htm"
    assert without_doubles([("a", "1"), ("b", "2"), ("a", "3")]) == {"b": "2"}


def test_time_zones_have_the_positions_of_their_table() -> None:
    try:
        assert time_zones()["europe andorra"] == "+4230+00131"
    except Unavailable as error:
        pytest.skip(str(error))


def test_a_set_that_is_not_here_says_what_brings_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("zoneinfo.TZPATH", (str(tmp_path),))
    monkeypatch.setitem(__import__("sys").modules, "tzdata.zoneinfo", None)
    with pytest.raises(Unavailable, match=rf"no zone.tab in {tmp_path}: pip install tzdata"):
        entity(set="zones")


@pytest.mark.parametrize("relation", [MODULE, CODE, EXTENSION, POSITION, BADGE], ids=lambda one: one.name)
def test_question_wordings_of_every_set_share_only_empty_words_with_event_wordings(relation: Relation) -> None:
    for other in (relation, RELATIONS[1]):
        told = {stem for wording in relation.events for stem in content_stems(wording)}
        heard = {stem for wording in other.questions for stem in content_stems(wording)}
        assert told
        assert not told & heard
    assert not {tail(one) for one in relation.events if tail(one)} & {tail(one) for one in relation.questions}
    of_alias = {stem for wording in ALIAS.events for stem in content_stems(wording)}
    assert not of_alias & {stem for wording in relation.questions for stem in content_stems(wording)}


def names_of(family: str) -> list[list[list[str]]]:
    return [[name.text.split() for name in group] for group in of_set("synthetic").families.groups[family]]


def differing(ours: list[str], theirs: list[str]) -> list[int]:
    return [at for at, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]]


def test_the_dials_hold_in_tokens() -> None:
    task = entity(
        set="synthetic", synthetic={"name_tokens": 8, "suffix_tokens": 5, "prefix_tokens": 2, "group": 20, "groups": 9},
        kinds=["suffix", "prefix"], facts=80,
    )  # fmt: skip
    assert {len(name.tokens) for name in task.names} == {8}
    assert [len(group) for group in task.families.groups["suffix"]] == [20] * 9
    for group in task.families.groups["suffix"]:
        assert all(one.tokens[-5:] == other.tokens[-5:] for one, other in pairwise(group))
        assert len({one.tokens[2] for one in group}) == 20
    for group in task.families.groups["prefix"]:
        assert all(one.tokens[:2] == other.tokens[:2] for one, other in pairwise(group))
        assert len({one.tokens[2] for one in group}) == 20


def test_synthetic_families_are_what_their_names_say() -> None:
    for group in names_of("neighbour"):
        assert len({tuple(differing(group[0], other)) for other in group[1:]}) == 1
    for group in names_of("anagram"):
        assert len(group) == 32
        assert len({tuple(sorted(words)) for words in group}) == 1
    for group in names_of("near"):
        for other in group[1:]:
            for at in differing(group[0], other):
                ours, theirs = group[0][at], other[at]
                assert len(ours) == len(theirs)
                assert len(differing(list(ours), list(theirs))) == 1


def test_colliding_names_are_one_name_to_a_hash_of_words() -> None:
    keys = Keys(min_order=2, max_order=5)
    for group in names_of("collision"):
        assert len({tuple(words) for words in group}) == 32
        assert len({tuple(zlib.crc32(word.encode()) for word in words) for words in group}) == 1
    (one, other, *_), (another, *_) = names_of("collision")[:2]
    assert keys.by_order(" ".join(one)) == keys.by_order(" ".join(other)) != keys.by_order(" ".join(another))
    assert {question.tags["adversarial"] for _, question in asked("collision")} == {"hash collision"}
    rest = [question for kind in ALL_KINDS if kind != "collision" for _, question in asked(kind)]
    assert rest
    assert not [question for question in rest if "adversarial" in question.tags]


def test_words_of_one_class_differ_in_a_letter_or_collide() -> None:
    assert near(["cat", "car", "cow", "how"]) == [["cat", "car"], ["cow", "how"]]
    assert same_crc(["plum", "less", "buck", "eroo"]) == [["plumless", "buckeroo"], ["plumeroo", "buckless"]]
    assert same_crc(["so", "some", "me", "meso"]) == []  # so + meso and some + so are one word


def test_every_kind_is_asked_with_its_own_family() -> None:
    for kind in FAMILY_KINDS:
        assert {question.tags["family"] for _, question in asked(kind)} == {kind}
    assert Counter(question.tags["kind"] for one in drawn("synthetic") for question in questions(one)) == dict.fromkeys(
        ALL_KINDS, 4
    )


def test_an_alias_is_asked_for_by_a_name_that_only_its_bridge_knows() -> None:
    for episode, question in asked("alias"):
        held = texts(episode)
        assert len(question.evidence) == 2
        (fact,) = (id for id in question.evidence if holds(held[id], question.answers[0]))
        (bridge,) = question.evidence - {fact}
        alias = next(text for text in re.split(r" is | simply | also ", held[bridge].rstrip("."))[1:])
        assert alias in question.cloze
        assert [id for id, text in held.items() if alias in text] == [bridge]


def test_a_name_in_capitals_has_other_tokens_and_is_the_same_name() -> None:
    for episode, question in asked("case"):
        (evidence,) = question.evidence
        capitals = max(re.findall(r"[A-Z ]+", question.cloze), key=len).strip()
        assert capitals.lower() in texts(episode)[evidence]
        assert capitals not in texts(episode)[evidence]


def test_every_user_hears_another_value_and_a_question_is_one_users() -> None:
    for episode, question in asked("scoped"):
        held = {event.id: event for event in events(episode)}
        evidence = held[min(question.evidence)]
        assert evidence.scope == question.query.scope != ""
        said = evidence.text.removesuffix(f" {question.answers[0]}.")
        rivals = [event for event in held.values() if event.text.startswith(f"{said} ")]
        assert sorted(event.scope for event in rivals) == ["user-0", "user-1", "user-2"]
        assert len({event.text for event in rivals}) == 3


def test_what_was_forgotten_and_told_again_is_asked_for_with_its_new_value() -> None:
    for episode, question in asked("readded"):
        (old,), (new,) = question.forgotten, question.evidence
        steps = list(episode.steps)
        places = {step.id: at for at, step in enumerate(steps) if isinstance(step, Event)}
        (forget,) = [at for at, step in enumerate(steps) if isinstance(step, Forget) and step.event_ids == (old,)]
        assert places[old] < forget < places[new]
        assert not question.stale
    assert all(len(order.event_ids) in (1, 2) for one in drawn("synthetic") for order in orders(one))


@cache
def told_often(exposure: float) -> tuple[Episode, ...]:
    return tuple(entity(set="synthetic", exposure=exposure, facts=288, episodes=10).episodes(0))


def test_facts_are_told_as_often_as_their_rank_says() -> None:
    def largest(exposure: float) -> float:
        """Return the mean share of the fact that is told most, among the tellings of an episode."""
        shares = []
        for episode in told_often(exposure):
            told = Counter(re.findall(r"\d{7}", event.text)[0] for event in events(episode))
            shares.append(max(told.values()) / told.total())
        return sum(shares) / len(shares)

    assert largest(0) < 0.05
    assert 2 * largest(0) < largest(1) < largest(1.5)
    assert largest(1.5) > 0.2
    for episode in told_often(1):
        held = texts(episode)
        assert len(held) == 288
        for question in questions(episode):
            told = {id for id, text in held.items() if question.answers[0] in text}
            assert told == question.evidence
            assert question.tags["told"] == str(max(1, len(told)))
    tags = [question.tags for episode in told_often(1) for question in questions(episode)]
    assert any(int(tag["told"]) > 2 for tag in tags)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"set": "unicod"}, "task.set=unicod: expected one of unicode, symbols, iso"),
        ({"set": ["unicode"]}, r"task.set=\['unicode'\]: expected one of unicode"),
        ({"users": 1}, "task.users=1: expected a whole number >= 2"),
        ({"exposure": "much"}, "task.exposure=much: expected a number from 0 to 4"),
        ({"exposure": -1}, "task.exposure=-1: expected a number from 0 to 4"),
        ({"kinds": ["collision"]}, r"family collision in task.set=unicode; leave collision out of task.kinds"),
        ({"kinds": ["anagram"]}, r"family anagram in task.set=unicode; type task.distractors=3 or less"),
        ({"set": "synthetic", "permuted": False}, "nobody can know a synthetic name's badge; type task.permuted=true"),
        ({"set": "synthetic", "distractors": 40, "facts": 200}, "type task.distractors=31 or less"),
        ({"synthetic": {"name_tokens": 9}}, "task.synthetic.name_tokens=9: expected a whole number from 2 to 8"),
        ({"synthetic": {"suffix_tokens": 5}}, "task.synthetic.suffix_tokens=5: a name of 5 tokens shares at most 4"),
        ({"synthetic": {"group": 1}}, "task.synthetic.group=1 .*: expected groups of 2 or more"),
        ({"synthetic": {"groups": 0}}, "task.synthetic.groups=0: expected a whole number >= 1"),
        ({"set": "synthetic", "synthetic": {"group": 900}}, "synthetic names need 3600: give another one, or lower"),
    ],
)
def test_what_does_not_go_together_is_one_line(options: dict[str, Any], expected: str) -> None:
    if "synthetic" in options:
        dials = {"name_tokens": 5, "suffix_tokens": 3, "prefix_tokens": 3, "group": 32, "groups": 24}
        options = {**options, "synthetic": {**dials, **options["synthetic"]}}
    with pytest.raises(BadInput, match=expected) as caught:
        entity(**options)
    assert "\n" not in str(caught.value)


def test_the_same_seed_gives_the_same_synthetic_episodes() -> None:
    again = entity(set="synthetic", **SMALL["synthetic"])
    assert digest(again.episodes(1)) == digest(drawn("synthetic"))
    assert digest(again.episodes(2)) != digest(drawn("synthetic"))


def test_the_limits_of_a_set_are_a_line_of_json_with_what_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--set", "mime", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["set"] == "mime"
    assert row["attribute"] == "extension"
    assert 0 < row["majority"] < row["ceilings"]["last token"] < row["ceilings"]["last 4 tokens"] <= 1
    assert re.fullmatch("[0-9a-f]{64}", row["sources"]["mime names"])
    assert row["sources"]["unicode"] == unicodedata.unidata_version


def test_the_majority_is_the_most_frequent_value() -> None:
    assert majority(["a", "b", "a", "c"]) == 0.5


def test_iso_codes_are_read_where_they_are() -> None:
    if not ISO_CODES.is_dir():
        pytest.skip(f"there is no {ISO_CODES}")
    assert iso_codes()["Canillo"] == "AD-02"


def test_a_cache_of_hashed_words_cannot_tell_colliding_names_apart_and_a_lexical_search_can() -> None:
    share = {}
    for memory in (
        HashCache(path=None, min_order=2, max_order=5, front_entries=64, top_k=64),
        BM25(k1=1.5, b=0.75, stemmer=None, split_identifiers=True, top_k=64),
    ):
        right = 0
        for episode, question in asked("collision"):
            memory.reset()
            memory.write(events(episode))
            memory.settle()
            (best, *_) = memory.read(question.query)
            right += best.event_ids[0] in question.evidence
        share[type(memory).__name__] = right / len(asked("collision"))
    assert share["HashCache"] <= 0.25 < share["BM25"] == 1.0

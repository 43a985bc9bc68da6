"""What every memory does, one function a promise: `check` asks them, and so do the contract tests.

A property returns where the promise is kept, with what was measured where that is worth a word; it raises Broken with
what was found instead, and NotApplicable with one of the reasons of `promise.Reason` where nothing is promised. The
first line of its docstring is what is expected.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from memory_bench.contracts import Traced
from memory_bench.errors import BadInput
from memory_bench.guards.durable_properties import DURABLE
from memory_bench.guards.held_properties import HELD
from memory_bench.guards.promise import (
    Broken,
    NotApplicable,
    Property,
    Reason,
    expect,
    knows,
    knows_not,
    needs,
    passages_of,
)
from memory_bench.guards.subject import CLOZE, CODE, FACT, NEW_CODE, NEW_FACT, OTHERS, QUESTION, Attached, Subject
from memory_bench.types import Event, Passage, Query

ODD = (
    '\'; DROP TABLE events; -- "quoted" \\ {braces}',
    "a NUL \0 and a blank line\n\n and blanks  ",
    "\u00e9 e\u0301 \u6f22\u5b57 \u05e9\u05dc\u05d5\u05dd \U0001f989",
    "the herons were counted " * 42_000,
)


def finds_what_was_written(subject: Subject) -> None:
    """What was written is found, and not before"""
    one = subject.make()
    expect(not one.knows(CODE), "it knew the fact before it was told")
    needs(subject, "finds")
    one.tell(FACT)
    knows(subject, one, CODE, "after write and settle")


def what_was_written_becomes_likelier(subject: Subject) -> str | None:
    """What was written stands in a passage, or its ending is likelier to the reader until it is forgotten"""
    needs(subject, "finds")
    one = subject.make()
    before = one.likelihood(CODE)
    one.tell(FACT)
    if passages := one.read():
        expect(any(CODE in passage.text for passage in passages), f"no passage holds {CODE}: {passages}")
        return None
    held = one.likelihood(CODE)
    one.memory.forget([FACT.id])
    one.memory.settle()
    gone = one.likelihood(CODE)
    found = f"log-probability {before:.2f} before, {held:.2f} once written, {gone:.2f} once forgotten"
    expect(held > max(before, gone), found)
    return found


def all_of_any_number_are_found(subject: Subject) -> None:
    """Of 1, 2, 3, 5, 10 and 100 events each is found by its own text"""
    needs(subject, "finds")
    one, most = subject.make(), 100
    for count in (1, 2, 3, 5, 10, 100):
        one.memory.reset()
        events = [Event(f"{n}", f"Locker {n} of hall {count} holds the coat of guest {n * n}.") for n in range(count)]
        one.tell(*events)
        if count == 1 and passages_of(one, _about(events[0]))[0].score is None:
            most = subject.options.get("top_k", most)  # it ranks by nothing: more than it returns it cannot find
        if count > most:
            break
        missing = [event.id for event in events if not _offers(one, event)]
        expect(not missing, f"of {count} events {len(missing)} are not found by their own text: {missing[:3]}")


def reset_forgets(subject: Subject) -> None:
    """After a reset nothing is left"""
    one = subject.make()
    one.tell(FACT)
    one.memory.reset()
    one.memory.settle()
    knows_not(one, CODE, "after the reset")
    expect(one.read() == [], f"{len(one.read())} passages after the reset")


def learns_again_after_a_reset(subject: Subject) -> None:
    """After a reset it learns what is new, and nothing comes back"""
    one = subject.make()
    one.tell(FACT)
    one.memory.reset()
    one.tell(replace(NEW_FACT, id="z"))
    knows(subject, one, NEW_CODE, "written after a reset")
    knows_not(one, CODE, "written before the reset")


def two_of_a_kind_are_apart(subject: Subject) -> None:
    """Two of its kind share nothing: what one is told, and its reset, do not reach the other"""
    one, other = subject.make(), subject.make()
    one.tell(FACT)
    knows_not(other, CODE, "told to another one")
    expect(other.read() == [], "it returned passages of another one")
    other.memory.reset()
    knows(subject, one, CODE, "after the reset of another one")


def forget_forgets_without_a_settle(subject: Subject) -> None:
    """What was forgotten is gone at once, and stays away after a settle"""
    one = subject.make()
    one.tell(FACT, *OTHERS)
    one.memory.forget([FACT.id])
    for when in ("at once after forget", "after forget and settle"):
        knows_not(one, CODE, when)
        named = [passage for passage in one.read() if FACT.id in passage.event_ids]
        expect(not named, f"a passage still names the event {when}: {named}")
        one.memory.settle()


def keeps_what_was_not_forgotten(subject: Subject) -> None:
    """What was not forgotten is found after a settle, and an id that was never written can be forgotten"""
    one = subject.make()
    one.tell(FACT, *OTHERS)
    one.memory.forget([OTHERS[0].id, "never written"])
    one.memory.settle()
    knows(subject, one, CODE, "after another event was forgotten")


def the_newest_text_of_an_id_wins(subject: Subject) -> None:
    """Of an id that is written again the newest text is found, the older one never"""
    one = subject.make()
    one.tell(FACT)
    one.tell(NEW_FACT)
    knows(subject, one, NEW_CODE, "the newer text of an id")
    knows_not(one, CODE, "the older text of an id")


def the_later_text_of_a_batch_wins(subject: Subject) -> None:
    """Of an id that is written twice at once the later text is found, the earlier one never"""
    one = subject.make()
    one.tell(FACT, NEW_FACT)
    knows(subject, one, NEW_CODE, "the later text of an id")
    knows_not(one, CODE, "the earlier text of an id")


def the_newest_of_equals_comes_first(subject: Subject) -> None:
    """Among events of one text the newest comes first: by time, whatever the ids and the order of writing"""
    needs(subject, "finds")
    one = subject.make()
    one.tell(*(replace(FACT, id=event_id, time=time) for event_id, time in [("m", 2.0), ("a", 3.0), ("z", 1.0)]))
    found = [passage.event_ids for passage in passages_of(one)]
    expect(found == [("a",), ("m",), ("z",)], f"expected a, m, z; found {found}")


def reading_changes_nothing(subject: Subject) -> None:
    """The same query twice has the same answer"""
    one = subject.make()
    one.tell(FACT, *OTHERS)
    _same(one.read(), one.read())


def what_it_traces_is_there(subject: Subject) -> None:
    """A memory that shows how it comes to what it brings shows something, and changes nothing by it"""
    needs(subject, "traces")
    one = subject.make()
    one.tell(FACT, *OTHERS)
    before = one.read()
    traced = cast(Traced, one.memory)
    traces = traced.trace(QUESTION, CLOZE)
    empty = [trace.what for trace in traces if not (trace.rows or trace.strip)]
    expect(bool(traces) and not empty, f"nothing is shown of {empty or 'a question that it can answer'}")
    uneven = [trace.what for trace in traces if any(len(row) != len(trace.heads) for row in trace.rows)]
    expect(not uneven, f"rows and heads are not of one length: {uneven}")
    _same(before, one.read())


def answers_a_query_of_no_words(subject: Subject) -> None:
    """A query without a word is answered, with what is held at most"""
    one = subject.make()
    empty = one.read(Query(""))
    expect(empty == [], f"nothing was written and it returned {empty}")
    one.tell(FACT, *OTHERS)
    for text in ("", "?!"):
        found = len(one.read(Query(text)))
        expect(found <= 4, f"4 events are held and {text!r} returned {found} passages")


def holds_an_event_of_no_words(subject: Subject) -> None:
    """An event without a word can be written"""
    one = subject.make()
    one.tell(Event("blank", ""))
    found = [passage.event_ids for passage in one.read()]
    expect(all(ids == ("blank",) for ids in found), f"passages name {found}")


def passages_are_ranked_and_name_their_events(subject: Subject) -> None:
    """Passages name their events, hold their texts, and have all a score or none; higher comes first"""
    one = subject.make()
    one.tell(FACT, *OTHERS)
    passages = passages_of(one)
    texts: dict[tuple[str, ...], str] = {(event.id,): event.text for event in [FACT, *OTHERS]}
    wrong = [passage for passage in passages if texts.get(passage.event_ids) != passage.text]
    expect(not wrong, f"not the text of the event that it names: {wrong[:1]}")
    scores = [passage.score for passage in passages if passage.score is not None]
    expect(len(scores) in (0, len(passages)), f"{len(scores)} of {len(passages)} passages have a score")
    expect(scores == sorted(scores, reverse=True), f"scores in the order of the passages: {scores}")


def the_evidence_comes_first(subject: Subject) -> None:
    """Where there is a ranking, the event that answers is its first"""
    needs(subject, "finds")
    one = subject.make()
    one.tell(FACT, *OTHERS)
    first = passages_of(one)[0]
    if first.score is None:
        raise NotApplicable(Reason.NO_RANKING)
    expect(first.event_ids == (FACT.id,), f"the first passage names {first.event_ids}")


def ids_decide_nothing(subject: Subject) -> None:
    """Other ids change no passage, no score and no order"""
    one, other = subject.make(), subject.make()
    one.tell(FACT, *OTHERS)
    other.tell(*(replace(event, id=f"{9 - place}") for place, event in enumerate([FACT, *OTHERS])))
    _same(*([replace(passage, event_ids=()) for passage in passages_of(life)] for life in (one, other)))


def batches_decide_nothing(subject: Subject) -> None:
    """Events one by one or all at once: the same answer"""
    one, other = subject.make(), subject.make()
    one.tell(FACT, *OTHERS)
    for event in [FACT, *OTHERS]:
        other.memory.write([event])
    other.memory.settle()
    _same(passages_of(one), passages_of(other))


def a_scope_sees_itself_only(subject: Subject) -> None:
    """A query of a scope sees the events of that scope, one without sees all"""
    one = subject.make()
    one.tell(replace(FACT, scope="north"), replace(NEW_FACT, id="s", scope="south"))
    everywhere = {passage.event_ids for passage in passages_of(one)}
    expect(everywhere == {(FACT.id,), ("s",)}, f"without a scope it returned {sorted(everywhere)}")
    found = [passage.event_ids for passage in one.read(replace(QUESTION, scope="south"))]
    expect(found == [("s",)], f"scope south holds s; found {found}")


def the_same_life_twice_gives_the_same_answers(subject: Subject) -> None:
    """The same life twice: the same passages, answers and bytes, to the last bit"""
    needs(subject, "deterministic")
    one, other = subject.make(), subject.make()
    for life in (one, other):
        life.tell(FACT, *OTHERS)
    _same(one.read(), other.read())
    first, second = (life.reader.generate([CLOZE])[0] for life in (one, other))
    expect(first.text == second.text, f"{first.text!r} and {second.text!r}")
    expect(first.logprob == second.logprob, f"the answer's log-probability: {first.logprob} and {second.logprob}")
    sizes = [life.memory.size_bytes() for life in (one, other)]
    expect(sizes[0] == sizes[1], f"bytes held: {sizes}")


def it_returns_top_k_passages_at_most(subject: Subject) -> None:
    """Reads are bounded: top_k passages at most, and where it is huge what is held"""
    _needs_top_k(subject)
    for top_k, most in ((3, 3), (10**12, 8)):
        one = subject.make(f"memory.top_k={top_k}")
        one.tell(*_alike(8))
        found = len(passages_of(one))
        expect(found == most, f"8 events fit, top_k is {top_k}, it returned {found}")


def what_was_deleted_takes_no_place(subject: Subject) -> None:
    """After most events were forgotten it returns top_k of those that are left"""
    _needs_top_k(subject)
    one = subject.make("memory.top_k=5")
    events = _alike(40)
    one.tell(*events)
    passages_of(one)
    one.memory.forget([event.id for event in events[:32]])
    for when in ("at once", "after a settle"):
        left = {event_id for passage in one.read() for event_id in passage.event_ids}
        expect(len(left) == 5, f"32 of 40 events were forgotten, top_k is 5, it returned {sorted(left)} {when}")
        expect(left <= {event.id for event in events[32:]}, f"it returned {sorted(left)}, of which some were forgotten")
        one.memory.settle()


def odd_texts_come_back_as_they_were(subject: Subject) -> None:
    """Texts of any script, with quotes, NUL and blank lines, and one of a megabyte come back letter by letter"""
    needs(subject, "finds")
    one = subject.make()
    one.tell(FACT)
    passages_of(one)  # before it is told much: what works inside the model would work through it for hours
    texts = [f"{FACT.text} {odd}" for odd in ODD]
    one.tell(*(Event(f'it\'s "{place}"', text) for place, text in enumerate(texts)))
    found = {passage.text for passage in one.read(replace(QUESTION, budget_tokens=10**7))}
    missing = [ascii(text[len(FACT.text) : 80]) for text in texts if text not in found]
    expect(not missing, f"{len(missing)} of {len(texts)} texts do not come back: {', '.join(missing)}")


def a_top_k_of_nothing_is_refused(subject: Subject) -> None:
    """A top_k of 0 is refused in one line that names the value"""
    _needs_top_k(subject)
    try:
        subject.make("memory.top_k=0")
    except BadInput as error:
        expect("top_k must be >= 1, got 0" in str(error), f"it says: {error}")
    else:
        raise Broken("it was made all the same")


PROPERTIES: tuple[Property, ...] = (
    finds_what_was_written,
    what_was_written_becomes_likelier,
    all_of_any_number_are_found,
    the_newest_text_of_an_id_wins,
    the_later_text_of_a_batch_wins,
    the_newest_of_equals_comes_first,
    forget_forgets_without_a_settle,
    keeps_what_was_not_forgotten,
    reset_forgets,
    learns_again_after_a_reset,
    two_of_a_kind_are_apart,
    passages_are_ranked_and_name_their_events,
    the_evidence_comes_first,
    it_returns_top_k_passages_at_most,
    what_was_deleted_takes_no_place,
    a_top_k_of_nothing_is_refused,
    a_scope_sees_itself_only,
    ids_decide_nothing,
    batches_decide_nothing,
    reading_changes_nothing,
    what_it_traces_is_there,
    the_same_life_twice_gives_the_same_answers,
    answers_a_query_of_no_words,
    holds_an_event_of_no_words,
    odd_texts_come_back_as_they_were,
    *HELD,
    *DURABLE,
)


def _needs_top_k(subject: Subject) -> None:
    if "top_k" not in subject.options:
        raise NotApplicable(Reason.NO_TOP_K)


def _alike(count: int) -> list[Event]:
    return [Event(f"{number}", f"The access code of gate 17 is {number}") for number in range(count)]


def _about(event: Event) -> Query:
    return replace(QUESTION, text=event.text)


def _offers(one: Attached, event: Event) -> bool:
    return any(event.id in passage.event_ids for passage in one.read(_about(event)))


def _same(first: list[Passage], second: list[Passage]) -> None:
    expect(first == second, f"first {first}, then {second}")

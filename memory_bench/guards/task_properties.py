"""What every task does, one function a promise: `check` asks them, and so do the contract tests.

A promise returns what was measured, where that is worth a word; it raises Broken with what was found instead, and
NotApplicable where nothing is promised. The first line of its docstring is what is expected. All is looked at
in a sample of a few hundred questions; the figures that decide have their bounds here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TypeAlias

from scipy import stats

from memory_bench.errors import BadInput
from memory_bench.guards import laws, task_leaks, task_retrieval
from memory_bench.guards.promise import Broken, NotApplicable, Reason
from memory_bench.guards.stream import digest, digest_elsewhere
from memory_bench.guards.task_subject import TaskSubject
from memory_bench.metrics import holds
from memory_bench.types import UNKNOWN, Episode, Event, Question

Promise: TypeAlias = Callable[[TaskSubject], str | None]

EPISODES = 5  # made twice, here and elsewhere
AWAY = 0.1  # from 0.5, the area under the ROC curve that ids, lengths and places may have
PIECES = 60  # of evidence: with fewer an area is further away than that by chance
PRECISION = 0.5  # of a pattern for values: as much beside the evidence as in it
USUAL = 0.1  # accuracy of the commonest answer where nothing is offered to choose from
BESIDE_CHANCE = 0.15  # accuracy above chance of a rule that reads only the choices
LEVEL = 0.01
DIAL_QUESTIONS = 120


def its_steps_are_in_order(subject: TaskSubject) -> None:
    """Ids come once, times in their order, only what was told is to be forgotten, and something is asked"""
    _obeys(subject, laws.faults_of_steps)


def its_gold_is_what_it_is_called(subject: TaskSubject) -> None:
    """Evidence was told and is not stale, forgotten events were to be forgotten, and unknown is what has no evidence"""
    _obeys(subject, laws.faults_of_gold)


def no_answer_stands_in_its_question(subject: TaskSubject) -> None:
    """No answer stands in its question, and both wordings are there"""
    _obeys(subject, laws.faults_of_wording)


def its_questions_say_their_kind(subject: TaskSubject) -> None:
    """Questions say their kind, their wording, and whether n-grams cover them"""
    _obeys(subject, laws.faults_of_tags)


def half_of_the_questions_are_reworded(subject: TaskSubject) -> str:
    """Half of the questions have other words than the event, or none says how it is worded"""
    told = [question.tags.get("wording") for question in _asked(subject)]
    if not any(told):
        raise NotApplicable(Reason.NO_WORDINGS)
    share = told.count("reworded") / len(told)
    _expect(None not in told, f"{told.count(None)} of {len(told)} questions do not say it")
    _expect(abs(share - 0.5) <= 0.1, f"{share:.2f} of {len(told)} are reworded")
    return f"{share:.2f}"


def most_questions_have_something_to_find(subject: TaskSubject) -> str:
    """More than half of the questions have evidence, and no two questions have one id"""
    asked = _asked(subject)
    share = sum(bool(question.evidence) for question in asked) / len(asked)
    _expect(share > 0.5, f"{share:.2f} of {len(asked)} have evidence")
    _expect(len({question.id for question in asked}) == len(asked), "an id comes twice")
    return f"{share:.2f} of {len(asked)}"


def it_names_what_it_reads(subject: TaskSubject) -> None:
    """It has a version, and one sha256 for every source that it reads"""
    identity = subject.task.identity()
    _expect(bool(subject.task.version), "no version")
    _expect(all(isinstance(value, str) and value for value in identity.values()), f"identity is {dict(identity)}")
    _expect(any(len(value) == 64 for value in identity.values()), f"no sha256 in {dict(identity)}")


def a_negative_seed_is_refused(subject: TaskSubject) -> None:
    """A negative seed is refused in one line that names the value"""
    try:
        next(iter(subject.task.episodes(-1)))
    except BadInput as error:
        _expect("seed=-1: expected a whole number >= 0" in str(error), f"it says: {error}")
    else:
        raise Broken("it was taken all the same")


def the_same_seed_gives_the_same_bytes(subject: TaskSubject) -> None:
    """The same seed gives the same bytes, whatever was asked for before"""
    first = digest(subject.first(1, EPISODES))
    subject.first(0, EPISODES)
    again = digest(subject.first(1, EPISODES))
    _expect(first == again, f"first {first[:16]}, then {again[:16]}")


def another_process_gives_the_same_bytes(subject: TaskSubject) -> None:
    """Another process with another hash seed gives the same bytes"""
    here = digest(subject.first(1, EPISODES))
    there = digest_elsewhere(subject.options, seed=1, episodes=EPISODES)
    _expect(here == there, f"here {here[:16]}, there {there[:16]}")


def another_seed_gives_other_bytes(subject: TaskSubject) -> None:
    """Another seed asks something else"""
    _needs(subject, "seeded")
    texts = [[(event.text) for episode in subject.first(seed, 2) for event in laws.events(episode)] for seed in (0, 1)]
    _expect(texts[0] != texts[1], "seeds 0 and 1 tell the same")


def gold_scores_one(subject: TaskSubject) -> None:
    """Every right answer scores 1"""
    for question in _asked(subject):
        for answer in question.answers:
            score = subject.task.score(question, f" {answer}")["exact_match"]
            _expect(score == 1.0, f"{answer!r} scores {score:g} in {question.id}")


def nothing_scores_zero(subject: TaskSubject) -> None:
    """An empty answer, and one that has nothing to do with it, score 0"""
    for question in _asked(subject):
        for answer in ("", " ", "something else"):
            scores = subject.task.score(question, answer)
            _expect(set(scores.values()) == {0.0}, f"{answer!r} scores {scores} in {question.id}")


def the_evidence_holds_the_answer(subject: TaskSubject) -> None:
    """Every event of the evidence holds an answer, word for word"""
    _needs(subject, "verbatim")
    for question, evidence, _ in _with_evidence(subject):
        missing = [event.id for event in evidence if not _holds_one(event, question)]
        _expect(not missing, f"{missing[:1]} does not hold {question.answers[0]!r} of {question.id}")


def nothing_else_holds_the_answer(subject: TaskSubject) -> None:
    """No event beside the evidence holds an answer: neither hay nor distractor"""
    _needs(subject, "unique")
    for question, _, others in _with_evidence(subject):
        holding = [event.id for event in others if _holds_one(event, question)]
        _expect(not holding, f"{holding[:1]} holds {question.answers[0]!r} of {question.id} too")


def a_pattern_for_values_finds_no_needles(subject: TaskSubject) -> str:
    """At most half of the events in which something looks like an answer are evidence"""
    _needs(subject, "drawn")
    share, found = task_leaks.precision(subject.sample)
    _expect(found > 0, "no event holds what looks like an answer: it is not asked for in its words")
    _expect(share <= PRECISION, f"{share:.2f} of {found} events are")
    return f"{share:.2f} of {found} events"


def ids_say_nothing(subject: TaskSubject) -> str:
    """Ids are of one length, in no order and in no text, and tell evidence from nothing"""
    _obeys(subject, laws.faults_of_ids)
    return _says_nothing(subject, task_leaks.ids)


def lengths_say_nothing(subject: TaskSubject) -> str:
    """Lengths of texts do not tell evidence from other events"""
    return _says_nothing(subject, task_leaks.lengths)


def places_say_nothing(subject: TaskSubject) -> str:
    """Places in the stream do not tell evidence from other events"""
    return _says_nothing(subject, task_leaks.places)


def closed_book_is_at_chance(subject: TaskSubject) -> str:
    """Who knows the usual answers, or reads only the choices, is right no more often than by chance"""
    guesses = list(task_leaks.guesses(subject.sample, subject.task.score))
    if not guesses:
        raise NotApplicable(Reason.TOO_FEW, "questions to learn from some and try the others")
    best = max(guesses, key=lambda guess: guess.accuracy - guess.chance)
    told = f"{best.how} is right in {best.accuracy:.2f} of {best.questions}, chance {best.chance:.2f}"
    for claim in ("drawn", "balanced"):
        if not subject.claims[claim]:
            raise NotApplicable(Reason.NOT_CLAIMED, f"claims.{claim} is false: {told}")
    _expect(best.accuracy <= best.chance + (BESIDE_CHANCE if best.chance else USUAL), told)
    return told


def each_kind_tells_memories_apart(subject: TaskSubject) -> str:
    """Of every kind, some memory finds what random passages do not hold"""
    differences, tied = task_retrieval.compared(subject)
    told = f"no memory finds more than random passages hold of {', '.join(tied)}"
    if tied and not subject.claims["drawn"]:  # real questions are as hard as they are
        raise NotApplicable(Reason.NOT_CLAIMED, f"claims.drawn is false: {told}")
    _expect(not tied, told)
    if not differences:
        raise NotApplicable(Reason.TOO_FEW, f"no kind has {task_retrieval.FEWEST} questions with evidence")
    return "; ".join(map(str, differences))


def it_gets_harder_along_its_dials(subject: TaskSubject) -> str:
    """Along every dial the evidence comes first less often, from its first value to its last"""
    dials = {option: values for option, values in subject.claims["dials"].items() if values}
    if not dials:
        raise NotApplicable(Reason.NOT_CLAIMED, "claims.dials is empty")
    return "; ".join(_gets_harder(subject, option, values) for option, values in dials.items())


PROMISES: tuple[Promise, ...] = (
    its_steps_are_in_order,
    its_gold_is_what_it_is_called,
    its_questions_say_their_kind,
    half_of_the_questions_are_reworded,
    most_questions_have_something_to_find,
    it_names_what_it_reads,
    a_negative_seed_is_refused,
    the_same_seed_gives_the_same_bytes,
    another_process_gives_the_same_bytes,
    another_seed_gives_other_bytes,
    gold_scores_one,
    nothing_scores_zero,
    no_answer_stands_in_its_question,
    the_evidence_holds_the_answer,
    nothing_else_holds_the_answer,
    a_pattern_for_values_finds_no_needles,
    ids_say_nothing,
    lengths_say_nothing,
    places_say_nothing,
    closed_book_is_at_chance,
    each_kind_tells_memories_apart,
    it_gets_harder_along_its_dials,
)


def _expect(kept: bool, found: str) -> None:
    if not kept:
        raise Broken(found)


def _needs(subject: TaskSubject, claim: str) -> None:
    if not subject.claims[claim]:
        raise NotApplicable(Reason.NOT_CLAIMED, f"claims.{claim} is false")


def _obeys(subject: TaskSubject, law: Callable[[Episode], Iterator[str]]) -> None:
    for episode in subject.sample:
        for fault in law(episode):
            raise Broken(f"{fault} in {episode.id}")


def _asked(subject: TaskSubject) -> list[Question]:
    return [question for episode in subject.sample for question in laws.questions(episode)]


def _with_evidence(subject: TaskSubject) -> Iterator[tuple[Question, list[Event], list[Event]]]:
    """Yield every question that has evidence, its evidence, and what else was told before it."""
    for episode in subject.sample:
        for question, told, _ in laws.asked(episode):
            if question.evidence:
                evidence = [told[id] for id in question.evidence]
                yield question, evidence, [event for id, event in told.items() if id not in question.evidence]


def _holds_one(event: Event, question: Question) -> bool:
    # most events hold nothing of it: a search for the bare text first saves most of the time
    answers = [answer for answer in question.answers if answer != UNKNOWN and answer in event.text]
    return any(holds(event.text, answer) for answer in answers)


def _says_nothing(subject: TaskSubject, sign: task_leaks.Sign) -> str:
    _needs(subject, "drawn")
    told = []
    for name, one in (("its order", sign), ("its distance from the middle", task_leaks.extreme(sign))):
        found = task_leaks.separation(subject.sample, one)
        if found is None or found.pieces < PIECES:
            raise NotApplicable(Reason.TOO_FEW, f"fewer than {PIECES} pieces of evidence beside other events")
        _expect(abs(found.area - 0.5) <= AWAY, f"by {name} evidence is told apart with an area of {found.area:.2f}")
        told.append(f"{found.area:.2f} by {name}")
    return f"area {', '.join(told)} (0.5: not at all)"


def _gets_harder(subject: TaskSubject, option: str, values: list[object]) -> str:
    """Mann and Whitney's test, one-sided: easier first, and no step that is easier than the one before it."""
    found = [task_retrieval.difficulty(subject, option, value, questions=DIAL_QUESTIONS) for value in values]
    means = [sum(column) / len(column) for column in found]
    steps = [f"{value} {mean:.2f}" for value, mean in zip(values, means, strict=True)]
    told = f"{option} {', '.join(steps)}"
    _expect(_is_above(found[0], found[-1]), f"no harder at the end: {told}")
    for easy, hard in pairwise(found):
        _expect(not _is_above(hard, easy), f"easier on the way: {told}")
    return told


def _is_above(one: list[float], other: list[float]) -> bool:
    return float(stats.mannwhitneyu(one, other, alternative="greater").pvalue) < LEVEL

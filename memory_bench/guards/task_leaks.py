"""What could betray an answer to somebody who never read a text: ids, lengths, places, looks, and the usual answer."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TypeAlias

import numpy as np

from memory_bench.guards.laws import events, questions
from memory_bench.types import Episode, Event, Question

Sign: TypeAlias = Callable[[Sequence[Event]], list[float]]
"""The events of an episode to one number each."""
Score: TypeAlias = Callable[[Question, str], Mapping[str, float]]
IsRight: TypeAlias = Callable[[Question, str], bool]
Say: TypeAlias = Callable[[Question], str]
"""What somebody answers who sees the question alone."""


def ids(told: Sequence[Event]) -> list[float]:
    """Return the rank of each event's id in the alphabet."""
    ranks = {id: rank for rank, id in enumerate(sorted(event.id for event in told))}
    return [float(ranks[event.id]) for event in told]


def lengths(told: Sequence[Event]) -> list[float]:
    """Return the characters of each text."""
    return [float(len(event.text)) for event in told]


def places(told: Sequence[Event]) -> list[float]:
    """Return each event's number in the stream."""
    return [float(at) for at in range(len(told))]


def extreme(sign: Sign) -> Sign:
    """Return how far from the middle a sign is: neither end of it may betray anything either."""

    def distances(told: Sequence[Event]) -> list[float]:
        values = sign(told)
        middle = float(np.median(values))
        return [abs(value - middle) for value in values]

    return distances


@dataclass(frozen=True)
class Separation:
    """How well a sign tells evidence from the other events of an episode: 0.5 not at all, 0 or 1 perfectly.

    `area` is the area under the ROC curve, the chance that a piece of evidence has the higher sign; the mean over all
    pieces of evidence, with its standard error.
    """

    area: float
    error: float
    pieces: int


def separation(episodes: Sequence[Episode], sign: Sign) -> Separation | None:
    """Return how well a sign tells evidence from the rest; None where there is no evidence beside something else."""
    areas = [area for episode in episodes for area in _areas(episode, sign)]
    if len(areas) < 2:
        return None
    return Separation(float(np.mean(areas)), float(np.std(areas, ddof=1)) / sqrt(len(areas)), len(areas))


def _areas(episode: Episode, sign: Sign) -> Iterator[float]:
    told = events(episode)
    values = np.array(sign(told))
    evidence = {id for question in questions(episode) for id in question.evidence}
    is_evidence = np.array([event.id in evidence for event in told], dtype=bool)
    others = values[~is_evidence]
    if len(others):
        for value in values[is_evidence]:
            yield float(np.mean(others < value) + np.mean(others == value) / 2)


def shape(answer: str) -> re.Pattern[str]:
    """Return a pattern for what looks like an answer: its signs, with any digits for digits and letters for letters.

    4411 becomes four digits, `new moon` two words, 2024-05-01 a date.
    """
    parts = re.findall(r"\d+|[^\W\d_]+|.", answer, re.DOTALL)
    return re.compile(rf"(?<!\w){''.join(map(_any_of_its_kind, parts))}(?!\w)")


def _any_of_its_kind(part: str) -> str:
    if part.isdigit():
        return rf"\d{{{len(part)}}}"
    if part[0].isalpha():
        return r"[^\W\d_]+"
    return re.escape(part)


def precision(episodes: Sequence[Episode]) -> tuple[float, int]:
    """Return the share of evidence among the events in which a pattern for values finds something, and how many
    events it found. Each episode is searched by the shapes of its own answers: nobody could search better."""
    found = right = 0
    for episode in episodes:
        asked = [question for question in questions(episode) if question.evidence]
        evidence = {id for question in asked for id in question.evidence}
        shapes = {shape(answer) for question in asked for answer in question.answers}
        hits = [event.id for event in events(episode) if any(one.search(event.text) for one in shapes)]
        found, right = found + len(hits), right + sum(id in evidence for id in hits)
    return (right / found if found else 0.0), found


@dataclass(frozen=True)
class Guess:
    """What somebody gets right who knows the usual answers and nothing else, beside what chance gives."""

    how: str
    accuracy: float
    chance: float
    questions: int


def guesses(episodes: Sequence[Episode], score: Score) -> Iterator[Guess]:
    """Yield how far one comes without any memory: by answers of one half of the episodes, tried on the other half.

    `score` is the task's own: it alone says which answer a choice gives.
    """

    def is_right(question: Question, said: str) -> bool:
        return score(question, said)["exact_match"] == 1.0

    halves = [[one for episode in episodes[start::2] for one in questions(episode) if one.evidence] for start in (0, 1)]
    known, tried = halves
    if free := [question for question in tried if not question.choices]:
        yield _guessed("the commonest answer of the kind", free, _commonest(known), is_right, chance=0.0)
    if offered := [question for question in tried if question.choices]:
        chance = sum(1 / len(question.choices) for question in offered) / len(offered)
        for how, guess in _by_choices([question for question in known if question.choices], is_right):
            yield _guessed(how, offered, guess, is_right, chance=chance)


def _guessed(how: str, asked: Sequence[Question], say: Say, is_right: IsRight, *, chance: float) -> Guess:
    right = sum(is_right(question, say(question)) for question in asked)
    return Guess(how, right / len(asked), chance, len(asked))


def _commonest(known: Sequence[Question]) -> Say:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for question in known:
        counts[question.tags.get("kind", "")][question.answers[0]] += 1

    def say(question: Question) -> str:
        seen = counts[question.tags.get("kind", "")]
        return min(seen, key=lambda one: (-seen[one], one), default="")

    return say


def _by_choices(known: Sequence[Question], is_right: IsRight) -> Iterator[tuple[str, Say]]:
    places = Counter(at for question in known for at, one in enumerate(question.choices) if is_right(question, one))
    at = places.most_common(1)[0][0] if places else 0
    usual = Counter(answer for question in known for answer in question.answers)

    def most_often_right(question: Question) -> str:
        values = _values(question, is_right)
        return max(question.choices, key=lambda one: usual[values[one]])

    yield "one place among the choices", lambda one: one.choices[at % len(one.choices)]
    yield "the choice that was right most often", most_often_right
    yield "the longest choice", lambda one: max(one.choices, key=len)
    yield "the shortest choice", lambda one: min(one.choices, key=len)


def _values(question: Question, is_right: IsRight) -> Mapping[str, str]:
    """Return what each choice says: it goes on to the end of its line, which is the same behind all of them."""
    right = next((one for one in question.choices if is_right(question, one)), "")
    answer = min((one for one in question.answers if right.startswith(one)), key=len, default=right)
    rest = right.removeprefix(answer)
    return {one: one.removesuffix(rest) for one in question.choices}

"""A task that keeps every promise, and one for each promise that breaks it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from memory_bench.guards.task_properties import PROMISES
from memory_bench.metrics import exact_match
from memory_bench.task_options import check_seed
from memory_bench.types import UNKNOWN, Episode, Event, Query, Question

CLAIMS: Mapping[str, Any] = {"dials": {"hidden": [0.0, 1.0]}}
FACTS, ASKED = 20, 4
SYLLABLES = ("ba", "do", "fe", "gi", "lu", "mo", "ne", "pi", "ra", "so", "tu", "va")
FILLING = ("rain", "fell", "on", "the", "pier", "all", "night", "and", "nobody", "came", "to", "look")


@dataclass
class Fact:
    gate: str
    code: str
    event: Event


class Right:
    """Gates and their codes between words that say nothing; half of the questions are worded as the event is.

    ... fell on the pier. The code of gate dofelu is 440912. nobody came to ...
    """

    version = "1"

    def __init__(self, *, hidden: float) -> None:
        self.hidden = hidden

    def identity(self) -> Mapping[str, str]:
        return {"filling": "0" * 64}

    def episodes(self, seed: int) -> Iterator[Episode]:
        check_seed(seed)
        return (self.episode(seed, number) for number in range(10))

    def episode(self, seed: int, number: int) -> Episode:
        rng = Random(f"{seed}/{number}")
        asked = rng.sample(range(FACTS), ASKED)
        facts = [self.fact(at, at in asked, rng) for at in range(FACTS)]
        questions = [self.question(f"{seed}-{number}-{turn}", facts[at], turn, rng) for turn, at in enumerate(asked)]
        return Episode(f"e{number}", (*self.told(facts, asked), *questions))

    def told(self, facts: Sequence[Fact], asked: Sequence[int]) -> list[Event]:  # noqa: ARG002
        return [fact.event for fact in facts]

    def fact(self, at: int, asked: bool, rng: Random) -> Fact:
        gate, code = "".join(rng.choices(SYLLABLES, k=4)), self.code(asked, rng)
        before, after = (" ".join(rng.choices(FILLING, k=self.words(asked, rng))) for _ in range(2))
        text = f"{before}. The code of gate {gate} is {code}. {after}"
        return Fact(gate, code, Event(self.id(asked, rng), text, time=float(at)))

    def code(self, asked: bool, rng: Random) -> str:  # noqa: ARG002
        return f"{rng.randrange(10**6, 10**7)}"

    def words(self, asked: bool, rng: Random) -> int:  # noqa: ARG002
        return rng.randrange(2, 9)

    def id(self, asked: bool, rng: Random) -> str:  # noqa: ARG002
        return f"{rng.getrandbits(64):016x}"

    def question(self, id: str, fact: Fact, turn: int, rng: Random) -> Question:
        gate = "it" if rng.random() < self.hidden else fact.gate
        wording, cloze = (
            ("reworded", f"Gate {gate} opens with") if turn % 2 else ("event", f"The code of gate {gate} is")
        )
        tags = {"kind": "code", "wording": wording, "ngram_covered": "no" if turn % 2 else "yes"}
        query = Query(f"What opens gate {gate}?")
        return Question(id, query, cloze, (fact.code,), frozenset({fact.event.id}), tags=tags)

    def score(self, question: Question, answer: str) -> dict[str, float]:
        return {"exact_match": exact_match(answer, question.answers)}


BREAKING: dict[str, type[Right]] = {}
"""Promise -> the task that breaks it."""


def breaks(promise: str) -> Any:
    def register(task: type[Right]) -> type[Right]:
        BREAKING[promise] = task
        return task

    return register


@breaks("its_steps_are_in_order")
class TellsBackwards(Right):
    def told(self, facts: Sequence[Fact], asked: Sequence[int]) -> list[Event]:
        return super().told(facts, asked)[::-1]


@breaks("its_gold_is_what_it_is_called")
class CallsEvidenceStale(Right):
    def question(self, id: str, fact: Fact, turn: int, rng: Random) -> Question:
        return replace(super().question(id, fact, turn, rng), stale=frozenset({fact.event.id}))


@breaks("its_questions_say_their_kind")
class SaysNoKind(Right):
    def question(self, id: str, fact: Fact, turn: int, rng: Random) -> Question:
        return replace(super().question(id, fact, turn, rng), tags={})


@breaks("half_of_the_questions_are_reworded")
class RewordsNothing(Right):
    def question(self, id: str, fact: Fact, turn: int, rng: Random) -> Question:
        return super().question(id, fact, 0 * turn, rng)


@breaks("most_questions_have_something_to_find")
class AsksForNothing(Right):
    def question(self, id: str, fact: Fact, turn: int, rng: Random) -> Question:
        return replace(super().question(id, fact, turn, rng), answers=(UNKNOWN,), evidence=frozenset())


@breaks("it_names_what_it_reads")
class NamesNothing(Right):
    def identity(self) -> Mapping[str, str]:
        return {}


@breaks("a_negative_seed_is_refused")
class TakesAnySeed(Right):
    def episodes(self, seed: int) -> Iterator[Episode]:
        return super().episodes(abs(seed))


@breaks("the_same_seed_gives_the_same_bytes")
class CountsItsEpisodes(Right):
    made = itertools.count()

    def code(self, asked: bool, rng: Random) -> str:
        return f"{int(super().code(asked, rng)) + next(self.made)}"


@breaks("another_process_gives_the_same_bytes")
class DependsOnTheHashSeed(Right):
    def code(self, asked: bool, rng: Random) -> str:
        return f"{hash(super().code(asked, rng) + 'x') % 10**7:07}"


@breaks("another_seed_gives_other_bytes")
class IgnoresTheSeed(Right):
    def episode(self, seed: int, number: int) -> Episode:
        return super().episode(0 * seed, number)


@breaks("gold_scores_one")
class MissesWhatIsRight(Right):
    def score(self, question: Question, answer: str) -> dict[str, float]:
        return {"exact_match": exact_match(answer.strip()[1:], question.answers)}


@breaks("nothing_scores_zero")
class TakesAnEmptyAnswer(Right):
    def score(self, question: Question, answer: str) -> dict[str, float]:
        return {"exact_match": float(question.answers[0].startswith(answer.strip()))}


@breaks("no_answer_stands_in_its_question")
class AsksWithTheAnswer(Right):
    def question(self, id: str, fact: Fact, turn: int, rng: Random) -> Question:
        return replace(super().question(id, fact, turn, rng), query=Query(f"Is {fact.code} right?"))


@breaks("the_evidence_holds_the_answer")
class TellsNoAnswer(Right):
    def told(self, facts: Sequence[Fact], asked: Sequence[int]) -> list[Event]:
        events = super().told(facts, asked)
        return [replace(one, text=one.text.replace(fact.code, "lost")) for one, fact in zip(events, facts, strict=True)]


@breaks("nothing_else_holds_the_answer")
class TellsTheAnswerTwice(Right):
    def told(self, facts: Sequence[Fact], asked: Sequence[int]) -> list[Event]:
        codes = {(at + 1) % FACTS: facts[at].code for at in asked}
        events = super().told(facts, asked)
        return [replace(one, text=f"{codes.get(at, 'no')} {one.text}") for at, one in enumerate(events)]


@breaks("a_pattern_for_values_finds_no_needles")
class GivesNumbersToNeedlesOnly(Right):
    def code(self, asked: bool, rng: Random) -> str:
        return super().code(asked, rng) if asked else "lost"


@breaks("ids_say_nothing")
class MarksIds(Right):
    def id(self, asked: bool, rng: Random) -> str:
        return f"{'0' if asked else 'f'}{super().id(asked, rng)}"


@breaks("lengths_say_nothing")
class TellsNeedlesAtLength(Right):
    def words(self, asked: bool, rng: Random) -> int:
        return super().words(asked, rng) + 2 * asked


@breaks("places_say_nothing")
class PutsNeedlesInTheMiddle(Right):
    """Neither early nor late on average: only how far they are from the middle betrays them."""

    def told(self, facts: Sequence[Fact], asked: Sequence[int]) -> list[Event]:
        needles = [facts[at].event for at in asked]
        others = [fact.event for fact in facts if fact.event not in needles]
        half = len(others) // 2
        return [replace(one, time=float(at)) for at, one in enumerate([*others[:half], *needles, *others[half:]])]


@breaks("closed_book_is_at_chance")
class HasAFavouriteCode(Right):
    def code(self, asked: bool, rng: Random) -> str:
        return "4411" if asked and rng.random() < 0.3 else super().code(asked, rng)


@breaks("each_kind_tells_memories_apart")
class NeverSaysWhichGate(Right):
    def words(self, asked: bool, rng: Random) -> int:  # noqa: ARG002
        return 4  # of texts of several lengths, a memory that prefers short ones has more in its budget

    def question(self, id: str, fact: Fact, turn: int, rng: Random) -> Question:
        return super().question(id, replace(fact, gate="it"), turn, rng)


@breaks("it_gets_harder_along_its_dials")
class TurnsItsDialInVain(Right):
    def __init__(self, *, hidden: float) -> None:
        super().__init__(hidden=0 * hidden)


class Offering(Right):
    """Offers four codes to choose from, the right one in a random place."""

    def question(self, id: str, fact: Fact, turn: int, rng: Random) -> Question:
        made = super().question(id, fact, turn, rng)
        choices = [fact.code, *(super(Offering, self).code(False, rng) for _ in range(3))]
        return replace(made, choices=tuple(self.shuffled(choices, rng)))

    def shuffled(self, choices: list[str], rng: Random) -> list[str]:
        return rng.sample(choices, len(choices))


class OffersTheRightOneFirst(Offering):
    def shuffled(self, choices: list[str], rng: Random) -> list[str]:  # noqa: ARG002
        return choices


class OffersTheRightOneAtLength(Offering):
    def shuffled(self, choices: list[str], rng: Random) -> list[str]:
        return rng.sample([choices[0], *(one[1:] for one in choices[1:])], len(choices))


def names() -> list[str]:
    """Return the promises that somebody breaks; raises where one is misspelt."""
    if unknown := BREAKING.keys() - {promise.__name__ for promise in PROMISES}:
        raise ValueError(f"no such promise: {sorted(unknown)}")
    return sorted(BREAKING)

"""The task: options checked, rules mined, episodes drawn one at a time."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice
from pathlib import Path

from numpy.random import PCG64, Generator, SeedSequence

from memory_bench.errors import BadInput
from memory_bench.metrics import exact_match
from memory_bench.task_options import check_choices, check_path, check_seed, check_whole
from memory_bench.task_tokens import BUNDLED_TOKENIZER, covers, read_tokenizer
from memory_bench.types import Episode, Event, Query, Question
from tasks.conventions.chunks import Chunk, Cutter, TooFewPlacesError, can_show
from tasks.conventions.occurrences import Occurrence
from tasks.conventions.questions import Asked, ask, choices, completed
from tasks.conventions.rules import KINDS, PACKAGE, Rule, mine

DRAWS = 100  # of one episode, before it is said that it cannot be had
DECKS = 4  # seeds whose order of rules is kept
FORMS = ("choices", "completion")


@dataclass(frozen=True, eq=False)
class Known:
    """A rule that can be told and asked: the places that fit into a chunk, and its questions."""

    rule: Rule
    places: Sequence[Occurrence]
    lines: Sequence[Asked]


class Conventions:
    """Rules of a package, told by example. Options and their defaults: conf/task/conventions.yaml.

    package         an installed package, by its import name
    kinds           which, see tasks.conventions; every rule of these is asked for equally often
    rules           that an episode tells of, by showing them
    shown           the chunks that show each of them, every one from a file of its own
    chunk_tokens    the most that a chunk holds
    episodes        each with rules of its own
    questions       an episode: of so many of its rules
    context_lines   of the held-out file, before the line with the mask
    answer          choices: the likeliest of four; completion: what the reader writes in place of the mask
    tokenizer       a file of the library `tokenizers`; null is the bundled reader's

    Raises BadInput for every wrong value, and where the package has too few rules for what is asked for.
    """

    version = "1"

    def __init__(
        self,
        *,
        package: str,
        kinds: Sequence[str],
        rules: int,
        shown: int,
        chunk_tokens: int,
        episodes: int,
        questions: int,
        context_lines: int,
        answer: str,
        tokenizer: str | None,
    ) -> None:
        check_choices("kinds", kinds, KINDS)
        check_whole("rules", rules, least=1)
        check_whole("shown", shown, least=1)
        check_whole("chunk_tokens", chunk_tokens, least=32)
        check_whole("episodes", episodes, least=1)
        check_whole("questions", questions, least=1)
        check_whole("context_lines", context_lines, least=0)
        check_path("tokenizer", tokenizer)
        if answer not in FORMS:
            raise BadInput(f"task.answer={answer}: expected one of {', '.join(FORMS)}")
        if questions > rules:
            raise BadInput(f"task.questions={questions}: an episode tells of task.rules={rules} only; raise that")
        self.per_episode = rules
        self.shown = shown
        self.number = episodes
        self.questions = questions
        self.context_lines = context_lines
        self.answer = answer
        self.tokenizer_path = Path(tokenizer) if tokenizer else BUNDLED_TOKENIZER
        self.tokenizer = read_tokenizer(self.tokenizer_path)
        self.cutter = Cutter(chunk_tokens, self.tokenizer)
        self.mined = mine(package)
        self.rules = [rule for rule in self.mined.rules if rule.kind in kinds]
        self.pool = [known for rule in self.rules if rule.is_discriminating and (known := self.known(rule))]
        self.deck = lru_cache(DECKS)(self.deal)
        self.check_that_it_fits()

    def known(self, rule: Rule) -> Known | None:
        """Return what can be told and asked of a rule; None where that is too little."""
        places = self.cutter.places(rule)
        asked = (ask(rule, place, context_lines=self.context_lines) for place in rule.held_out)
        lines = [one for one in asked if one]
        return Known(rule, places, lines) if lines and can_show(places, self.shown, ()) else None

    def check_that_it_fits(self) -> None:
        if len(self.pool) < self.per_episode:
            raise BadInput(
                f"task.package={self.mined.package}: {len(self.pool)} rules that others have not can be shown and "
                f"asked for, task.rules={self.per_episode} are needed; lower task.rules or name a larger package"
            )
        self.episode(0, 0)

    def identity(self) -> Mapping[str, str]:
        """Return one sha256 for every package that was read (over names and digests of its files), and the versions."""
        return {
            **self.mined.identity,
            "tokenizer": hashlib.sha256(self.tokenizer_path.read_bytes()).hexdigest(),
            "python": platform.python_version(),
        }

    def episodes(self, seed: int) -> Iterator[Episode]:
        """Yield one episode after the other; each depends on the seed and its number only."""
        check_seed(seed)
        return (self.episode(seed, number) for number in range(self.number))

    def episode(self, seed: int, number: int) -> Episode:
        """Draw until every rule can be shown beside the others. Raises BadInput where that does not happen."""
        rng = Generator(PCG64(SeedSequence([seed, number])))
        asked = self.deck(seed)[number]
        for _ in range(DRAWS):
            try:
                return self.draw(f"conventions-{seed}-{number:04d}", asked, rng)
            except TooFewPlacesError:
                continue
        raise self.crowded()

    def crowded(self) -> BadInput:
        return BadInput(
            f"task.questions={self.questions} task.rules={self.per_episode} task.shown={self.shown}: the rules of "
            f"{self.mined.package} cannot be shown so often apart from each other; lower one of them"
        )

    def deal(self, seed: int) -> list[list[Known]]:
        """Return what every episode asks for: all rules once, in random order, before any comes again.

        Rules that share their lines with others of the episode wait for the next; what is left of a lap is left out.
        """
        dealt = (hand for lap in count() for hand in self.lap(Generator(PCG64(SeedSequence([seed, lap, 1])))))
        return list(islice(dealt, self.number))

    def lap(self, rng: Generator) -> list[list[Known]]:
        """Raises BadInput where no episode can be had."""
        left = [self.pool[at] for at in rng.permutation(len(self.pool))]
        hands: list[list[Known]] = []
        while len(hand := self.hand(left)) == self.questions:
            hands.append(hand)
            left = [known for known in left if known not in hand]
        if not hands:
            raise self.crowded()
        return hands

    def hand(self, left: Sequence[Known]) -> list[Known]:
        """Return the first rules that can each be shown without showing another; fewer than asked for at the end."""
        hand: list[Known] = []
        for start in range(len(left)):
            hand = []
            for known in left[start:]:
                if self.are_apart([*hand, known]):
                    hand.append(known)
                if len(hand) == self.questions:
                    return hand
        return hand

    def are_apart(self, hand: Sequence[Known]) -> bool:
        return all(
            can_show(known.places, self.shown, [other.rule for other in hand if other is not known]) for known in hand
        )

    def draw(self, name: str, asked: Sequence[Known], rng: Generator) -> Episode:
        """Return the chunks of all rules in random order, then the questions. Ids are random bytes.

        Raises TooFewPlacesError where chunks are in each other's way.
        """
        told = self.tell(asked, rng)
        chunks = [told[at] for at in rng.permutation(len(told))]
        ids = [rng.bytes(8).hex() for _ in chunks]
        events = [
            Event(id, chunk.text, scope=chunk.source.folder, time=float(at))
            for at, (id, chunk) in enumerate(zip(ids, chunks, strict=True))
        ]
        showing = dict(zip(events, chunks, strict=True))
        questions = [self.question(f"{name}-q{turn}", known, showing, rng) for turn, known in enumerate(asked)]
        return Episode(name, (*events, *questions))

    def tell(self, asked: Sequence[Known], rng: Generator) -> list[Chunk]:
        """Return the chunks of what is asked for and of other rules. What is asked for is shown by its own only."""
        told: list[Chunk] = []
        for known in asked:
            hidden = [other.rule for other in asked if other is not known]
            told += self.cutter.show(known.places, self.shown, told, hidden, rng)
        hidden = [known.rule for known in asked]
        others = [self.pool[at] for at in rng.permutation(len(self.pool))]
        for known in others:
            if len(told) == self.per_episode * self.shown:
                return told
            if known not in asked and can_show(known.places, self.shown, hidden):
                told += self.cutter.show(known.places, self.shown, told, hidden, rng)
        if len(told) < self.per_episode * self.shown:
            raise TooFewPlacesError
        return told

    def question(self, id: str, known: Known, told: Mapping[Event, Chunk], rng: Generator) -> Question:
        rule = known.rule
        asked = known.lines[int(rng.integers(len(known.lines)))]
        evidence = [event for event, chunk in told.items() if chunk.shows(rule)]
        offered = choices(rule, self.rules, rng)
        covered = any(covers(event.text, asked.cloze, rule.value, self.tokenizer) for event in evidence)
        return Question(
            id,
            Query(asked.text, scope=rule.scope, time=float(len(told))),
            asked.cloze,
            answers=(rule.value,),
            evidence=frozenset(event.id for event in evidence),
            choices=tuple(f"{one}{asked.rest}" for one in offered) if self.answer == "choices" else (),
            tags={
                "kind": rule.kind,
                "ngram_covered": "yes" if covered else "no",
                "scope": "package" if rule.scope == PACKAGE else "folder",
                "answer": self.answer,
                "choices": str(len(offered)),
                "prior": rule.prior,
                "subject": rule.subject,
            },
        )

    def score(self, question: Question, answer: str) -> dict[str, float]:
        """Return exact_match: 1 where what stands in place of the mask is what the rule says."""
        return {"exact_match": exact_match(completed(question.tags["kind"], answer), question.answers)}

"""The task: options checked, rules mined, episodes drawn one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import cycle, islice
from typing import TypeAlias

from numpy.random import PCG64, Generator, SeedSequence

from memory_bench.errors import BadInput
from memory_bench.task_options import check_choices, check_one, check_seed, check_whole
from memory_bench.types import Episode, Event, Question
from tasks.conventions.cards import Card
from tasks.conventions.chunks import Chunk, Cutter, TooFewPlacesError, can_show
from tasks.conventions.form import Form, score
from tasks.conventions.hands import Dealer, hidden_from
from tasks.conventions.questions import Asked
from tasks.conventions.rules import KINDS, Rule
from tasks.conventions.sourced import mine_source
from tasks.conventions.splits import CHANGING, SPLITS, Known, Splits, Told

DRAWS = 100  # of one episode by one hand
HANDS = 5  # that are tried for one episode, before it is said that it cannot be had
DECKS = 4  # seeds whose order of rules is kept
WRITTEN = ("chunks", "cards", "both")

Piece: TypeAlias = Chunk | Card


class Conventions:
    """Rules of a package, told by example. Options and their defaults: conf/task/conventions.yaml.

    package         an installed package, by its import name
    path            a folder with Python files, in its place
    commits         two commits, where the folder is a git repository: [OLD, NEW]; the rules are those of the second
    kinds           which, see tasks.conventions; those with one answer are asked for no more often than a quarter
    splits          what is asked about, see tasks.conventions.splits: the episodes take turns; null is updates
                    where there are commits, else rules
    written         chunks: rules are shown by files; cards: each is said in a sentence; both
    rules           that an episode tells of
    shown           the chunks that show each of them, every one from a file of its own
    chunk_tokens    the most that a chunk holds
    episodes        each with rules of its own
    questions       an episode: of so many of its rules
    context_lines   of the held-out file, before the line with the mask
    answer          choices: the likeliest of four; completion: what the reader writes in place of the mask
    tokenizer       a file of the library `tokenizers`; null is the bundled reader's

    Raises BadInput for every wrong value, and where the package has too few rules for what is asked for.
    """

    version = "2"

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
        path: str | None,
        commits: Sequence[str] | None,
        splits: Sequence[str] | None,
        written: str,
    ) -> None:
        check_choices("kinds", kinds, KINDS)
        check_whole("rules", rules, least=1)
        check_whole("shown", shown, least=1)
        check_whole("chunk_tokens", chunk_tokens, least=32)
        check_whole("episodes", episodes, least=1)
        check_whole("questions", questions, least=1)
        check_whole("context_lines", context_lines, least=0)
        check_one("written", written, WRITTEN)
        if questions > rules:
            raise BadInput(f"task.questions={questions}: an episode tells of task.rules={rules} only; raise that")
        self.named = f"task.path={path}" if path else f"task.package={package}"
        self.splits = check_splits(splits, commits, written)
        self.per_episode = rules
        self.shown = shown
        self.number = episodes
        self.questions = questions
        self.written = written
        self.form = Form(answer=answer, tokenizer=tokenizer)
        self.cutter = Cutter(chunk_tokens, self.form.tokenizer)
        self.mined, earlier = mine_source(package, path, commits, kinds)
        self.versions = [earlier, self.mined] if earlier else [self.mined]
        times = 0 if written == "cards" else shown
        self.found = Splits(
            self.mined, earlier, kinds=kinds, cutter=self.cutter, shown=times, context_lines=context_lines
        )
        self.pool = self.found.pool("rules", 0)
        self.dealer = Dealer(self.mined.package, questions=questions, by_cards=written == "cards")
        self.deck = lru_cache(DECKS)(self.deal)
        self.check_that_it_fits()

    def check_that_it_fits(self) -> None:
        if "rules" in self.splits and len(self.pool) < self.per_episode:
            raise BadInput(
                f"{self.named}: {len(self.pool)} rules that others have not can be shown and "
                f"asked for, task.rules={self.per_episode} are needed; lower task.rules or name a larger package"
            )
        for number in range(min(len(self.splits), self.number)):
            self.episode(0, number)

    def identity(self) -> Mapping[str, str]:
        """Return one sha256 for every package that was read (over names and digests of its files), and the versions."""
        return self.form.identity({name: sha256 for mined in self.versions for name, sha256 in mined.identity.items()})

    def episodes(self, seed: int) -> Iterator[Episode]:
        """Yield one episode after the other; each depends on the seed and its number only."""
        check_seed(seed)
        return (self.episode(seed, number) for number in range(self.number))

    def episode(self, seed: int, number: int) -> Episode:
        """Draw until every rule can be shown beside the others: of a small package, some hands leave too few.

        Then the next hand of its split is asked for. Raises BadInput where that does not help either.
        """
        rng = Generator(PCG64(SeedSequence([seed, number])))
        for asked in islice(self.deck(seed)[number :: len(self.splits)], HANDS):
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
        """Return what every episode asks for, and hands to spare. The splits take turns."""
        pools = [(split, self.pool if split == "rules" else self.found.pool(split, seed)) for split in self.splits]
        turns = cycle([self.dealer.hands(split, pool, seed) for split, pool in pools])
        return [next(hands) for hands in islice(turns, self.number + (HANDS - 1) * len(pools))]

    def draw(self, name: str, asked: Sequence[Known], rng: Generator) -> Episode:
        """Return what is told, in random order, then the questions. Ids are random bytes.

        What is superseded stands in a first half, with half of the rest. Raises TooFewPlacesError where chunks are in
        each other's way.
        """
        first, then = self.tell(asked, rng)
        told = [half[at] for half in (first, then) for at in rng.permutation(len(half))]
        ids = [rng.bytes(8).hex() for _ in told]
        events = [
            Event(id, piece.text, scope=piece.scope, time=float(at))
            for at, (id, piece) in enumerate(zip(ids, told, strict=True))
        ]
        showing = dict(zip(events, told, strict=True))
        questions = [self.question(f"{name}-q{turn}", known, showing, rng) for turn, known in enumerate(asked)]
        return Episode(name, (*events, *questions))

    def tell(self, asked: Sequence[Known], rng: Generator) -> tuple[list[Piece], list[Piece]]:
        """Return what is told of what is asked for, of what says otherwise and of other rules, in two halves.

        The first is empty where nothing is superseded. What is asked for is shown by its own pieces only.
        """
        first: list[Piece] = []
        then: list[Piece] = []
        for known in asked:
            then += self.pieces(known, [*first, *then], hidden_from(known, asked), rng)
            if known.against:
                half = first if known.split in CHANGING else then
                half += self.pieces(known.against, [*first, *then], hidden_from(known.against, asked), rng)
        hidden = [rule for known in asked for rule in known.rules]
        taken = {known.name for known in asked if known.against}  # the rest says nothing of these, here or elsewhere
        others = [self.pool[at] for at in rng.permutation(len(self.pool))]
        number = len(asked)
        for other in others:
            if number == self.per_episode:
                break
            if other in asked or other.name in taken or not can_show(other.places, other.times, hidden):
                continue
            number += 1
            half = first if first and number % 2 else then
            half += self.pieces(other, [*first, *then], hidden, rng)
        if number < self.per_episode:
            raise TooFewPlacesError
        return first, then

    def pieces(self, told: Told, so_far: Sequence[Piece], hidden: Sequence[Rule], rng: Generator) -> list[Piece]:
        """Return what is told of a rule. Raises TooFewPlacesError where its chunks are in the way of others."""
        pieces: list[Piece] = []
        if self.written != "cards":
            chunks = [piece for piece in so_far if isinstance(piece, Chunk)]
            pieces += self.cutter.show(told.places, told.times, chunks, hidden, rng)
        if self.written != "chunks" and not self.is_exception(told):
            pieces.append(Card(told.rule, self.mined.package))
        return pieces

    def is_exception(self, told: Told) -> bool:
        return isinstance(told, Known) and told.split == "exceptions"

    def question(self, id: str, known: Known, told: Mapping[Event, Piece], rng: Generator) -> Question:
        asked = known.lines[int(rng.integers(len(known.lines)))]
        question = self.form.question(
            id,
            known,
            asked,
            rng,
            time=float(len(told)),
            scope=known.scope,
            evidence=[event for event, piece in told.items() if piece.shows(known.rule)],
            stale=[event for event, piece in told.items() if known.split in CHANGING and known.says_otherwise(piece)],
        )
        return replace(question, tags={**question.tags, **self.tags_of_split(known, asked)})

    def tags_of_split(self, known: Known, asked: Asked) -> Mapping[str, str]:
        """Return what is said of a question beside the rest where there is more than one thing to ask about."""
        if self.splits == ["rules"]:
            return {}
        instead = {"instead": asked.spelled(known.against.rule.value, known.rule)} if known.against else {}
        return {"split": known.split, "synthetic": "yes" if known.split == "renames" else "no", **instead}

    def score(self, question: Question, answer: str) -> dict[str, float]:
        return score(question, answer)


def check_splits(splits: object, commits: object, written: str) -> list[str]:
    """Return what is asked about. Raises BadInput for what does not go together."""
    if splits is None:
        return ["updates" if commits else "rules"]
    check_choices("splits", splits, SPLITS)
    assert isinstance(splits, Sequence)
    if "updates" in splits and not commits:
        raise BadInput("task.splits=[updates]: needs two commits; type task.path=REPOSITORY task.commits=[OLD,NEW]")
    if commits and "updates" not in splits:
        raise BadInput(f"task.commits={commits}: only the split updates asks about them; add it to task.splits")
    if "exceptions" in splits and written == "cards":
        raise BadInput(
            "task.written=cards: no card says what breaks a rule; use chunks or both for task.splits=[exceptions]"
        )
    return list(splits)

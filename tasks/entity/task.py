"""The task: options checked, names read, episodes built one at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from numpy.random import PCG64, Generator, SeedSequence

from memory_bench.errors import BadInput
from memory_bench.metrics import begins_with, exact_match
from memory_bench.task_options import check_choices, check_flag, check_path, check_seed, check_share, check_whole
from memory_bench.task_tokens import BUNDLED_TOKENIZER, read_tokenizer
from memory_bench.types import Episode, Question
from tasks.entity.episode import place, to_episode
from tasks.entity.families import Families
from tasks.entity.schedule import ALL_KINDS, FAMILY_KINDS, Schedule
from tasks.entity.sets import SETS, read_set
from tasks.entity.story import Storyteller, TakenError, facts_needed, is_clean
from tasks.entity.synthetic import Dials
from tasks.entity.values import World

DRAWS = 1000  # of one episode, before it is said that it cannot be had
FIRST_DRAWS = 10  # the same when the task is made: what succeeds within these will succeed within those
WORLDS = 4  # seeds whose values are kept: each takes a few megabytes


class Entity:
    """Names with permuted values. Options and their defaults: conf/task/entity.yaml.

    set           whose names, see tasks.entity.sets
    facts         an episode, one an event: families first, then other names
    distractors   in the family of each asked name
    episodes      each with names of its own
    questions     an episode
    kinds         which, see tasks.entity; equally often
    reworded      in [0, 1]: share of questions worded otherwise than the event
    permuted      false is the *prior* control: what holds now is what Unicode says, and a reader may know it.
                  With control=closed_book it measures what the reader knows
    users         of the kind scoped: each hears another value of the asked name
    exposure      null tells every fact once; a number fills the stream with facts told again, the one of rank r as
                  often as r to the power of -exposure says
    synthetic     the dials of set=synthetic, see tasks.entity.synthetic
    tokenizer     a file of the library `tokenizers`; null is the bundled reader's

    Raises BadInput for every wrong value, and where what is asked for does not fit; Unavailable where this machine
    does not have the set.
    """

    version = "1"

    def __init__(
        self,
        *,
        set: str,
        facts: int,
        distractors: int,
        episodes: int,
        questions: int,
        kinds: Sequence[str],
        reworded: float,
        permuted: bool,
        users: int,
        exposure: float | None,
        synthetic: Mapping[str, int],
        tokenizer: str | None,
    ) -> None:
        check_set(set)
        check_whole("facts", facts, least=1)
        check_whole("distractors", distractors, least=1)
        check_whole("episodes", episodes, least=1)
        check_whole("questions", questions, least=1)
        check_choices("kinds", kinds, ALL_KINDS)
        check_share("reworded", reworded)
        check_flag("permuted", permuted)
        check_whole("users", users, least=2)
        check_exposure(exposure)
        check_path("tokenizer", tokenizer)
        self.facts = facts
        self.distractors = distractors
        self.users = users
        self.exposure = exposure
        self.tokenizer_path = Path(tokenizer) if tokenizer else BUNDLED_TOKENIZER
        self.tokenizer = read_tokenizer(self.tokenizer_path)
        self.set_name = set
        self.set = read_set(set, self.tokenizer, Dials(**synthetic), kinds)
        if set == "synthetic" and not permuted:
            raise BadInput("task.permuted=false: nobody can know a synthetic name's badge; type task.permuted=true")
        self.schedule = Schedule(episodes, questions, tuple(kinds), reworded, self.set.relations)
        self.check_that_it_fits()
        self.names = self.set.names
        self.families = Families(
            self.names, size=1 + distractors, kinds=kinds, split=self.set.split, planted=self.set.planted
        )
        self.check_families()
        truth = self.set.truth
        self.world = lru_cache(WORLDS)(lambda seed: World(self.names, seed=seed, permuted=permuted, truth=truth))
        for number in range(min(episodes, len(kinds))):
            self.episode(0, number, draws=FIRST_DRAWS)

    def check_that_it_fits(self) -> None:
        laps = range(
            min(self.schedule.episodes, len(self.schedule.kinds))
        )  # after as many episodes the kinds come as they did
        needed = max(facts_needed(self.schedule.plans(episode), self.distractors, self.users) for episode in laps)
        if self.facts < needed:
            raise BadInput(
                f"task.facts={self.facts}: {self.schedule.questions} questions with {self.distractors} distractors "
                f"tell {needed} facts; type task.facts={needed} or more, or lower task.distractors or task.questions"
            )

    def check_families(self) -> None:
        wanted = [kind for kind in FAMILY_KINDS if kind in self.schedule.kinds] or list(self.families.largest)
        for family in wanted:
            if not self.families.groups[family]:
                raise BadInput(self.lacking(family))
        if not self.families.base:
            raise BadInput(self.lacking(max(self.families.largest, key=lambda family: self.families.largest[family])))
        most = len(self.families.names()) // 2  # the rest is room to draw in
        if self.facts > most:
            raise BadInput(f"task.facts={self.facts}: there are names for task.facts={most} or less")

    def lacking(self, family: str) -> str:
        most = self.families.largest[family] - 1
        mend = f"type task.distractors={most} or less" if most > 0 else f"leave {family} out of task.kinds"
        return (
            f"task.distractors={self.distractors}: no name has as many relatives of the family {family} in "
            f"task.set={self.set_name}; {mend}"
        )

    def identity(self) -> Mapping[str, str]:
        """Return one sha256 over the names that are drawn from, that of the tokenizer, and the versions."""
        tokenizer = hashlib.sha256(self.tokenizer_path.read_bytes()).hexdigest()
        return {**self.set.sources, "tokenizer": tokenizer}

    def episodes(self, seed: int) -> Iterator[Episode]:
        """Yield one episode after the other; each depends on the seed and its number only."""
        check_seed(seed)
        return (self.episode(seed, number) for number in range(self.schedule.episodes))

    def episode(self, seed: int, number: int, *, draws: int = DRAWS) -> Episode:
        """Draw until no value stands in a second place. Raises BadInput where that does not happen."""
        rng = Generator(PCG64(SeedSequence([seed, number])))
        plans, world = self.schedule.plans(number), self.world(seed)
        for _ in range(draws):
            teller = Storyteller(
                self.families,
                world,
                self.set.relations,
                distractors=self.distractors,
                users=self.users,
                exposure=self.exposure,
                crowded=self.set.crowded,
                rng=rng,
            )
            try:
                asked, facts = teller.draw(plans, self.facts)
            except TakenError:
                continue
            if is_clean(asked, facts):
                return to_episode(f"entity-{seed}-{number:04d}", asked, place(facts, rng), self.tokenizer, rng)
        raise BadInput(
            f"task.facts={self.facts} task.questions={self.schedule.questions} task.distractors={self.distractors}: "
            "there are too few names to tell apart; lower one of them"
        )

    def score(self, question: Question, answer: str) -> dict[str, float]:
        """Return exact_match: 1 where the answer is the value, or `unknown` where there is none; and begins_with: 1
        where the value comes first, whatever is said after it. The second tells knowing from stopping in time."""
        return {
            "exact_match": exact_match(answer, question.answers),
            "begins_with": begins_with(answer, question.answers),
        }


def check_set(value: object) -> None:
    if value not in SETS:
        raise BadInput(f"task.set={value}: expected one of {', '.join(SETS)}")


def check_exposure(value: object) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 4):
        raise BadInput(f"task.exposure={value}: expected a number from 0 to 4, such as 1.5, or null")

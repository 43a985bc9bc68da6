"""The task: options checked, sources read, episodes built one at a time."""

from __future__ import annotations

import hashlib
import platform
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from numpy.random import PCG64, Generator, SeedSequence

from memory_bench.errors import BadInput
from memory_bench.metrics import begins_with, exact_match
from memory_bench.task_options import check_choices, check_path, check_seed, check_share, check_whole
from memory_bench.task_tokens import BUNDLED_TOKENIZER, read_tokenizer
from memory_bench.types import Episode, Question
from tasks.needle.episode import OTHER_SECTION, is_clean, to_episode
from tasks.needle.facts import Asked, LayoutError, Sizes, Storyteller
from tasks.needle.hay import ExhaustedError, boilerplate_words, prose_words
from tasks.needle.layout import Layout
from tasks.needle.licences import COLLECTIONS, licence_texts
from tasks.needle.names import VALUES
from tasks.needle.options import check_distractor_types, check_kinds, checked_shares
from tasks.needle.schedule import KINDS, Plan, Schedule
from tasks.needle.sources import Library, python_prose, user_haystack
from tasks.needle.templates import RELATIONS, Relation

DRAWS = 1000  # of one episode, before it is said that it cannot be had
FIRST_DRAWS = 20  # the same when the task is made: what succeeds within these will succeed within those


class Needle:
    """Facts in a haystack of real text. Options and their defaults: conf/task/needle.yaml.

    length_tokens   of all events of an episode together, about
    chunk_tokens    the most that an event holds; the least is 7/8 of it
    episodes        each with a haystack of its own
    questions       an episode
    kinds           which, see tasks.needle; equally often
    distractors     for each needle
    distractor_types   dealt in turn, see tasks.needle; one that is named twice comes twice as often
    updates         older values of an updated needle
    unanswerable    in [0, 1]: share of questions of kind absent; null is as often as every other kind
    forget          in [0, 1]: share of questions of kind forgotten; null is as often as every other kind
    boilerplate     in [0, 1]: share of the hay that is licence text
    licences        where that comes from: python, project, packages, debian, see tasks.needle.licences
    value_types     of the answers: digits, words, date, uuid; equally often
    reworded        in [0, 1]: share of questions worded otherwise than the needle, of the kinds that leave the choice
    depths          how many steps from the first chunk to the last the needles are dealt to
    haystack        the user's text in place of the prose: a file, a folder, or JSON lines with `text`
    tokenizer       a file of the library `tokenizers`; null is the bundled reader's
    slots           in [0, 1]: share of licence chunks without a fact that hold one more distractor. Without them no
                    more facts compete in a longer haystack, or in one with more boilerplate, than in any other
    templates       the relations that are told and asked

    Raises BadInput for every wrong value, and where what is asked for does not fit or the hay is too short.
    """

    version = "1"

    def __init__(
        self,
        *,
        length_tokens: int,
        chunk_tokens: int,
        episodes: int,
        questions: int,
        kinds: Sequence[str],
        distractors: int,
        distractor_types: Sequence[str],
        updates: int,
        unanswerable: float | None,
        forget: float | None,
        boilerplate: float,
        licences: Sequence[str],
        value_types: Sequence[str],
        reworded: float,
        depths: int,
        haystack: str | None,
        tokenizer: str | None,
        slots: float = 0.0,
        templates: Sequence[Relation] = RELATIONS,
    ) -> None:
        check_whole("chunk_tokens", chunk_tokens, least=16)
        check_whole("length_tokens", length_tokens, least=chunk_tokens)
        check_whole("episodes", episodes, least=1)
        check_whole("questions", questions, least=1)
        check_whole("distractors", distractors, least=0)
        check_whole("depths", depths, least=1)
        check_share("boilerplate", boilerplate)
        check_share("reworded", reworded)
        check_share("slots", slots)
        check_choices("kinds", kinds, KINDS)
        check_choices("value_types", value_types, tuple(VALUES))
        check_path("haystack", haystack)
        check_path("tokenizer", tokenizer)
        check_choices("licences", licences, tuple(COLLECTIONS))
        check_distractor_types(distractor_types)
        check_whole("updates", updates, least=0)
        check_kinds(kinds, questions=questions, updates=updates)
        shares = checked_shares(kinds, unanswerable=unanswerable, forget=forget)
        for one in value_types:
            if not any(one in relation.values for relation in templates):
                raise BadInput(f"task.value_types={one}: no relation of the templates has such values")
        types = tuple(distractor_types)
        self.sizes = Sizes(length_tokens, chunk_tokens, depths, distractors, boilerplate, types, updates, slots)
        self.schedule = Schedule(episodes, questions, tuple(kinds), reworded, depths, tuple(value_types), shares)
        self.templates = templates
        self.tokenizer_path = Path(tokenizer) if tokenizer else BUNDLED_TOKENIZER
        self.tokenizer = read_tokenizer(self.tokenizer_path)
        self.haystack = haystack
        self.prose: Library = user_haystack(Path(haystack)) if haystack else python_prose()
        self.licences: Library = licence_texts(tuple(licences))
        self.check_that_it_fits()

    def check_that_it_fits(self) -> None:
        """Try every mix of kinds with every type of value: what does not fit is said before anything is measured."""
        for number, value_type in product(range(min(self.schedule.episodes, len(KINDS))), self.schedule.value_types):
            rng = Generator(PCG64(SeedSequence([0, number])))
            plans = [replace(plan, value_type=value_type) for plan in self.schedule.plans(0, number)]
            self.lay_out(plans, rng, draws=FIRST_DRAWS)
        self.episode(0, 0)

    def identity(self) -> Mapping[str, str]:
        """Return one sha256 for every collection of sources (over names and digests of its files), and the versions."""
        return {
            **self.prose.identity,
            **self.licences.identity,
            "tokenizer": hashlib.sha256(self.tokenizer_path.read_bytes()).hexdigest(),
            "python": platform.python_version(),
            "unicode": unicodedata.unidata_version,
        }

    def episodes(self, seed: int) -> Iterator[Episode]:
        """Yield one episode after the other; each depends on the seed and its number only."""
        check_seed(seed)
        return (self.episode(seed, number) for number in range(self.schedule.episodes))

    def episode(self, seed: int, number: int) -> Episode:
        """Draw until no value stands in a second place. Raises BadInput where that does not happen."""
        rng = Generator(PCG64(SeedSequence([seed, number])))
        plans = self.schedule.plans(seed, number)
        for _ in range(DRAWS):
            asked, layout = self.lay_out(plans, rng)
            texts = self.fill(layout, rng)
            if is_clean(asked, texts):
                return to_episode(f"needle-{seed}-{number:04d}", asked, texts, self.sizes, self.tokenizer, rng)
        raise BadInput(f"task.haystack={self.haystack or 'null'}: holds the values that are drawn; give another text")

    def lay_out(self, plans: Sequence[Plan], rng: Generator, *, draws: int = DRAWS) -> tuple[list[Asked], Layout]:
        """Draw until everything that is told fits into the chunks. Raises BadInput where that does not happen."""
        for _ in range(draws):
            try:
                teller = Storyteller(self.templates, self.sizes, self.tokenizer, rng)
                asked = teller.draw(plans)
                layout = Layout(self.sizes, self.tokenizer, rng)
                layout.lay_out(asked)
                layout.slots = teller.draw_slots(asked, layout.most_slots())
                return asked, layout
            except LayoutError as error:
                reason = error
        raise BadInput(
            f"task.length_tokens={self.sizes.length_tokens} task.chunk_tokens={self.sizes.chunk_tokens} "
            f"task.questions={self.schedule.questions} task.distractors={self.sizes.distractors}: {reason}"
        )

    def fill(self, layout: Layout, rng: Generator) -> list[str]:
        prose_rng, licence_rng = rng.spawn(2)
        prose = prose_words(self.prose.documents, prose_rng)
        try:
            return layout.fill(prose, boilerplate_words(self.licences.documents, licence_rng))
        except ExhaustedError as error:
            raise BadInput(
                f"task.haystack={self.haystack or 'null'}: too short: its {self.prose.words} words do not fill "
                f"task.length_tokens={self.sizes.length_tokens} with task.boilerplate={self.sizes.boilerplate}; "
                f"give more text, ask for less, or raise task.boilerplate"
            ) from error

    def score(self, question: Question, answer: str) -> dict[str, float]:
        """Return exact_match: 1 where the answer is the value, or `unknown` where there is none; and begins_with: 1
        where the value comes first, whatever is said after it. The second tells knowing from stopping in time.

        A scoped question has either_section too: 1 where the answer is the value of the entity in this section or in
        the other one. What it has more than exact_match are the answers that got the section wrong."""
        scores = {
            "exact_match": exact_match(answer, question.answers),
            "begins_with": begins_with(answer, question.answers),
        }
        if other := question.tags.get(OTHER_SECTION):
            scores["either_section"] = exact_match(answer, (*question.answers, other))
        return scores

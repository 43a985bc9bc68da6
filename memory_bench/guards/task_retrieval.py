"""What memories find of a task's questions, without a reader: which kinds tell them apart, and how hard it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import product

from memory_bench.contracts import Memory
from memory_bench.guards.laws import questions
from memory_bench.guards.task_subject import Rival, TaskSubject
from memory_bench.metrics import evidence_metrics
from memory_bench.prompt import Count, pack
from memory_bench.statistics import mcnemar
from memory_bench.task_tokens import BUNDLED_TOKENIZER, count_tokens, read_tokenizer
from memory_bench.types import Episode, Event, Forget, Question

BUDGET_TOKENS = 256  # what a run has where nothing is typed
MEASURES = ("hit@1", "evidence_in_context")
LEVEL = 0.05  # of a whole family: memories and measures together
FEWEST = 12  # questions of a kind: of fewer no test could say much
FEW = 24  # questions of a kind for a memory that embeds: a minute of it at most

Found = Mapping[str, float]
"""Measure -> share of the evidence, for one question and one memory."""


@dataclass(frozen=True)
class Difference:
    """A control and a memory that found more of one kind of question than it did."""

    kind: str
    names: tuple[str, str]
    measure: str
    means: tuple[float, float]

    def __str__(self) -> str:
        (control, memory), (low, high) = self.names, self.means
        return f"{self.kind} {control} {low:.2f}, {memory} {high:.2f}"


class Findings:
    """What each memory found of each question of a sample that has evidence, by kind."""

    def __init__(self, episodes: Sequence[Episode]) -> None:
        self.episodes = episodes
        self.kinds: defaultdict[str, list[str]] = defaultdict(list)
        for question in (one for episode in episodes for one in questions(episode) if one.evidence):
            self.kinds[question.tags["kind"]].append(question.id)
        self.of: dict[str, dict[str, Found]] = {}
        self.controls: list[str] = []

    def ask(self, rival: Rival, episodes: Sequence[Episode] | None = None) -> None:
        """Live through episodes with a memory, by default all. Raises Unavailable where its engine is missing."""
        if not rival.finds:
            self.controls.append(rival.name)
        chosen = self.episodes if episodes is None else episodes
        with rival.made() as memory:
            self.of[rival.name] = dict(row for episode in chosen for row in live(memory, episode, bundled_count()))

    def holding(self, kinds: Collection[str], *, each: int) -> list[Episode]:
        """Return the first episodes that hold so many questions of each of these kinds, or all there are."""
        wanted = {id for kind in kinds for id in self.kinds[kind][:each]}
        return [episode for episode in self.episodes if any(one.id in wanted for one in questions(episode))]

    def apart(self, kind: str) -> Difference | None:
        """Return which memory is furthest above a control, and how; None where chance may be all of it.

        Against the control and not against each other: of a question that says nothing, one memory returns what comes
        first and another nothing at all, and they differ too. McNemar's test on every memory and measure, with
        Bonferroni's correction for their number.
        """
        asked = [id for id in self.kinds[kind] if all(id in found for found in self.of.values())]
        looking = [name for name in self.of if name not in self.controls]
        family = [(pair, measure) for pair in product(self.controls, looking) for measure in MEASURES]
        tested = []
        for names, measure in family:
            columns = [[float(self.of[name][id][measure] > 0) for id in asked] for name in names]
            low, high = (sum(column) / len(column) for column in columns)
            tested.append((mcnemar(*columns) if high > low else 1.0, Difference(kind, names, measure, (low, high))))
        p, clearest = min(tested, key=lambda one: one[0])
        return clearest if p * len(family) < LEVEL else None

    def sorted(self, kinds: Sequence[str]) -> tuple[list[Difference], list[str]]:
        """Return the differences of the kinds that have one, and the kinds that have none."""
        differences = {kind: self.apart(kind) for kind in kinds}
        return [one for one in differences.values() if one], [kind for kind, one in differences.items() if not one]

    def share(self, names: Sequence[str], measure: str) -> list[float]:
        """Return, for each question, what these memories found of it on average."""
        asked = [id for ids in self.kinds.values() for id in ids]
        return [sum(self.of[name][id][measure] for name in names) / len(names) for id in asked]


def compared(subject: TaskSubject) -> tuple[list[Difference], list[str]]:
    """Return how each kind with enough questions tells a memory from a control, and the kinds that do not.

    The memories are those of conf/experiment/check.yaml. One with an embedder is slow: it is asked only where the
    others tie, and few questions.
    """
    found = Findings(subject.sample)
    for rival in subject.rivals:
        if not rival.is_slow:
            found.ask(rival)
    differences, tied = found.sorted([kind for kind, asked in found.kinds.items() if len(asked) >= FEWEST])
    for rival in subject.rivals:
        if rival.is_slow and tied:
            found.ask(rival, found.holding(tied, each=FEW))
            further, tied = found.sorted(tied)
            differences += further
    return differences, tied


def difficulty(subject: TaskSubject, option: str, value: object, *, questions: int) -> list[float]:
    """Return, for each question at one value of a dial, how many of the quick memories that find something found its
    evidence first."""
    task = subject.make(f"task.{option}={value}")
    found = Findings(subject.sampled(task, questions))
    names = []
    for rival in subject.rivals:
        if rival.finds and not rival.is_slow:
            found.ask(rival)
            names.append(rival.name)
    return found.share(names, "hit@1")


def live(memory: Memory, episode: Episode, count: Count) -> Iterator[tuple[str, Found]]:
    """Tell a memory an episode, as the runner does, and yield what it found of each question that has evidence."""
    memory.reset()
    written: dict[str, str] = {}
    waiting: list[Event] = []
    cached = lru_cache(maxsize=4096)(count)
    for step in episode.steps:
        if isinstance(step, Event):
            waiting.append(step)
            continue
        if waiting:
            memory.write(waiting)
            written |= {event.id: event.text for event in waiting}
            waiting = []
        if isinstance(step, Forget):
            memory.forget(step.event_ids)
        elif step.evidence:
            memory.settle()
            yield step.id, look(memory, step, written, cached)


def look(memory: Memory, question: Question, written: Mapping[str, str], count: Count) -> Found:
    offered = memory.read(replace(question.query, budget_tokens=BUDGET_TOKENS))
    packed = pack(offered, [BUDGET_TOKENS], count)[BUDGET_TOKENS]
    judged = evidence_metrics(question, offered, packed=packed, packed_within={}, written=written)
    return {measure: judged[measure] or 0.0 for measure in MEASURES}


@cache
def bundled_count() -> Count:
    tokenizer = read_tokenizer(BUNDLED_TOKENIZER)
    return lambda text: count_tokens(tokenizer, text)

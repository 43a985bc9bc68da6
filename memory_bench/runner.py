"""The loop: tell the memory what happened, ask what it remembers, let the reader answer, judge, record.

    attach once; for every episode: reset, then its steps in order:
      events     -> write, in batches of consecutive events
      forget     -> forget
      question   -> settle what was written; read; build the prompt; answer; judge -> one record

Rows come out as they are made: the caller puts each on disk before the next one exists.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

from memory_bench import prompt
from memory_bench.carry import Carry, Placed
from memory_bench.contracts import Memory, Reader, Task
from memory_bench.errors import BadInput, NoAnswer
from memory_bench.meter import Meter, Phase, Region
from memory_bench.metrics import EVIDENCE_METRICS, RETRIEVAL_BUDGETS, evidence_metrics
from memory_bench.records import Operation, Record
from memory_bench.types import Completion, Episode, Event, Forget, Passage, Question, Step

EXCEEDS_WINDOW = "exceeds window"


@dataclass(frozen=True)
class Control:
    """What a whole run leaves out or is given: the two ends of the scale on which a memory is placed."""

    writes: bool
    packs_evidence: bool


@dataclass(frozen=True)
class Options:
    """The numbers of a run. `budget_tokens` None is what the reader's window has left beside question and answer.

    `answer_tokens` is the most that the reader generates; `limit` keeps the first so many questions of the stream.
    """

    seed: int
    budget_tokens: int | None
    answer_tokens: int
    limit: int | None
    write_batch: int


def run(
    task: Task, memory: Memory, reader: Reader, *, control: Control, options: Options, meter: Meter
) -> Iterator[Operation | Record]:
    """Yield the rows of one cell, in the order in which they happen.

    Raises BadInput before anything is attached where the budget is below the first episode's shortest event or beyond
    the reader's window, and ValueError where a plug-in breaks its contract.
    """
    episodes = _first(task.episodes(options.seed), options.limit)
    first = next(episodes, None)
    if first is None:
        raise ValueError(f"the task asks nothing for seed={options.seed}")
    _check_budget(first, options, reader.window_tokens, reader.count_tokens)
    walk = Walk(task, memory, meter.reader(reader), control, options, meter, reader.count_tokens)
    yield walk.attach()
    for episode in itertools.chain([first], episodes):
        yield from walk.episode(episode)


def count_questions(task: Task, *, seed: int, limit: int | None) -> int:
    """Return how many questions a run will ask; goes through the whole stream to find out."""
    return sum(isinstance(step, Question) for episode in _first(task.episodes(seed), limit) for step in episode.steps)


@dataclass
class Walk:
    """One memory's way through the episodes. What was written is kept here too: evidence is judged by it."""

    task: Task
    memory: Memory
    reader: Reader
    control: Control
    options: Options
    meter: Meter
    count_tokens: prompt.Count
    count: prompt.Count = field(init=False)
    written: dict[str, str] = field(default_factory=dict)
    unsettled: bool = False
    carry: Carry = field(init=False)

    def attach(self) -> Operation:
        with self.meter.region("attach") as region:
            attached = self.memory.attach(self.reader)
        self.reader = self.meter.reader(attached)
        return Operation("attach", None, 0, self.meter.costs(region) | {"size_bytes": None})

    def episode(self, episode: Episode) -> Iterator[Operation | Record]:
        self.written, self.unsettled = {}, False
        # a passage comes back for every question of an episode; kept longer, whole contexts would pile up in RAM
        self.count = lru_cache(maxsize=4096)(self.count_tokens)
        self.carry = Carry(episode, most=self.reader.window_tokens - self.options.answer_tokens, count=self.count)
        self.reader.begin(carry=episode.carry)
        yield self._operation("reset", episode, self.memory.reset)
        for step in _batched(episode.steps, self.options.write_batch):
            if isinstance(step, Question):
                if self.unsettled:
                    yield self._operation("settle", episode, self.memory.settle)
                self.unsettled = False
                yield self._ask(episode, step)
                continue
            if self.control.writes or self.control.packs_evidence:
                self._take_note(step)
            if self.control.writes:
                self.unsettled = True
                yield self._tell(episode, step)

    def _take_note(self, step: list[Event] | Forget) -> None:
        if not isinstance(step, Forget):
            self.written |= {event.id: event.text for event in step}
            self.carry.define(step)

    def _tell(self, episode: Episode, step: list[Event] | Forget) -> Operation:
        if isinstance(step, Forget):
            call = partial(self.memory.forget, step.event_ids)
            return self._operation("forget", episode, call, events=len(step.event_ids))
        operation = self._operation("write", episode, partial(self.memory.write, step), events=len(step))
        texts = [event.text for event in step]
        told = {"write_tokens": sum(map(self.count, texts)), "write_bytes": sum(len(text.encode()) for text in texts)}
        return replace(operation, costs={**operation.costs, **told})

    def _operation(self, phase: Phase, episode: Episode, call: Callable[[], None], *, events: int = 0) -> Operation:
        with self.meter.region(phase) as region:
            call()
        # asked between two batches, some memories would build an index for the answer: `settle` asks them soon enough
        size_bytes = None if phase == "write" else self.memory.size_bytes()
        return Operation(phase, episode.id, events, self.meter.costs(region) | {"size_bytes": size_bytes})

    def _ask(self, episode: Episode, question: Question) -> Record:
        asked = question.cloze if self.reader.style == "cloze" else question.query.text
        room = self.reader.window_tokens - self.options.answer_tokens - self.count(asked)
        budget = room if self.options.budget_tokens is None else self.options.budget_tokens
        read, generate = self.meter.region("read"), self.meter.region("generate")
        offered = self._offered(question, budget, read)
        built = prompt.build(offered, asked, budget_tokens=budget, count=self.count)
        # without a budget everything is meant to be read: an answer from a part of it would be another memory's
        whole = self.options.budget_tokens is not None or len(built.packed) == len(offered)
        placed = completion = None
        why = EXCEEDS_WINDOW
        if whole and built.context_tokens <= room:
            packed = [offered[rank] for rank in built.packed]
            placed = self.carry.place(built, packed)
            try:
                completion = self._answer(placed.text, question, generate)
                self.carry.end_turn(built, packed, placed, completion.text)
            except NoAnswer as error:
                why, generate = str(error), self.meter.region("generate")  # never entered: its costs are null
        return self._record(episode, question, offered, built, placed, completion or why, (read, generate))

    def _offered(self, question: Question, budget_tokens: int, region: Region) -> list[Passage]:
        if self.control.packs_evidence:
            held = [Passage(text, (id,)) for id, text in self.written.items() if id in question.evidence]
            return held[::-1]  # the newest first: it is printed last, next to the question
        # one ranking serves every budget: no memory is asked again, or knows from which prompt an answer will come
        query = replace(question.query, budget_tokens=max(budget_tokens, *RETRIEVAL_BUDGETS))
        with region:
            passages = self.memory.read(query)
        if unknown := {id for passage in passages for id in passage.event_ids} - self.written.keys():
            raise ValueError(f"the memory names events that were never written: {sorted(unknown)[:3]}")
        return passages

    def _answer(self, text: str, question: Question, region: Region) -> Completion:
        if not question.choices:
            with region:
                return self.reader.generate([text])[0]
        continuations = [f" {choice}" for choice in question.choices]
        with region:
            scores = self.reader.score(text, continuations)
        # per token: a longer choice is not a less likely one
        best = max(range(len(scores)), key=lambda i: scores[i] / self.count(continuations[i]))
        cached = self.reader.cached_tokens()
        return Completion(continuations[best], self.count(text), 0, cached, logprob=scores[best])

    def _record(
        self,
        episode: Episode,
        question: Question,
        offered: Sequence[Passage],
        built: prompt.Prompt,
        placed: Placed | None,
        answered: Completion | str,
        regions: tuple[Region, Region],
    ) -> Record:
        completion, why = (None, answered) if isinstance(answered, str) else (answered, answered.unjudged)
        answer = completion if why is None else None
        scores: dict[str, float | None] = dict.fromkeys(EVIDENCE_METRICS)
        if placed:
            scores = self._evidence(question, offered, built, placed)
        if answer:
            scores = self._judged(question, answer.text) | scores
        costs = self.meter.costs(*regions) | self.meter.peaks()
        costs |= {
            "context_tokens": built.context_tokens,
            "context_bytes": built.context_bytes,
            "prompt_bytes": len((placed.text if placed else built.text).encode()),
            "repeated_tokens": placed.repeated_tokens if placed else None,
            "dangling_ids": placed.dangling_ids if placed else None,
            "cached_tokens": completion.cached_tokens if completion else None,
            "first_token_seconds": completion.first_token_seconds if completion else None,
        }
        return Record(
            episode=episode.id,
            question=question.id,
            query=question.query.text,
            cloze=question.cloze,
            answer=answer.text if answer else None,
            logprob=answer.logprob if answer else None,
            unanswered=why,
            gold=question.answers,
            evidence=tuple(sorted(question.evidence)),
            stale=tuple(sorted(question.stale)),
            forgotten=tuple(sorted(question.forgotten)),
            passages=tuple(_row(passage, rank in built.packed) for rank, passage in enumerate(offered)),
            scores=scores,
            costs=costs,
            tags=dict(question.tags),
        )

    def _evidence(
        self, question: Question, offered: Sequence[Passage], built: prompt.Prompt, placed: Placed
    ) -> dict[str, float | None]:
        # where there is nothing to find, no budget has to be packed to say so
        budgets = RETRIEVAL_BUDGETS if question.evidence else ()
        within = dict.fromkeys(RETRIEVAL_BUDGETS, ()) | prompt.pack(offered, budgets, self.count)
        judged = partial(evidence_metrics, question, written=self.written)
        scores = judged(offered, packed=built.packed, packed_within=within)
        if placed.earlier and question.evidence:
            # what an earlier turn holds whole stands in the context too: a memory need not bring it again
            held = tuple(id for id in question.evidence & self.written.keys() if self.written[id] in placed.earlier)
            with_earlier = judged(
                [*offered, Passage(placed.earlier, held)], packed=(*built.packed, len(offered)), packed_within={}
            )
            scores["evidence_in_context"] = with_earlier["evidence_in_context"]
        dangling = None if placed.dangling_ids is None else float(placed.dangling_ids > 0)
        return scores | {"dangling_in_context": dangling}

    def _judged(self, question: Question, answer: str) -> dict[str, float | None]:
        scores = self.task.score(question, answer)
        if wrong := {name: score for name, score in scores.items() if not 0.0 <= score <= 1.0}:
            raise ValueError(f"a task's scores lie in [0, 1], got {wrong} for question {question.id}")
        if taken := scores.keys() & set(EVIDENCE_METRICS):
            raise ValueError(f"a task judges the answer only, the runner the evidence: rename {sorted(taken)}")
        return dict(scores)


def _row(passage: Passage, packed: bool) -> dict[str, object]:
    score = None if passage.score is None else float(passage.score)
    return {"text": passage.text, "event_ids": list(passage.event_ids), "score": score, "packed": packed}


def _first(episodes: Iterator[Episode], limit: int | None) -> Iterator[Episode]:
    """Yield episodes up to the last question that counts; what would follow it is left out."""
    left = limit
    for episode in episodes:
        asked = [i for i, step in enumerate(episode.steps) if isinstance(step, Question)]
        if left is None or len(asked) < left:
            yield episode
            left = left and left - len(asked)
            continue
        yield replace(episode, steps=episode.steps[: asked[left - 1] + 1])
        return


def _batched(steps: Sequence[Step], size: int) -> Iterator[list[Event] | Forget | Question]:
    events: list[Event] = []
    for step in steps:
        if isinstance(step, Event):
            events.append(step)
        if events and (len(events) == size or not isinstance(step, Event)):
            yield events
            events = []
        if not isinstance(step, Event):
            yield step
    if events:
        yield events


def _check_budget(first: Episode, options: Options, window_tokens: int, count: prompt.Count) -> None:
    budget = options.budget_tokens
    if budget is None:
        return
    shortest = min((count(step.text + "\n") for step in first.steps if isinstance(step, Event)), default=0)
    if budget < shortest:
        raise BadInput(
            f"budget_tokens={budget} is below the shortest event of the first episode ({shortest} tokens): "
            f"no event would fit; type budget_tokens={shortest} or more"
        )
    most = window_tokens - options.answer_tokens - 1
    if budget > most:
        raise BadInput(
            f"budget_tokens={budget} does not fit the reader's window of {window_tokens} tokens with an answer of "
            f"{options.answer_tokens}; type budget_tokens={most} or less, or budget_tokens=null for all that fits"
        )

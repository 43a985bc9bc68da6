"""The task: the file read and checked, one conversation after the other as an episode."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from memory_bench.metrics import begins_with, exact_match
from memory_bench.task_options import check_choices, check_flag, check_path, check_seed
from memory_bench.task_tokens import BUNDLED_TOKENIZER, covers, read_tokenizer
from memory_bench.types import UNKNOWN, Episode, Event, Query, Question
from memory_bench.user_data import find_data
from tasks.locomo.conversations import ADVERSARIAL, CATEGORIES, Asked, Conversation, Session, Turn, read_file


class Locomo:
    """Conversations and what is asked about them. Options and their defaults: conf/task/locomo.yaml.

    path       the file; null is `data` below the folder of $MEMORY_BENCH_DATA
    data       see path
    kinds      which categories are asked, by name
    captions   whether a turn with a photo holds the words that describe it
    dates      whether a turn's text begins with the date of its session; its time holds it in any case

    Every seed asks the same. Questions without evidence in the dialogue are left out where they should have some
    (`python -m tasks.locomo FILE` counts them), and ids of evidence that name no turn are dropped: both are part of
    the identity. Raises BadInput with the place and field of what is wrong in the file, Unavailable where there is no
    file.
    """

    version = "1"

    def __init__(self, *, path: str | None, data: str, kinds: Sequence[str], captions: bool, dates: bool) -> None:
        check_path("path", path)
        check_choices("kinds", kinds, tuple(CATEGORIES.values()))
        check_flag("captions", captions)
        check_flag("dates", dates)
        self.kinds = frozenset(kinds)
        self.captions = captions
        self.dates = dates
        self.file = read_file(find_data(path, data))
        self.tokenizer = read_tokenizer(BUNDLED_TOKENIZER)

    def identity(self) -> Mapping[str, str]:
        asked = list(chain.from_iterable(conversation.asked for conversation in self.file.conversations))
        return {
            "file": self.file.sha256,
            "canonical": self.file.canonical,
            "published": "locomo10.json as published" if self.file.is_published else "another file",
            "dropped": ", ".join(sorted(entry for one in asked for entry in one.unreadable)) or "nothing",
            "left out": f"{sum(not is_judged(one) for one in asked)} questions without evidence",
            "tokenizer": hashlib.sha256(BUNDLED_TOKENIZER.read_bytes()).hexdigest(),
        }

    def episodes(self, seed: int) -> Iterator[Episode]:
        """Yield one conversation after the other; the seed changes nothing."""
        check_seed(seed)
        episodes = map(self.episode, self.file.conversations)
        return (episode for episode in episodes if any(isinstance(step, Question) for step in episode.steps))

    def episode(self, conversation: Conversation) -> Episode:
        events = {
            turn.number: Event(opaque(conversation.name, turn), self.text(session, turn), time=session.time)
            for session in conversation.sessions
            for turn in session.turns
        }
        last = conversation.sessions[-1].time
        questions = [
            self.question(f"{conversation.name}-{number:03d}", asked, events, last)
            for number, asked in enumerate(conversation.asked)
            if asked.category in self.kinds and is_judged(asked)
        ]
        return Episode(conversation.name, (*events.values(), *questions))

    def text(self, session: Session, turn: Turn) -> str:
        date = f"[{session.date}] " if self.dates else ""
        photo = f" [photo: {turn.caption}]" if self.captions and turn.caption else ""
        return f"{date}{turn.speaker}: {turn.text}{photo}"

    def question(self, id: str, asked: Asked, events: Mapping[tuple[int, int], Event], last: float) -> Question:
        unsaid = asked.category == ADVERSARIAL  # the turn that such a question twists is no evidence: it misleads
        evidence = [] if unsaid else [events[turn] for turn in sorted(asked.evidence)]
        cloze = f"{asked.text} The answer is"
        covered = any(covers(event.text, cloze, asked.answer, self.tokenizer) for event in evidence)
        return Question(
            id,
            Query(asked.text, time=last),
            cloze,
            answers=(UNKNOWN if unsaid else asked.answer,),
            evidence=frozenset(event.id for event in evidence),
            tags={"kind": asked.category, "ngram_covered": "yes" if covered else "no"},
        )

    def score(self, question: Question, answer: str) -> dict[str, float]:
        """Return exact_match: 1 where the answer is that of the file, or `unknown` where nobody said it; and
        begins_with: 1 where it comes first, whatever is said after it. Answers of this file are free text: few readers
        find its very words, and what a memory brought is told by the evidence."""
        return {
            "exact_match": exact_match(answer, question.answers),
            "begins_with": begins_with(answer, question.answers),
        }


def is_judged(asked: Asked) -> bool:
    """Whether a question has what it is judged by: a turn that holds the answer, or nobody who said it."""
    return asked.category == ADVERSARIAL or bool(asked.evidence)


def opaque(conversation: str, turn: Turn) -> str:
    """Return an id that tells neither session nor turn, and is the same in every process."""
    return hashlib.sha256(f"{conversation}/{turn.number}".encode()).hexdigest()[:16]

"""The smallest plug-ins that do everything their contracts ask, without torch: read these to learn the contracts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from hydra.core.config_store import ConfigStore
from numpy.typing import NDArray

from memory_bench.contracts import Reader
from memory_bench.metrics import exact_match
from memory_bench.types import UNKNOWN, Completion, Episode, Event, Passage, Query, Question


class StubTask:
    """Gates and their codes; the last question of an episode asks for a gate that does not exist.

    s0-0-x  The code of gate 0 is 4411
    s0-1-x  The code of gate 1 is 9020
    q0      The code of gate 0 is ___      -> 4411      evidence {s0-0-x}    ngram_covered yes
    q1      Gate 1 opens with ___          -> 9020      evidence {s0-1-x}    ngram_covered no
    q2      The code of gate 2 is ___      -> unknown   evidence {}
    """

    version = "1"

    def __init__(self, *, episodes: int = 2, facts: int = 2) -> None:
        self._episodes = episodes
        self._facts = facts

    def identity(self) -> Mapping[str, str]:
        return {}

    def episodes(self, seed: int) -> Iterator[Episode]:
        for number in range(self._episodes):
            events = [self._event(seed, number, gate) for gate in range(self._facts)]
            yield Episode(f"e{number}", (*events, *self._questions(events)))

    def score(self, question: Question, answer: str) -> dict[str, float]:
        return {"exact_match": exact_match(answer, question.answers)}

    def _event(self, seed: int, number: int, gate: int) -> Event:
        code = int(hashlib.sha256(f"{seed}/{number}/{gate}".encode()).hexdigest(), 16) % 9000 + 1000
        return Event(f"s{number}-{gate}-x", f"The code of gate {gate} is {code}", time=float(gate))

    def _questions(self, events: Sequence[Event]) -> Iterator[Question]:
        for gate, event in enumerate(events):
            cloze, covered = (f"Gate {gate} opens with", "no") if gate % 2 else (f"The code of gate {gate} is", "yes")
            code = event.text.rpartition(" ")[2]
            query = Query(f"What is the code of gate {gate}?")
            yield Question(f"q{gate}", query, cloze, (code,), frozenset({event.id}), tags={"ngram_covered": covered})
        gate = len(events)
        query = Query(f"What is the code of gate {gate}?")
        yield Question(f"q{gate}", query, f"The code of gate {gate} is", (UNKNOWN,), frozenset())


class StubMemory:
    """Holds texts; the passages are those that share most words with the query, then the newest."""

    def __init__(self, *, top_k: int = 4) -> None:
        self._top_k = top_k
        self._held: dict[str, Event] = {}

    def attach(self, reader: Reader) -> Reader:
        return reader

    def reset(self) -> None:
        self._held.clear()

    def write(self, events: Sequence[Event]) -> None:
        self._held |= {event.id: event for event in events}

    def settle(self) -> None:
        pass

    def forget(self, event_ids: Sequence[str]) -> None:
        for id in event_ids:
            self._held.pop(id, None)

    def read(self, query: Query) -> list[Passage]:
        asked = _words(query.text)
        shared = {event: len(asked & _words(event.text)) for event in reversed(self._held.values())}
        best = sorted(shared, key=shared.__getitem__, reverse=True)[: self._top_k]
        return [Passage(event.text, (event.id,), float(shared[event])) for event in best]

    def size_bytes(self) -> int:
        return sum(len(id) + len(event.text.encode()) for id, event in self._held.items())

    def close(self) -> None:
        pass


class StubReader:
    """A token is a word. Finds the line nearest to the question that names the same gate, and answers its last word."""

    style: Literal["cloze", "chat"] = "cloze"
    frame_tokens = 0

    def __init__(self, *, window_tokens: int = 1024, max_new_tokens: int = 8) -> None:
        self.window_tokens = window_tokens
        self._max_new_tokens = max_new_tokens

    def begin(self, *, carry: bool) -> None:
        pass

    def generate(self, prompts: Sequence[str]) -> list[Completion]:
        return [Completion(f" {_answer(prompt)}", self.count_tokens(prompt), 1) for prompt in prompts]

    def score(self, prompt: str, continuations: Sequence[str]) -> list[float]:
        right = f" {_answer(prompt)}"
        return [-0.1 if text == right else -9.0 * self.count_tokens(text) for text in continuations]

    def cached_tokens(self) -> int | None:
        return None

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def mark(self) -> object | None:
        return None

    def seconds_between(self, start: object | None, end: object | None) -> float | None:  # noqa: ARG002
        return None

    def peak_device_bytes(self) -> int | None:
        return None

    def identity(self) -> Mapping[str, str]:
        return {"stub": hashlib.sha256(b"a reader without weights").hexdigest()}


class StubEmbedder:
    """Letters counted: one dimension a letter."""

    name = "stub"
    dimensions = 26

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        counts = np.array([[text.lower().count(chr(97 + i)) for i in range(26)] for text in texts], np.float32)
        counts[:, 0] += counts.sum(axis=1) == 0  # a text without letters has unit length too
        unit: NDArray[np.float32] = counts / np.linalg.norm(counts, axis=1, keepdims=True)
        return unit

    def identity(self) -> Mapping[str, str]:
        return {}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.lower().strip("?").split())


def _answer(prompt: str) -> str:
    *context, asked = prompt.split("\n")
    named = re.search(r"[Gg]ate (\d+)", asked)
    for line in reversed(context):
        if named and f"gate {named[1]} is" in line:
            return line.split()[-1]
    return UNKNOWN


def register() -> None:
    """Add these to Hydra's choices as task=stub, memory=stub, reader=stub and embedder=stub, as YAML files would."""
    store = ConfigStore.instance().store
    store(group="task", name="stub", node={"_target_": "tests.stubs.StubTask", "episodes": 2, "facts": 2})
    store(group="memory", name="stub", node={"_target_": "tests.stubs.StubMemory", "top_k": 4})
    reader = {"_target_": "tests.stubs.StubReader", "window_tokens": 1024, "max_new_tokens": 8}
    store(group="reader", name="stub", node=reader)
    store(group="embedder", name="stub", node={"_target_": "tests.stubs.StubEmbedder"})

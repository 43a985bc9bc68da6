"""Asking a server, once for each question: what it answered is kept, and the ledger is told what the rest took."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

from memory_bench import clock, tally
from memory_bench.endpoint import Answer, Refused, Server
from memory_bench.errors import BadInput, NoAnswer
from memory_bench.readers import endpoint_protocol
from memory_bench.readers.endpoint_protocol import PATHS, Question, Said
from memory_bench.readers.kept_answers import KeptAnswers

USAGES = ("exact", "reported", "none")
NO_LOG_PROBS = (
    "questions with choices are answered by log-probabilities, which {of} does not give: a choice that is written in "
    "their place would be another measure"
)
_Found = dict[str, Any]  # what is kept of an answer


@dataclass(frozen=True)
class Asked:
    """A question, and how many tokens the server will read of it by the tokenizer that is here."""

    question: Question
    tokens: int


class Asking:
    """Questions to one model of a server, by an `api` of its protocol; see `EndpointReader` for the options.

    `fixed` is asked before anything new is: its answer stands for the model's weights, and where it is another one than
    what is kept, the answers of two models would stand in one record. Raises BadInput or Unavailable.
    """

    def __init__(
        self,
        server: Server,
        kept: KeptAnswers,
        *,
        api: str,
        stream: bool,
        usage: str,
        body: Mapping[str, Any],
        concurrency: int,
        fixed: Asked,
    ) -> None:
        self._server, self._kept = server, kept
        self._api, self._stream, self._usage, self._body = api, stream, usage, body
        self._concurrency = concurrency
        self._no_log_probs = NO_LOG_PROBS.format(of="a chat") if api == "chat" else None
        self._fixed = fixed
        found = kept.get(self._full(fixed.question))
        self._known = found is None  # what the server answers to `fixed` was seen by this process
        if found:
            self._check_usage(Said(**found), fixed.tokens)
        self.fixed_text: str = (found or self._answer(fixed).value)["text"]

    def completions(self, asked: Sequence[Asked]) -> list[tuple[Said, bool]]:
        """Return what is answered, and whether that was kept."""
        found = [(Said(**one), kept) for one, kept in self._found(asked, self._answer)]
        for one, (said, _) in zip(asked, found, strict=True):
            self._check_usage(said, one.tokens)  # kept under another rule, it may differ
        if self._usage != "none":
            new = [said for said, kept in found if not kept]
            for count in ("prompt_tokens", "completion_tokens"):
                if None not in (numbers := [getattr(said, count) for said in new]) and numbers:
                    tally.count(f"server_{count}", sum(numbers))
        return found

    def log_probs(self, asked: Sequence[Asked]) -> list[list[float]]:
        """Return the log-probabilities of the tokens of each text but the first. Raises NoAnswer where the server does
        not give them."""
        if self._no_log_probs:
            raise NoAnswer(self._no_log_probs)
        return [one["log_probs"] for one, _ in self._found(asked, self._read)]

    def _found(self, asked: Sequence[Asked], ask: Callable[[Asked], Answer[_Found]]) -> list[tuple[_Found, bool]]:
        start = clock.now_ns()
        kept = [self._kept.get(self._full(one.question)) for one in asked]
        new = [one for one, found in zip(asked, kept, strict=True) if found is None]
        if new:
            self._compare()
        answers = self._side_by_side(new, ask)
        tally.count("kept_answers", len(asked) - len(new))
        tally.count("retries", sum(answer.retries for answer in answers))
        self._charge(start, answers, complete=len(new) == len(asked))
        waiting = iter(answers)
        return [(found, True) if found else (next(waiting).value, False) for found in kept]

    def _side_by_side(self, asked: Sequence[Asked], ask: Callable[[Asked], Answer[_Found]]) -> list[Answer[_Found]]:
        if min(len(asked), self._concurrency) <= 1:  # a thread would be timed with the answer
            return [ask(one) for one in asked]
        with ThreadPoolExecutor(self._concurrency) as threads:
            return list(threads.map(ask, asked))

    def _charge(self, start: int, answers: Sequence[Answer[_Found]], *, complete: bool) -> None:
        if not complete:
            clock.charge(start, None)  # an answer that was kept took its time on another day: it is not 0 now
        elif min(len(answers), self._concurrency) <= 1:
            clock.charge(start, sum(answer.seconds for answer in answers))
        elif any(answer.retries for answer in answers):
            clock.charge(start, None)  # side by side, some were answered while others paused

    def _compare(self) -> None:
        if self._known:
            return
        if (text := self._answer(self._fixed).value["text"]) != self.fixed_text:
            raise BadInput(
                f"{self._server.url} answers otherwise than what is kept of it ({text!r} to a fixed text, and not "
                f"{self.fixed_text!r}): set reader.cache to another folder"
            )
        self._known = True

    def _answer(self, asked: Asked) -> Answer[_Found]:
        """Ask for a completion, and keep it at once: what was paid for outlives a run that is stopped."""
        said: Said | None
        if self._stream:
            usage = {} if self._usage == "none" else {"stream_options": {"include_usage": True}}
            sent = self._full({**asked.question, "stream": True, **usage})
            parts = self._server.stream(sent, ends=endpoint_protocol.ends)
            said = endpoint_protocol.streamed(self._api, parts.value)
            seconds, retries = parts.seconds, parts.retries
        else:
            whole = self._server.ask(self._full(asked.question))
            said = endpoint_protocol.said(self._api, whole.value)
            seconds, retries = whole.seconds, whole.retries
        if said is None:
            raise BadInput(
                f"{self._server.url} answers in JSON, but not with a text: set reader.url to a server that speaks "
                f"OpenAI's /{PATHS[self._api]}"
            )
        self._check_usage(said, asked.tokens)
        found = asdict(replace(said, text=self._server.without_key(said.text)))
        self._kept.put(self._full(asked.question), found)
        return Answer(found, seconds, retries)

    def _read(self, asked: Asked) -> Answer[_Found]:
        """Ask for the log-probabilities of a text, and keep them."""
        none = NO_LOG_PROBS.format(of=f"{self._server.url} (echo, logprobs)")
        try:
            answer = self._server.ask(self._full(asked.question))
        except Refused as error:
            self._no_log_probs = f"{none} ({error})"
            raise NoAnswer(self._no_log_probs) from None
        found = endpoint_protocol.log_probs(answer.value, asked.tokens)
        if found is None:  # it read the question over
            self._no_log_probs = none
            raise NoAnswer(none)
        self._kept.put(self._full(asked.question), {"log_probs": found})
        return replace(answer, value={"log_probs": found})

    def _full(self, question: Question) -> Question:
        """Return a question with the fields that the user adds or takes away."""
        return {key: value for key, value in {**question, **self._body}.items() if value is not None}

    def _check_usage(self, said: Said, tokens: int) -> None:
        if self._usage != "exact" or said.prompt_tokens == tokens:
            return
        if said.prompt_tokens is None:
            raise BadInput(f"{self._server.url} does not say how many tokens it read: type reader.usage=none")
        raise BadInput(
            f"{self._server.url} read {said.prompt_tokens} tokens of a prompt that has {tokens} by the tokenizer: set "
            "reader.tokenizer to the model's; where the server has a template or a window of its own, type "
            "reader.usage=reported"
        )

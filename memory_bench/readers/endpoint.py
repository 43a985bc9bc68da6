"""Any server that speaks OpenAI's protocol, as a chat or as a text to go on: vLLM, SGLang, Ollama, llama.cpp, DeepSeek.

    prompt -> POST URL/chat/completions or URL/completions -> the answer's first line, and what the server counted

The budget is counted in the reader's tokens, so the model's tokenizer has to be here; what the server says that it read
is held against it. Nobody can know which weights a server runs: what it answers to a fixed text stands for them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from memory_bench.endpoint import Server
from memory_bench.errors import BadInput, Withheld
from memory_bench.readers import checkpoint, endpoint_protocol, hf_files
from memory_bench.readers.attention import AttentionKernel
from memory_bench.readers.device import check_sizes
from memory_bench.readers.endpoint_asking import USAGES, Asked, Asking
from memory_bench.readers.endpoint_protocol import PATHS, STYLES
from memory_bench.readers.hf_prompts import Prompts
from memory_bench.readers.kept_answers import KeptAnswers
from memory_bench.types import Completion
from memory_bench.user_data import find_option

URL_VARIABLE, MODEL_VARIABLE = "MEMORY_BENCH_READER_URL", "MEMORY_BENCH_READER_MODEL"
SECRETS = ("key", "secret", "password", "authorization")
FIXED_PROMPT, FIXED_TOKENS = "The quick brown fox jumps over the lazy", 8


class EndpointReader:
    """Greedy completion, up to the first line break or `max_new_tokens`, by the model `model` of the server at `url`.

    `tokenizer` is a folder or a name, None: what `model` names. `usage` says what the server's count of a prompt is:
    `exact`, and one that differs from ours is refused; `reported`, and written beside ours; `none`. `body` are further
    fields of every request; null takes one away. `key_variable` names the environment variable of the key, which is
    sent and written nowhere.

    What is in the folder `cache` is not asked for again, and takes no time that means anything. Requests that failed,
    and pauses, are in no time; up to `concurrency` requests are under way at once where several prompts are given.
    Raises BadInput or Unavailable where no answers can be had.
    """

    def __init__(
        self,
        *,
        url: str | None,
        model: str | None,
        tokenizer: str | None,
        api: str,
        stream: bool,
        usage: str,
        body: Mapping[str, Any] | None,
        key_variable: str | None,
        window_tokens: int,
        max_new_tokens: int,
        concurrency: int,
        timeout_seconds: float,
        cache: str | None,
        trust_remote_code: bool,
        attention: AttentionKernel,
    ) -> None:
        # first: whatever else is refused, a note of it holds the options as they were typed
        server = Server(
            "reader",
            find_option("reader.url", url, URL_VARIABLE),
            PATHS.get(api, api),
            key_variable=key_variable,
            timeout_seconds=timeout_seconds,
            less="max_new_tokens",
        )
        _check_body(body or {})
        self._model = find_option("reader.model", model, MODEL_VARIABLE)
        _check_options(api, usage, concurrency, attention)
        self._api = api
        self._prompts = self._prompts_of(tokenizer or self._model, trust_remote_code=trust_remote_code)
        self.style = self._prompts.style
        self.frame_tokens = self._prompts.frame_tokens
        self.window_tokens = window_tokens - self.frame_tokens
        self.max_new_tokens = max_new_tokens
        check_sizes(self.window_tokens, max_new_tokens)
        self._cached: int | None = None
        self._asking = Asking(
            server,
            KeptAnswers(cache, address=server.url),
            api=api,
            stream=stream,
            usage=usage,
            body=body or {},
            concurrency=concurrency,
            fixed=self._asked(FIXED_PROMPT, most=FIXED_TOKENS),
        )

    def begin(self, *, carry: bool) -> None:
        """What a server keeps of earlier prompts is its own affair: `cached_tokens` is what it says of it."""

    def generate(self, prompts: Sequence[str]) -> list[Completion]:
        """Return one completion a prompt. Raises BadInput if a prompt leaves no room in the window."""
        asked = [self._asked(prompt, most=self.max_new_tokens) for prompt in prompts]
        completions = []
        for one, (said, kept) in zip(asked, self._asking.completions(asked), strict=True):
            text = said.text.partition("\n")[0].strip()
            written = self.count_tokens(text) if said.completion_tokens is None else said.completion_tokens
            # what a prompt found in the server's cache, and how soon it began, are of the day when it was asked
            cached, first = (None, None) if kept else (said.cached_tokens, said.first_token_seconds)
            completions.append(Completion(text, one.tokens, written, cached, first_token_seconds=first))
            self._cached = cached
        return completions

    def score(self, prompt: str, continuations: Sequence[str]) -> list[float]:
        """Return log p(continuation | prompt) in nats, summed over the tokens from where the text with the continuation
        parts from the prompt alone. Raises NoAnswer where the server gives no log-probabilities of what it reads, and
        BadInput where the texts part at the first token, which nothing foretells."""
        alone = self._encoded(prompt)
        rows = [self._encoded(prompt, continuation) for continuation in continuations]
        starts = [_shared(alone, row) for row in rows]
        if 0 in starts:
            raise BadInput("nothing stands before what is to be scored: give a longer prompt")
        texts = [prompt + continuation for continuation in continuations]
        asked = [
            Asked(endpoint_protocol.score_question(self._model, text), len(row))
            for text, row in zip(texts, rows, strict=True)
        ]
        self._cached = None
        found = self._asking.log_probs(asked)
        return [sum(log_probs[start - 1 :]) for log_probs, start in zip(found, starts, strict=True)]

    def cached_tokens(self) -> int | None:
        return self._cached

    def count_tokens(self, text: str) -> int:
        return self._prompts.count(text)

    def mark(self) -> object | None:
        return None

    def seconds_between(self, start: object | None, end: object | None) -> float | None:  # noqa: ARG002
        return None

    def peak_device_bytes(self) -> int | None:
        return None

    def identity(self) -> Mapping[str, str | None]:
        """Return the sha256 of the tokenizer's files, and of what the server answers to a fixed text in place of its
        weights, which nobody can know."""
        # a record is of any machine: of a folder it holds the last name
        name = f"endpoint/{Path(self._model).name if Path(self._model).is_dir() else self._model}"
        return {
            **self._digests,
            f"{name}/answer to a fixed text": hashlib.sha256(self._asking.fixed_text.encode()).hexdigest(),
            f"{name}/weights: a server does not show them": None,
        }

    @cached_property
    def _digests(self) -> Mapping[str, str]:
        read = (file for file in hf_files.files(self._folder) if file.suffix != ".safetensors")
        return {f"{self._folder.resolve().name}/{file.name}": checkpoint.sha256(file) for file in read}

    def _prompts_of(self, named: str, *, trust_remote_code: bool) -> Prompts:
        option = "reader.tokenizer"
        fetch = f"type: hf download {named} --include '*.json' '*.model' (budgets are counted in the model's tokens)"
        self._folder = hf_files.find(named, download=False, option=option, fetch=fetch)
        tokenizer = hf_files.tokenizer(self._folder, named, trust_remote_code=trust_remote_code, option=option)
        return Prompts(tokenizer, STYLES[self._api], model=named, typed="reader.api=completions")

    def _encoded(self, prompt: str, continuation: str = "") -> list[int]:
        """Return all tokens that the server should read. Raises BadInput if there are none, or too many."""
        tokens = self._prompts.encode(prompt, continuation)
        most = self.window_tokens + self.frame_tokens - (0 if continuation else self.max_new_tokens)
        if not 0 < len(tokens) <= most:
            raise BadInput(
                f"a prompt of {len(tokens)} tokens was given, between 1 and {most} fit {self._model}: "
                "lower budget_tokens or task.length_tokens, or set reader.window_tokens to what the server has"
            )
        return tokens

    def _asked(self, prompt: str, *, most: int) -> Asked:
        question = endpoint_protocol.question(self._api, self._model, prompt, most=most)
        return Asked(question, len(self._encoded(prompt)))


def _check_body(body: Mapping[str, Any]) -> None:
    """Raise Withheld for a field that is named as what should be in no record."""
    if any(word in name.lower() for name in body for word in SECRETS):
        raise Withheld(
            "reader.body is kept with the results and has a field for a secret: reader.key_variable names the variable "
            "that holds the key"
        )


def _check_options(api: str, usage: str, concurrency: int, attention: AttentionKernel) -> None:
    if api not in PATHS:
        raise BadInput(f"reader.api={api}: expected one of {', '.join(PATHS)}")
    if usage not in USAGES:
        raise BadInput(f"reader.usage={usage}: expected one of {', '.join(USAGES)}")
    if concurrency < 1:
        raise BadInput(f"reader.concurrency={concurrency}: expected a whole number >= 1, such as 4")
    if attention.named:
        raise BadInput(
            f"attention={attention.name}: which kernel a server computes attention with is its own choice: "
            "type attention=auto"
        )


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens from the first on are the same."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))

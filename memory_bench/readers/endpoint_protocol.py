"""What a server is asked for an answer, and what it says, in the two ways of OpenAI's protocol.

chat          POST URL/chat/completions   {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 48, ...}
                                       -> {"choices": [{"message": {"content": TEXT}}], "usage": {...}}
completions   POST URL/completions        {"prompt": PROMPT, "max_tokens": 48, ...}
                                       -> {"choices": [{"text": TEXT}], "usage": {...}}
streamed      data: {"choices": [{"delta": {"content": PART}}]}      (completions: {"text": PART})
              data: {"choices": [{"finish_reason": "stop"}], "usage": {...}}
scored        POST URL/completions        {"prompt": PROMPT + CONTINUATION, "echo": true, "logprobs": 1, ...}
                                       -> {"choices": [{"logprobs": {"token_logprobs": [null, -1.5, ...]}}]}

Usage may come with the last part of the text, or in an event of its own without a choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memory_bench.endpoint import Event

PATHS: Mapping[str, str] = {"chat": "chat/completions", "completions": "completions"}
STYLES: Mapping[str, str] = {"chat": "chat", "completions": "cloze"}
Question = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """An answer as the server gave it, its counts of tokens None where it says none."""

    text: str
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    first_token_seconds: float | None


def question(api: str, model: str, prompt: str, *, most: int) -> Question:
    """Return what is asked: the most likely answer, up to a line break or `most` tokens."""
    text: Question = {"messages": [{"role": "user", "content": prompt}]} if api == "chat" else {"prompt": prompt}
    return {"model": model, **text, "max_tokens": most, "temperature": 0, "stop": ["\n"]}


def score_question(model: str, text: str) -> Question:
    """Return what is asked for the log-probabilities of a text. Some servers refuse to write nothing: they write one
    token more."""
    return {"model": model, "prompt": text, "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1}


def said(api: str, value: Any) -> Said | None:
    """Return what an answer says; None where it has another shape."""
    try:
        choice = value["choices"][0]
        text = choice["message"]["content"] if api == "chat" else choice["text"]
        # null: the model used up its tokens before it said anything
        return _said([text or ""], value.get("usage"), None)
    except (LookupError, TypeError, AttributeError):
        return None


def streamed(api: str, events: Sequence[Event]) -> Said | None:
    """Return what the parts of an answer say together; None where one has another shape."""
    texts, usage, first = [], None, None
    try:
        for event in events:
            for choice in event.value["choices"]:
                text = ((choice.get("delta") or {}).get("content") if api == "chat" else choice["text"]) or ""
                first = event.seconds if text and first is None else first
                texts.append(text)
            usage = event.value.get("usage") or usage
        return _said(texts, usage, first)
    except (LookupError, TypeError, AttributeError):
        return None


def ends(value: Any) -> bool:
    """Whether a part of a stream is the last of the text."""
    try:
        return any(choice.get("finish_reason") for choice in value["choices"])
    except (LookupError, TypeError, AttributeError):
        return False


def log_probs(value: Any, tokens: int) -> list[float] | None:
    """Return the log-probability of every token of a text of so many tokens but the first, which nothing foretells;
    None where an answer does not hold them: many servers read `echo` and `logprobs` over."""
    try:
        found = value["choices"][0]["logprobs"]["token_logprobs"]
        # what was written behind the text is no part of it
        if len(found) not in (tokens, tokens + 1):
            return None
        known = [float(one) for one in found[1:tokens]]
        return known if all(math.isfinite(one) for one in known) else None
    except (LookupError, TypeError, ValueError):
        return None


def _said(texts: Sequence[str], usage: Any, first_token_seconds: float | None) -> Said:
    usage = usage or {}
    details = usage.get("prompt_tokens_details") or {}
    # DeepSeek names the tokens that it had read already in a field of its own
    cached = details.get("cached_tokens", usage.get("prompt_cache_hit_tokens"))
    read, written = (_count(usage.get(what)) for what in ("prompt_tokens", "completion_tokens"))
    return Said("".join(texts), read, written, _count(cached), first_token_seconds)


def _count(number: Any) -> int | None:
    return number if isinstance(number, int) and not isinstance(number, bool) and number >= 0 else None

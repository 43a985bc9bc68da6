"""A server that speaks OpenAI's /chat/completions and /completions, counting by a real tokenizer.

It has no model: it writes the digits of a hash of the prompt. As a process of its own,
`python -m tests.completion_server FOLDER ANSWERS`, it is killed when it has given so many answers.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from tests import local_server
from tests.local_server import Act, Asked, LocalServer, says

if TYPE_CHECKING:  # as a process of its own it needs no torch
    from memory_bench.readers.endpoint import EndpointReader

CACHED_TOKENS = 3


class CompletionServer(LocalServer):
    """`write` is what is written after a text, `log_probs` the log-probabilities of the tokens of one, if it says any.

    `usage` can take the counts away, or change them.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.write: Callable[[str], str] = written
        self.log_probs: Callable[[str], list[float | None]] | None = None
        self.usage: Callable[[dict[str, Any]], dict[str, Any] | None] = dict

    def act(self, asked: Asked) -> Act:
        chat = asked.path.endswith("/chat/completions")
        body = asked.body
        prompt = framed(body["messages"]) if chat else body["prompt"]
        text = self.write(prompt)
        usage = self.usage(
            {
                "prompt_tokens": len(self.tokenizer.encode(prompt, add_special_tokens=False).ids),
                "completion_tokens": len(self.tokenizer.encode(text, add_special_tokens=False).ids),
                "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
            }
        )
        if body.get("stream"):
            return streams(*parts(text, chat=chat, usage=usage))
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        if body.get("echo") and self.log_probs is not None:
            choice["logprobs"] = {"token_logprobs": [*self.log_probs(prompt), -0.5]}
        return says(200, json.dumps({"choices": [choice], "usage": usage}))


def written(prompt: str) -> str:
    """Return a text that differs from prompt to prompt."""
    return f" {int(hashlib.sha256(prompt.encode()).hexdigest(), 16) % 9000 + 1000}"


def framed(messages: list[dict[str, str]]) -> str:
    """Return messages as the template of `tests.checkpoints` prints them."""
    said = "".join(f"<|im_start|>{one['role']}\n{one['content']}<|im_end|>\n" for one in messages)
    return f"{said}<|im_start|>assistant\n"


def parts(text: str, *, chat: bool, usage: dict[str, Any] | None) -> list[str]:
    """Return the events of a stream: a role, the text in two, its end, and the usage apart."""
    texts = [text[:2], text[2:]]
    choices: list[dict[str, Any]] = [{"delta": {"content": one}} if chat else {"text": one} for one in texts]
    last: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
    first = [{"delta": {"role": "assistant", "content": ""}}] if chat else []
    events: list[dict[str, Any]] = [{"choices": [one]} for one in [*first, *choices, {**last, "finish_reason": "stop"}]]
    events += [{"choices": [], "usage": usage}] if usage else []
    return [*map(json.dumps, events), "[DONE]"]


def streams(*events: str, cut: bool = False) -> Act:
    """Return an act: these events, in chunks that end anywhere; `cut`: the connection is closed before the last."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Connection", "close")  # unsaid, the next request may go to one that is about to be closed
        handler.end_headers()
        data = b": stay\n\n" + b"".join(f"data: {event}\n\n".encode() for event in events)
        for start in range(0, len(data), 50):
            some = data[start : start + 50]
            handler.wfile.write(f"{len(some):x}\r\n".encode() + some + b"\r\n")
            handler.wfile.flush()
        if not cut:
            handler.wfile.write(b"0\r\n\r\n")

    return act


def asking(server: CompletionServer, folder: Path, kept: Path, **options: Any) -> EndpointReader:
    """Return a reader that asks the server, with the tokenizer in a folder; some options may differ."""
    from memory_bench.readers import attention
    from memory_bench.readers.endpoint import EndpointReader

    usual: dict[str, Any] = {
        "url": server.url,
        "model": "small",
        "tokenizer": str(folder),
        "api": "chat",
        "stream": True,
        "usage": "exact",
        "body": None,
        "key_variable": None,
        "window_tokens": 1024,
        "max_new_tokens": 8,
        "concurrency": 1,
        "timeout_seconds": 30.0,
        "cache": str(kept),
        "trust_remote_code": False,
        "attention": attention.choose("auto"),
    }
    return EndpointReader(**{**usual, **options})


def die(_: BaseHTTPRequestHandler) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Mortal(CompletionServer):
    """One that is killed in the middle of a request, after so many answers."""

    def __init__(self, folder: Path, answers: int) -> None:
        super().__init__(folder)
        self.answers = answers

    def act(self, asked: Asked) -> Act:
        return die if len(self.asked) > self.answers else super().act(asked)


if __name__ == "__main__":
    with local_server.running(Mortal(Path(sys.argv[1]), int(sys.argv[2]))) as server:
        print(server.url, flush=True)
        threading.Event().wait()

"""A server that speaks OpenAI's /embeddings over the hashing embedder, in the process of the tests."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from memory_bench.embedders.endpoint import Endpoint
from memory_bench.embedders.hashing import Hashing

DIMENSIONS = 64

Act = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Asked:
    """A request as it came: the body, and the header that holds the key."""

    path: str
    body: dict[str, Any]
    authorization: str | None


class EmbeddingServer:
    """Vectors three times as long as they should be, the last text's first: a client has to put both right.

    `acts` are done in place of an answer, one a request, as long as there are any; `asked` is what was requested.
    """

    def __init__(self) -> None:
        self.acts: deque[Act] = deque()
        self.asked: list[Asked] = []
        self.hashing = Hashing(dimensions=DIMENSIONS)
        self.url = ""

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        vectors_XD = 3 * self.hashing.embed(body["input"])
        rows = [{"index": place, "embedding": vector_D.tolist()} for place, vector_D in enumerate(vectors_XD)]
        return {"object": "list", "data": rows[::-1], "model": body["model"]}


def says(status: int, content: str, **headers: str) -> Act:
    """Return an act: this answer, whatever was asked."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        data = content.encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return act


def hangs_up(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection without a word."""
    handler.close_connection = True


@contextmanager
def running() -> Iterator[EmbeddingServer]:
    """A server on a port of its own; stopped in the end."""
    state = EmbeddingServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.asked.append(Asked(self.path, body, self.headers["Authorization"]))
            act = state.acts.popleft() if state.acts else says(200, json.dumps(state.answer(body)))
            act(self)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the tests look at `asked`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def asking(server: EmbeddingServer, folder: Path, **options: Any) -> Endpoint:
    """Return an embedder that asks the server; some options may differ."""
    usual = {"url": server.url, "model": "small", "key_variable": None, "batch_size": 2, "timeout_seconds": 30.0}
    return Endpoint(**{**usual, "cache": str(folder / "kept"), **options})


def kept_seconds(folder: Path) -> list[float]:
    database = sqlite3.connect(folder / "kept" / "vectors.sqlite")
    seconds = [row[0] for row in database.execute("SELECT seconds FROM vectors")]
    database.close()
    return seconds

"""A real HTTP server in the process of the tests: it notes what it was asked, and does what a test tells it to."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

KEY = "sk-0123456789"
"""What no file and no line of output may hold."""

Act = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Asked:
    """A request as it came: the body, and the header that holds the key."""

    path: str
    body: dict[str, Any]
    authorization: str | None


class LocalServer:
    """What all of them hold. `acts` are done in place of an answer, one a request, as long as there are any; `asked` is
    what was requested."""

    def __init__(self) -> None:
        self.acts: deque[Act] = deque()
        self.asked: list[Asked] = []
        self.url = ""

    def act(self, asked: Asked) -> Act:
        """Return what is done with a request."""
        raise NotImplementedError


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


Some = TypeVar("Some", bound=LocalServer)


@contextmanager
def running(state: Some, port: int = 0) -> Iterator[Some]:
    """This server on a port of its own, or on one that was free; stopped in the end."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked = Asked(self.path, body, self.headers["Authorization"])
            state.asked.append(asked)
            act = state.acts.popleft() if state.acts else state.act(asked)
            act(self)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the tests look at `asked`."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
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

"""A Qdrant server that is down, slow, another one, or refuses, over HTTP: each is one line, and nothing is removed.

The server here says that all is well, and knows nothing; a real one is asked the contract where $QDRANT_URL is set.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import pytest

from adapters import qdrant
from memory_bench.errors import BadInput, Unavailable, Withheld
from memory_bench.types import Event
from memory_bench.vectors import VectorMemory
from tests import engines
from tests.local_server import Act, hangs_up, says


class Server:
    """`acts` are what is done at a method, or at one and a path, in place of saying that all is well."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.acts: dict[str, Act] = {}
        self.version = version("qdrant-client")

    def act(self, method: str, path: str) -> Act:
        self.asked.append(f"{method} {path}")
        if path == "/":
            well: dict[str, object] = {"title": "qdrant - vector search engine", "version": self.version}
        else:
            done = {"operation_id": 0, "status": "completed"} if path.endswith(("/points", "/index")) else True
            well = {"result": done, "status": "ok", "time": 0.0}
        return self.acts.get(f"{method} {path}", self.acts.get(method, says(200, json.dumps(well))))


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.act(self.command, self.path.partition("?")[0])(self)

        do_PUT = do_DELETE = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the tests look at `asked`."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    state.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def make(server: Server) -> Callable[[], VectorMemory]:
    return lambda: qdrant.server_memory(embedder=engines.embedder(), url=server.url, index_from_rows=10_000, top_k=64)


def test_its_collection_comes_and_goes_with_the_memory(server: Server, make: Callable[[], VectorMemory]) -> None:
    memory = make()
    memory.write([Event("a", "a text")])
    memory.close()
    assert isinstance(memory.engine, qdrant.Collection)
    place = f"/collections/{memory.engine.name}"
    expected = ["GET /", f"PUT {place}", f"PUT {place}/index", f"PUT {place}/points", f"DELETE {place}"]
    assert server.asked == expected


def test_one_that_is_silent_is_unavailable(
    server: Server, make: Callable[[], VectorMemory], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()
    monkeypatch.setattr(qdrant, "_SILENCE_SECONDS", 1)

    def waits(_: BaseHTTPRequestHandler) -> None:
        done.wait(60)

    server.acts["PUT"] = waits
    try:
        with pytest.raises(
            Unavailable, match=rf"^no Qdrant server answers at {server.url} within 1 s \(timed out\): set"
        ):
            make()
    finally:
        done.set()


@pytest.mark.parametrize("other", ["0.11.7", "1.0.0", "2.20.0", "of somebody's own"])
def test_one_of_another_version_is_refused(server: Server, make: Callable[[], VectorMemory], other: str) -> None:
    server.version = other
    with pytest.raises(
        BadInput, match=rf"^the Qdrant server at {server.url} is version {other}, and the client [\d.]+ "
    ):
        make()
    assert server.asked == ["GET /"]


@pytest.mark.parametrize("said", ["<html>Welcome</html>", "{}", '{"version": 3}'])
def test_one_that_is_no_qdrant_is_refused(server: Server, make: Callable[[], VectorMemory], said: str) -> None:
    server.acts["GET /"] = says(200, said)
    with pytest.raises(
        BadInput, match=rf"^{server.url} answers, but not as a Qdrant server does: set memory\.url to one"
    ):
        make()


@pytest.mark.parametrize(
    ("status", "said"), [(409, "Collection already exists!"), (401, "Must provide an API key"), (507, "No space left")]
)
def test_a_refusal_is_one_line_and_nothing_is_removed(
    server: Server, make: Callable[[], VectorMemory], status: int, said: str
) -> None:
    """A collection that is there already is somebody else's."""
    server.acts["PUT"] = says(status, f"{said}\n\nsee the log")
    line = (
        rf"^the Qdrant server at {server.url} refuses what it is asked \({status}: {said} see the log\): set memory\."
    )
    with pytest.raises(BadInput, match=line):
        make()
    assert not any(asked.startswith("DELETE") for asked in server.asked)


def test_one_that_goes_away_within_a_run_is_one_line(server: Server, make: Callable[[], VectorMemory]) -> None:
    memory = make()
    server.acts["PUT"] = hangs_up
    with pytest.raises(
        Unavailable, match=rf"^no Qdrant server answers at {server.url} within 60 s \(.*\): set memory\."
    ):
        memory.write([Event("a", "a text")])
    server.acts["PUT"] = says(500, "panicked")
    with pytest.raises(BadInput, match=r"refuses what it is asked \(500: panicked\): set memory\.url to another$"):
        memory.write([Event("a", "a text")])
    memory.close()


def test_an_address_that_is_none_or_holds_a_secret_is_refused(server: Server) -> None:
    for url, error in [("localhost:6333", BadInput), ("http://me:secret@localhost:6333", Withheld)]:
        with pytest.raises(error, match=r"^memory\.url.*: expected .*such as http://localhost:6333") as refusal:
            qdrant.server_memory(embedder=engines.embedder(), url=url, index_from_rows=1, top_k=1)
        assert "secret" not in str(refusal.value)
    assert server.asked == []

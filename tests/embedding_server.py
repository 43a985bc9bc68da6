"""A server that speaks OpenAI's /embeddings over the hashing embedder."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from memory_bench.embedders.endpoint import Endpoint
from memory_bench.embedders.hashing import Hashing
from tests import local_server
from tests.local_server import Act, Asked, LocalServer, says

DIMENSIONS = 64


class EmbeddingServer(LocalServer):
    """Vectors three times as long as they should be, the last text's first: a client has to put both right."""

    def __init__(self) -> None:
        super().__init__()
        self.hashing = Hashing(dimensions=DIMENSIONS)

    def act(self, asked: Asked) -> Act:
        return says(200, json.dumps(self.answer(asked.body)))

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        vectors_XD = 3 * self.hashing.embed(body["input"])
        rows = [{"index": place, "embedding": vector_D.tolist()} for place, vector_D in enumerate(vectors_XD)]
        return {"object": "list", "data": rows[::-1], "model": body["model"]}


@contextmanager
def running() -> Iterator[EmbeddingServer]:
    """A server on a port of its own; stopped in the end."""
    with local_server.running(EmbeddingServer()) as server:
        yield server


def asking(server: EmbeddingServer, folder: Path, **options: Any) -> Endpoint:
    """Return an embedder that asks the server; some options may differ."""
    usual = {"url": server.url, "model": "small", "key_variable": None, "batch_size": 2, "timeout_seconds": 30.0}
    return Endpoint(**{**usual, "cache": str(folder / "kept"), **options})


def kept_seconds(folder: Path) -> list[float]:
    database = sqlite3.connect(folder / "kept" / "vectors.sqlite")
    seconds = [row[0] for row in database.execute("SELECT seconds FROM vectors")]
    database.close()
    return seconds

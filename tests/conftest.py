"""What several files of tests are given: a server of embeddings, and pauses that nobody waits for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # most tests ask no server
    from collections.abc import Callable

    from memory_bench.embedders.endpoint import Endpoint
    from tests.embedding_server import EmbeddingServer


@pytest.fixture
def embeddings() -> Iterator[EmbeddingServer]:
    from tests import embedding_server

    with embedding_server.running() as made:
        yield made


@pytest.fixture
def embedder_of(embeddings: EmbeddingServer, tmp_path: Path) -> Callable[..., Endpoint]:
    """Make an embedder that asks the server `embeddings`, some options set otherwise."""
    from functools import partial

    from tests import embedding_server

    return partial(embedding_server.asking, embeddings, tmp_path)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time that stands still but for the pauses, which are not waited for: what they were."""
    from memory_bench import endpoint

    slept: list[float] = []
    monkeypatch.setattr(endpoint, "time", SimpleNamespace(sleep=slept.append, perf_counter=lambda: sum(slept)))
    return slept

"""What several files of tests are given: servers of embeddings and of answers, and pauses that nobody waits for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # most tests ask no server
    from collections.abc import Callable

    from memory_bench.embedders.endpoint import Endpoint
    from memory_bench.readers.endpoint import EndpointReader
    from tests.completion_server import CompletionServer
    from tests.embedding_server import EmbeddingServer


@pytest.fixture
def embeddings() -> Iterator[EmbeddingServer]:
    from tests import embedding_server

    with embedding_server.running() as made:
        yield made


@pytest.fixture
def embedder_of(embeddings: EmbeddingServer, tmp_path: Path) -> Callable[..., Endpoint]:
    """Make an embedder that asks the server `embeddings`, some options set otherwise."""
    from tests import embedding_server

    return partial(embedding_server.asking, embeddings, tmp_path)


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer with a chat template, and no model."""
    from tests import checkpoints

    folder = tmp_path_factory.mktemp("tokenizer")
    checkpoints.saved_tokenizer(folder, "qwen2")
    return folder


@pytest.fixture
def completions(tokenizer_folder: Path) -> Iterator[CompletionServer]:
    from tests import completion_server, local_server

    with local_server.running(completion_server.CompletionServer(tokenizer_folder)) as made:
        yield made


@pytest.fixture
def reader_of(completions: CompletionServer, tokenizer_folder: Path, tmp_path: Path) -> Callable[..., EndpointReader]:
    """Make a reader that asks the server `completions`, some options set otherwise."""
    from tests import completion_server

    return partial(completion_server.asking, completions, tokenizer_folder, tmp_path / "kept")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time that stands still but for the pauses, which are not waited for: what they were."""
    from memory_bench import endpoint

    slept: list[float] = []
    monkeypatch.setattr(endpoint, "time", SimpleNamespace(sleep=slept.append, perf_counter=lambda: sum(slept)))
    return slept

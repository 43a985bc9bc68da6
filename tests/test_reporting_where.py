"""What reports say of where their cells were measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from memory_bench.reporting.cells import Measured
from memory_bench.reporting.html.ledger import machines
from memory_bench.reporting.where import where
from tests.measured import EVERYTHING, PROVENANCE, measured

LINE = "embedder of the memories that use one"


def embedding(name: str, options: Mapping[str, Any], *, read: tuple[str, ...] = ()) -> Measured:
    """Return a cell that used an embedder; `read` are the names of what was read of it."""
    cell = measured("exact", EVERYTHING)
    config = {**cell.config, "choices": {**cell.config["choices"], "embedder": name}, "embedder": options}
    identities = {**PROVENANCE["identities"], "embedder": dict.fromkeys(read, "c")}
    return replace(cell, config=config, provenance={**PROVENANCE, "identities": identities})


@pytest.mark.parametrize("said", [where, machines], ids=["Markdown", "HTML"])
def test_two_models_of_one_embedder_are_told_apart(said: Any) -> None:
    models = [embedding("endpoint", {"model": model, "url": "http://a"}) for model in ("small", "BAAI/large", "small")]
    assert said([measured("bm25", EVERYTHING), *models])[LINE] == ["endpoint (small)", "endpoint (BAAI/large)"]


def test_an_embedder_that_has_but_one_model_goes_by_its_name() -> None:
    assert where([embedding("minilm", {"batch_size": 1})])[LINE] == ["minilm"]
    assert where([measured("bm25", EVERYTHING)])[LINE] == ["none"]


def test_a_model_that_the_environment_named_is_said_by_what_was_read() -> None:
    parts = ("endpoint/BAAI/large, 8 dimensions/vector of a text", "endpoint/BAAI/large, 8 dimensions/weights: unknown")
    cells = [embedding("endpoint", {"model": None}, read=read) for read in (parts, ())]
    assert where(cells)[LINE] == ["endpoint (endpoint/BAAI/large, 8 dimensions)", "endpoint (model not known)"]

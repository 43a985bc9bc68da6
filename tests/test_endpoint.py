"""Vectors from a real server, over HTTP, in this process: what is asked, kept and charged."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from memory_bench import clock
from memory_bench.embedders.endpoint import FIXED_TEXT, Endpoint
from memory_bench.embedders.hashing import Hashing
from memory_bench.errors import BadInput, Unavailable
from memory_bench.meter import Meter
from tests import embedding_server, stubs
from tests.embedding_server import DIMENSIONS, EmbeddingServer
from tests.local_server import KEY, hangs_up, says

TEXTS = ["gate 17 is open", "lunch is at noon", "the pond was drained", "gate 23 is shut", "herons"]


def inputs(embeddings: EmbeddingServer) -> list[list[str]]:
    return [asked.body["input"] for asked in embeddings.asked]


class TestWhatIsAsked:
    def test_texts_go_in_batches_and_vectors_come_back_in_their_order_at_unit_length(
        self, embeddings: EmbeddingServer, embedder_of: Callable[..., Endpoint]
    ) -> None:
        embedder = embedder_of()
        vectors_XD = embedder.embed(TEXTS)
        np.testing.assert_allclose(vectors_XD, Hashing(dimensions=DIMENSIONS).embed(TEXTS), atol=1e-7)
        assert embedder.dimensions == DIMENSIONS
        assert vectors_XD.dtype == np.float32
        assert inputs(embeddings) == [[FIXED_TEXT], TEXTS[:2], TEXTS[2:4], TEXTS[4:]]
        assert {asked.path for asked in embeddings.asked} == {"/v1/embeddings"}
        assert [embeddings.asked[1].body[key] for key in ("model", "encoding_format")] == ["small", "float"]
        assert embeddings.asked[1].authorization is None

    def test_a_text_that_comes_twice_is_asked_for_once_and_one_of_white_space_never(
        self, embeddings: EmbeddingServer, embedder_of: Callable[..., Endpoint]
    ) -> None:
        """Servers refuse an empty text, and with it all others of the request."""
        one, blank, again, tabs = embedder_of().embed(["herons", "", "herons", "\t\n"])
        assert inputs(embeddings) == [[FIXED_TEXT], ["herons"]]
        assert_array_equal(one, again)
        assert_array_equal(blank, tabs)
        assert blank.tolist() == [1.0, *[0.0] * (DIMENSIONS - 1)]

    def test_the_key_is_sent_as_a_bearers(
        self, embeddings: EmbeddingServer, embedder_of: Callable[..., Endpoint], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOMEBODYS_KEY", f"{KEY}\n")  # as a file that was read into a variable ends
        embedder_of(key_variable="SOMEBODYS_KEY")
        assert [asked.authorization for asked in embeddings.asked] == [f"Bearer {KEY}"]


class TestWhatIsKept:
    def test_a_second_run_asks_nothing_and_needs_no_server(self, embedder_of: Callable[..., Endpoint]) -> None:
        with embedding_server.running() as gone:
            first = embedder_of(url=gone.url)
            vectors_XD = first.embed(TEXTS)
        again = embedder_of(url=gone.url)
        assert_array_equal(again.embed(TEXTS[::-1]), vectors_XD[::-1])
        assert again.identity() == first.identity()
        with pytest.raises(Unavailable, match="no server answers"):
            again.embed(["new"])

    def test_only_what_is_new_is_asked_for_after_one_look_at_the_server(
        self, embeddings: EmbeddingServer, embedder_of: Callable[..., Endpoint]
    ) -> None:
        embedder_of().embed(TEXTS[:3])
        embeddings.asked.clear()
        embedder_of().embed(TEXTS)
        assert inputs(embeddings) == [[FIXED_TEXT], TEXTS[3:]]

    def test_what_was_answered_outlives_a_run_that_breaks_off(
        self, embeddings: EmbeddingServer, embedder_of: Callable[..., Endpoint]
    ) -> None:
        embedder = embedder_of()
        embeddings.acts.extend(
            [says(200, json.dumps(embeddings.answer({"input": TEXTS[:2], "model": ""}))), says(404, "gone")]
        )
        with pytest.raises(BadInput, match="404: gone"):
            embedder.embed(TEXTS)
        embeddings.asked.clear()
        embedder.embed(TEXTS)
        assert inputs(embeddings) == [TEXTS[2:4], TEXTS[4:]]

    def test_two_models_and_two_servers_share_a_folder_and_no_vector(
        self, embeddings: EmbeddingServer, embedder_of: Callable[..., Endpoint]
    ) -> None:
        embedder_of().embed(["herons"])
        embedder_of(model="large").embed(["herons"])
        with embedding_server.running() as other:
            embedder_of(url=other.url).embed(["herons"])
            assert inputs(other) == [[FIXED_TEXT], ["herons"]]
        assert [asked.body["model"] for asked in embeddings.asked] == ["small", "small", "large", "large"]

    def test_vectors_of_other_weights_are_not_put_beside_those_that_are_kept(
        self, embeddings: EmbeddingServer, embedder_of: Callable[..., Endpoint]
    ) -> None:
        embedder_of().embed(["herons"])
        right = embeddings.answer

        def other_weights(body: dict[str, Any]) -> dict[str, Any]:
            return right({**body, "input": [f"{text}!" for text in body["input"]]})

        embeddings.answer = other_weights  # type: ignore[method-assign]
        embedder = embedder_of()
        embedder.embed(["herons"])
        line = (
            r"makes other vectors of small than those that are kept \(cosine 0\.\d+ .*: set embedder.cache to another"
        )
        with pytest.raises(BadInput, match=line):
            embedder.embed(["new"])

    def test_vectors_of_another_dimension_are_refused(
        self, embeddings: EmbeddingServer, embedder_of: Callable[..., Endpoint]
    ) -> None:
        embedder_of()
        embeddings.hashing = Hashing(dimensions=16)
        line = "answers vectors of 16 dimensions, expected 64 as before: set embedder.model"
        with pytest.raises(BadInput, match=line):
            embedder_of().embed(["new"])

    def test_a_vector_that_was_altered_is_refused(self, embedder_of: Callable[..., Endpoint], tmp_path: Path) -> None:
        embedder_of().embed(["herons"])
        with sqlite3.connect(tmp_path / "kept" / "vectors.sqlite") as database:
            database.execute("UPDATE vectors SET vector = zeroblob(length(vector))")
        database.close()
        with pytest.raises(BadInput, match=r"holds a vector that was altered: set embedder.cache to another folder"):
            embedder_of()

    @pytest.mark.parametrize("spoil", ["a file of another kind", "no folder"])
    def test_a_folder_that_can_keep_nothing_is_refused_and_left_alone(
        self, spoil: str, embedder_of: Callable[..., Endpoint], tmp_path: Path
    ) -> None:
        folder = tmp_path / "kept"
        file = folder if spoil == "no folder" else folder / "vectors.sqlite"
        file.parent.mkdir(exist_ok=True)
        file.write_text("somebody's own notes " * 100)
        with pytest.raises(BadInput, match=r"vectors.sqlite cannot keep vectors \(.*\): set embedder.cache to another"):
            embedder_of()
        assert file.read_text() == "somebody's own notes " * 100


class TestABusyServer:
    def test_it_is_asked_again_when_it_says_or_after_longer_and_longer_pauses(
        self, embeddings: EmbeddingServer, embedder_of: Callable[..., Endpoint], pauses: list[float]
    ) -> None:
        embeddings.acts.extend([says(429, "slow down", Retry_After="7"), says(503, "starting"), hangs_up])
        embedder = embedder_of()
        assert pauses == [7, 2, 4]
        assert inputs(embeddings) == [[FIXED_TEXT]] * 4
        assert embedder.dimensions == DIMENSIONS

    def test_six_times_in_a_row_it_is_one_line(
        self, embeddings: EmbeddingServer, embedder_of: Callable[..., Endpoint], pauses: list[float]
    ) -> None:
        embeddings.acts.extend([says(429, f"quota {n}") for n in range(6)])
        with pytest.raises(Unavailable, match=r"busy 6 times in a row \(429: quota 5\): try again later"):
            embedder_of()
        assert pauses == [1, 2, 4, 8, 16]

    def test_no_server_keeps_anybody_for_hours(
        self, embeddings: EmbeddingServer, embedder_of: Callable[..., Endpoint], pauses: list[float]
    ) -> None:
        embeddings.acts.append(says(429, "come back tomorrow", Retry_After="86400"))
        embedder_of()
        assert pauses == [60]

    def test_an_attempt_that_failed_and_the_pause_after_it_are_charged_to_nobody(
        self, embeddings: EmbeddingServer, embedder_of: Callable[..., Endpoint], pauses: list[float], tmp_path: Path
    ) -> None:
        embeddings.acts.extend([says(429, "", Retry_After="50")])
        embedder_of()
        assert pauses == [50]
        assert embedding_server.kept_seconds(tmp_path) == [0.0]

    def test_how_often_it_was_asked_again_is_counted_as_embedding(
        self, embeddings: EmbeddingServer, embedder_of: Callable[..., Endpoint], pauses: list[float]
    ) -> None:
        meter = Meter(stubs.StubReader())
        embedder = meter.embedder(embedder_of())
        embeddings.acts.extend([says(503, "starting"), says(503, "starting")])
        with meter.region("write") as region:
            embedder.embed(TEXTS[:1])
        assert meter.costs(region)["embed_retries"] == len(pauses) == 2

    def test_a_text_that_is_kept_is_charged_what_it_took_when_it_was_asked_for(
        self, embedder_of: Callable[..., Endpoint], tmp_path: Path
    ) -> None:
        """A second run would else embed for nothing, and the first memory of a sweep pay for all."""
        embedder_of().embed(TEXTS)
        with sqlite3.connect(tmp_path / "kept" / "vectors.sqlite") as database:
            database.execute("UPDATE vectors SET seconds = 1000")
        database.close()
        meter = Meter(stubs.StubReader())
        embedder = meter.embedder(embedder_of())
        with meter.region("write") as region:
            embedder.embed([TEXTS[0], TEXTS[1], TEXTS[0]])
        costs = meter.costs(region)
        assert costs["embed_seconds"] == pytest.approx(2000, abs=100)  # and what this process took besides
        assert costs["write_seconds"] is not None
        assert costs["write_seconds"] < 1000


def test_a_stretch_of_time_counts_as_what_is_charged_for_it() -> None:
    start = clock.now_ns()
    time.sleep(0.001)
    inner = clock.now_ns()
    clock.charge(inner, 1000.0)
    assert clock.now_ns() - inner >= 1000e9
    clock.charge(start, 0.0)
    assert clock.now_ns() - start < 1000e9

"""Vectors from a real server, over HTTP, in this process: what is asked, kept, charged, recorded, and refused."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from memory_bench import clock
from memory_bench.__main__ import main
from memory_bench.embedders import server as over_http
from memory_bench.embedders.endpoint import FIXED_TEXT, Endpoint
from memory_bench.embedders.hashing import Hashing
from memory_bench.errors import BadInput, Unavailable, Withheld
from memory_bench.meter import Meter
from tests import embedding_server, stubs
from tests.embedding_server import DIMENSIONS, EmbeddingServer, hangs_up, says

TEXTS = ["gate 17 is open", "lunch is at noon", "the pond was drained", "gate 23 is shut", "herons"]
KEY = "sk-0123456789"


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with embedding_server.running() as made:
        yield made


@pytest.fixture
def make(server: EmbeddingServer, tmp_path: Path) -> Callable[..., Endpoint]:
    """Make embedders that ask the server; some options may differ."""

    def endpoint(**options: Any) -> Endpoint:
        usual = {"url": server.url, "model": "small", "key_variable": None, "batch_size": 2, "timeout_seconds": 30.0}
        return Endpoint(**{**usual, "cache": str(tmp_path / "kept"), **options})

    return endpoint


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time that stands still but for the pauses, which are not waited for: what they were."""
    slept: list[float] = []
    monkeypatch.setattr(over_http, "time", SimpleNamespace(sleep=slept.append, perf_counter=lambda: sum(slept)))
    return slept


def inputs(server: EmbeddingServer) -> list[list[str]]:
    return [asked.body["input"] for asked in server.asked]


class TestWhatIsAsked:
    def test_texts_go_in_batches_and_vectors_come_back_in_their_order_at_unit_length(
        self, server: EmbeddingServer, make: Callable[..., Endpoint]
    ) -> None:
        embedder = make()
        vectors_XD = embedder.embed(TEXTS)
        np.testing.assert_allclose(vectors_XD, Hashing(dimensions=DIMENSIONS).embed(TEXTS), atol=1e-7)
        assert embedder.dimensions == DIMENSIONS
        assert vectors_XD.dtype == np.float32
        assert inputs(server) == [[FIXED_TEXT], TEXTS[:2], TEXTS[2:4], TEXTS[4:]]
        assert {asked.path for asked in server.asked} == {"/v1/embeddings"}
        assert [server.asked[1].body[key] for key in ("model", "encoding_format")] == ["small", "float"]
        assert server.asked[1].authorization is None

    def test_a_text_that_comes_twice_is_asked_for_once_and_one_of_white_space_never(
        self, server: EmbeddingServer, make: Callable[..., Endpoint]
    ) -> None:
        """Servers refuse an empty text, and with it all others of the request."""
        one, blank, again, tabs = make().embed(["herons", "", "herons", "\t\n"])
        assert inputs(server) == [[FIXED_TEXT], ["herons"]]
        assert_array_equal(one, again)
        assert_array_equal(blank, tabs)
        assert blank.tolist() == [1.0, *[0.0] * (DIMENSIONS - 1)]

    def test_the_key_is_sent_as_a_bearers(
        self, server: EmbeddingServer, make: Callable[..., Endpoint], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOMEBODYS_KEY", f"{KEY}\n")  # as a file that was read into a variable ends
        make(key_variable="SOMEBODYS_KEY")
        assert [asked.authorization for asked in server.asked] == [f"Bearer {KEY}"]


class TestWhatIsKept:
    def test_a_second_run_asks_nothing_and_needs_no_server(self, make: Callable[..., Endpoint]) -> None:
        with embedding_server.running() as gone:
            first = make(url=gone.url)
            vectors_XD = first.embed(TEXTS)
        again = make(url=gone.url)
        assert_array_equal(again.embed(TEXTS[::-1]), vectors_XD[::-1])
        assert again.identity() == first.identity()
        with pytest.raises(Unavailable, match="no server answers"):
            again.embed(["new"])

    def test_only_what_is_new_is_asked_for_after_one_look_at_the_server(
        self, server: EmbeddingServer, make: Callable[..., Endpoint]
    ) -> None:
        make().embed(TEXTS[:3])
        server.asked.clear()
        make().embed(TEXTS)
        assert inputs(server) == [[FIXED_TEXT], TEXTS[3:]]

    def test_what_was_answered_outlives_a_run_that_breaks_off(
        self, server: EmbeddingServer, make: Callable[..., Endpoint]
    ) -> None:
        embedder = make()
        server.acts.extend([says(200, json.dumps(server.answer({"input": TEXTS[:2], "model": ""}))), says(404, "gone")])
        with pytest.raises(BadInput, match="404: gone"):
            embedder.embed(TEXTS)
        server.asked.clear()
        embedder.embed(TEXTS)
        assert inputs(server) == [TEXTS[2:4], TEXTS[4:]]

    def test_two_models_and_two_servers_share_a_folder_and_no_vector(
        self, server: EmbeddingServer, make: Callable[..., Endpoint]
    ) -> None:
        make().embed(["herons"])
        make(model="large").embed(["herons"])
        with embedding_server.running() as other:
            make(url=other.url).embed(["herons"])
            assert inputs(other) == [[FIXED_TEXT], ["herons"]]
        assert [asked.body["model"] for asked in server.asked] == ["small", "small", "large", "large"]

    def test_vectors_of_other_weights_are_not_put_beside_those_that_are_kept(
        self, server: EmbeddingServer, make: Callable[..., Endpoint]
    ) -> None:
        make().embed(["herons"])
        right = server.answer

        def other_weights(body: dict[str, Any]) -> dict[str, Any]:
            return right({**body, "input": [f"{text}!" for text in body["input"]]})

        server.answer = other_weights  # type: ignore[method-assign]
        embedder = make()
        embedder.embed(["herons"])
        line = (
            r"makes other vectors of small than those that are kept \(cosine 0\.\d+ .*: set embedder.cache to another"
        )
        with pytest.raises(BadInput, match=line):
            embedder.embed(["new"])

    def test_vectors_of_another_dimension_are_refused(
        self, server: EmbeddingServer, make: Callable[..., Endpoint]
    ) -> None:
        make()
        server.hashing = Hashing(dimensions=16)
        line = "answers vectors of 16 dimensions, expected 64 as before: set embedder.model"
        with pytest.raises(BadInput, match=line):
            make().embed(["new"])

    def test_a_vector_that_was_altered_is_refused(self, make: Callable[..., Endpoint], tmp_path: Path) -> None:
        make().embed(["herons"])
        with sqlite3.connect(tmp_path / "kept" / "vectors.sqlite") as database:
            database.execute("UPDATE vectors SET vector = zeroblob(length(vector))")
        database.close()
        with pytest.raises(BadInput, match=r"holds a vector that was altered: set embedder.cache to another folder"):
            make()

    @pytest.mark.parametrize("spoil", ["a file of another kind", "no folder"])
    def test_a_folder_that_can_keep_nothing_is_refused_and_left_alone(
        self, spoil: str, make: Callable[..., Endpoint], tmp_path: Path
    ) -> None:
        folder = tmp_path / "kept"
        file = folder if spoil == "no folder" else folder / "vectors.sqlite"
        file.parent.mkdir(exist_ok=True)
        file.write_text("somebody's own notes " * 100)
        with pytest.raises(BadInput, match=r"vectors.sqlite cannot keep vectors \(.*\): set embedder.cache to another"):
            make()
        assert file.read_text() == "somebody's own notes " * 100


class TestABusyServer:
    def test_it_is_asked_again_when_it_says_or_after_longer_and_longer_pauses(
        self, server: EmbeddingServer, make: Callable[..., Endpoint], pauses: list[float]
    ) -> None:
        server.acts.extend([says(429, "slow down", Retry_After="7"), says(503, "starting"), hangs_up])
        embedder = make()
        assert pauses == [7, 2, 4]
        assert inputs(server) == [[FIXED_TEXT]] * 4
        assert embedder.dimensions == DIMENSIONS

    def test_six_times_in_a_row_it_is_one_line(
        self, server: EmbeddingServer, make: Callable[..., Endpoint], pauses: list[float]
    ) -> None:
        server.acts.extend([says(429, f"quota {n}") for n in range(6)])
        with pytest.raises(Unavailable, match=r"busy 6 times in a row \(429: quota 5\): try again later"):
            make()
        assert pauses == [1, 2, 4, 8, 16]

    def test_no_server_keeps_anybody_for_hours(
        self, server: EmbeddingServer, make: Callable[..., Endpoint], pauses: list[float]
    ) -> None:
        server.acts.append(says(429, "come back tomorrow", Retry_After="86400"))
        make()
        assert pauses == [60]

    def test_an_attempt_that_failed_and_the_pause_after_it_are_charged_to_nobody(
        self, server: EmbeddingServer, make: Callable[..., Endpoint], pauses: list[float], tmp_path: Path
    ) -> None:
        server.acts.extend([says(429, "", Retry_After="50")])
        make()
        assert pauses == [50]
        assert _kept_seconds(tmp_path) == [0.0]

    def test_a_text_that_is_kept_is_charged_what_it_took_when_it_was_asked_for(
        self, make: Callable[..., Endpoint], tmp_path: Path
    ) -> None:
        """A second run would else embed for nothing, and the first memory of a sweep pay for all."""
        make().embed(TEXTS)
        with sqlite3.connect(tmp_path / "kept" / "vectors.sqlite") as database:
            database.execute("UPDATE vectors SET seconds = 1000")
        database.close()
        meter = Meter(stubs.StubReader())
        embedder = meter.embedder(make())
        with meter.region("write") as region:
            embedder.embed([TEXTS[0], TEXTS[1], TEXTS[0]])
        costs = meter.costs(region)
        assert costs["embed_seconds"] == pytest.approx(2000, abs=100)  # and what this process took besides
        assert costs["write_seconds"] is not None
        assert costs["write_seconds"] < 1000


def _kept_seconds(folder: Path) -> list[float]:
    database = sqlite3.connect(folder / "kept" / "vectors.sqlite")
    seconds = [row[0] for row in database.execute("SELECT seconds FROM vectors")]
    database.close()
    return seconds


def test_a_stretch_of_time_counts_as_what_is_charged_for_it() -> None:
    start = clock.now_ns()
    time.sleep(0.001)
    inner = clock.now_ns()
    clock.charge(inner, 1000.0)
    assert clock.now_ns() - inner >= 1000e9
    clock.charge(start, 0.0)
    assert clock.now_ns() - start < 1000e9


def _vectors(*rows: object) -> str:
    return json.dumps({"data": [{"index": place, "embedding": row} for place, row in enumerate(rows)]})


NONSENSE = {
    "a page": "<html>It works!</html>",
    "nothing": "",
    "a list": "[]",
    "no data": '{"error": "unknown model"}',
    "no vector": _vectors(),
    "too many vectors": _vectors([1.0, 0.0], [0.0, 1.0]),
    "no number": _vectors([0.5, float("nan")]),
    "too large a number": '{"data": [{"index": 0, "embedding": [1e999, 1.0]}]}',
    "null": _vectors([0.5, None]),
    "a number for a vector": _vectors(0.5),
    "no numbers": _vectors([]),
    "a vector of vectors": _vectors([[0.5], [0.5]]),
    "another place": '{"data": [{"index": 1, "embedding": [0.5, 0.5]}]}',
    "base64": _vectors("AACAPwAAAAA="),
}


class TestWhatIsRefused:
    @pytest.mark.parametrize("content", NONSENSE.values(), ids=NONSENSE)
    def test_an_answer_without_vectors_is_one_line_and_kept_nowhere(
        self, content: str, server: EmbeddingServer, make: Callable[..., Endpoint], tmp_path: Path
    ) -> None:
        server.acts.append(says(200, content))
        with pytest.raises(BadInput, match=f"^{server.url}/embeddings answers .*: set embedder.url[^\n]*$"):
            make()
        assert _kept_seconds(tmp_path) == []

    def test_a_server_that_is_down_is_one_line_at_once(
        self, make: Callable[..., Endpoint], pauses: list[float]
    ) -> None:
        with embedding_server.running() as gone:
            pass
        line = f"^no server answers at {gone.url}/embeddings .*refused.*: set embedder.url to one that runs$"
        with pytest.raises(Unavailable, match=line):
            make(url=gone.url)
        assert pauses == []

    def test_a_server_that_is_slow_is_one_line(self, server: EmbeddingServer, make: Callable[..., Endpoint]) -> None:
        done = threading.Event()

        def waits(_: BaseHTTPRequestHandler) -> None:
            done.wait(60)

        server.acts.append(waits)
        try:
            with pytest.raises(Unavailable, match=r"was silent for 0.05 s: set embedder.timeout_seconds to more, or"):
                make(timeout_seconds=0.05)
        finally:
            done.set()

    @pytest.mark.parametrize(
        ("status", "line"),
        [
            (
                401,
                r"refuses the key \(401: no \(the key\) here\): set embedder.key_variable to the environment variable",
            ),
            (404, r"refuses what it is asked \(404: no \(the key\) here\): set embedder.url and embedder.model$"),
            (400, r"refuses what it is asked \(400: no \(the key\) here\)"),
            (302, r"refuses what it is asked \(302: no \(the key\) here\)"),
        ],
    )
    def test_a_refusal_is_one_line_that_shows_what_was_said_without_the_key(
        self,
        status: int,
        line: str,
        server: EmbeddingServer,
        make: Callable[..., Endpoint],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SOMEBODYS_KEY", KEY)
        server.acts.append(says(status, f"no {KEY}\n\nhere", Location=f"{server.url}/elsewhere"))
        with pytest.raises(BadInput, match=line):
            make(key_variable="SOMEBODYS_KEY")
        assert len(server.asked) == 1  # nobody was sent elsewhere with the key

    @pytest.mark.parametrize("url", ["localhost:8080", "ftp://host/v1", "http://", "http://a b/", "http://h:port/v1"])
    def test_what_is_no_address_is_refused(self, url: str, make: Callable[..., Endpoint]) -> None:
        with pytest.raises(BadInput, match=r"^embedder.url=.*: expected an address such as http://localhost:8080/v1$"):
            make(url=url)

    @pytest.mark.parametrize("url", [f"http://me:{KEY}@host/v1", f"http://host/v1?key={KEY}", f"//{KEY}@host"])
    def test_an_address_that_holds_a_secret_is_refused_and_not_shown(
        self, url: str, make: Callable[..., Endpoint]
    ) -> None:
        with pytest.raises(BadInput, match=r"^embedder.url is kept with the results") as error:
            make(url=url)
        assert KEY not in str(error.value)

    def test_a_key_that_is_not_there_or_cannot_be_sent_is_one_line_that_does_not_show_it(
        self, server: EmbeddingServer, make: Callable[..., Endpoint], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(Withheld, match=r"^embedder.key_variable names no environment variable that is set") as no:
            make(key_variable=KEY)  # somebody's slip
        monkeypatch.setenv("SOMEBODYS_KEY", f"{KEY}\nX: y")
        with pytest.raises(BadInput, match=r"holds what no header can: set it again$") as wrong:
            make(key_variable="SOMEBODYS_KEY")
        assert not any(KEY in str(error.value) for error in (no, wrong))
        assert server.asked == []

    def test_numbers_that_make_no_sense_are_refused(self, make: Callable[..., Endpoint]) -> None:
        with pytest.raises(BadInput, match=r"batch_size must be >= 1, got 0: set embedder.batch_size=32"):
            make(batch_size=0)
        with pytest.raises(BadInput, match="timeout_seconds must be > 0, got 0"):
            make(timeout_seconds=0)


class TestARun:
    def typed(self, server: EmbeddingServer, folder: Path) -> list[str]:
        stubs.register()
        return [
            *["+task=stub", "+memory=exact", "reader=stub", "embedder=endpoint", "embedder.model=small"],
            *[f"embedder.url={server.url}", "embedder.key_variable=SOMEBODYS_KEY"],
            *[f"embedder.cache={folder / 'kept'}", f"results={folder / 'results'}"],
        ]

    def test_its_record_names_the_model_by_what_can_be_known_and_holds_no_key(
        self, server: EmbeddingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOMEBODYS_KEY", KEY)
        assert main(self.typed(server, tmp_path)) == 0
        [file] = (tmp_path / "results").rglob("provenance.json")
        identity = json.loads(file.read_text())["identities"]["embedder"]
        name = f"endpoint/small, {DIMENSIONS} dimensions"
        assert list(identity) == [f"{name}/vector of a fixed text", f"{name}/weights: a server does not show them"]
        assert [value and len(value) for value in identity.values()] == [64, None]
        assert server.asked[0].authorization == f"Bearer {KEY}"
        written = [file for file in tmp_path.rglob("*") if file.is_file()]
        assert len(written) > 4
        assert not any(KEY.encode() in file.read_bytes() for file in written)

    @pytest.mark.parametrize(
        "slip",
        [
            [f"embedder.url=http://me:{KEY}@host/v1", "embedder.model=null"],
            [f"embedder.key_variable={KEY}", "embedder.batch_size=0"],
        ],
        ids=["in the address", "in place of a variable"],
    )
    def test_a_key_that_was_typed_where_it_does_not_belong_is_in_no_file_and_no_line(
        self, slip: list[str], server: EmbeddingServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A sweep goes on, and of other cells without a result it keeps a note with their options."""
        assert main(["-m", *self.typed(server, tmp_path)[:-1], *slip, f"results={tmp_path}", "seed=0"]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[1].startswith("    failed: embedder.")
        assert KEY not in lines[1]
        assert not any(KEY.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())

    def test_a_server_that_refuses_ends_it_with_one_line(
        self,
        server: EmbeddingServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("SOMEBODYS_KEY", KEY)
        server.acts.append(says(404, "no model of that name"))
        assert main(self.typed(server, tmp_path)) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"{server.url}/embeddings refuses what it is asked (404: no model of that name)")
        assert error.count("\n") == 1

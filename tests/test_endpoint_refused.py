"""What a server of embeddings is refused for, each in one line that shows no key; and a run that asks one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from memory_bench.__main__ import main
from memory_bench.embedders.endpoint import Endpoint
from memory_bench.errors import BadInput, Unavailable, Withheld
from tests import embedding_server, stubs
from tests.embedding_server import DIMENSIONS, EmbeddingServer
from tests.local_server import KEY, says


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
        self, content: str, embeddings: EmbeddingServer, embedder_of: Callable[..., Endpoint], tmp_path: Path
    ) -> None:
        embeddings.acts.append(says(200, content))
        with pytest.raises(BadInput, match=f"^{embeddings.url}/embeddings answers .*: set embedder.url[^\n]*$"):
            embedder_of()
        assert embedding_server.kept_seconds(tmp_path) == []

    def test_a_server_that_is_down_is_one_line_at_once(
        self, embedder_of: Callable[..., Endpoint], pauses: list[float]
    ) -> None:
        with embedding_server.running() as gone:
            pass
        line = f"^no server answers at {gone.url}/embeddings .*refused.*: set embedder.url to one that runs$"
        with pytest.raises(Unavailable, match=line):
            embedder_of(url=gone.url)
        assert pauses == []

    def test_a_server_that_is_slow_is_one_line(
        self, embeddings: EmbeddingServer, embedder_of: Callable[..., Endpoint]
    ) -> None:
        done = threading.Event()

        def waits(_: BaseHTTPRequestHandler) -> None:
            done.wait(60)

        embeddings.acts.append(waits)
        try:
            with pytest.raises(Unavailable, match=r"was silent for 0.05 s: set embedder.timeout_seconds to more, or"):
                embedder_of(timeout_seconds=0.05)
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
        embeddings: EmbeddingServer,
        embedder_of: Callable[..., Endpoint],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SOMEBODYS_KEY", KEY)
        embeddings.acts.append(says(status, f"no {KEY}\n\nhere", Location=f"{embeddings.url}/elsewhere"))
        with pytest.raises(BadInput, match=line):
            embedder_of(key_variable="SOMEBODYS_KEY")
        assert len(embeddings.asked) == 1  # nobody was sent elsewhere with the key

    @pytest.mark.parametrize("url", ["localhost:8080", "ftp://host/v1", "http://", "http://a b/", "http://h:port/v1"])
    def test_what_is_no_address_is_refused(self, url: str, embedder_of: Callable[..., Endpoint]) -> None:
        with pytest.raises(BadInput, match=r"^embedder.url=.*: expected an address such as http://localhost:8080/v1$"):
            embedder_of(url=url)

    @pytest.mark.parametrize("url", [f"http://me:{KEY}@host/v1", f"http://host/v1?key={KEY}", f"//{KEY}@host"])
    def test_an_address_that_holds_a_secret_is_refused_and_not_shown(
        self, url: str, embedder_of: Callable[..., Endpoint]
    ) -> None:
        with pytest.raises(BadInput, match=r"^embedder.url is kept with the results") as error:
            embedder_of(url=url)
        assert KEY not in str(error.value)

    def test_a_key_that_is_not_there_or_cannot_be_sent_is_one_line_that_does_not_show_it(
        self, embeddings: EmbeddingServer, embedder_of: Callable[..., Endpoint], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(Withheld, match=r"^embedder.key_variable names no environment variable that is set") as no:
            embedder_of(key_variable=KEY)  # somebody's slip
        monkeypatch.setenv("SOMEBODYS_KEY", f"{KEY}\nX: y")
        with pytest.raises(BadInput, match=r"holds what no header can: set it again$") as wrong:
            embedder_of(key_variable="SOMEBODYS_KEY")
        assert not any(KEY in str(error.value) for error in (no, wrong))
        assert embeddings.asked == []

    def test_numbers_that_make_no_sense_are_refused(self, embedder_of: Callable[..., Endpoint]) -> None:
        with pytest.raises(BadInput, match=r"batch_size must be >= 1, got 0: set embedder.batch_size=32"):
            embedder_of(batch_size=0)
        with pytest.raises(BadInput, match="timeout_seconds must be > 0, got 0"):
            embedder_of(timeout_seconds=0)


class TestARun:
    def typed(self, embeddings: EmbeddingServer, folder: Path) -> list[str]:
        stubs.register()
        return [
            *["+task=stub", "+memory=exact", "reader=stub", "embedder=endpoint", "embedder.model=small"],
            *[f"embedder.url={embeddings.url}", "embedder.key_variable=SOMEBODYS_KEY"],
            *[f"embedder.cache={folder / 'kept'}", f"results={folder / 'results'}"],
        ]

    def test_its_record_names_the_model_by_what_can_be_known_and_holds_no_key(
        self, embeddings: EmbeddingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOMEBODYS_KEY", KEY)
        assert main(self.typed(embeddings, tmp_path)) == 0
        [file] = (tmp_path / "results").rglob("provenance.json")
        identity = json.loads(file.read_text())["identities"]["embedder"]
        name = f"endpoint/small, {DIMENSIONS} dimensions"
        assert list(identity) == [f"{name}/vector of a fixed text", f"{name}/weights: a server does not show them"]
        assert [value and len(value) for value in identity.values()] == [64, None]
        assert embeddings.asked[0].authorization == f"Bearer {KEY}"
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
        self, slip: list[str], embeddings: EmbeddingServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A sweep goes on, and of other cells without a result it keeps a note with their options."""
        assert main(["-m", *self.typed(embeddings, tmp_path)[:-1], *slip, f"results={tmp_path}", "seed=0"]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[1].startswith("    failed: embedder.")
        assert KEY not in lines[1]
        assert not any(KEY.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())

    def test_a_server_that_refuses_ends_it_with_one_line(
        self,
        embeddings: EmbeddingServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("SOMEBODYS_KEY", KEY)
        embeddings.acts.append(says(404, "no model of that name"))
        assert main(self.typed(embeddings, tmp_path)) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"{embeddings.url}/embeddings refuses what it is asked (404: no model of that name)")
        assert error.count("\n") == 1

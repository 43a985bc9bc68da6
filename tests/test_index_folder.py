"""Indexes that stay: opened again they go on, and no index is taken for another or overwritten."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from memory_bench.contracts import Memory
from memory_bench.embedders.hashing import Hashing
from memory_bench.errors import BadInput
from memory_bench.index_folder import SEAL, STAMP
from memory_bench.types import Query
from tests import engines
from tests.engines import texts

ROOT = Path(__file__).parent.parent


def opened(name: str, folder: Path, dimensions: int = 384) -> Memory:
    return engines.build(name, f"memory.path={folder}", embedder=Hashing(dimensions=dimensions))


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Return file -> its size and when it was changed."""
    return {str(file): (file.stat().st_size, file.stat().st_mtime_ns) for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(params=engines.DURABLE)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def kept(name: str, tmp_path: Path) -> Path:
    """A folder with an index: forty events, one replaced, one forgotten."""
    memory, events = opened(name, tmp_path / "kept"), texts(40)
    memory.write(events)
    memory.write([replace(events[3], text="replaced")])
    memory.settle()
    memory.forget(["e5"])
    memory.close()
    return tmp_path / "kept"


def test_opened_again_it_answers_as_before(name: str, kept: Path, tmp_path: Path) -> None:
    again, fresh, events = opened(name, kept), opened(name, tmp_path / "other"), texts(40)
    fresh.write(events)
    fresh.write([replace(events[3], text="replaced")])
    fresh.forget(["e5"])
    fresh.settle()
    queries = [Query(event.text) for event in events] + [Query("replaced")]
    assert [again.read(query) for query in queries] == [fresh.read(query) for query in queries]
    assert len(again.read(queries[0])) == 39
    again.close()
    fresh.close()


def test_opened_again_what_is_written_counts_as_newer(name: str, kept: Path) -> None:
    again, (old, *_) = opened(name, kept), texts(40)
    again.write([replace(old, id="later", time=old.time)])
    assert [passage.event_ids for passage in again.read(Query(old.text))[:2]] == [("later",), ("e0",)]
    again.close()


def test_what_was_written_and_not_settled_is_there_too(name: str, tmp_path: Path) -> None:
    first = opened(name, tmp_path / "kept")
    first.write(texts(3))
    first.close()
    again = opened(name, tmp_path / "kept")
    assert len(again.read(Query("word1"))) == 3
    again.close()


def test_what_was_written_survives_the_kill_of_its_process(name: str, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from tests.test_index_folder import opened, texts;"
        "opened(sys.argv[1], Path(sys.argv[2])).write(texts(50)); os.kill(os.getpid(), signal.SIGKILL)"
    )
    place = tmp_path / "kept"
    done = subprocess.run([sys.executable, "-c", code, name, str(place)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    again = opened(name, place)
    assert len(again.read(Query(""))) == 50
    again.close()


def test_an_index_of_another_engine_is_refused(name: str, kept: Path) -> None:
    (other,) = set(engines.DURABLE) - {name}
    _refused(
        other, kept, rf"^{kept} holds an index of another kind \(engine '.*', not '.*'\): set memory.path to another"
    )


def test_an_index_of_another_version_is_refused(name: str, kept: Path) -> None:
    stamp = json.loads((kept / STAMP).read_text())
    stamp["engine"] = stamp["engine"].rpartition(" ")[0] + " 0.0.1"
    (kept / STAMP).write_text(json.dumps(stamp))
    _refused(name, kept, r"another kind \(engine '[a-z-]+ 0.0.1', not '[a-z-]+ 0\.\d+\.0'\)")


def test_an_index_of_another_embedders_vectors_is_refused(name: str, kept: Path) -> None:
    _refused(name, kept, r"embedder 'hashing, 384 dimensions', not 'hashing, 16 dimensions'", dimensions=16)


@pytest.mark.parametrize("broken", ["{", "[]", None])
def test_a_folder_of_something_else_is_refused(name: str, tmp_path: Path, broken: str | None) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    if broken is not None:
        (tmp_path / STAMP).write_text(broken)
    _refused(
        name, tmp_path, r"is not empty and holds no index \(memory_bench.json is missing or broken\): set memory.path"
    )


def test_a_path_that_can_be_no_folder_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    _refused(name, tmp_path / "file", r"cannot be an index folder \(File exists\): set memory.path to a folder")
    _refused(
        name, tmp_path / "no" / "parent", r"cannot be an index folder \(No such file or directory\): set memory.path"
    )


@pytest.mark.parametrize("how", ["a bit", "cut", "gone"])
def test_a_damaged_index_is_refused(name: str, kept: Path, how: str) -> None:
    """Both engines answer over most of it without a word."""
    file = max((kept / "index").rglob("*"), key=lambda file: file.stat().st_size if file.is_file() else 0)
    held = bytearray(file.read_bytes())
    held[len(held) // 2] ^= 1
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes(held if how == "a bit" else held[: len(held) // 2])
    _refused(
        name, kept, rf"^{kept} is damaged: 1 of its files are not as they were .*{file.name} first. Set memory.path"
    )


def test_what_is_left_of_an_index_can_be_opened_without_its_seal(name: str, kept: Path) -> None:
    (kept / SEAL).write_text("{")
    _refused(name, kept, rf"is damaged: .* or delete {kept / SEAL} to open what is left")
    (kept / SEAL).unlink()
    again = opened(name, kept)
    assert len(again.read(Query("word1"))) == 39
    assert not (kept / SEAL).exists()
    again.close()
    assert (kept / SEAL).exists()


def _refused(name: str, folder: Path, line: str, *, dimensions: int = 384) -> None:
    """Refused in one line, and nothing is changed."""
    place = folder if folder.is_dir() else folder.parent
    before = contents(place)
    with pytest.raises(BadInput, match=line) as refusal:
        opened(name, folder, dimensions)
    assert "\n" not in str(refusal.value)
    assert contents(place) == before


def test_an_index_in_use_is_refused_until_it_is_let_go(name: str, tmp_path: Path) -> None:
    """LanceDB lets several processes write a table, and merges two rows an id; Qdrant Edge has a lock of its own."""
    path = tmp_path / "kept"
    first = opened(name, path)
    for _ in range(2):  # one that was refused has let go of it
        with pytest.raises(BadInput, match=r"kept/index has a writer already, in this process or another: close that"):
            opened(name, path)
    first.close()
    opened(name, path).close()


def test_a_temporary_folder_goes_with_its_memory(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    memory = engines.build(name, embedder=Hashing(dimensions=384))
    memory.write(texts(3))
    assert len(list(tmp_path.iterdir())) == 1
    memory.close()
    assert list(tmp_path.iterdir()) == []

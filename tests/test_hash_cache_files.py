"""The file of a hash cache: one writer, many readers in other processes, and files that are not what they should be."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.hash_cache import Bounds
from adapters.hash_cache.files import VERSION
from adapters.hash_cache.keys import Keys
from memory_bench.errors import BadInput
from memory_bench.types import Event, Query
from tests.caches import SECRET, Clock, cache, found

ROOT = Path(__file__).parent.parent
# A process that holds a cache does what it is told, line by line, and answers each with a line.
SERVANT = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from memory_bench.errors import BadInput
from memory_bench.types import Event
from tests.caches import cache, found
try:
    memory = cache(Path(sys.argv[1]), read_only=sys.argv[2] == "reader")
    print("open", flush=True)
    for line in sys.stdin:
        verb, _, text = line.rstrip("\\n").partition(" ")
        if verb == "read":
            print(",".join(found(memory, text)), flush=True)
        if verb == "write":
            memory.write([Event(text, f"the vault word is {{text}}")])
            print("written", flush=True)
        if verb == "again":
            for number in range(int(text)):
                memory.write([Event("a", f"the vault word is {{number}}")])
            print("done", flush=True)
except BadInput as error:
    print(error, flush=True)
"""


class Servant:
    """Another process with the same cache."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def asked(self, line: str) -> str:
        self.send(line)
        return self.answer()

    def send(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")


@contextmanager
def servant(path: Path, role: str) -> Iterator[Servant]:
    command = [sys.executable, "-c", SERVANT, str(path), role]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Servant(process)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache.db"


def test_many_readers_see_what_one_writer_does(path: Path) -> None:
    with closing(cache(path)) as memory:
        memory.write([Event("a", SECRET)])
        with servant(path, "reader") as one, servant(path, "reader") as other:
            for reader in (one, other):
                assert reader.answer() == "open"
                assert reader.asked(f"read {SECRET}") == "a"
            memory.write([Event("b", SECRET), Event("c", "nothing of the kind")])
            memory.forget(["a"])  # which empties the log, with readers around
            for reader in (one, other):
                assert reader.asked(f"read {SECRET}") == "b"
            refused = one.asked("write d")
            assert refused == (f"{path} was opened with read_only=True: write, forget and reset need read_only=False")
        assert found(memory, "the vault word is d") == ["b"]


def test_a_reader_never_sees_half_a_write(path: Path) -> None:
    """An id that is written again is one event at every moment."""
    with closing(cache(path)) as memory:
        memory.write([Event("a", "the vault word is lost"), Event("b", "no such thing")])
    with servant(path, "writer") as writer, closing(cache(path, read_only=True)) as reader:
        assert writer.answer() == "open"
        writer.send("again 150")
        seen = [reader.read(Query("the vault word")) for _ in range(150)]
        assert writer.answer() == "done"
        assert {len(passages) for passages in seen} == {1}
        assert reader.read(Query("the vault word"))[0].text == "the vault word is 149"


def test_there_is_one_writer_until_it_is_closed_or_killed(path: Path) -> None:
    with servant(path, "writer") as writer:
        assert (writer.answer(), writer.asked("write a")) == ("open", "written")
        with pytest.raises(BadInput, match=r"cache.db has a writer already, in this process or another: close that"):
            cache(path)
        assert writer.asked("write b") == "written"
        os.kill(writer.process.pid, signal.SIGKILL)
        writer.process.wait()
        with closing(cache(path)) as memory:
            assert found(memory, "the vault word is") == ["b", "a"]
            with pytest.raises(BadInput, match="has a writer already"):
                cache(path)
            with closing(cache(path, read_only=True)) as reader:
                assert found(reader, "the vault word is") == ["b", "a"]


def test_a_disk_without_room_keeps_what_was_written(path: Path) -> None:
    """A process that may write no file above 400 kB; it goes on, and says which events were acknowledged."""
    script = f"""
import resource, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from memory_bench.errors import BadInput
from memory_bench.types import Event
from tests.caches import cache
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
memory, written = cache(Path({str(path)!r})), 0
try:
    while True:
        memory.write([Event(str(written), "the vault word is " + "x" * 2_000)])
        written += 1
except BadInput as error:
    print(written, error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    written, _, error = done.stdout.partition(" ")
    assert error.startswith(f"{path} cannot be written (")
    assert error.rstrip().endswith("; what was acknowledged is kept: make room, or set memory.path to another file")
    with closing(cache(path)) as memory:
        assert len(found(memory, "the vault word")) == int(written) >= 5


def test_a_reader_makes_no_file_and_needs_one(path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be opened"):
        cache(path, read_only=True)
    with pytest.raises(BadInput, match="path is null: name that file"):
        cache(read_only=True)
    assert list(path.parent.iterdir()) == []
    path.touch()
    with pytest.raises(BadInput, match="nothing was ever written to it"):
        cache(path, read_only=True)


def test_a_database_of_another_program_is_left_as_it_is(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE event (number INTEGER)")
    before = path.read_bytes()
    with pytest.raises(BadInput, match="it is a database of another program"):
        cache(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_file_of_a_newer_version_is_left_as_it_is(path: Path) -> None:
    cache(path).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(BadInput, match=rf"it is of version {VERSION + 1}, this one reads and writes version {VERSION}"):
        cache(path)
    assert path.read_bytes() == before


def test_code_keys_are_other_keys(path: Path) -> None:
    cache(path, code_keys=True).close()
    with pytest.raises(BadInput, match=r"its keys are 'words.*, code 1', not 'words.*2\.\.5'"):
        cache(path)


def test_a_letter_that_changed_on_the_disk_is_noticed(path: Path) -> None:
    with closing(cache(path)) as memory:
        memory.write([Event("a", SECRET), Event("b", "another matter altogether")])
    path.write_bytes(path.read_bytes().replace(b"xylograph", b"xylogrbph"))
    with closing(cache(path)) as memory:
        with pytest.raises(BadInput, match=r"cache.db is damaged: event 'a' is not what was written; remove the file"):
            memory.read(Query(SECRET))
        assert found(memory, "another matter") == ["b"]


@pytest.mark.parametrize("place", [0, 1], ids=["key", "its index"])
def test_a_key_that_changed_on_the_disk_is_noticed(path: Path, place: int) -> None:
    with closing(cache(path)) as memory:
        memory.write([Event("a", SECRET)])
    key = Keys(min_order=2, max_order=5).by_order("vault word")[2][0].to_bytes(8, "big")
    parts = path.read_bytes().split(key)
    assert len(parts) == 3  # by key, and by event
    parts[place] += key[:-1] + bytes([key[-1] ^ 1])
    path.write_bytes(parts[0] + parts[1] + key + parts[2] if place == 0 else parts[0] + key + parts[1] + parts[2])
    with pytest.raises(BadInput, match=r"is not a hash cache of this kind \(it is damaged: "):
        cache(path)


def test_a_file_that_was_cut_is_refused(path: Path) -> None:
    with closing(cache(path)) as memory:
        memory.write([Event(str(number), f"the vault word is number {number}") for number in range(200)])
    whole = path.read_bytes()
    for share in (0.9, 0.5, 0.1):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(BadInput, match=r"is not a hash cache of this kind \(.*malformed|damaged"):
            cache(path)
        assert len(path.read_bytes()) == int(len(whole) * share)


def test_a_place_that_cannot_be_written_is_named(path: Path) -> None:
    """The lock cannot be made where a folder has its name."""
    (path.parent / "cache.db.writer").mkdir()
    with pytest.raises(BadInput, match=r"cache.db cannot be written \(unable to open database file\): set memory.path"):
        cache(path)


def test_what_is_odd_comes_back_from_the_file_as_it_was_told(path: Path) -> None:
    texts = [
        "a NUL \0 within words",
        "ends in a blank line\n\n",
        "accents é and 漢字 and 🦉 words",
        "  blanks around words  ",
    ]
    told = [Event(f"{number}", text, scope=text, time=number) for number, text in enumerate(texts)]
    with closing(cache(path)) as memory:
        memory.write([*told, Event("minus", "two words", time=-0.0), Event("nan", "two words", time=float("nan"))])
    with closing(cache(path)) as memory:
        for event in told:
            assert [hit.event for hit in memory.explain(Query(event.text, scope=event.scope))] == [event]
        assert found(memory, "two words") == ["minus", "nan"]


def test_a_reader_does_not_return_what_has_expired(path: Path) -> None:
    """It cannot take it out of the file; it goes by the writer's bounds and its own clock."""
    clock, later = Clock(), Clock()
    bounds = Bounds(ttl_seconds=60, max_events=None, max_bytes=None, clock=clock)
    with closing(cache(path, bounds=bounds)) as memory:
        memory.write([Event("a", SECRET)])
        with closing(cache(path, bounds=replace(bounds, ttl_seconds=None, clock=later), read_only=True)) as reader:
            later.now = 59
            assert found(reader, SECRET) == ["a"]
            later.now = 60
            assert found(reader, SECRET) == []

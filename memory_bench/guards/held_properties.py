"""What a memory does with what it holds: its bytes, its files, and two that write at once."""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from memory_bench.errors import BadInput
from memory_bench.guards.promise import Property, expect, knows, knows_not, needs, passages_of
from memory_bench.guards.subject import CODE, FACT, NEW_CODE, NEW_FACT, OTHERS, QUESTION, Attached, Subject
from memory_bench.types import Event

WRITES = 5  # of each of two threads
KEPT_BESIDE = 100  # of so many events one is forgotten: what only goes once much is gone is still there
SECRET = Event("wjqzk", f"The wjqzk of gate 17 is {CODE}.", time=6.0)


def two_that_write_at_once_lose_nothing(subject: Subject) -> None:
    """Two threads that write at once lose nothing and hold no id twice; or one of them is refused in a line

    Threads of one process: two processes on one path are `a_second_one_on_its_path_is_refused_or_loses_nothing`.
    """
    needs(subject, "finds")
    one = subject.make()
    one.tell(FACT)
    passages_of(one)  # what works inside the model would learn everything twice, and return nothing
    one.memory.reset()
    refused: list[BadInput] = []
    written = set(_at_once(lambda thread: _write(one, thread, refused)))
    expect(len(refused) < 2, f"both threads were refused: {', '.join(map(str, refused))}")
    one.memory.settle()
    found = Counter(event_id for passage in one.read(_ALL) for event_id in passage.event_ids)
    lost, twice = sorted(written - found.keys()), [event_id for event_id, times in found.items() if times > 1]
    expect(not lost and not twice, f"of {len(written)} events {lost} are lost, {twice} come twice")


def a_second_one_on_its_path_is_refused_or_loses_nothing(subject: Subject) -> None:
    """Opened on a path that another one writes it is refused in one line, or both write and nothing is lost"""
    needs(subject, "durable")
    with _path() as path:
        first = subject.make(path)
        first.tell(FACT)
        written = [FACT, OTHERS[0]]
        try:
            second = subject.make(path)
        except BadInput:
            first.tell(OTHERS[0])
        else:
            for one, event in ((first, OTHERS[0]), (second, OTHERS[1])):
                one.tell(event)
            written.append(OTHERS[1])
            subject.close(second)
        subject.close(first)
        again = subject.make(path)
        for event in written:
            found = [p for p in again.read(replace(QUESTION, text=event.text)) if event.id in p.event_ids]
            expect(len(found) == 1, f"{event.id} was written, and comes {len(found)} times after reopening")
        subject.close(again)


def what_was_forgotten_stands_in_no_file(subject: Subject) -> None:
    """After forget and settle no file holds a text or an id that was forgotten, also once it is closed"""
    needs(subject, "erases")
    with _path() as path:
        folder = Path(path.partition("=")[2]).parent
        one = subject.make(path)
        one.tell(SECRET, *(Event(f"{n}", f"Locker {n} holds the coat of guest {n * n}.") for n in range(KEPT_BESIDE)))
        expect(bool(_holding(folder)), "no file holds its text before: that none holds it afterwards shows nothing")
        one.memory.forget([SECRET.id])
        one.memory.settle()
        expect(not _holding(folder), f"after forget and settle it stands in {', '.join(_holding(folder))}")
        subject.close(one)
        expect(not _holding(folder), f"after it was closed it stands in {', '.join(_holding(folder))}")


def what_is_kept_is_found_after_reopening(subject: Subject) -> None:
    """Opened again it finds what was written, and nothing of what was replaced or forgotten"""
    needs(subject, "durable")
    with _path() as path:
        first = subject.make(path)
        first.tell(FACT, *OTHERS)
        first.tell(NEW_FACT)
        first.memory.forget([OTHERS[1].id])
        subject.close(first)
        again = subject.make(path)
        knows(subject, again, NEW_CODE, "after reopening")
        knows_not(again, CODE, "replaced before it was closed")
        ghosts = [passage for passage in again.read() if OTHERS[1].id in passage.event_ids]
        expect(not ghosts, f"forgotten before it was closed, and back: {ghosts}")
        again.memory.settle()  # which may index anew, from what the files hold
        knows(subject, again, NEW_CODE, "after reopening and a settle")
        back = [passage for passage in again.read() if OTHERS[1].id in passage.event_ids or CODE in passage.text]
        expect(not back, f"gone before it was closed, and back after a settle: {back}")
        subject.close(again)


def its_size_grows_with_what_it_holds(subject: Subject) -> None:
    """Its size does not shrink as it is told things, and is after a reset what it was"""
    one = subject.make()
    empty = one.memory.size_bytes()
    one.tell(FACT, *OTHERS)
    full = one.memory.size_bytes()
    one.memory.reset()
    again = one.memory.size_bytes()
    expect(0 <= empty <= full, f"{empty} bytes empty, {full} with 4 events")
    expect(again == empty, f"{empty} bytes empty, {again} after a reset")


HELD: tuple[Property, ...] = (
    what_is_kept_is_found_after_reopening,
    what_was_forgotten_stands_in_no_file,
    two_that_write_at_once_lose_nothing,
    a_second_one_on_its_path_is_refused_or_loses_nothing,
    its_size_grows_with_what_it_holds,
)

_ALL = replace(QUESTION, budget_tokens=10**7)


@contextmanager
def _path() -> Iterator[str]:
    """Give an override that names a path in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        yield f"memory.path={Path(folder) / 'kept'}"


def _holding(folder: Path) -> list[str]:
    """Return the files that hold a word of the secret's text, which is its id too."""
    word = SECRET.id.encode()
    return [file.name for file in sorted(folder.rglob("*")) if file.is_file() and word in file.read_bytes()]


def _write(one: Attached, thread: int, refused: list[BadInput]) -> list[str]:
    """Write events of this thread's own and events that the other one writes too; return those acknowledged."""
    written = []
    for number in range(WRITES):
        ids = [f"{thread}-{number}", f"both-{number}"]
        try:
            one.memory.write([Event(event_id, f"The access code of gate 17 is {thread}{event_id}") for event_id in ids])
        except BadInput as error:
            refused.append(error)
            break
        written += ids
    return written


def _at_once(act: Callable[[int], list[str]]) -> list[str]:
    """Return all that two threads return that begin together. Raises what one of them raised."""
    start, ends, raised = threading.Barrier(2), list[str](), list[Exception]()

    def run(thread: int) -> None:
        start.wait()
        try:
            ends.extend(act(thread))
        except Exception as error:
            raised.append(error)

    # they end with the process: one that hangs is not waited for
    threads = [threading.Thread(target=run, args=(thread,), daemon=True) for thread in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]
    return ends

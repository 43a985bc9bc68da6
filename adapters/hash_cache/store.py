"""Where keys lead: SQLite holds the events and their keys, an LRU in RAM answers the keys that were asked last."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from cachetools import LRUCache

from adapters.hash_cache import files
from adapters.hash_cache.bounds import UNBOUNDED, Bounds, Lives
from memory_bench.errors import BadInput
from memory_bench.types import Event

_NUMBER_BYTES = 8
_POSTINGS = "SELECT key, event FROM gram WHERE key IN (SELECT value FROM json_each(?)) ORDER BY key, event"
# The order of memory_bench.events: by time, then by writing; events without a time are the oldest.
_NEWEST_FIRST = """
SELECT number, id, text, scope, time FROM event WHERE number IN (SELECT value FROM json_each(?))
ORDER BY time IS NULL, time DESC, number DESC
"""
_DELETE = "DELETE FROM event WHERE number = ?"


@dataclass
class Statistics:
    """What a hash cache did since it was opened; `events` is what it holds now, over all processes.

    Of the keys that were `asked`, the front answered `from_front` and SQLite the others; `found` led to an event.
    `expired` and `crowded_out` are events that went by themselves.
    """

    events: int = 0
    asked: int = 0
    from_front: int = 0
    found: int = 0
    expired: int = 0
    crowded_out: int = 0


class Store:
    """Events by id and by key. `path` None holds everything in RAM; with `read_only` another process may write."""

    def __init__(
        self, *, path: str | None, key_version: str, front_entries: int, bounds: Bounds | None, read_only: bool
    ) -> None:
        if front_entries < 1:
            raise BadInput(f"front_entries must be >= 1, got {front_entries}: set memory.front_entries=4096")
        if read_only and path is None:
            raise BadInput("read_only is about a file that another process writes, and path is null: name that file")
        self._front: LRUCache[int, list[int]] = LRUCache(front_entries)
        self._alone = threading.RLock()  # threads share one connection, and a transaction is of one of them
        self._read_only = read_only
        if path is None:
            self._db, self._lock = files.in_memory(lives=bounds is not None), None
        else:
            self._db, self._lock = files.opened(path, key_version=key_version, read_only=read_only)
        self._name = path or "the hash cache"
        # what is in RAM and without bounds needs neither times nor checksums
        has_lives = path is not None or bounds is not None
        self._lives = Lives(self._db, bounds or UNBOUNDED, name=self._name) if has_lives else None
        self._held: int | None = None  # counted again after a change
        self._data_version = -1
        self._counts = Statistics()

    def __len__(self) -> int:
        if self._held is None:
            self._held = self._number("SELECT count(*) FROM event")
        return self._held

    def put(self, entries: Iterable[tuple[Event, Collection[int]]]) -> None:
        """Hold events under their keys, in one transaction; an id already held is replaced."""
        with self._writing():
            for event, keys in entries:
                self._db.execute("DELETE FROM event WHERE id = ?", (event.id,))
                row = (event.id, event.text, event.scope, event.time)
                number = self._db.execute(
                    "INSERT INTO event (id, text, scope, time) VALUES (?, ?, ?, ?)", row
                ).lastrowid
                self._db.executemany("INSERT INTO gram VALUES (?, ?)", ((key, number) for key in keys))
                if self._lives and number is not None:
                    self._lives.begin(number, event, keys)
            self._keep_bounds()

    def drop(self, event_ids: Iterable[str]) -> None:
        """Afterwards no file holds the text of these events."""
        with self._writing():
            self._db.executemany("DELETE FROM event WHERE id = ?", ((event_id,) for event_id in event_ids))
        self._empty_log()

    def clear(self) -> None:
        with self._writing():
            self._db.execute("DELETE FROM event")
        self._empty_log()

    def flush(self) -> None:
        """Let go what is over, and move the log into the database: from here on a power cut loses nothing."""
        if self._lives:
            with self._writing():
                self._keep_bounds()
        self._empty_log()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """All that is read inside is of one moment, whatever another thread or process writes meanwhile."""
        with self._alone:
            if not self._read_only:
                yield  # there is one process that writes, and this is it
                return
            self._db.execute("BEGIN")
            try:
                if (version := self._number("PRAGMA data_version")) != self._data_version:
                    self._data_version = version
                    self._changed()
                yield
            finally:
                self._db.rollback()

    def find(self, keys: Sequence[int]) -> Mapping[int, list[int]]:
        """Return key -> numbers of the events that hold it, in the order of `keys`."""
        front = self._front
        found = {key: front[key] for key in keys if key in front}
        self._counts.from_front += len(found)
        if len(found) < len(keys):
            asked: dict[int, list[int]] = {key: [] for key in keys if key not in found}
            for key, number in self._db.execute(_POSTINGS, (json.dumps(list(asked)),)):
                asked[key].append(number)
            front.update(asked)
            found = {key: found[key] if key in found else asked[key] for key in keys}
        self._counts.asked += len(found)
        self._counts.found += sum(map(bool, found.values()))
        return found

    def newest_first(self, numbers: Iterable[int]) -> dict[int, Event]:
        """Return number -> event, the newest first; without what has expired.

        Raises BadInput where a text is not the one that was written.
        """
        rows = self._db.execute(_NEWEST_FIRST, (json.dumps(list(numbers)),))
        found = {number: Event(*fields) for number, *fields in rows}
        return self._lives.living(found) if self._lives else found

    def use(self, event_ids: Iterable[str]) -> None:
        """Note which events were returned, the least useful first: those stay the longest."""
        if self._lives and not self._read_only:
            self._lives.use(event_ids)

    def statistics(self) -> Statistics:
        with self.reading():
            return replace(self._counts, events=len(self))

    def size_bytes(self) -> int:
        """The database's pages, indexes included, and the numbers that the LRU holds."""
        pages = self._number("PRAGMA page_count") * self._number("PRAGMA page_size")
        return pages + _NUMBER_BYTES * sum(1 + len(numbers) for numbers in self._front.values())

    def close(self) -> None:
        """Keep what was used, close the database, and let another writer in."""
        try:
            if self._lives and not self._read_only:
                with self._writing():
                    self._lives.write_used()
        finally:
            self._db.close()
            if self._lock is not None:
                self._lock.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction: all of it or nothing."""
        if self._read_only:
            raise BadInput(f"{self._name} was opened with read_only=True: write, forget and reset need read_only=False")
        with self._alone:
            try:
                with self._clear(), self._db:
                    yield
            finally:
                self._changed()

    @contextmanager
    def _clear(self) -> Iterator[None]:
        """What the disk refuses is the user's to mend."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise BadInput(
                f"{self._name} cannot be written ({error}); what was acknowledged is kept: make room, or set "
                "memory.path to another file"
            ) from error

    def _keep_bounds(self) -> None:
        if self._lives is None:
            return
        self._lives.write_used()
        expired = self._lives.expired()
        self._db.executemany(_DELETE, ((number,) for number in expired))
        crowded_out = self._lives.crowded_out()  # after the others are gone
        self._db.executemany(_DELETE, ((number,) for number in crowded_out))
        self._counts.expired += len(expired)
        self._counts.crowded_out += len(crowded_out)

    def _empty_log(self) -> None:
        with self._alone, self._clear():
            busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("another process reads this hash cache: its log cannot be emptied")

    def _changed(self) -> None:
        self._front.clear()
        self._held = None

    def _number(self, statement: str) -> int:
        return int(self._db.execute(statement).fetchone()[0])

"""Where keys lead: SQLite holds the events and their keys, an LRU in RAM answers the keys that were asked last."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence

from cachetools import LRUCache

from memory_bench.errors import BadInput
from memory_bench.types import Event

_NUMBER_BYTES = 8
_PRAGMAS = """
PRAGMA auto_vacuum = FULL;     -- pages that hold nothing are given back: the size is what is held now
PRAGMA secure_delete = ON;     -- what is deleted is overwritten
PRAGMA foreign_keys = ON;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;   -- a killed process loses no written event; a power cut may lose what was not settled
"""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS format (keys TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS event (
    number INTEGER PRIMARY KEY,  -- grows with the order of writing
    id TEXT NOT NULL UNIQUE, text TEXT NOT NULL, scope TEXT NOT NULL, time REAL
);
CREATE TABLE IF NOT EXISTS gram (
    key INTEGER NOT NULL, event INTEGER NOT NULL REFERENCES event ON DELETE CASCADE, PRIMARY KEY (key, event)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS gram_of_event ON gram (event);
"""
_POSTINGS = "SELECT key, event FROM gram WHERE key IN (SELECT value FROM json_each(?)) ORDER BY key, event"
# The order of memory_bench.events: by time, then by writing; events without a time are the oldest.
_NEWEST_FIRST = """
SELECT number, id, text, scope, time FROM event WHERE number IN (SELECT value FROM json_each(?))
ORDER BY time IS NULL, time DESC, number DESC
"""


class Store:
    """Events by id and by key. `path` None holds everything in RAM."""

    def __init__(self, *, path: str | None, key_version: str, front_entries: int) -> None:
        if front_entries < 1:
            raise BadInput(f"front_entries must be >= 1, got {front_entries}: set memory.front_entries=4096")
        self._front: LRUCache[int, list[int]] = LRUCache(front_entries)
        self._db = _opened(path, key_version)

    def __len__(self) -> int:
        return self._number("SELECT count(*) FROM event")

    def put(self, entries: Iterable[tuple[Event, Collection[int]]]) -> None:
        """Hold events under their keys, in one transaction; an id already held is replaced."""
        with self._db:
            for event, keys in entries:
                self._db.execute("DELETE FROM event WHERE id = ?", (event.id,))
                row = (event.id, event.text, event.scope, event.time)
                number = self._db.execute(
                    "INSERT INTO event (id, text, scope, time) VALUES (?, ?, ?, ?)", row
                ).lastrowid
                self._db.executemany("INSERT INTO gram VALUES (?, ?)", ((key, number) for key in keys))
        self._front.clear()

    def drop(self, event_ids: Iterable[str]) -> None:
        """Afterwards no file holds the text of these events."""
        with self._db:
            self._db.executemany("DELETE FROM event WHERE id = ?", ((event_id,) for event_id in event_ids))
        self._scrub()

    def clear(self) -> None:
        with self._db:
            self._db.execute("DELETE FROM event")
        self._scrub()

    def flush(self) -> None:
        """Move the log into the database: from here on a power cut loses nothing."""
        busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("another process reads this hash cache: its log cannot be emptied")

    def find(self, keys: Sequence[int]) -> Mapping[int, list[int]]:
        """Return key -> numbers of the events that hold it, in the order of `keys`."""
        known = {key: self._front[key] for key in keys if key in self._front}
        asked: dict[int, list[int]] = {key: [] for key in keys if key not in known}
        for key, number in self._db.execute(_POSTINGS, (json.dumps(list(asked)),)) if asked else ():
            asked[key].append(number)
        self._front.update(asked)
        return {key: known[key] if key in known else asked[key] for key in keys}

    def newest_first(self, numbers: Iterable[int]) -> dict[int, Event]:
        """Return number -> event, the newest first."""
        rows = self._db.execute(_NEWEST_FIRST, (json.dumps(list(numbers)),))
        return {number: Event(*fields) for number, *fields in rows}

    def size_bytes(self) -> int:
        """The database's pages, indexes included, and the numbers that the LRU holds."""
        pages = self._number("PRAGMA page_count") * self._number("PRAGMA page_size")
        return pages + _NUMBER_BYTES * sum(1 + len(numbers) for numbers in self._front.values())

    def close(self) -> None:
        self._db.close()

    def _scrub(self) -> None:
        self._front.clear()
        self.flush()  # the log still has what the database no longer has

    def _number(self, statement: str) -> int:
        return int(self._db.execute(statement).fetchone()[0])


def _opened(path: str | None, key_version: str) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(path or ":memory:", timeout=1)
    except sqlite3.OperationalError as error:
        raise BadInput(
            f"{path} cannot be opened ({error}): set memory.path to a file in a folder that exists"
        ) from error
    try:
        db.executescript(_PRAGMAS + _SCHEMA)
        _check_format(db, key_version)
    except (sqlite3.DatabaseError, BadInput) as error:
        db.close()
        raise BadInput(f"{path} is not a hash cache of this kind ({error}): set memory.path to another file") from error
    return db


def _check_format(db: sqlite3.Connection, key_version: str) -> None:
    """Keys of other words or orders would be looked up without an error, and never be found."""
    with db:
        db.execute("INSERT INTO format SELECT ? WHERE NOT EXISTS (SELECT * FROM format)", (key_version,))
    (held,) = db.execute("SELECT keys FROM format").fetchone()
    if held != key_version:
        raise BadInput(f"its keys are {held!r}, not {key_version!r}")

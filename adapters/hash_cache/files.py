"""The file of a hash cache: looked at before anything is written, opened for one writer or for many readers.

PATH             the database; PATH-wal and PATH-shm are SQLite's own and go when the last process closes it
PATH.writer      empty, and locked as long as a process writes: the system lets go of it, however that process ends
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from adapters.hash_cache import bounds
from memory_bench import writer_lock
from memory_bench.errors import BadInput

APPLICATION = 0x6D624843  # in SQLite's header: whose file this is
VERSION = 1
_WAIT_SECONDS = 1
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


def in_memory(*, lives: bool) -> sqlite3.Connection:
    """Return an empty database in RAM; `lives`: with what bounds need, which takes pages of its own."""
    db = sqlite3.connect(":memory:", check_same_thread=False)
    db.executescript(_PRAGMAS + _SCHEMA + (bounds.SCHEMA if lives else ""))
    return db


def opened(path: str, *, key_version: str, read_only: bool) -> tuple[sqlite3.Connection, sqlite3.Connection | None]:
    """Return the database of a file, and the lock of its writer: None for a reader.

    Raises BadInput where the file is no hash cache of these keys, is damaged, or has a writer already; it is left as
    it is then.
    """
    try:
        # a reader may not make the file, and a path may hold what means something in an address
        address = f"{Path(path).absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        db = sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS, check_same_thread=False)
    except sqlite3.OperationalError as error:
        raise BadInput(
            f"{path} cannot be opened ({error}): set memory.path to a file in a folder that exists"
        ) from error
    lock = None
    try:
        _check(db, path, key_version, writes=not read_only)
        if not read_only:
            lock = writer_lock.locked(path, hint=", or only read it, with HashCache(read_only=True)")
            _make(db, path, key_version)
    except BaseException:
        db.close()
        if lock is not None:
            lock.close()
        raise
    return db, lock


def _check(db: sqlite3.Connection, path: str, key_version: str, *, writes: bool) -> None:
    try:
        wrong = _wrong(db, key_version, writes)
    except sqlite3.OperationalError as error:
        raise BadInput(
            f"{path} cannot be opened ({error}): set memory.path to a file in a folder that may be written"
        ) from error
    except sqlite3.DatabaseError as error:
        wrong = str(error)
    if wrong:
        raise BadInput(f"{path} is not a hash cache of this kind ({wrong}): set memory.path to another file")


def _wrong(db: sqlite3.Connection, key_version: str, writes: bool) -> str | None:
    """Return why a file cannot be used. Reads only."""
    if not _number(db, "SELECT count(*) FROM sqlite_schema"):
        return None if writes else "nothing was ever written to it"
    if _number(db, "PRAGMA application_id") != APPLICATION:
        return "it is a database of another program"
    if (version := _number(db, "PRAGMA user_version")) != VERSION:
        return f"it is of version {version}, this one reads and writes version {VERSION}"
    # keys of other words or orders would be looked up without an error, and never be found
    (held,) = db.execute("SELECT keys FROM format").fetchone()
    if held != key_version:
        return f"its keys are {held!r}, not {key_version!r}"
    # a key that has changed would never be found either; a reader that looked for one would keep the writer waiting
    (damage,) = db.execute(f"PRAGMA {'integrity' if writes else 'quick'}_check(1)").fetchone()
    return None if damage == "ok" else f"it is damaged: {' '.join(damage.split())}"


def _make(db: sqlite3.Connection, path: str, key_version: str) -> None:
    try:
        db.executescript(_PRAGMAS)
        if _number(db, "SELECT count(*) FROM sqlite_schema"):
            return
        # all at once: a process that is killed here leaves an empty file or a whole cache
        db.executescript(
            f"BEGIN; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"
            f"{_SCHEMA}{bounds.SCHEMA}INSERT INTO format VALUES ('{key_version}'); COMMIT;"
        )
    except sqlite3.OperationalError as error:
        raise BadInput(f"{path} cannot be written ({error}): set memory.path to a file that can") from error


def _number(db: sqlite3.Connection, statement: str) -> int:
    return int(db.execute(statement).fetchone()[0])

"""A file of what was paid for once: one table of SQLite, which any number of processes may use."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memory_bench.errors import BadInput


@contextmanager
def opened(file: Path, table: str, *, what: str, option: str) -> Iterator[sqlite3.Connection]:
    """Open the file with its `table`, as SQL declares it, for one look or one change; make it where it is not there.

    Raises BadInput where it cannot keep `what` it is meant to: the user has `option` to put it elsewhere.
    """
    # anew each time: there is nobody who would close it, and what is looked up is not what is timed
    database = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(file, timeout=60)
        with database:
            database.execute(f"CREATE TABLE IF NOT EXISTS {table}")
            yield database
    except (OSError, sqlite3.Error) as error:
        raise BadInput(f"{file} cannot keep {what} ({error}): set {option} to another folder") from error
    finally:
        if database is not None:
            database.close()

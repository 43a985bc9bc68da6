"""One writer a path: others are refused in a line, as long as its process lives and has not let go."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from memory_bench.errors import BadInput


def locked(path: str | Path, *, hint: str = "") -> sqlite3.Connection:
    """Return what keeps all other writers of a path away until it is closed; `hint` is what else one could do.

    It is an empty file beside the path, PATH.writer, that SQLite locks: the system lets go of it, however the process
    ends. Raises BadInput where there is a writer already, and where the file cannot be made.
    """
    lock = None
    try:
        lock = sqlite3.connect(f"{path}.writer", timeout=0, isolation_level=None, check_same_thread=False)
        lock.execute("PRAGMA journal_mode = OFF")  # nothing is written: a killed process leaves no journal behind
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if lock is not None:
            lock.close()
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise BadInput(
                f"{path} has a writer already, in this process or another: close that one, or set memory.path to "
                f"another place{hint}"
            ) from error
        raise BadInput(f"{path} cannot be written ({error}): set memory.path to a place that can") from error
    return lock

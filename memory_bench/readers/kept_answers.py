"""Answers that were paid for once: kept on disk by the hash of what was asked, of whom.

    FOLDER/answers.sqlite     key (sha256 of address and question), answer (JSON), checksum

Any number of processes may use one folder, for any number of servers and models. A key is no part of a question.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from memory_bench.errors import BadInput
from memory_bench.kept_file import opened

_TABLE = "answers (key BLOB PRIMARY KEY, answer TEXT NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID"


class KeptAnswers:
    """The answers of the server at `address`. Without a folder nothing is kept.

    Raises BadInput where the folder cannot be used, or holds what it was not given.
    """

    def __init__(self, folder: str | None, *, address: str) -> None:
        self._file = None if folder is None else Path(folder) / "answers.sqlite"
        self._address = address

    def get(self, question: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what was answered, if it is kept."""
        if self._file is None:
            return None
        with self._open(self._file) as database:
            select = "SELECT answer, checksum FROM answers WHERE key = ?"
            row = database.execute(select, (self._key(question),)).fetchone()
        if row is None:
            return None
        answer, checksum = row
        if zlib.crc32(answer.encode()) != checksum:
            raise BadInput(f"{self._file} holds an answer that was altered: set reader.cache to another folder")
        found: dict[str, Any] = json.loads(answer)
        return found

    def put(self, question: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Keep an answer. Of a question that another process has asked meanwhile, the first answer stays."""
        if self._file is None:
            return
        text = json.dumps(answer)
        with self._open(self._file) as database:
            row = (self._key(question), text, zlib.crc32(text.encode()))
            database.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", row)

    def _key(self, question: Mapping[str, Any]) -> bytes:
        return hashlib.sha256(json.dumps([self._address, question], sort_keys=True).encode()).digest()

    def _open(self, file: Path) -> AbstractContextManager[sqlite3.Connection]:
        return opened(file, _TABLE, what="answers", option="reader.cache")

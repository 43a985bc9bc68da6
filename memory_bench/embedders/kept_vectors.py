"""Vectors that were paid for once: kept on disk by the hash of their model and text.

    FOLDER/vectors.sqlite     key (sha256 of model and text), vector (float32), seconds, checksum

Any number of processes may use one folder, for any number of models.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memory_bench.errors import BadInput
from memory_bench.kept_file import opened

_LAYOUT = np.dtype("<f4")  # on every machine
_TABLE = (
    "vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL, seconds REAL NOT NULL, checksum INTEGER NOT NULL) "
    "WITHOUT ROWID"
)


@dataclass(frozen=True)
class Kept:
    """A vector, and the seconds that it took to get it."""

    vector_D: NDArray[np.float32]
    seconds: float


class KeptVectors:
    """The vectors of one model. Raises BadInput where the folder cannot be used, or holds what it was not given."""

    def __init__(self, folder: str, *, model: Iterable[str]) -> None:
        self._file = Path(folder) / "vectors.sqlite"
        self._model = tuple(model)

    def get(self, texts: Iterable[str]) -> dict[str, Kept]:
        """Return those of the texts that are kept."""
        found: dict[str, Kept] = {}
        with self._open() as database:
            for text in texts:
                select = "SELECT vector, seconds, checksum FROM vectors WHERE key = ?"
                if row := database.execute(select, (self._key(text),)).fetchone():
                    found[text] = self._checked(*row)
        return found

    def put(self, kept: Mapping[str, Kept]) -> None:
        """Keep these. Of a text that another process has kept meanwhile, the first vector stays."""
        rows = ((text, one.vector_D.astype(_LAYOUT).tobytes(), one.seconds) for text, one in kept.items())
        keyed = [(self._key(text), vector, seconds, zlib.crc32(vector)) for text, vector, seconds in rows]
        with self._open() as database:
            database.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?, ?, ?)", keyed)

    def _key(self, text: str) -> bytes:
        return hashlib.sha256(json.dumps([*self._model, text]).encode()).digest()

    def _checked(self, vector: bytes, seconds: float, checksum: int) -> Kept:
        if zlib.crc32(vector) != checksum:
            raise BadInput(f"{self._file} holds a vector that was altered: set embedder.cache to another folder")
        return Kept(np.frombuffer(vector, _LAYOUT).astype(np.float32), seconds)

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return opened(self._file, _TABLE, what="vectors", option="embedder.cache")

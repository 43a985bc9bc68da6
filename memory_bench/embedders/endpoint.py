"""Any server that speaks OpenAI's /embeddings: asked once for each text, what it answers is kept on disk.

    POST URL/embeddings   {"model": MODEL, "input": [TEXT, ...], "encoding_format": "float"}
                       -> {"data": [{"index": 0, "embedding": [0.1, ...]}, ...]}

Nobody can say which weights a server runs. What it makes of a fixed text is kept beside the rest: it names the model
in the record, and a server that makes something else of it, on a later day, is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from memory_bench import clock, tally
from memory_bench.embedders.kept_vectors import Kept, KeptVectors
from memory_bench.embedders.unit import unit
from memory_bench.endpoint import Server
from memory_bench.errors import BadInput
from memory_bench.user_data import find_option

URL_VARIABLE, MODEL_VARIABLE = "MEMORY_BENCH_EMBEDDER_URL", "MEMORY_BENCH_EMBEDDER_MODEL"
FIXED_TEXT = "The quick brown fox jumps over the lazy dog."
_SAME = 0.999  # cosine: the same weights in other batches, or rounded to 16 bits, stay above; other weights below


class Endpoint:
    """The vectors of the model `model` of the server at `url`, at unit length.

    A text that is kept is charged to the ledger what it took when it was asked for, its share of its request; attempts
    that failed, and pauses, are charged to nobody. A text of white space is not asked for, since servers refuse it: it
    is the first axis. `key_variable` names the environment variable of the key, which is sent and written nowhere.
    Raises BadInput or Unavailable where no vectors can be had.
    """

    def __init__(
        self,
        *,
        url: str | None,
        model: str | None,
        key_variable: str | None,
        batch_size: int,
        timeout_seconds: float,
        cache: str,
    ) -> None:
        # first: whatever else is refused, a note of it holds these two as they were typed
        address = find_option("embedder.url", url, URL_VARIABLE).rstrip("/")
        self._server = Server(
            "embedder",
            address,
            "embeddings",
            key_variable=key_variable,
            timeout_seconds=timeout_seconds,
            less="batch_size",
        )
        if batch_size < 1:
            raise BadInput(f"batch_size must be >= 1, got {batch_size}: set embedder.batch_size=32")
        self._batch_size = batch_size
        self._model = find_option("embedder.model", model, MODEL_VARIABLE)
        self._kept = KeptVectors(cache, model=(address, self._model))
        self.name = f"endpoint/{self._model}"
        self._known = True  # what the server makes of the fixed text was seen by this process
        self._fixed_D = self._first()
        self.dimensions = len(self._fixed_D)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        start = clock.now_ns()
        kept = self._found(list(dict.fromkeys(text for text in texts if text.strip())))
        vectors_XD = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for vector_D, text in zip(vectors_XD, texts, strict=True):
            if text in kept:
                vector_D[:] = kept[text].vector_D
            else:
                vector_D[0] = 1
        clock.charge(start, sum(one.seconds for one in kept.values()))
        return vectors_XD

    def identity(self) -> Mapping[str, str | None]:
        """What the server makes of a fixed text stands for its weights, which nobody can know."""
        name = f"{self.name}, {self.dimensions} dimensions"
        digest = hashlib.sha256(self._fixed_D.astype("<f4").tobytes()).hexdigest()
        return {f"{name}/vector of a fixed text": digest, f"{name}/weights: a server does not show them": None}

    def _first(self) -> NDArray[np.float32]:
        if FIXED_TEXT in (kept := self._kept.get([FIXED_TEXT])):
            self._known = False
        else:
            kept = self._ask([FIXED_TEXT], dimensions=None)
            self._kept.put(kept)
        return kept[FIXED_TEXT].vector_D

    def _found(self, texts: Sequence[str]) -> dict[str, Kept]:
        kept = self._kept.get(texts)
        missing = [text for text in texts if text not in kept]
        for start in range(0, len(missing), self._batch_size):
            self._compare()
            asked = self._ask(missing[start : start + self._batch_size], dimensions=self.dimensions)
            self._kept.put(asked)  # at once: what was paid for outlives a cell that is stopped
            kept |= asked
        return kept

    def _compare(self) -> None:
        """Once, before anything new is asked for: the vectors of two models would lie side by side."""
        if self._known:
            return
        [now] = self._ask([FIXED_TEXT], dimensions=self.dimensions).values()
        if (cosine := float(now.vector_D @ self._fixed_D)) < _SAME:
            raise BadInput(
                f"{self._server.url} makes other vectors of {self._model} than those that are kept (cosine "
                f"{cosine:.3f} for the same text): set embedder.cache to another folder"
            )
        self._known = True

    def _ask(self, texts: Sequence[str], *, dimensions: int | None) -> dict[str, Kept]:
        question = {"model": self._model, "input": list(texts), "encoding_format": "float"}
        answer = self._server.ask(question)
        tally.count("retries", answer.retries)
        rows_XD = _rows(answer.value, len(texts))
        if rows_XD is None:
            raise BadInput(
                f"{self._server.url} answers in JSON, but not with {len(texts)} vectors of finite numbers: set "
                "embedder.url to a server that speaks OpenAI's /embeddings"
            )
        if dimensions not in (None, rows_XD.shape[1]):
            raise BadInput(
                f"{self._server.url} answers vectors of {rows_XD.shape[1]} dimensions, expected {dimensions} as "
                "before: set embedder.model to the same model, or embedder.cache to another folder"
            )
        share = answer.seconds / len(texts)
        return {text: Kept(vector_D, share) for text, vector_D in zip(texts, unit(rows_XD), strict=True)}


def _rows(answer: object, count: int) -> NDArray[np.float64] | None:
    """Return the `count` vectors of an answer, in the order of the question; None where it holds anything else."""
    try:
        rows = sorted(answer["data"], key=lambda row: row["index"])  # type: ignore[index]
        rows_XD = np.array([row["embedding"] for row in rows], dtype=np.float64)
        right = [row["index"] for row in rows] == list(range(count))
    except (LookupError, TypeError, ValueError, OverflowError):
        return None
    return rows_XD if right and rows_XD.ndim == 2 and rows_XD.size and np.isfinite(rows_XD).all() else None

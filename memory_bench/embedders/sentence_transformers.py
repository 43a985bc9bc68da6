"""Any sentence encoder that sentence-transformers can load: from a folder, or by a name that it downloads once.

Source: Sentence-BERT (Reimers and Gurevych 2019, arXiv 1908.10084), in the distribution sentence-transformers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memory_bench.embedders.unit import unit
from memory_bench.errors import BadInput
from memory_bench.user_data import find_option

VARIABLE = "MEMORY_BENCH_SENTENCE_MODEL"


class SentenceTransformers:
    """The vectors of a model's own pooling, on the CPU, at unit length. It cuts long texts where its settings say so.

    `model` is a folder or a name; null: what the environment's variable says. With `batch_size` 1 a text's vector does
    not depend, in its last bits, on its neighbours. A text without a direction (an empty one, for some models) is the
    first axis. Raises BadInput where there is no such model.
    """

    def __init__(self, *, model: str | None, batch_size: int) -> None:
        if batch_size < 1:
            raise BadInput(f"batch_size must be >= 1, got {batch_size}: set embedder.batch_size=1")
        named = find_option("embedder.model", model, VARIABLE)
        self._batch_size = batch_size
        self._load(named)
        # a record is of any machine: of a folder it holds the last name
        self.name = f"sentence_transformers/{Path(named).resolve().name if Path(named).is_dir() else named}"
        self.dimensions: int = self._model.encode(["Ready"], show_progress_bar=False).shape[1]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if not texts:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        return unit(self._model.encode(list(texts), batch_size=self._batch_size, show_progress_bar=False))

    def identity(self) -> Mapping[str, str]:
        """Every file of the model's folder: which of them were read, only the library knows."""
        files = (file for file in sorted(self._folder.rglob("*")) if file.is_file())
        names = {file.relative_to(self._folder): file for file in files}
        seen = {name: file for name, file in names.items() if not any(part.startswith(".") for part in name.parts)}
        return {f"{self.name}/{name.as_posix()}": _sha256(file) for name, file in seen.items()}

    def _load(self, named: str) -> None:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.util import load_file_path
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            # of a model without this list the library would make up the pooling, and only warn
            modules = load_file_path(named, "modules.json")
            if modules is None:
                raise FileNotFoundError("there is no folder or model of that name with a modules.json")
            self._model = SentenceTransformer(named, device="cpu")
        except Exception as error:  # whatever the library stumbles over in somebody's folder
            raise BadInput(
                f"embedder.model={named} is no model that sentence-transformers can load ({error}): give a folder that "
                "it saved, or a name such as sentence-transformers/all-mpnet-base-v2"
            ) from error
        self._folder = Path(modules).parent


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

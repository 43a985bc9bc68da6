"""Where an engine keeps its files: a folder of the user's that stays, or a temporary one that goes.

    PATH/memory_bench.json    which engine, of which version, over whose vectors
    PATH/index/               the engine's own
    PATH/index.writer         empty, and locked as long as a process has the folder open
    PATH/sealed.json          the sha256 of every file of the index, from when it is closed until it is opened

An index of another engine, version or embedder would be searched without an error, or be overwritten: it is refused.
So is one that is open elsewhere: engines that write one index twice hold an id twice and say nothing. So is one with a
file that is not as it was left: engines answer over damaged files, and mend what they should not. A process that is
killed leaves no seal: then the engine recovers as it can.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from importlib.metadata import version
from pathlib import Path

from memory_bench import writer_lock
from memory_bench.contracts import Embedder
from memory_bench.errors import BadInput

STAMP, SEAL = "memory_bench.json", "sealed.json"
_BLOCK_BYTES = 512  # the unit of st_blocks, whatever the file system's own is
_NUMBER = re.compile(r"\(os error (\d+)\)")  # how Rust ends what the system says
_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)


class IndexFolder:
    """A folder for one engine. `engine` is the name of its distribution; `path` None is a temporary folder.

    Raises BadInput where the folder holds anything else than an index of this engine, version and embedder, as it was
    left, and where it may not be written.
    """

    def __init__(self, path: str | None, *, engine: str, embedder: Embedder) -> None:
        self.temporary = tempfile.TemporaryDirectory(prefix="memory_bench_") if path is None else None
        self.name = self.temporary.name if self.temporary else str(path)
        self.index = Path(self.name) / "index"
        with ExitStack() as undone:
            if not self.temporary:
                _claim(Path(self.name), _stamp(engine, embedder))
                undone.enter_context(closing(writer_lock.locked(self.index)))
                _unseal(self.index)
            self._open = undone.pop_all()

    def size_bytes(self) -> int:
        """Bytes on disk. Engines allocate files of tens of megabytes ahead: what was never written is not counted."""
        return sum(file.stat().st_blocks * _BLOCK_BYTES for file in self.index.rglob("*") if file.is_file())

    def close(self) -> None:
        with self._open:
            if self.temporary:
                self.temporary.cleanup()
            else:
                with refusals_in_a_line():
                    _write(self.index.with_name(SEAL), _hashes(self.index))

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Let go of the folder where what is opened in it refuses: another memory can then have it."""
        try:
            yield
        except BaseException:
            self._open.close()
            raise


@contextmanager
def refusals_in_a_line() -> Iterator[None]:
    """Raise BadInput where the system refuses to write: a full disk, a folder that is read-only by now.

    Engines say it each by an error of its own, with the system's number at the end of what they say.
    """
    try:
        yield
    except Exception as error:  # the only type that some engines raise
        numbers = [error.errno] if isinstance(error, OSError) else map(int, _NUMBER.findall(str(error)))
        refused = [number for number in numbers if number in _REFUSALS]
        if not refused:
            raise
        raise BadInput(
            f"the index cannot be written ({os.strerror(refused[0])}): make room for it, or set memory.path to a "
            "folder that has room and may be written"
        ) from error


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
        with refusals_in_a_line():
            _write(folder / STAMP, stamp)
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


def _write(file: Path, facts: Mapping[str, object]) -> None:
    """Write a file whole or not at all: half of one would be taken for damage."""
    part = file.with_suffix(".part")
    try:
        part.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _unseal(index: Path) -> None:
    """Compare an index that was closed with its seal, and take the seal away: from here on its files change."""
    seal = index.with_name(SEAL)
    if seal.exists():
        try:
            sealed = json.loads(seal.read_text(encoding="utf-8"))
        except ValueError:
            sealed = {SEAL: "cut"}
        found = _hashes(index)
        if changed := [name for name in {**sealed, **found} if sealed.get(name) != found.get(name)]:
            raise BadInput(
                f"{index.parent} is damaged: {len(changed)} of its files are not as they were when it was closed, "
                f"{changed[0]} first. Set memory.path to another folder, or delete {seal} to open what is left"
            )
    with refusals_in_a_line():
        if not os.access(index.parent, os.W_OK):
            raise PermissionError(errno.EACCES, "")
        seal.unlink(missing_ok=True)


def _hashes(index: Path) -> dict[str, str]:
    """Return file -> sha256 of all files of an index."""
    return {
        str(file.relative_to(index)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(index.rglob("*"))
        if file.is_file()
    }

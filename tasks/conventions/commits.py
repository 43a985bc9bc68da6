"""A git repository at two commits, read from its objects by `git` itself: the user's files are left alone.

    task.path=REPO task.commits=[v1.0,main]

A rule that holds at both and says something else at the second one is a real update.
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from memory_bench.errors import BadInput, Unavailable
from tasks.conventions.sources import Collection, Source
from tasks.conventions.trees import LARGEST_BYTES, LINK, NO_TEXT, TOO_LARGE, UNNAMED, collected, is_own, is_text

FILE_MODES = (b"100644", b"100755")


def read_commit(name: str, revision: str) -> tuple[Collection, str]:
    """Return the Python files of a repository, or of a folder in one, at a commit, and the commit's hash.

    Raises BadInput where there is no repository, no such commit or no such file in it, Unavailable without `git`.
    """
    root = Path(name).expanduser()
    if not root.is_dir():
        raise BadInput(f"task.path={name}: no such folder; task.commits needs a git repository")
    commit = resolved(root, name, revision)
    left_out: Counter[str] = Counter()
    blobs: dict[str, str] = {}
    for path, mode, blob, size_bytes in listed(root, name, commit):
        if not path.isprintable():
            left_out[UNNAMED] += 1
        elif mode not in FILE_MODES:
            left_out[LINK] += 1
        elif size_bytes > LARGEST_BYTES:
            left_out[TOO_LARGE] += 1
        else:
            blobs[path] = blob
    raws = contents(root, name, list(blobs.values()))
    prefix = f"{root.resolve().name}/" if "__init__.py" in blobs else ""
    sources = [Source(prefix + path, raws[blob], version=commit) for path, blob in blobs.items()]
    texts = [source for source in sources if is_text(source.raw)]
    left_out[NO_TEXT] += len(sources) - len(texts)
    return collected(f"{name} at {revision}", texts, +left_out), commit


def resolved(root: Path, name: str, revision: str) -> str:
    if git(root, "rev-parse", "--git-dir") is None:
        raise BadInput(f"task.path={name}: no git repository that git can read here; task.commits needs one")
    commit = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise BadInput(
            f"task.commits: no commit {revision} in {name}; expected two that git knows, such as [v1.0,main]"
        )
    return commit.decode().strip()


def listed(root: Path, name: str, commit: str) -> Iterator[tuple[str, bytes, str, int]]:
    """Yield path, mode, blob and size in bytes of every Python file that is the repository's own."""
    rows = needed(name, git(root, "ls-tree", "-r", "-z", "-l", commit))
    for row in filter(None, rows.split(b"\0")):
        head, _, raw_path = row.partition(b"\t")
        mode, kind, blob, size_bytes = head.split()
        path = PurePosixPath(os.fsdecode(raw_path))
        if path.suffix == ".py" and kind == b"blob" and all(map(is_own, path.parts[:-1])):
            yield str(path), mode, blob.decode(), int(size_bytes)


def contents(root: Path, name: str, blobs: Sequence[str]) -> Mapping[str, bytes]:
    """Return what the blobs hold, all by one `git cat-file --batch`: `BLOB blob SIZE`, a newline, bytes, a newline."""
    asked = "".join(f"{blob}\n" for blob in blobs).encode()
    told = needed(name, git(root, "cat-file", "--batch", given=asked))
    found, at = {}, 0
    while at < len(told):
        head = told.index(b"\n", at)
        blob, *kind = told[at:head].split()
        end = head + 1 + int(needed(name, kind[1] if len(kind) == 2 else None))
        found[blob.decode()] = told[head + 1 : end]
        at = end + 1
    return found


def needed(name: str, told: bytes | None) -> bytes:
    if told is None:
        raise BadInput(f"task.path={name}: git cannot read all of its objects (a partial clone?); fetch them first")
    return told


def git(root: Path, *arguments: str, given: bytes = b"") -> bytes | None:
    """Return what git prints; None where it refuses. It takes no lock, fetches nothing and sees no other repository."""
    outside = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment = outside | {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
    try:
        run = subprocess.run(["git", "-C", str(root), *arguments], input=given, capture_output=True, env=environment)
    except FileNotFoundError as error:
        raise Unavailable("task.commits needs the command git: install git, or give task.path alone") from error
    return run.stdout if run.returncode == 0 else None

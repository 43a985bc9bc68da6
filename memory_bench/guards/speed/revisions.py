"""The other revision: a worktree of git that goes afterwards, with an environment of its own where it needs one.

Of this project, or of one that holds a memory from outside: then the installed memory_bench measures both sides.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from memory_bench import provenance
from memory_bench.errors import Unavailable
from memory_bench.guards.speed.rounds import Side

NEEDS = ("pyproject.toml", "constraints.txt")
BEHIND = "import pathlib, sysconfig; pathlib.Path(sysconfig.get_path('purelib'), 'head.pth').write_text({here!r})"
OPTIONS = ("memory_bench/conf", "../conf")  # an installed package has its options inside, a worktree beside it


@contextmanager
def side(revision: str, root: Path) -> Iterator[Side]:
    """Yield a revision, ready to be run. Raises Unavailable where git does not have it, or its environment fails."""
    commit = _commit(revision, root)
    with tempfile.TemporaryDirectory(prefix="memory_bench-base-") as folder:
        tree = Path(folder) / "tree"
        _git(root, "worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            link = tree / OPTIONS[0]
            if link.parent.is_dir() and not link.exists():
                link.symlink_to(OPTIONS[1])
            yield Side(f"base {revision} ({commit[:12]})", tree, _python(tree, root, Path(folder) / "environment"))
        finally:
            _git(root, "worktree", "remove", "--force", str(tree))


def root() -> Path:
    """Return the repository that stands here; of an installed memory_bench where there is none."""
    try:
        return Path(_git(Path.cwd(), "rev-parse", "--show-toplevel").strip())
    except Unavailable:
        return provenance.ROOT


def head(root: Path) -> Side:
    """Return this tree as it lies, and say so where that is no commit."""
    commit = _git(root, "rev-parse", "--short=12", "HEAD").strip()
    changed = _git(root, "status", "--porcelain", "--untracked-files=no").strip()
    return Side(f"head {commit}{' with changes that are not committed' if changed else ''}", root)


def committed(commit: str, root: Path) -> str:
    """Return when a commit was made, UTC, ISO 8601. Raises Unavailable where git does not have it."""
    try:
        seconds = _git(root, "show", "--no-patch", "--format=%ct", "--end-of-options", commit)
    except Unavailable:
        raise Unavailable(f"commit {commit} is not in {root}: git fetch --unshallow, or measure again") from None
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()


def _commit(revision: str, root: Path) -> str:
    _git(root, "rev-parse", "--git-dir")  # first: without a repository no revision is the reason
    try:
        return _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").strip()
    except Unavailable:
        shallow = _git(root, "rev-parse", "--is-shallow-repository").strip() == "true"
        mend = "this clone is shallow: git fetch --unshallow" if shallow else "type a branch, tag or commit"
        raise Unavailable(f"base {revision!r} is no revision of {root}: {mend}") from None


def _python(tree: Path, root: Path, environment: Path) -> str:
    if all(_text(tree / name) == _text(root / name) for name in NEEDS):
        return sys.executable
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    if not (tree / "memory_bench").is_dir():
        # what measures both sides, and what base does not need otherwise
        _run([str(python), "-c", BEHIND.format(here=sysconfig.get_path("purelib"))], tree, "its environment failed")
    constraints = ["-c", "constraints.txt"] if (tree / NEEDS[1]).exists() else []
    _run([str(python), "-m", "pip", "install", "--quiet", *constraints, "-e", "."], tree, "its environment failed")
    return str(python)


def _text(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.exists() else None


def _git(root: Path, *arguments: str) -> str:
    return _run(["git", "-C", str(root), *arguments], root, f"git {arguments[0]} failed")


def _run(command: list[str], folder: Path, what: str) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise Unavailable(f"{what}: {error.filename} is not installed") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise Unavailable(f"{what}: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout

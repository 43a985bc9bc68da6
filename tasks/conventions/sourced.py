"""Where the rules are mined: an installed package, a folder of the user's, or a git repository at two commits."""

from __future__ import annotations

from collections.abc import Sequence

from memory_bench.errors import BadInput
from memory_bench.task_options import check_path
from tasks.conventions.finders import BASIC, KINDS
from tasks.conventions.rules import Mined, mine, mine_commit, mine_tree


def mine_source(
    package: str, path: str | None, commits: Sequence[str] | None, kinds: Sequence[str]
) -> tuple[Mined, Mined | None]:
    """Return the rules to be asked for, and those of the first commit where there are two.

    Raises BadInput for what does not go together, and for what cannot be read.
    """
    check_path("path", path)
    wanted = needed(kinds)
    if commits is None:
        return (mine_tree(path, wanted) if path else mine(package, wanted)), None
    revisions = list(commits) if isinstance(commits, Sequence) and not isinstance(commits, str) else []
    if len(revisions) != 2 or not all(isinstance(one, str | int) and str(one) for one in revisions):
        raise BadInput(f"task.commits={commits}: expected two commits, the older first, such as [v1.0,main]")
    if path is None:
        raise BadInput(f"task.commits={commits}: of which repository? type task.path=REPOSITORY")
    old, new = (mine_commit(path, str(one), wanted) for one in revisions)
    if old.identity.keys() == new.identity.keys():
        raise BadInput(f"task.commits={commits}: both are the same commit; expected two, the older first")
    return new, old


def needed(kinds: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds to be mined: the usual ones are mined together, once for all tasks that want some of them."""
    return tuple(kind for kind in KINDS if kind in kinds or kind in BASIC)

"""Keep what a commit measured.

python -m memory_bench -m +experiment=NAME              measure its cells, in a tree without changes
python -m memory_bench history add +experiment=NAME     add them to results/history, in a file of their own; what is
                                                        there already is not added again
python -m memory_bench report --history                 what moved since, as reports/history.md with its figures

A change that was meant is taken out of what is called one by an entry in results/history/accepted.yaml:

- commit: "0123abcd"                     the first measured one that has the new level
  what: NAME/needle-bm25/*_tokens        EXPERIMENT/CELL/FIGURE; * stands for anything
  why: an event is told with its date
"""

from __future__ import annotations

from collections.abc import Sequence

from memory_bench import terminal
from memory_bench.errors import BadInput
from memory_bench.guards.history import store

DONE = 0


def main(argv: Sequence[str]) -> int:
    """Add what was measured, and say what that is. Raises BadInput for what is no addition, and as `points`."""
    if list(argv) in (["-h"], ["--help"]):
        print(__doc__)
        return DONE
    named = [one.partition("=")[2] for one in argv if one.startswith("+experiment=")]
    if list(argv[:1]) != ["add"] or len(named) != 1:
        raise BadInput(f"history takes add and one experiment, got {list(argv)}; type: history add +experiment=NAME")
    from memory_bench.guards.history import measured  # pandas and SciPy take a second: a misspelt line does not

    points, missing = measured.points(named[0], [one for one in argv[1:] if not one.startswith("+experiment=")])
    place = store.append(points, store.HISTORY)
    told = f"{len({point.typed for point in points})} cells of {len(store.commits(points))} commits"
    lines = [*(f"not added: {line}" for line in missing), f"{place or 'nothing new'}: {told}"]
    console = terminal.stdout()
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    return DONE

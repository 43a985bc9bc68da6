"""The command.

python -m memory_bench +task=needle +memory=engram seed=1 limit=50      one cell
python -m memory_bench -m +task=needle +memory=none,bm25 seed=0,1       a sweep: every combination
python -m memory_bench -m +experiment=needle                            the cells of an experiment
python -m memory_bench -m +experiment=needle hydra/launcher=joblib      the same in many processes, or on many machines
python -m memory_bench -m +experiment=needle dry_run=true               what would be run, and what is there already
python -m memory_bench list                                             what exists, and what can run here
python -m memory_bench check +memory=NAME                               does a memory keep its promises
python -m memory_bench durability +memory=NAME                          what does a kill -9 cost a memory, 50 times
python -m memory_bench compare A B                                      what moved between two memories, or two runs
python -m memory_bench gate                                             did a change move a number that it should not
python -m memory_bench history add +experiment=NAME                     keep what a commit measured; `report --history`
python -m memory_bench train ...    python -m memory_bench report ...   see `train --help`, `report --help`
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from rich.console import Console

from memory_bench.errors import BadInput, Unavailable

DONE, FAILED, USERS_MISTAKE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was typed and return the exit code: 2 where the line itself has to be mended, 130 after Ctrl-C."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        return _command(arguments)
    except BadInput as error:
        return _say(error, USERS_MISTAKE)
    except Unavailable as error:
        return _say(error, FAILED)
    except KeyboardInterrupt as interrupt:
        return _say(interrupt if interrupt.args else "stopped", INTERRUPTED)


def _command(arguments: list[str]) -> int:
    first = arguments[0] if arguments else ""
    if first in ("-h", "--help"):
        print(__doc__)
        return DONE
    if first in COMMANDS:
        return COMMANDS[first](arguments[1:])
    if first and first[0].isalpha() and "=" not in first:
        raise BadInput(f"{first!r} is not a command; type one of {', '.join(COMMANDS)}, or +task=NAME +memory=NAME")
    flags = [argument for argument in arguments if argument.startswith("-")]
    if unknown := set(flags) - {"-m", "--multirun"}:
        raise BadInput(f"{' '.join(sorted(unknown))}: no such flag; there are -m (run a sweep) and -h")
    overrides = [argument for argument in arguments if argument not in flags]
    from memory_bench import config, launchers

    launching: list[str] = []
    if flags:
        overrides, launching = launchers.parted(overrides)
    if config.is_dry_run(overrides):
        return _matrix(overrides, alone=not flags)
    return _sweep(overrides, launching) if flags else _single(overrides)


def _single(overrides: Sequence[str]) -> int:
    from memory_bench import config, isolation, records, sweep, terminal

    console, composed = terminal.stdout(), config.compose(overrides)
    try:
        run = sweep.measure(composed, command=sweep.typed(overrides), again=True)
    except isolation.Lost as lost:
        records.note_missing(composed.results, composed.config, f"failed: {lost}")
        return _say(f"failed: {lost}", FAILED)
    console.print(run.title)
    terminal.summary(run.rows, console, apart=composed.task_claims.get("apart", {}))
    console.print(f"results      {run.place}", soft_wrap=True)
    return DONE


def _sweep(overrides: Sequence[str], launching: Sequence[str]) -> int:
    from memory_bench import config, launchers, sweep, terminal

    cells = config.expand(overrides)
    lines = launchers.lines_of(cells, launching) if launching else None
    return DONE if sweep.run(cells, terminal.stdout(), lines) else FAILED


def _matrix(overrides: Sequence[str], *, alone: bool) -> int:
    from memory_bench import config, matrix

    cells = list(matrix.plan([overrides] if alone else config.expand(overrides), alone=alone))
    matrix.show(cells, Console(highlight=False))
    return FAILED if any(cell.state in ("unavailable", "failed") for cell in cells) else DONE


def _list(arguments: list[str]) -> int:
    from memory_bench import catalogue

    if arguments:
        raise BadInput(f"list takes no arguments, got {' '.join(arguments)}")
    catalogue.show(Console(highlight=False))
    return DONE


def _train(arguments: list[str]) -> int:
    from memory_bench.readers import train

    return train.main(arguments)


def _report(arguments: list[str]) -> int:
    from memory_bench.reporting import command

    return command.main(arguments)


def _check(arguments: list[str]) -> int:
    from memory_bench.guards import check

    return check.main(arguments)


def _durability(arguments: list[str]) -> int:
    from memory_bench.guards.durability import command

    return command.main(arguments)


def _compare(arguments: list[str]) -> int:
    from memory_bench.guards import compare

    return compare.main(arguments)


def _gate(arguments: list[str]) -> int:
    # before NumPy and torch are loaded, who ask once: with one thread, machines of any size are of one class
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from memory_bench.guards import gate

    return gate.main(arguments)


def _history(arguments: list[str]) -> int:
    from memory_bench.guards.history import command

    return command.main(arguments)


# each imports what it needs when it is called: `list` would else wait for torch
COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "list": _list,
    "check": _check,
    "durability": _durability,
    "train": _train,
    "report": _report,
    "compare": _compare,
    "gate": _gate,
    "history": _history,
}


def _say(error: object, code: int) -> int:
    print(" ".join(str(error).split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())

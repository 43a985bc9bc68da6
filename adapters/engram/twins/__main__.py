"""Run plans of `conf/twins`, or write their report: `python -m adapters.engram.twins recall_4k`, or `report --publish`.

The plans stand in a group of their own and not among the experiments, since they train networks: nothing in them is a
cell of a task, a memory and a reader.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from adapters.engram.twins import runs
from adapters.engram.twins.report import PUBLISHED, publish, write_page
from memory_bench import plans
from memory_bench.errors import BadInput, Unavailable


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m adapters.engram.twins", description=__doc__)
    parser.add_argument("plans", nargs="+", metavar="PLAN", help=f"{', '.join(plans.names(runs.GROUP))}, or report")
    parser.add_argument("--out", type=Path, default=Path("results/twins"), help="where rows land (results/twins)")
    parser.add_argument("--publish", action="store_true", help=f"with report: copy the rows to {PUBLISHED} first")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)  # every figure is of one thread, and two that contend are slower than one
    try:
        for name in given.plans:
            if name == "report":
                if given.publish:
                    publish(given.out)
                print(f"wrote {write_page()}")
            else:
                runs.run(name, runs.load(name), given.out / f"{name}.jsonl", told=_tell)
    except (BadInput, Unavailable) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _tell(row: dict[str, Any]) -> None:
    last = row["curve"][-1]
    figures = "  ".join(f"{name} {value:.3f}" for name, value in last.items() if isinstance(value, float))
    print(f"{row['plan']}  {'  '.join(map(str, row['key'].values()))}  step {last['step']}  {figures}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Run plans of `conf/engines`, or write their report: `python -m memory_bench.engines clustered`, `report --publish`.

The plans stand in a group of their own and not among the experiments: no task and no reader takes part. Everything runs
on one core, so that no engine is faster by its threads; a figure is of that core and of what else ran there.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import threadpoolctl

from memory_bench.engines import plan, rows
from memory_bench.engines.report import PUBLISHED, publish, write_page
from memory_bench.errors import BadInput, Unavailable
from memory_bench.plans import Row


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m memory_bench.engines", description=__doc__)
    parser.add_argument("plans", nargs="+", metavar="PLAN", help=f"{', '.join(plan.names())}, or report")
    parser.add_argument("--most", type=int, default=100_000, metavar="ROWS", help="leave larger sizes out (100000)")
    parser.add_argument("--out", type=Path, default=Path("results/engines"), help="where rows land (results/engines)")
    parser.add_argument("--publish", action="store_true", help=f"with report: copy the rows to {PUBLISHED} first")
    given = parser.parse_args(arguments)
    try:
        for name in given.plans:
            if name == "report":
                if given.publish:
                    publish(given.out)
                print(f"wrote {write_page()}")
            else:
                chosen = plan.load(name)
                _keep_to_one_core()
                rows.run(name, chosen, given.out / f"{name}.jsonl", most=given.most, told=_tell)
    except (BadInput, Unavailable) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _keep_to_one_core() -> None:
    """Engines start as many threads as they see cores, when they are first imported; NumPy's are there by now."""
    threadpoolctl.threadpool_limits(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _tell(row: Row) -> None:
    key = "  ".join(map(str, row["key"].values()))
    found = row.get("why") or f"recall {row['plain']['recall']:.3f}  {row['plain']['p50_ms']:.3f} ms"
    print(f"{row['plan']}  {key}  {found}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

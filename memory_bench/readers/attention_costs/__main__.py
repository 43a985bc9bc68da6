"""Run a plan of `conf/attention_costs`, or write their report: `python -m memory_bench.readers.attention_costs cpu`,
`report --publish`.

The plans stand in a group of their own: a call of attention is no cell of a task, a memory and a reader.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch

from memory_bench import plans, provenance
from memory_bench.errors import BadInput, Unavailable
from memory_bench.plans import Job, Row
from memory_bench.readers.attention_costs.plan import GROUP, Plan
from memory_bench.readers.attention_costs.report import PUBLISHED, publish, write_page


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m memory_bench.readers.attention_costs", description=__doc__)
    # one a process: whether its large buffers are kept is of the whole process
    parser.add_argument("plan", metavar="PLAN", help=f"{', '.join(plans.names(GROUP))}, or report")
    parser.add_argument("--out", type=Path, default=Path("results/attention"), help="where rows land")
    parser.add_argument("--publish", action="store_true", help=f"with report: copy the rows to {PUBLISHED} first")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)  # figures of a CPU are of one thread, whose time is the processor's
    try:
        if given.plan == "report":
            if given.publish:
                publish(given.out)
            print(f"wrote {write_page()}")
        else:
            run(given.plan, plans.make(GROUP, given.plan), given.out / f"{given.plan}.jsonl")
    except (BadInput, Unavailable) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def run(name: str, plan: Plan, file: Path) -> list[Row]:
    """Run what a file does not hold yet. Raises BadInput where it holds rows of another plan."""
    shared = {"plan": name, "options": asdict(plan)}
    return plans.run(shared, lambda done: map(_placed, plan.jobs(done)), file, told=_tell)


def _placed(job: Job) -> Job:
    return replace(job, run=partial(_run, job))


def _run(job: Job) -> Row:
    start = provenance.now()
    return {**job.run(), "start": start, **plans.where(("torch", "numpy", "flash-attn", "flash-attn-4"))}


def _tell(row: Row) -> None:
    title = "  ".join(str(value) for value in row["key"].values())
    arms = (f"{name} {arm.get('why') or _figure(arm)}" for name, arm in row["arms"].items())
    print(f"{row['plan']}  {title}  {'; '.join(arms)}", flush=True)


def _figure(arm: Row) -> str:
    return f"{arm['seconds'] * 1e3:.2f} ms" if "seconds" in arm else f"{arm['answers_changed']} answers changed"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

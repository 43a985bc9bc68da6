"""The command: curves of memories by name, or the page that is made of published ones."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from memory_bench import config, provenance
from memory_bench.errors import BadInput, Unavailable
from tasks.entity import capacity
from tasks.entity.capacity import page
from tasks.entity.capacity.curve import DRAWN, FEWEST, MOST, drawn_facts, points_of
from tasks.entity.capacity.points import PointFile, table
from tasks.entity.sets import SETS


def main(arguments: Sequence[str]) -> int:
    typed = parsed(arguments)
    points = []
    try:
        if typed.memories == ["report"]:
            print(f"wrote {report(typed)}")
            return 0
        if typed.most < FEWEST:
            raise BadInput(f"--most {typed.most}: expected a number of facts, {FEWEST} or more")
        if not typed.seconds > 0:
            raise BadInput(f"--seconds {typed.seconds:g}: expected a number above 0, such as 300")
        chosen = ([f"+memory={name}", f"embedder={typed.embedder}"] for name in typed.memories)
        cells = [config.compose(["+task=entity", *overrides]) for overrides in chosen]
        file = PointFile(typed.out, life={"seed": typed.seed, "names": typed.names}, seconds=typed.seconds)
        facts = drawn_facts(typed.most, seed=typed.seed, names=typed.names)
        stamp = {"at": provenance.now(), **provenance.revision(), **provenance.machine()}
        for point in points_of(cells, facts, seconds=typed.seconds, seed=typed.seed, file=file):
            file.add(point, stamp=stamp)
            points.append(point)
            if typed.json:
                print(json.dumps(point.row()), flush=True)
    except (BadInput, Unavailable) as error:
        print(error, file=sys.stderr)
        return 2
    if not typed.json:
        print(table(points))
    return 0


def report(typed: argparse.Namespace) -> Path:
    """Write the page and return its path. Raises BadInput where there are no points to write it from."""
    if typed.publish:
        page.publish(typed.out)
    return page.write()


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    summary = (capacity.__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m tasks.entity.capacity", description=summary)
    parser.add_argument("memories", nargs="+", metavar="MEMORY", help="names of conf/memory; or report, alone")
    parser.add_argument("--embedder", default="hashing", help="of conf/embedder, for memories that compare vectors")
    parser.add_argument("--names", choices=SETS, default=DRAWN, help="a real set, then drawn names where it runs out")
    parser.add_argument("--most", type=int, default=MOST, help="facts, 64 or more")
    parser.add_argument(
        "--seconds", type=float, default=300.0, help="to write one size, and to ask; larger ones are null (time)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a file that grows by a line a point; what it holds is not repeated")
    parser.add_argument("--publish", action="store_true", help=f"with report: copy the file to {page.PUBLISHED} first")
    parser.add_argument("--json", action="store_true", help="print a line a point")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

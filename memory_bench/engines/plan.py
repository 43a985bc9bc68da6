"""Which memories are measured on which vectors: a file of `conf/engines`, made.

An arm is a name of `conf/memory`, with options of its own behind it: `ruvector remedied=false`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import yaml

from memory_bench import config, plans
from memory_bench.contracts import Embedder, Memory
from memory_bench.engines import data
from memory_bench.engines.life import NEIGHBOURS, lived
from memory_bench.errors import BadInput, Unavailable

CANDIDATES = (50, 100, 200, 400)  # of a search in a graph
PARTITIONS = (1, 5, 20, 50)
GROUP = "engines"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every arm, on so many rows, built so many times in another order.

    `scans` look at everything; `graphs` and `partitions` are searched with more and less effort too; `natives` are
    memories without what an adapter does against a weakness of their engine. `claims` are what others say that they
    measured at such a size: arm, rows, figure, value, source.
    """

    data: str
    rows: Sequence[int]
    builds: int
    dimensions: int = 384
    scans: Sequence[str] = ()
    graphs: Sequence[str] = ()
    partitions: Sequence[str] = ()
    natives: Sequence[str] = ()
    claims: Sequence[Mapping[str, Any]] = field(default=())

    def efforts(self) -> dict[str, Sequence[int]]:
        """Return arm -> the efforts at which it is searched."""
        return {
            **dict.fromkeys(self.scans, ()),
            **dict.fromkeys(self.graphs, CANDIDATES),
            **dict.fromkeys(self.partitions, PARTITIONS),
            **dict.fromkeys(self.natives, ()),
        }

    def jobs(self, most: int) -> Iterator[Job]:
        """Yield small sizes first, and all arms of a build before the next, so that what is cut off has whole builds.

        More rows than `most` are left out."""
        chosen = [rows for rows in self.rows if rows <= most]
        if not chosen:
            raise BadInput(f"--most {most}: the smallest size of this plan has {min(self.rows):,} rows")
        whole = data.load(self.data, rows=max(chosen), dimensions=self.dimensions)
        for rows in dict.fromkeys(min(rows, len(whole.vectors_ND)) for rows in chosen):
            part = whole.first(rows)
            for build in range(self.builds):
                for arm, efforts in self.efforts().items():
                    yield Job({"rows": rows, "arm": arm, "build": build}, part, efforts)


@dataclass(frozen=True)
class Job:
    """One life. `key` tells it from the others of its plan."""

    key: Mapping[str, Any]
    data: data.Data
    efforts: Sequence[int]

    def run(self) -> dict[str, Any]:
        """Return what was measured, or `why` nothing was."""
        try:
            return lived(partial(made, self.key["arm"]), self.data, build=self.key["build"], efforts=self.efforts)
        except Unavailable as error:
            return {"why": str(error)}


def made(arm: str, embedder: Embedder) -> Memory:
    """Return a memory of `conf/memory` over an embedder, with its options, that returns as many as are counted."""
    name, *options = arm.split()
    cell = config.compose(["+task=needle", f"+memory={name}", f"memory.top_k={NEIGHBOURS}"])
    node = deepcopy(dict(cell.config["memory"]))
    for option in options:
        _set(node, *option.split("="))
    memory: Memory = config.build(replace(cell, config={**cell.config, "memory": node}), "memory", embedder=embedder)
    return memory


def _set(node: dict[str, Any], key: str, value: str) -> None:
    """Set what a constructor takes, whether its YAML names it or not: what is switched off here is no usual option."""
    *outer, last = key.split(".")
    for part in outer:
        node = node[part]
    node[last] = yaml.safe_load(value)


def names() -> list[str]:
    return plans.names(GROUP)


def load(name: str) -> Plan:
    """Return a plan by its name. Raises BadInput where there is none."""
    plan: Plan = plans.make(GROUP, name)
    return plan

"""Where a figure of a cell moved for good: change points of one series, found by `ruptures`.

A series is one figure of one cell, asked the same, on one class of machines, a value a commit. Values that are mostly
equal from commit to commit move where they differ. Others are noisy, and there the best fit of steps counts (PELT with
squares, of logarithms for times), with a penalty for each step of `PENALTY` squared deviations of the noise times the
logarithm of the number of commits; and a step that is smaller than `DEVIATIONS` of the noise around it, or for times
than `FLOOR`, is none. A single slow commit is no step either: there are `SHORTEST` to each side.

Of 2,000 made series of 12, 20 or 60 commits without a step these numbers called 0.4 % at most a change, where the noise
was 3 or 10 % and normal or of Student's t with 3 degrees of freedom, and found a step of 20 % in noise of 3 % five
commits from the end in 96 %. Of series whose noise hangs together (autoregressive, 0.6) they call 2 % a change where
the noise is 3 %, and 6 % where it is 10 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray

from memory_bench import config
from memory_bench.errors import Unavailable
from memory_bench.guards.history.accepted import Accepted
from memory_bench.guards.history.store import Point

LIBRARY = "ruptures>=1.1.10"
PENALTY, DEVIATIONS, SHORTEST, LEAST = 10, 3, 4, 12
FLOOR = 0.10  # what `conf/gate/speed.yaml` says matters
NORMAL = 1.4826  # the standard deviation of normal values is so many median deviations
NO_STEP = 1e-9  # of the values: sums that were rounded otherwise


@dataclass(frozen=True)
class Like:
    """What two figures share that are compared, as a `Point` has it."""

    experiment: str
    cell: str
    typed: str
    asked: str
    figure: str
    machine: str

    @property
    def name(self) -> str:
        return f"{self.experiment}/{self.cell}/{self.figure}"

    @property
    def timed(self) -> bool:
        return self.figure.endswith("seconds")


@dataclass(frozen=True)
class Series:
    """One value a commit: the median where it was measured several times."""

    like: Like
    commits: tuple[str, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Change:
    """A step: `commit` is the first that has the new level, `before` and `after` are medians of both."""

    series: Series
    commit: str
    before: float
    after: float


def series(points: Sequence[Point]) -> list[Series]:
    """Return the series of a history, whose points are in the order of commits; figures without a value are none."""
    together: dict[Like, dict[str, list[float]]] = {}
    for point in points:
        if point.value is not None:
            like = Like(point.experiment, point.cell, point.typed, point.asked, point.figure, point.machine)
            together.setdefault(like, {}).setdefault(point.commit, []).append(point.value)
    return [Series(like, tuple(values), tuple(map(median, values.values()))) for like, values in together.items()]


def called(every: Sequence[Series]) -> dict[Like, str]:
    """Return what the cell of each series is called: where others have its name, with what was typed of it alone."""
    typed: dict[tuple[str, str], set[str]] = {}
    for one in every:
        typed.setdefault((one.like.experiment, one.like.cell), set()).add(one.like.typed)
    names = {}
    for like in (one.like for one in every):
        shared = set[str].intersection(*(set(line.split()) for line in typed[like.experiment, like.cell]))
        names[like] = " ".join([like.cell, *(option for option in like.typed.split() if option not in shared)])
    return names


def changes(one: Series, accepted: Sequence[Accepted], order: Sequence[str]) -> tuple[list[Change], bool]:
    """Return the steps of a series that nobody accepted, and whether all of it could be examined.

    What was accepted parts a series: before and after it are looked at apart. `order` are the commits of the whole
    history: one that this series lacks parts it too. Raises Unavailable without the library.
    """
    if reason := config.missing_requirement(LIBRARY):
        raise Unavailable(f"changes of a history cannot be found here: {reason}")
    places = {commit: place for place, commit in enumerate(order)}
    own = [places[entry.commit] for entry in accepted if entry.covers(one.like.name)]
    cuts = [sum(places[commit] < place for commit in one.commits) for place in own]
    found: list[Change] = []
    whole = True
    for start, end in pairwise(sorted({0, *cuts, len(one.values)})):
        part = np.array(one.values[start:end])
        steps = _steps(part, timed=one.like.timed)
        whole = whole and steps is not None
        edges = [0, *(steps or []), len(part)]
        levels = [float(np.median(part[left:right])) for left, right in pairwise(edges)]
        found += [
            Change(one, one.commits[start + at], *two) for at, two in zip(steps or [], pairwise(levels), strict=True)
        ]
    return found, whole


def _steps(values: NDArray[np.float64], *, timed: bool) -> list[int] | None:
    """Return where the values step; None where there are too few to tell."""
    if len(values) < 2:
        return []
    if timed and (values <= 0).any():
        return None  # shorter than the clock can tell
    scaled = np.log(values) if timed else values
    apart = np.abs(np.diff(scaled))
    if not timed and np.median(apart <= NO_STEP * np.abs(scaled).max()) >= 0.5:
        return [int(at) + 1 for at in np.flatnonzero(apart > NO_STEP * np.abs(scaled).max())]
    if len(values) < LEAST:
        return None
    return _noisy_steps(scaled, NORMAL * float(np.median(apart)) / math.sqrt(2), math.log1p(FLOOR) if timed else 0.0)


def _noisy_steps(values: NDArray[np.float64], deviation: float, floor: float) -> list[int]:
    import ruptures

    penalty = max(PENALTY * deviation**2 * math.log(len(values)), NO_STEP)
    model = ruptures.KernelCPD(kernel="linear", min_size=SHORTEST).fit(values.reshape(-1, 1))
    edges = [0, *map(int, model.predict(pen=penalty))]
    levels = [float(np.median(values[start:end])) for start, end in pairwise(edges)]
    around = np.concatenate(
        [np.abs(values[start:end] - level) for (start, end), level in zip(pairwise(edges), levels, strict=True)]
    )
    least = max(floor, DEVIATIONS * NORMAL * float(np.median(around)))
    return [at for at, (one, other) in zip(edges[1:-1], pairwise(levels), strict=True) if abs(other - one) >= least]

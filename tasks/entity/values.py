"""What is said of a name in the world of one seed: real code points, each of them another name's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from numpy.random import PCG64, Generator, SeedSequence

from tasks.entity.names import Name
from tasks.entity.templates import RELATIONS

VERSIONS = 2  # what holds now, and what held before
STREAM = 2**32  # no episode has this number


class World:
    """The values of all names: `truth` is what Unicode says, and what holds now where `permuted` is false.

    Values are decimal: small readers cut them as they cut any number, while U+1D4C7 would measure their spelling.

    code point   of the name itself
    successor    the code point of the next name; the first one's follows the last
    """

    def __init__(self, names: Sequence[Name], *, seed: int, permuted: bool) -> None:
        own = [name.code_point for name in names]
        self.place = {name.code_point: at for at, name in enumerate(names)}
        self.truth = {"code point": own, "successor": [*own[1:], own[0]]}
        rng = Generator(PCG64(SeedSequence([seed, STREAM])))
        self.sources = {
            (relation.name, version): one_cycle(len(names), rng)
            for relation, version in product(RELATIONS, range(VERSIONS))
        }
        if not permuted:
            self.sources |= {(relation.name, 0): list(range(len(names))) for relation in RELATIONS}

    def value(self, name: Name, relation: str, *, version: int = 0) -> str:
        """Return what is said of a name; version 0 is what holds now, version 1 what held before."""
        source = self.sources[relation, version][self.place[name.code_point]]
        return str(self.truth[relation][source])


def one_cycle(size: int, rng: Generator) -> list[int]:
    """Return a permutation that is a single cycle: nothing stays where it is, unless it is alone."""
    order = [int(at) for at in rng.permutation(size)]
    after = dict(zip(order, [*order[1:], order[0]], strict=True))
    return [after[at] for at in range(size)]

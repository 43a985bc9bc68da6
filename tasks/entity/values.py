"""What is said of a name in the world of one seed: real values, each of them another name's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from numpy.random import PCG64, Generator, SeedSequence

from tasks.entity.names import Name
from tasks.entity.templates import RELATIONS

VERSIONS = 2  # what holds now, and what held before; from here on, what holds for other users
STREAM = 2**32  # no episode has this number


class World:
    """The values of all names: `truth` is what their source says, and what holds now where `permuted` is false.

    `truth` is relation -> one value a name. By default those of Unicode, in decimal: small readers cut them as they
    cut any number, while U+1D4C7 would measure their spelling.

    code point   of the name itself
    successor    the code point of the next name; the first one's follows the last
    """

    def __init__(
        self,
        names: Sequence[Name],
        *,
        seed: int,
        permuted: bool,
        truth: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.place = {name.number: at for at, name in enumerate(names)}
        self.truth = truth or with_successor("code point", [str(name.number) for name in names])
        self.seed = seed
        rng = Generator(PCG64(SeedSequence([seed, STREAM])))
        self.sources = {
            (relation, version): one_cycle(len(names), rng)
            for relation, version in product(self.truth, range(VERSIONS))
        }
        if not permuted:
            self.sources |= {(relation, 0): list(range(len(names))) for relation in self.truth}

    def value(self, name: Name, relation: str, *, version: int = 0) -> str:
        """Return what is said of a name; version 0 is what holds now, 1 what held before, 2 and on what others hear."""
        if (relation, version) not in self.sources:
            which = [self.seed, STREAM, version, list(self.truth).index(relation)]
            self.sources[relation, version] = one_cycle(len(self.place), Generator(PCG64(SeedSequence(which))))
        return self.truth[relation][self.sources[relation, version][self.place[name.number]]]


def with_successor(relation: str, own: Sequence[str]) -> dict[str, Sequence[str]]:
    """Return the truth of two relations: the names' own values, and those of the next names."""
    return {relation: own, RELATIONS[1].name: [*own[1:], own[0]]}


def one_cycle(size: int, rng: Generator) -> list[int]:
    """Return a permutation that is a single cycle: nothing stays where it is, unless it is alone."""
    order = [int(at) for at in rng.permutation(size)]
    after = dict(zip(order, [*order[1:], order[0]], strict=True))
    return [after[at] for at in range(size)]

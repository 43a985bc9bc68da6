"""Which names are easily taken for one another.

suffix      names that share their last three tokens, and have more of them
prefix      names that share their first three tokens, and have more of them
neighbour   names that are the same but for one word
anagram     names of the same words in another order
near        names that are the same but for one letter
collision   names whose words have the same CRC-32 as the words at their places: planted, never found by chance
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.random import Generator

from tasks.entity.names import Name

SUFFIX_TOKENS = 3
BASE = ("suffix", "neighbour")  # what a question has for a family where its kind does not say
Split = Callable[[str], list[str]]


class Families:
    """Groups of at least `size` names that are easily taken for one another. A name can be in several.

    `planted` are the groups of a set that was made of them; without it they are found among the names, whose texts
    `split` cuts into words. `kinds` are the families to look for beside the base.
    """

    def __init__(
        self,
        names: Sequence[Name],
        *,
        size: int,
        kinds: Collection[str] = (),
        split: Split = str.split,
        planted: Mapping[str, list[list[Name]]] | None = None,
    ) -> None:
        wanted = [family for family in GROUPINGS if family in BASE or family in kinds]
        every = {
            family: GROUPINGS[family](names, split) if planted is None else planted.get(family, []) for family in wanted
        }
        self.largest = {family: max(map(len, groups), default=0) for family, groups in every.items()}
        self.groups = {family: [one for one in groups if len(one) >= size] for family, groups in every.items()}
        self.ends = {family: np.cumsum([len(one) for one in groups]) for family, groups in self.groups.items()}
        self.base = tuple(family for family in BASE if self.groups[family])

    def names(self) -> set[str]:
        return {name.text for groups in self.groups.values() for group in groups for name in group}

    def draw(self, family: str, size: int, taken: Collection[str], rng: Generator) -> list[Name]:
        """Return `size` names of one group in random order, so that none of them is special; fewer where the group
        has no more that are not `taken`. A group is as likely as it is large."""
        ends = self.ends[family]
        group = self.groups[family][int(np.searchsorted(ends, rng.integers(ends[-1]), side="right"))]
        free = [group[at] for at in rng.permutation(len(group)) if group[at].text not in taken]
        return free[:size]


def by_suffix(names: Iterable[Name], _: Split = str.split) -> list[list[Name]]:
    long = (name for name in names if len(name.tokens) > SUFFIX_TOKENS)
    return grouped((name.tokens[-SUFFIX_TOKENS:], name) for name in long)


def by_prefix(names: Iterable[Name], _: Split = str.split) -> list[list[Name]]:
    long = (name for name in names if len(name.tokens) > SUFFIX_TOKENS)
    return grouped((name.tokens[:SUFFIX_TOKENS], name) for name in long)


def by_neighbour(names: Iterable[Name], split: Split = str.split) -> list[list[Name]]:
    return grouped((rest, name) for name in names for rest in gapped(split(name.text)))


def by_anagram(names: Iterable[Name], split: Split = str.split) -> list[list[Name]]:
    return grouped((tuple(sorted(split(name.text))), name) for name in names)


def by_near(names: Iterable[Name], _: Split = str.split) -> list[list[Name]]:
    return grouped(
        ((name.text[:at], name.text[at + 1 :]), name)
        for name in names
        for at, letter in enumerate(name.text)
        if letter.isalpha()
    )


def by_collision(_: Iterable[Name], __: Split = str.split) -> list[list[Name]]:
    return []


GROUPINGS: Mapping[str, Callable[[Iterable[Name], Split], list[list[Name]]]] = {
    "suffix": by_suffix,
    "neighbour": by_neighbour,
    "prefix": by_prefix,
    "anagram": by_anagram,
    "near": by_near,
    "collision": by_collision,
}


def grouped(pairs: Iterable[tuple[Hashable, Name]]) -> list[list[Name]]:
    groups: defaultdict[Hashable, list[Name]] = defaultdict(list)
    for shared, name in pairs:
        groups[shared].append(name)
    return list(groups.values())


def gapped(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the words with a gap for one of them, for each; nothing where a gap would leave no word."""
    for at in range(len(words) if len(words) > 1 else 0):
        yield (*words[:at], "", *words[at + 1 :])

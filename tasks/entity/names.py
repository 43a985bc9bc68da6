"""Names that every Python knows, and which of them are easily taken for one another."""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.random import Generator
from tokenizers import Tokenizer

# The Unicode Standard, section 4.8, rules NR1 and NR2: these names are made from the code point
ALGORITHMIC = (
    "HANGUL SYLLABLE ",
    "CJK UNIFIED IDEOGRAPH-",
    "CJK COMPATIBILITY IDEOGRAPH-",
    "TANGUT IDEOGRAPH-",
    "NUSHU CHARACTER-",
    "KHITAN SMALL SCRIPT CHARACTER-",
)
DIGIT = re.compile(r"\d")  # "anatolian hieroglyph a057": a serial number in all but the standard's rules
SUFFIX_TOKENS = 3
FEWEST_TOKENS = 3  # shorter names are no multi-token entities


@dataclass(frozen=True)
class Name:
    """A name in small letters, its code point, and its tokens as they are after a space."""

    code_point: int
    text: str
    tokens: tuple[int, ...]


@cache
def unicode_names() -> Mapping[int, str]:
    """Return code point -> name, in small letters, in the order of the code points."""
    names = ((at, unicodedata.name(chr(at), "")) for at in range(sys.maxunicode + 1))
    return {
        at: name.lower() for at, name in names if name and not name.startswith(ALGORITHMIC) and not DIGIT.search(name)
    }


def digest_names(names: Mapping[int, str]) -> str:
    """Return one sha256 over all code points and names."""
    return hashlib.sha256("".join(f"{at:04X};{name}\n" for at, name in names.items()).encode()).hexdigest()


def tokenized(names: Mapping[int, str], tokenizer: Tokenizer) -> list[Name]:
    encodings = tokenizer.encode_batch([f" {name}" for name in names.values()], add_special_tokens=False)
    return [Name(at, name, tuple(one.ids)) for (at, name), one in zip(names.items(), encodings, strict=True)]


class Families:
    """Groups of at least `size` names that are easily taken for one another. A name can be in several.

    suffix      names that share their last three tokens, and have more of them
    neighbour   names that are the same but for one word
    """

    def __init__(self, names: Sequence[Name], *, size: int) -> None:
        every = {"suffix": by_suffix(names), "neighbour": by_neighbour(names)}
        self.largest = {family: max(map(len, groups), default=0) for family, groups in every.items()}
        self.groups = {family: [one for one in groups if len(one) >= size] for family, groups in every.items()}
        self.ends = {family: np.cumsum([len(one) for one in groups]) for family, groups in self.groups.items()}

    def names(self) -> set[str]:
        return {name.text for groups in self.groups.values() for group in groups for name in group}

    def draw(self, family: str, size: int, taken: Collection[str], rng: Generator) -> list[Name]:
        """Return `size` names of one group in random order, so that none of them is special; fewer where the group
        has no more that are not `taken`. A group is as likely as it is large."""
        ends = self.ends[family]
        group = self.groups[family][int(np.searchsorted(ends, rng.integers(ends[-1]), side="right"))]
        free = [group[at] for at in rng.permutation(len(group)) if group[at].text not in taken]
        return free[:size]


def by_suffix(names: Iterable[Name]) -> list[list[Name]]:
    groups = defaultdict(list)
    for name in names:
        if len(name.tokens) > SUFFIX_TOKENS:
            groups[name.tokens[-SUFFIX_TOKENS:]].append(name)
    return list(groups.values())


def by_neighbour(names: Iterable[Name]) -> list[list[Name]]:
    groups = defaultdict(list)
    for name in names:
        for rest in gapped(name.text.split()):
            groups[rest].append(name)
    return list(groups.values())


def gapped(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the words with a gap for one of them, for each; nothing where a gap would leave no word."""
    for at in range(len(words) if len(words) > 1 else 0):
        yield (*words[:at], "", *words[at + 1 :])

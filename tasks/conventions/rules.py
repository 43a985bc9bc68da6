"""Rules: what nearly all places of a package say of a name, and what other packages would have led one to expect.

    fast is imported from acme._speed      80 of 82 places in the seen files      others: from the package itself

A rule is mined from seen files only; what the held-out files do is asked, and may break it.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from memory_bench.metrics import holds
from tasks.conventions.commits import read_commit
from tasks.conventions.finders import BASIC, KINDS
from tasks.conventions.occurrences import Occurrence, occurrences, read
from tasks.conventions.sources import Collection, digest, read_package
from tasks.conventions.trees import counted, read_tree

__all__ = ["BASIC", "KINDS", "Mined", "Rule", "mine", "mine_commit", "mine_tree"]

LEAST_SUPPORT = 8  # places in seen files
LEAST_FILES = 3
LEAST_CONFIDENCE = 0.9
BROKEN = "with syntax errors"
PACKAGE = ""  # the scope of a rule that holds everywhere
PRIOR_PACKAGES: Final = ("hydra", "jinja2", "numpy", "omegaconf", "packaging", "rich", "yaml")  # our own dependencies


@dataclass(frozen=True)
class Rule:
    """`seen` places follow it in files that memories may be told of, `held_out` places in the others; `broken` places
    of the others do not. `prior` is what other packages would say, `heard` what they do say of this very name, if
    anything; `elsewhere` is what other folders of this one say most, `exceptions` are the places that do not follow
    it, in files of both sides."""

    kind: str
    subject: str
    scope: str
    value: str
    seen: tuple[Occurrence, ...]
    held_out: tuple[Occurrence, ...]
    broken: int
    prior: str
    elsewhere: tuple[str, ...]
    exceptions: tuple[Occurrence, ...] = ()
    heard: str = ""

    @property
    def is_discriminating(self) -> bool:
        """Whether somebody who knows other packages only would get it wrong."""
        return not same(self.value, self.prior)


@dataclass(frozen=True)
class Mined:
    """The rules of a package, and the digest of every collection of files that was read.

    `found` are all places, `prior` what other packages say. `left_out` counts files that were not read, by the reason.
    """

    package: str
    rules: tuple[Rule, ...]
    identity: Mapping[str, str]
    found: tuple[Occurrence, ...]
    prior: Prior
    left_out: Mapping[str, int]


@cache
def mine(package: str, kinds: tuple[str, ...] = BASIC) -> Mined:
    """Return the rules of an installed package. Raises BadInput where it is none or has no sources."""
    found, sha256 = places_of(package, kinds)
    return mined(package, package, found, kinds, {f"package/{package}": sha256}, {})


def mine_files(files: Collection, kinds: tuple[str, ...], source: str) -> Mined:
    """Return the rules of the user's files; `source` is their name in the identity of what was read."""
    read_files = [read(one, kinds) for one in files.sources]
    broken = sum(places is None for places in read_files)
    left_out = {**files.left_out, **({BROKEN: broken} if broken else {})}
    if left_out:  # once: what is mined is kept
        logging.getLogger(__name__).warning("%s: left out %s", files.name, counted(left_out))
    found = [place for places in read_files for place in places or ()]
    return mined(files.name, files.package, found, kinds, {source: digest(files.sources)}, left_out)


@cache
def mine_tree(path: str, kinds: tuple[str, ...]) -> Mined:
    """Return the rules of a folder. Raises BadInput where it has no Python files."""
    return mine_files(read_tree(path), kinds, "path")


@cache
def mine_commit(path: str, revision: str, kinds: tuple[str, ...]) -> Mined:
    """Return the rules of a repository at a commit. Raises BadInput where there is none, or no Python file in it."""
    files, commit = read_commit(path, revision)
    return mine_files(files, kinds, f"commit/{commit}")


def mined(
    name: str,
    package: str,
    found: Sequence[Occurrence],
    kinds: tuple[str, ...],
    own: Mapping[str, str],
    left_out: Mapping[str, int],
) -> Mined:
    others = {name: places_of(name, kinds) for name in PRIOR_PACKAGES if name != package}
    prior = Prior(package, (place for places, _ in others.values() for place in places))
    identity = {**own} | {f"prior/{name}": digest for name, (_, digest) in others.items()}
    return Mined(name, tuple(rules(found, prior)), identity, tuple(found), prior, left_out)


@cache
def places_of(package: str, kinds: tuple[str, ...] = BASIC) -> tuple[list[Occurrence], str]:
    """Return all places of a package that say something, and the digest of its files."""
    sources = read_package(package)
    return [place for source in sources for place in occurrences(source, kinds)], digest(sources)


class Prior:
    """What other packages say of a name; of one that they do not know, what is most usual."""

    def __init__(self, package: str, found: Iterable[Occurrence]) -> None:
        self.package = package
        self.said: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self.usual: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for one in found:
            if one.kind == "home" and one.value.startswith("."):
                continue  # a module within another package: no name that anybody else could import from
            self.said[one.kind, one.subject][one.value] += 1
            self.usual[one.kind][one.value] += 1

    def __call__(self, kind: str, subject: str) -> str:
        if heard := self.heard(kind, subject):
            return heard
        if kind == "alias":
            return subject.replace(" ", ".").rpartition(".")[2]  # no alias: the name itself
        if kind == "home":
            return self.package  # from the top: what packages are made for
        return most_common(self.usual[kind])

    def heard(self, kind: str, subject: str) -> str:
        """Return what is said of this very name, "" where nobody knows it."""
        return most_common(self.said.get((kind, subject), Counter()))


def rules(found: Sequence[Occurrence], prior: Prior) -> Iterator[Rule]:
    """Yield the rules of all kinds: of the package where one holds there, else of the folders in which one holds."""
    subjects: defaultdict[tuple[str, str], list[Occurrence]] = defaultdict(list)
    for one in found:
        subjects[one.kind, one.subject].append(one)
    for places in subjects.values():
        folders: defaultdict[str, list[Occurrence]] = defaultdict(list)
        for one in places:
            folders[one.source.folder].append(one)
        everywhere = rule(PACKAGE, places, prior, ())
        if everywhere:
            yield everywhere
            continue
        said = {folder: dominant(inside) for folder, inside in sorted(folders.items())}
        for folder, inside in sorted(folders.items()):
            elsewhere = [value for other, value in said.items() if other != folder and value]
            if scoped := rule(folder, inside, prior, elsewhere):
                yield scoped


def rule(
    scope: str,
    places: Sequence[Occurrence],
    prior: Prior,
    elsewhere: Sequence[str],
    *,
    support: int = LEAST_SUPPORT,
    files: int = LEAST_FILES,
) -> Rule | None:
    """Return what the seen ones of these places agree on, None where that is nothing."""
    seen = [one for one in places if one.source.is_seen]
    value = dominant(seen)
    keeping = [one for one in seen if one.value == value]
    subject = places[0].subject
    if (
        len(keeping) < support
        or len({one.source.path for one in keeping}) < files
        or len(keeping) < LEAST_CONFIDENCE * len(seen)
        or not value
        or holds(subject, value)  # it would be masked wherever it stands
    ):
        return None
    held_out = [one for one in places if not one.source.is_seen]
    kept = tuple(one for one in held_out if one.value == value)
    kind = places[0].kind
    others = tuple(dict.fromkeys(other for other in elsewhere if not same(other, value)))
    broken = len(held_out) - len(kept)
    exceptions = tuple(one for one in places if one.value != value)
    expected, heard = prior(kind, subject), prior.heard(kind, subject)
    return Rule(kind, subject, scope, value, tuple(keeping), kept, broken, expected, others, exceptions, heard)


def dominant(places: Sequence[Occurrence]) -> str:
    return most_common(Counter(one.value for one in places if one.source.is_seen))


def most_common(counts: Counter[str]) -> str:
    """Return the value that was counted most, of equals the first in the alphabet; "" where there is none."""
    return min(counts, key=lambda value: (-counts[value], value), default="")


def same(one: str, other: str) -> bool:
    """Whether two spellings are one expression: quotes are not what is asked for."""
    return unquoted(one) == unquoted(other)


def unquoted(value: str) -> str:
    """Return an expression with one kind of quotes."""
    return value.replace("'", '"')

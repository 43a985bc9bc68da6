"""What can be asked about, by split: what is told for it, what is told that says otherwise, and the held-out lines.

| split | the answer is what | told too | who takes that is |
|---|---|---|---|
| rules | the rule says | | |
| conflicts | the file's folder says | another folder, which says something else | not in the right scope |
| exceptions | this line says, against the rule | the rule | blind |
| updates | the rule says since the second commit | the rule as it was | stale |
| renames | the rule is made to say, from some time on (synthetic) | the rule as it was | stale |
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from numpy.random import PCG64, Generator, SeedSequence

from memory_bench.metrics import holds
from tasks.conventions.balance import Circle, circles
from tasks.conventions.cards import Card
from tasks.conventions.chunks import Chunk, Cutter, can_show
from tasks.conventions.occurrences import Occurrence
from tasks.conventions.questions import Asked, ask
from tasks.conventions.renames import renamed
from tasks.conventions.rules import Mined, Rule, rule, same

MISLED: Final[Mapping[str, str]] = MappingProxyType(
    {"conflicts": "right_scope", "exceptions": "not_blind", "updates": "not_stale", "renames": "not_stale"}
)
SPLITS: Final = ("rules", *MISLED)
CHANGING: Final = ("updates", "renames")  # what says otherwise was told before, and is stale
LEAST_IN_A_FOLDER = {"support": 3, "files": 2}  # places and files of one folder that are a convention against another's


@dataclass(frozen=True, eq=False)
class Told:
    """A rule, the places that fit into a chunk, and how many chunks show it, each of another file."""

    rule: Rule
    places: Sequence[Occurrence]
    times: int


@dataclass(frozen=True, eq=False)
class Known(Told):
    """A rule that can be told and asked: by these lines, beside what says otherwise.

    The circle holds the answers to all that can be asked of its kind.
    """

    lines: Sequence[Asked]
    split: str
    against: Told | None
    circle: Circle

    @property
    def name(self) -> tuple[str, str]:
        return self.rule.kind, self.rule.subject

    @property
    def rules(self) -> list[Rule]:
        return [self.rule, self.against.rule] if self.against else [self.rule]

    @property
    def scope(self) -> str:
        """The scope of the question. Where folders disagree its path has to do: a scope would hide the others."""
        return "" if self.split == "conflicts" else self.rule.scope

    def says_otherwise(self, piece: Chunk | Card) -> bool:
        return self.against is not None and piece.shows(self.against.rule)


class Splits:
    """Finds what can be asked about. `earlier` are the rules of the first of two commits.

    `shown` is 0 where rules are not shown by chunks; else the chunks of each, of rare things as many as there are.
    """

    def __init__(
        self,
        mined: Mined,
        earlier: Mined | None,
        *,
        kinds: Sequence[str],
        cutter: Cutter,
        shown: int,
        context_lines: int,
    ) -> None:
        self.mined = mined
        self.kinds = kinds
        self.rules = [rule for rule in mined.rules if rule.kind in kinds]
        self.earlier = [rule for rule in earlier.rules if rule.kind in kinds] if earlier else []
        self.cutter = cutter
        self.shown = shown
        self.context_lines = context_lines

    def pool(self, split: str, seed: int) -> list[Known]:
        """Return all that a split can ask about; only the renames depend on the seed."""
        pairs: dict[str, Iterator[tuple[Rule, Rule | None]]] = {
            "rules": ((rule, None) for rule in self.rules if rule.is_discriminating),
            "conflicts": self.conflicts(),
            "exceptions": self.exceptions(),
            "updates": self.updates(),
            "renames": self.renames(seed),
        }
        found = [known for rule, against in pairs[split] if (known := self.known(rule, against, split))]
        around = circles([known.rule for known in found])
        return [replace(known, circle=around[known.rule.kind]) for known in found]

    def known(self, rule: Rule, against: Rule | None, split: str) -> Known | None:
        """Return what can be told and asked of a rule, as if it were alone; None where that is too little."""
        rare = split in ("conflicts", "exceptions")
        told = self.told(rule, rare)
        beside = self.told(against, rare) if against else None
        if not told or (against and not beside):
            return None
        outdated = against.value if against and split == "renames" else ""
        asked = (ask(rule, place, context_lines=self.context_lines, outdated=outdated) for place in rule.held_out)
        lines = [one for one in asked if one]
        alone = Circle([rule.value])
        return Known(rule, told.places, told.times, lines, split, beside, alone) if lines else None

    def told(self, rule: Rule, rare: bool) -> Told | None:
        if not self.shown:
            return Told(rule, (), 0)
        places = self.cutter.places(rule)
        files = len({place.source.path for place in places})
        times = min(self.shown, files) if rare else self.shown
        return Told(rule, places, times) if times and can_show(places, times, ()) else None

    def conflicts(self) -> Iterator[tuple[Rule, Rule]]:
        """Folders that disagree. Each is asked, whatever the prior says: else a name would have one answer only."""
        for folders in self.by_folder().values():
            found = (rule(folder, places, self.mined.prior, (), **LEAST_IN_A_FOLDER) for folder, places in folders)
            said = [one for one in found if one]
            for own in said:
                others = [other for other in said if not same(own.value, other.value)]
                if others:
                    other = max(others, key=lambda one: len(one.seen))
                    yield replace(own, elsewhere=(other.value,)), other

    def by_folder(self) -> Mapping[tuple[str, str], list[tuple[str, list[Occurrence]]]]:
        """Return the places of every kind and subject, by folder."""
        found: defaultdict[tuple[str, str], defaultdict[str, list[Occurrence]]]
        found = defaultdict(lambda: defaultdict(list))
        for place in self.mined.found:
            if place.kind in self.kinds:
                found[place.kind, place.subject][place.source.folder].append(place)
        return {name: sorted(folders.items()) for name, folders in found.items() if len(folders) > 1}

    def exceptions(self) -> Iterator[tuple[Rule, Rule]]:
        """Lines that break a rule as seen files do too: the evidence is there, but there is more for the rule."""
        for broken in self.rules:
            by_value: defaultdict[str, list[Occurrence]] = defaultdict(list)
            for place in broken.exceptions:
                by_value[place.value].append(place)
            for value, places in by_value.items():
                seen = tuple(place for place in places if place.source.is_seen)
                held_out = tuple(place for place in places if not place.source.is_seen)
                if not value or not seen or not held_out or holds(broken.subject, value):
                    continue
                if not same(value, broken.prior) and not same(value, broken.value):
                    own = replace(broken, value=value, seen=seen, held_out=held_out, exceptions=(), broken=0)
                    yield replace(own, elsewhere=(broken.value,)), broken

    def updates(self) -> Iterator[tuple[Rule, Rule]]:
        before = {(old.kind, old.subject, old.scope): old for old in self.earlier}
        for new in self.rules:
            old = before.get((new.kind, new.subject, new.scope))
            if old and new.is_discriminating and not same(old.value, new.value):
                yield replace(new, elsewhere=(old.value,)), old

    def renames(self, seed: int) -> Iterator[tuple[Rule, Rule]]:
        rng = Generator(PCG64(SeedSequence([seed, SPLITS.index("renames")])))
        for old in self.rules:
            if old.is_discriminating and (new := renamed(old, self.rules, rng)):
                yield new, old

"""Names drawn token by token, in families whose likeness is a dial. Every word is one token of the tokenizer.

    name_tokens=5 suffix_tokens=3 prefix_tokens=2

    suffix      domain frame  how lists model        prefix      domain frame how   lists  model
                offset sav    how lists model                    domain frame exist offset sav
    neighbour   domain frame  how lists model        anagram     domain frame how lists model
                domain frame  how exist model                    lists domain model frame how
    near        domain frame  how lists model        collision   words of two tokens each; those at one place
                domain frame  now lists model                    have one CRC-32

Collisions are an attack on memories that hash words to 32 bits: all their n-grams are equal, so such a memory cannot
tell the names apart, whatever is asked. Names are the same for every seed; who has which badge is the seed's.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice, product

from numpy.random import PCG64, Generator, SeedSequence
from tokenizers import Tokenizer

from memory_bench.errors import BadInput
from memory_bench.task_options import check_whole
from memory_bench.task_tokens import token_ids
from tasks.entity.names import Name

LENGTHS = range(2, 9)
STREAM = 2**33  # of names; the values of a seed have their own
FEWEST_WORDS = 200
ADVERSARIAL = ("collision",)  # reported apart: no name in the wild is made so
BADGES = range(10**6, 10**7)
MOST_NAMES = 10**5
Draw = Callable[[], list[str]]


@dataclass(frozen=True)
class Dials:
    """name_tokens     of every name, 2 to 8
    suffix_tokens   that a family of the kind suffix shares
    prefix_tokens   that a family of the kind prefix shares
    group           names that share something
    groups          of each kind of family
    """

    name_tokens: int
    suffix_tokens: int
    prefix_tokens: int
    group: int
    groups: int

    def __post_init__(self) -> None:
        for option in ("name_tokens", "suffix_tokens", "prefix_tokens", "group", "groups"):
            check_whole(f"synthetic.{option}", getattr(self, option), least=1)
        if self.name_tokens not in LENGTHS:
            raise BadInput(f"task.synthetic.name_tokens={self.name_tokens}: expected a whole number from 2 to 8")
        for option in ("suffix_tokens", "prefix_tokens"):
            if getattr(self, option) >= self.name_tokens:
                raise BadInput(
                    f"task.synthetic.{option}={getattr(self, option)}: a name of {self.name_tokens} tokens shares at "
                    f"most {self.name_tokens - 1} of them; lower it or raise task.synthetic.name_tokens"
                )
        if self.group < 2 or self.group * self.groups > MOST_NAMES:
            raise BadInput(
                f"task.synthetic.group={self.group} task.synthetic.groups={self.groups}: expected groups of 2 or more, "
                f"and {MOST_NAMES:,} names of a kind at most"
            )

    def badges(self, number: int) -> list[int]:
        """Return as many different badges: what the names' own ones would be. Seeds give each name another's."""
        rng = Generator(PCG64(SeedSequence([STREAM, 1])))
        return [int(BADGES[at]) for at in rng.choice(len(BADGES), size=number, replace=False)]


def plant(tokenizer: Tokenizer, dials: Dials, kinds: Collection[str] = ()) -> dict[str, list[list[Name]]]:
    """Return family -> its groups of names; no name comes twice. Of an anagram there are as many as its words have
    orders, of the others `group`, or fewer where words run out. Collisions take a second, and are made if asked for."""
    planter = Planter(tokenizer, dials)
    wanted = [family for family in planter.growers if family not in ADVERSARIAL or family in kinds]
    return {family: planter.grow(family) for family in wanted}


class Planter:
    """Draws names. `rng` decides; what was drawn once does not come again."""

    def __init__(self, tokenizer: Tokenizer, dials: Dials) -> None:
        self.tokenizer = tokenizer
        self.dials = dials
        self.words = whole_words(tokenizer)
        if len(self.words) < max(FEWEST_WORDS, 4 * dials.group):
            raise BadInput(
                f"task.tokenizer: {len(self.words)} of its tokens are whole words in small letters; synthetic names "
                f"need {max(FEWEST_WORDS, 4 * dials.group)}: give another one, or lower task.synthetic.group"
            )
        self.rng = Generator(PCG64(SeedSequence([STREAM, 0])))
        self.drawn: set[str] = set()
        self.growers: dict[str, Callable[[], list[list[str]]]] = {
            "suffix": lambda: self.sharing(last=dials.suffix_tokens),
            "prefix": lambda: self.sharing(first=dials.prefix_tokens),
            "neighbour": self.neighbours,
            "anagram": self.anagrams,
            "near": lambda: self.variants(near(self.words)),
            "collision": lambda: self.variants(self.colliding()),
        }
        self.numbers = count()
        self._colliding: list[list[str]] = []

    def grow(self, family: str) -> list[list[Name]]:
        groups = []
        for _ in range(self.dials.groups):
            texts = list(dict.fromkeys(" ".join(words) for words in self.growers[family]()))
            fresh = [text for text in texts if text not in self.drawn]
            self.drawn |= set(fresh)
            groups.append([self.name(text) for text in fresh])
        return groups

    def name(self, text: str) -> Name:
        return Name(next(self.numbers), text, tuple(token_ids(self.tokenizer, f" {text}")))

    def draw(self, number: int) -> list[str]:
        """Return different words."""
        return [self.words[at] for at in self.rng.choice(len(self.words), size=number, replace=False)]

    def sharing(self, *, first: int = 0, last: int = 0) -> list[list[str]]:
        shared, own = self.draw(first + last), self.dials.name_tokens - first - last
        # the words beside what is shared differ in every place, so that a family shares no more than the dial says
        columns = [self.draw(self.dials.group) for _ in range(own)]
        return [[*shared[:first], *rest, *shared[first:]] for rest in zip(*columns, strict=True)]

    def neighbours(self) -> list[list[str]]:
        base, at = self.draw(self.dials.name_tokens), int(self.rng.integers(self.dials.name_tokens))
        others = [word for word in self.draw(self.dials.group + len(base)) if word not in base]
        return [[*base[:at], word, *base[at + 1 :]] for word in others[: self.dials.group]]

    def anagrams(self) -> list[list[str]]:
        base = self.draw(self.dials.name_tokens)
        size = min(self.dials.group, math.factorial(len(base)))
        orders: dict[tuple[int, ...], None] = {}
        while len(orders) < size:
            orders[tuple(int(at) for at in self.rng.permutation(len(base)))] = None
        return [[base[at] for at in order] for order in orders]

    def variants(self, classes: Sequence[Sequence[str]]) -> list[list[str]]:
        """Return names whose words at one place are of one class: as few places vary as make a group."""
        places = self.dials.name_tokens
        picked = [classes[at] for at in self.rng.choice(len(classes), size=places, replace=False)]
        options = [list(one) for one in picked]
        fixed = 0  # words in front that do not vary
        while fixed < places and math.prod(len(one) for one in options[fixed + 1 :]) >= self.dials.group:
            options[fixed] = options[fixed][:1]
            fixed += 1
        return [list(one) for one in islice(product(*options), self.dials.group)]

    def colliding(self) -> list[list[str]]:
        if not self._colliding:
            self._colliding = same_crc(self.words)
        if len(self._colliding) < self.dials.name_tokens:
            raise BadInput("task.kinds: this tokenizer has too few words of two tokens with one CRC-32: drop collision")
        return self._colliding


def whole_words(tokenizer: Tokenizer) -> list[str]:
    """Return the words in small letters, of three letters or more, that are one token after a space; sorted."""
    decoded = (tokenizer.decode([token]) for token in range(tokenizer.get_vocab_size()))
    words = sorted({text.strip() for text in decoded if re.fullmatch(" [a-z]{3,}", text)})
    return [word for word in words if len(token_ids(tokenizer, f" {word}")) == 1]


def near(words: Sequence[str]) -> list[list[str]]:
    """Return classes of words that are the same but for one letter at one place."""
    classes: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for word in words:
        for at in range(len(word)):
            classes[word[:at], word[at + 1 :]].append(word)
    return [one for one in classes.values() if len(one) > 1]


def same_crc(words: Sequence[str]) -> list[list[str]]:
    """Return classes of words, each of them two of `words` in one, that have one CRC-32."""
    classes: defaultdict[int, dict[str, None]] = defaultdict(dict)
    for word, crc in joined(words):
        classes[crc][word] = None  # "so me" and "some" are one word, and no collision
    return [list(one) for one in classes.values() if len(one) > 1]


def joined(words: Sequence[str]) -> Iterator[tuple[str, int]]:
    tails = [(word, word.encode()) for word in words]
    for head in words:
        crc = zlib.crc32(head.encode())
        yield from ((f"{head}{tail}", zlib.crc32(encoded, crc)) for tail, encoded in tails)

"""Names and values that no model can know: drawn, not listed. Words and syllables only; no state."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from numpy.random import Generator

KINDS_OF_ENTITY: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("gate {name}", ("invented", "number")),
    ("vessel {name}", ("adjective", "noun")),
    ("station {name}", ("invented", "number")),
    ("depot {name}", ("plain", "invented")),
    ("archive {name}", ("plain", "number")),
    ("laboratory {name}", ("invented", "plain")),
    ("project {name}", ("noun",)),
    ("parcel {name}", ("noun", "number")),
    ("the vault of {name}", ("invented", "invented")),
    ("the workshop of {name}", ("invented", "invented")),
)
"""How an entity is called, and the parts of its name. They are 2 to 8 tokens long."""


def words(text: str) -> list[str]:
    return text.split()


ONSETS = words("b br d dr f fl g gr h j k kr l m n p pl r s sk st t tr v w z")
VOWELS = words("a e i o u ai ea or ur")
MIDDLES = words("b d g l lm m n nd r rk s t v z")
CODAS = words("k l m n ng r rn s sh th x")

FIRST_WORDS = words(
    "amber ancient azure bitter blunt bold brass brisk bronze calm carved cedar chalk clever cobalt copper coral "
    "crimson crooked curly damp dapper dusty eager early ebony fabled faint feral floral foggy frosty frugal "
    "gentle gilded glassy golden grizzled hasty hazel hidden hollow humble icy indigo ivory jagged jolly keen "
    "lanky lilac lively lonely lucid maple marble mellow misty modest mossy muddy narrow nimble noble oaken olive "
    "opal paper pewter placid polar proud quaint quiet ragged rapid rosy rugged russet rusty sandy scarlet shaggy "
    "silent silver sleepy slender smoky snowy solemn spotted steady stony sturdy sunny swift tawny tidy timid "
    "tropic umber velvet vivid wooden woolly zesty"
)
SECOND_WORDS = words(
    "acorn anchor anvil badger barrel basket beacon bison blanket bobbin bramble bridle bucket buffalo button "
    "candle canyon carrot castle cellar cherry chimney cobbler comet condor cricket curtain dagger daisy dolphin "
    "donkey engine falcon feather fennel ferret fiddle finch fountain furnace garnet ginger glacier goblet "
    "gosling hammer harbour harness hazelnut heron hornet jackal juniper kettle lantern lark lemon lobster locket "
    "magnet magpie mallet marten meadow mitten monsoon mushroom nettle orchard osprey otter paddle parsnip pebble "
    "pelican pepper pigeon pillow plover pumpkin quarry rabbit raven ribbon saddle salmon sapling satchel shovel "
    "skillet sparrow spindle squirrel stallion sturgeon summit tangerine teapot thimble thistle thunder trellis "
    "trumpet tulip turnip walnut weasel whistle willow winter"
)
PLAIN_WORDS = words("North South East West Upper Lower Old New Inner Outer Grand Little Mid Far High Low")
MONTHS = words("January February March April May June July August September October November December")


@dataclass(frozen=True)
class Entity:
    """Something with a name. `pattern` holds `{name}`; `sorts` says how each word of the name was drawn."""

    pattern: str
    words: tuple[str, ...]
    sorts: tuple[str, ...]

    @property
    def name(self) -> str:
        return " ".join(self.words)

    def __str__(self) -> str:
        return self.pattern.format(name=self.name)


def draw_entity(rng: Generator) -> Entity:
    pattern, sorts = KINDS_OF_ENTITY[rng.integers(len(KINDS_OF_ENTITY))]
    return Entity(pattern, tuple(WORDS[sort](rng) for sort in sorts), sorts)


def draw_neighbour(entity: Entity, rng: Generator) -> Entity:
    """Return an entity that may differ in one word of the name (a draw can hit the same word: the caller checks)."""
    at = int(rng.integers(len(entity.words)))
    word = WORDS[entity.sorts[at]](rng)
    return replace(entity, words=(*entity.words[:at], word, *entity.words[at + 1 :]))


def pick(options: list[str], rng: Generator) -> str:
    return options[rng.integers(len(options))]


def invented(rng: Generator) -> str:
    return "".join(pick(parts, rng) for parts in (ONSETS, VOWELS, MIDDLES, VOWELS, CODAS)).capitalize()


def number(rng: Generator) -> str:
    return str(rng.integers(10, 1000))


def plain(rng: Generator) -> str:
    return pick(PLAIN_WORDS, rng)


def adjective(rng: Generator) -> str:
    return pick(FIRST_WORDS, rng).capitalize()


def noun(rng: Generator) -> str:
    return pick(SECOND_WORDS, rng).capitalize()


def seven_digits(rng: Generator) -> str:
    return str(rng.integers(1_000_000, 10_000_000))


def two_words(rng: Generator) -> str:
    return f"{pick(FIRST_WORDS, rng)} {pick(SECOND_WORDS, rng)}"


def date(rng: Generator) -> str:
    return f"{rng.integers(1, 29)} {pick(MONTHS, rng)} {rng.integers(1900, 2100)}"


def random_uuid(rng: Generator) -> str:
    return str(uuid.UUID(bytes=rng.bytes(16), version=4))


WORDS: dict[str, Callable[[Generator], str]] = {
    "invented": invented,
    "plain": plain,
    "adjective": adjective,
    "noun": noun,
    "number": number,
}
VALUES: dict[str, Callable[[Generator], str]] = {
    "digits": seven_digits,  # 9.0 million
    "words": two_words,  # more than ten thousand
    "date": date,  # 67,200
    "uuid": random_uuid,  # 2 ** 122
}

"""The sets of names that can be asked about. Each name has a value, and the value of the next one for a successor.

unicode     names of characters -> code point
symbols     what the standard library defines -> module
iso         languages and regions -> code
mime        types of files -> extension
zones       time zones -> latitude and longitude
synthetic   names drawn token by token -> badge; see tasks.entity.synthetic
"""

from __future__ import annotations

import hashlib
import platform
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import yaml
from tokenizers import Tokenizer

from tasks.entity.families import Split
from tasks.entity.names import FEWEST_TOKENS, Name, digest_names, tokenized, unicode_names
from tasks.entity.registries import iso_codes, mime_types, time_zones
from tasks.entity.symbols import symbols
from tasks.entity.synthetic import Dials, plant
from tasks.entity.templates import BADGE, CODE, EXTENSION, MODULE, POSITION, RELATIONS, Relation
from tasks.entity.values import with_successor

REAL: Mapping[str, tuple[Relation, Callable[[], Mapping[str, str]]]] = {
    "symbols": (MODULE, symbols),
    "iso": (CODE, iso_codes),
    "mime": (EXTENSION, mime_types),
    "zones": (POSITION, time_zones),
}
SETS = ("unicode", *REAL, "synthetic")
SEAM = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True)
class NameSet:
    """Names in their order, and what their source says of each: `truth` is relation -> one value a name.

    `every` has the names that are too short to be asked about too, each with its own value. `sources` is what was read
    (name -> sha256 or version), `planted` the families of names that were drawn as such. `crowded` says that many names
    have one value: hardly an episode would be without an asked value that stands twice.
    """

    names: Sequence[Name]
    relations: tuple[Relation, ...]
    truth: Mapping[str, Sequence[str]]
    every: Sequence[tuple[Name, str]]
    sources: Mapping[str, str]
    split: Split
    planted: Mapping[str, list[list[Name]]] | None = None
    crowded: bool = False


def read_set(name: str, tokenizer: Tokenizer, dials: Dials, kinds: Collection[str] = ()) -> NameSet:
    """Return one of SETS. Raises Unavailable where this machine has no such registry, BadInput for wrong dials."""
    if name == "unicode":
        return unicode_set(tokenizer)
    if name == "synthetic":
        families = plant(tokenizer, dials, kinds)
        names = list({one.text: one for groups in families.values() for group in groups for one in group}.values())
        values = {one.text: str(badge) for one, badge in zip(names, dials.badges(len(names)), strict=True)}
        return named_set("synthetic names", BADGE, names, values, split=str.split, planted=families)
    relation, read = REAL[name]
    values = dict(read())
    every = tokenized(dict(enumerate(values)), tokenizer)
    return named_set(f"{name} names", relation, every, values, split=words)


def default_dials() -> Dials:
    """Return the dials of conf/task/entity.yaml, for the commands beside the task."""
    options = yaml.safe_load((files("memory_bench.conf") / "task" / "entity.yaml").read_text(encoding="utf-8"))
    return Dials(**options["synthetic"])


def unicode_set(tokenizer: Tokenizer) -> NameSet:
    every = tokenized(unicode_names(), tokenizer)
    long = long_enough(every)
    digest = digest_names({one.number: one.text for one in long})
    truth = with_successor(RELATIONS[0].name, [str(one.number) for one in long])
    sources = {"unicodedata names": digest, **versions()}
    return NameSet(long, RELATIONS, truth, [(one, str(one.number)) for one in every], sources, str.split)


def named_set(
    title: str,
    relation: Relation,
    every: Sequence[Name],
    values: Mapping[str, str],
    *,
    split: Split,
    planted: Mapping[str, list[list[Name]]] | None = None,
) -> NameSet:
    long = long_enough(every) if planted is None else list(every)  # where its length is a dial, two tokens are a choice
    rows = "".join(f"{name.text}\t{values[name.text]}\n" for name in long)
    truth = with_successor(relation.name, [values[name.text] for name in long])
    sources = {title: hashlib.sha256(rows.encode()).hexdigest(), **versions()}
    crowded = len({values[name.text] for name in long}) < len(long)
    own = [(name, values[name.text]) for name in every]
    return NameSet(long, (relation, RELATIONS[1]), truth, own, sources, split, planted, crowded)


def long_enough(every: Sequence[Name]) -> list[Name]:
    return [name for name in every if len(name.tokens) >= FEWEST_TOKENS]


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), "unicode": unicodedata.unidata_version}


def words(text: str) -> list[str]:
    """Return the words of a name that is no line of text: application/geo+json has three, JSONDecoder has two."""
    return [word for word in SEAM.split(text) if word]

"""Names that every Python knows: those of `unicodedata`."""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

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
FEWEST_TOKENS = 3  # shorter names are no multi-token entities


@dataclass(frozen=True)
class Name:
    """A name, its number in its set (of a Unicode name the code point), and its tokens as they are after a space."""

    number: int
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

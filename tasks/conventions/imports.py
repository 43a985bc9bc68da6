"""One module, two names: the relative one and the absolute one, as a file of the package would spell each.

# acme/io/html.py     from ..text import wrap     from acme.text import wrap
"""

from __future__ import annotations

import re
from itertools import takewhile
from typing import Final

from tasks.conventions.occurrences import Occurrence
from tasks.conventions.sources import cut

MASK: Final = "___"


def spellings(place: Occurrence) -> tuple[str, ...]:
    """Return how a place spells the module that it imports from, then how it could have; nothing where it could not."""
    if place.span is None:
        return ()
    spelled = cut(place.source.lines[place.span.line], place.span.start, place.span.end)
    folders = place.source.folder.removeprefix("src/").split("/")
    other = absolute(spelled, folders) if spelled.startswith(".") else relative(spelled, folders)
    return (spelled, other) if other else ()


def absolute(spelled: str, folders: list[str]) -> str | None:
    """Return the absolute name of a relative one; None where it leads out of the package."""
    tail = spelled.lstrip(".")
    level = len(spelled) - len(tail)
    parents = folders[: len(folders) - level + 1]
    return ".".join([*parents, *filter(None, [tail])]) if parents else None


def relative(spelled: str, folders: list[str]) -> str | None:
    """Return the relative name of an absolute one; None where it is of another package."""
    parts = spelled.split(".")
    both = zip(parts, folders, strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], both))
    return "." * (len(folders) - shared + 1) + ".".join(parts[shared:]) if shared else None


def mask_imports(text: str, package: str) -> str:
    """Mask every name by which a line imports from the own package: one would show the style of all."""
    return re.sub(rf"^(\s*(?:from|import)\s+)(?:\.[\w.]*|{re.escape(package)}\b[\w.]*)", rf"\1{MASK}", text)

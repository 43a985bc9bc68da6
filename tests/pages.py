"""What stands on a page of HTML, as a browser would take it apart: its elements, their attributes and their text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from memory_bench.reporting.cells import Measured
from tests.measured import measured
from tests.test_reporting_comparison import both

STRONG, WEAK = "1111 1101 " * 5, "0001 1001 " * 5
EMPTY = {"meta", "input", "br", "img", "link", "hr"}  # elements that hold nothing and are not closed
ASKED: dict[str, Sequence[Any]] = {
    "query": ["What is the code of gate 1?", "And of gate 2?", "Of gate 3?", "Of gate 9?"],
    "cloze": ["The code of gate 1 is", "The code of gate 2 is", "Gate 3 opens with", "The code of gate 9 is"],
    "tags.ngram_covered": ["yes", "yes", "no", "no"],
}


@dataclass
class Element:
    """An element of a page with all text within it, and the elements around it, the nearest last."""

    name: str
    attributes: dict[str, str]
    around: tuple[Element, ...] = field(repr=False)
    text: str = field(default="", repr=False)
    inside: list[Element] = field(default_factory=list, repr=False)

    def within(self, name: str, **attributes: str) -> bool:
        return any(one.name == name and attributes.items() <= one.attributes.items() for one in self.around)


class Taken(HTMLParser):
    """A page taken apart: `elements` in their order."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, tuple(self._open))
        self.elements.append(element)
        for around in self._open:
            around.inside.append(element)
        if tag not in EMPTY:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in EMPTY:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop().name == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def named(self, name: str, **attributes: str) -> Iterator[Element]:
        """Yield the elements of a name with these attributes; `class_` is one of the classes."""
        wanted = attributes.pop("class_", None)
        for element in self.elements:
            classes = element.attributes.get("class", "").split()
            if element.name == name and attributes.items() <= element.attributes.items() and wanted in (None, *classes):
                yield element

    @property
    def data(self) -> dict[str, Any]:
        """What the explorer is made of."""
        (found,) = self.named("script", id="data")
        told: dict[str, Any] = json.loads(found.text)
        return told


def cells() -> list[Measured]:
    """Return two memories with different scores, and both controls, on two tasks."""
    memories = [measured("strong", STRONG, columns=ASKED), measured("weak", WEAK, columns=ASKED)]
    closed = measured("none", "0001 " * 10, control="closed_book", offered=0, columns=ASKED)
    not_asked = {**ASKED, "costs.read_seconds": [None] * 4}
    oracle = measured("none", "1101 " * 10, control="oracle", columns=not_asked)
    return both(*memories, closed, oracle)

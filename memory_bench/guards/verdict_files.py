"""Verdicts for others to read: Markdown for a pull request, and JUnit's XML for what counts tests."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

AnyWord = Literal["pass", "fail", "inconclusive", "no data"]
SIGNS = {"pass": "pass", "fail": "**fail**", "inconclusive": "inconclusive", "no data": "**no data**"}


@dataclass(frozen=True)
class Line:
    """One verdict: of which gate, on what, and why."""

    gate: str
    name: str
    word: AnyWord
    reason: str


def overall(lines: Sequence[Line]) -> AnyWord:
    """Return the word of a whole gate: the worst of its lines; no lines are no data."""
    words = {line.word for line in lines}
    order: tuple[AnyWord, ...] = ("fail", "no data", "inconclusive", "pass")
    return next((word for word in order if word in words), "no data")


def markdown(lines: Sequence[Line], title: str) -> str:
    """Return a page: the word, then a row a verdict. Names and reasons are escaped: they come from data."""
    rows = [f"| {line.gate} | {_escaped(line.name)} | {SIGNS[line.word]} | {_escaped(line.reason)} |" for line in lines]
    head = ["| gate | what | verdict | why |", "| :-- | :-- | :-- | :-- |"]
    return "\n".join([f"# memory_bench gate: {overall(lines)}", "", _escaped(title), "", *head, *rows, ""])


def junit(lines: Sequence[Line]) -> str:
    """Return XML: a suite a gate, a case a verdict; no data is an error, what is inconclusive was skipped."""
    root = ElementTree.Element("testsuites", name="memory_bench gate")
    elements = {"fail": "failure", "no data": "error", "inconclusive": "skipped"}
    for gate in dict.fromkeys(line.gate for line in lines):
        own = [line for line in lines if line.gate == gate]
        counts = {f"{kind}s": sum(elements.get(line.word) == kind for line in own) for kind in ("failure", "error")}
        suite = ElementTree.SubElement(root, "testsuite", name=gate, tests=str(len(own)))
        suite.attrib |= {name: str(count) for name, count in counts.items()}
        suite.set("skipped", str(sum(line.word == "inconclusive" for line in own)))
        for line in own:
            case = ElementTree.SubElement(suite, "testcase", classname=f"gate.{gate}", name=line.name)
            if line.word in elements:
                ElementTree.SubElement(case, elements[line.word], message=line.reason)
            else:
                ElementTree.SubElement(case, "system-out").text = line.reason
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _escaped(text: str) -> str:
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")

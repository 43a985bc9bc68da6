"""What stands beside an experiment: pages that commands of their own write, taken as they lie in a folder of reports.

A page with figures shows these, one without shows its tables. The report knows them by `conf/beside.yaml` alone, and
one that is not there is not measured: it says so, with the command that measures it.

    reports/engines.md             # Engines at scale              -> its title
                                   A memory over an engine ...     -> what it says first
                                   ![Recall ...](engines/x.png)    -> engines/x.svg, drawn into the page
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import yaml

from memory_bench.reporting.html.svg import inline

FIGURE = re.compile(r"^!\[(?P<caption>.*)\]\((?P<file>[^)]+)\.png\)$", re.MULTILINE)


@dataclass(frozen=True)
class Beside:
    """One such page: where it lies, what it shows, and the command that measures it. Without a title it is not there.

    `figures` are captions and SVG; `grids` are tables, each a list of rows with the heads first.
    """

    page: Path
    command: str
    title: str = ""
    said: str = ""
    figures: Sequence[tuple[str, str]] = ()
    grids: Sequence[Sequence[Sequence[str]]] = ()


def pages(reports: Path) -> list[Beside]:
    """Return the pages beside an experiment, in the order of `conf/beside.yaml`."""
    commands = yaml.safe_load((files("memory_bench.conf") / "beside.yaml").read_text(encoding="utf-8"))
    return [_page(reports / f"{name}.md", command) for name, command in commands.items()]


def _page(page: Path, command: str) -> Beside:
    if not page.is_file():
        return Beside(page, command)
    text = page.read_text(encoding="utf-8")
    title, _, rest = text.partition("\n\n")
    figures = [
        (found["caption"], inline(file.read_text(encoding="utf-8")))
        for found in FIGURE.finditer(text)
        if (file := page.parent / f"{found['file']}.svg").is_file()
    ]
    said = " ".join(_plain(rest.partition("\n\n")[0]).split())
    return Beside(page, command, title.lstrip("# "), said, figures, () if figures else list(_grids(text)))


def _grids(text: str) -> Iterator[list[list[str]]]:
    """Yield the tables of a page in Markdown."""
    for part in text.split("\n\n"):
        lines = part.strip().split("\n")
        if len(lines) > 2 and all(line.startswith("|") for line in lines):
            yield [[_plain(field.strip()) for field in line.strip("|").split("|")] for line in lines[:1] + lines[2:]]


def _plain(text: str) -> str:
    return re.sub(r"\*(\S[^*]*)\*", r"\1", text).replace("`", "").replace("<sup>", " ").replace("</sup>", "")

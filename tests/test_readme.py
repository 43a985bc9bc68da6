"""What the README says is so: its example runs, its commands compose, its figures are those that were measured.

`python -m tests.test_readme` writes anew the readers' figures, from the files that lie beside their weights, and the
list of modules (`docs/modules.md`), from the first lines of their docstrings.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
import yaml
from hydra.core.config_store import ConfigStore

import adapters
from memory_bench import config, launchers
from memory_bench.__main__ import COMMANDS, main
from memory_bench.readers.training.corpus import RUN
from tests import stubs

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
MODULES = ROOT / "docs" / "modules.md"
PAGES = (README, ROOT / "CONTRIBUTING.md", ROOT / "docs" / "sweeps.md", ROOT / "docs" / "gate.md")
WEIGHTS = ROOT / "memory_bench" / "readers" / "weights"
CAPTION_COLUMN = 44


def tree() -> str:
    """Return every module with its caption, as a block of Markdown. A folder's caption is that of its `__init__`."""
    lines = [
        f"{_shown(file):{CAPTION_COLUMN}}{_caption(file)}"
        for package in ("tasks", "adapters", "memory_bench")
        for file in sorted((ROOT / package).rglob("*.py"), key=lambda file: (file.parent.parts, file.name))
    ]
    return "\n".join(["```", *lines, "```", ""])


def _shown(file: Path) -> str:
    place = file.relative_to(ROOT)
    return f"{place.parent}/" if place.name == "__init__.py" else str(place)


def _caption(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    if docstring is None:
        raise ValueError(f"{file} has no docstring: its first line is the file's caption in docs/modules.md")
    return docstring.splitlines()[0].removesuffix(".")


def readers() -> str:
    """Return what the bundled readers can read, as measured at the end of their training: Markdown tables."""
    tables = []
    for file in sorted(WEIGHTS.glob("*/figures.json")):
        kept = json.loads(file.read_text(encoding="utf-8"))
        config_of_weights = json.loads((file.parent / "config.json").read_text(encoding="utf-8"))
        rows: dict[str, dict[str, float]] = {}
        for figure in kept["figures"]:
            size = f"{figure['context_tokens'] or 'evidence'} / {figure['facts']}"
            rows.setdefault(figure["wording"], {})[size] = figure["exact_match"]
        sizes = list(next(iter(rows.values())))
        head = [f"`reader={file.parent.name}`", *sizes]
        body = [[wording, *(f"{cells[size]:.2f}" for size in sizes)] for wording, cells in rows.items()]
        lines = [head, [":--", *["--:"] * len(sizes)], *body]
        made = config_of_weights["training"]
        tables.append(
            "\n".join("| " + " | ".join(line) + " |" for line in lines)
            + f"\n\n{kept['figures'][0]['questions']} questions a cell, seed {kept['seed']}. "
            f"{made['parameters'] / 1e6:.2f} M parameters, {kept['bits_per_byte']:.2f} bits per byte of held-out text "
            f"({kept['repeated']:.0%} of its runs of {RUN} tokens were trained on), "
            f"trained for {made['seconds'] / 60:.0f} minutes on {made['cores']} cores.\n"
        )
    return "\n".join(tables)


def rewritten(page: Path) -> str:
    """Return the text of a page with what is made from other files made anew."""
    name, made = {README: ("readers", readers), MODULES: ("tree", tree)}[page]
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(start)
    return f"{before}{start}{made()}{end}{rest.partition(end)[2]}"


@pytest.mark.parametrize(("page", "shown"), [(README, "`reader=tiny`"), (MODULES, "memory_bench/runner.py")])
def test_what_a_page_makes_from_other_files_is_as_they_are(page: Path, shown: str) -> None:
    assert page.read_text(encoding="utf-8") == rewritten(page), "type: python -m tests.test_readme"
    assert shown in rewritten(page)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Return (the line before, language, text) of every fenced block."""
    found = re.findall(r"(?:^|\n)([^\n]*)\n```(\w*)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [(before, language, text) for before, language, text in found]


EXAMPLE = "shared_words"  # the memory of CONTRIBUTING, which exists while its own test lasts
NOT_HERE = (EXAMPLE, "shared_trigrams")  # and the one that tests/test_outside.py installs
COMMAND_LINES = sorted(
    {
        line.partition("python -m memory_bench ")[2].partition("#")[0].strip()
        for page in PAGES
        for _, _, text in blocks(page)
        for line in text.splitlines()
        if line.startswith("python -m memory_bench ") and not any(name in line for name in NOT_HERE)
    }
)


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_a_command_that_is_shown_can_be_typed(line: str) -> None:
    words = line.split()
    if words[0] in COMMANDS:
        overrides = [word for word in words[1:] if word.startswith("+experiment=")]
    else:
        overrides, _ = launchers.parted([word for word in words if word != "-m"])
    for cell in config.expand(overrides) if overrides else []:
        assert config.compose(cell).config["choices"]["task"] in config.choices("task")


def test_the_commands_of_the_readme_are_found() -> None:
    assert "+task=needle +memory=engram" in COMMAND_LINES
    assert {line.split()[0] for line in COMMAND_LINES} >= {"list", "report", "-m"}


def add_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `adapters` find the modules of one more folder, as if they lay in its own."""
    places = [*adapters.__path__, str(folder)]
    monkeypatch.setattr(adapters, "__path__", places)
    monkeypatch.setattr(adapters.__spec__, "submodule_search_locations", places)


def test_the_two_files_of_the_example_are_a_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are taken from the page, put where it says, and run through the real command."""
    example = {before.strip("`"): text for before, language, text in blocks(README) if language in ("python", "yaml")}
    assert set(example) == {"adapters/recent.py", "conf/memory/recent.yaml"}
    for place, text in example.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text)
    add_room(tmp_path / "adapters", monkeypatch)
    options = yaml.safe_load((tmp_path / "conf/memory/recent.yaml").read_text())
    ConfigStore.instance().store(group="memory", name="recent", node=options)
    stubs.register()
    try:
        assert main(["+task=stub", "+memory=recent", "reader=stub", f"results={tmp_path / 'results'}"]) == 0
        assert main(["check", "+memory=recent", "reader=stub"]) == 0
    finally:
        del ConfigStore.instance().repo["memory"]["recent.yaml"]
    (rows,) = (tmp_path / "results").rglob("records.jsonl")
    scores = [json.loads(line)["scores"] for line in rows.read_text().splitlines()]
    assert [score["exact_match"] for score in scores] == [1.0] * 6


if __name__ == "__main__":
    for made_page in (README, MODULES):
        made_page.write_text(rewritten(made_page), encoding="utf-8")

"""Every file of `conf/` is a choice that a person can read: a line of text, a target that exists, nothing computed."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest
import yaml

from memory_bench import config

CONF = Path(__file__).parent.parent / "conf"
FILES = sorted(CONF.glob("*/*.yaml"))
MOST_LINES = 8  # beside comments
DIALS = "a generator's dials: each has its one home here, and a default in Python would be a second one"
READER = "what a reader may use of its machine, and the parts that it is made of"
SERVER = "which server is asked, how, and what is kept of it"
SETTINGS = "a setting a line: what is timed, and at which lengths"
LONGER = {
    "attention_costs/cpu": SETTINGS,
    "attention_costs/gpu": SETTINGS,
    "embedder/endpoint": SERVER,
    "engines/claims": "a claim a line",
    "experiment/gate": "a matrix of small cells: each line is one sweep",
    "experiment/tasks": "a matrix of every task in all its kinds",
    "gate/speed": "what is timed and how often, beside the limits of a verdict",
    "memory/qdrant_quantised": "what a graph takes, and how much of it is compared in full",
    "reader/endpoint": SERVER,
    "reader/hf": READER,
    "reader/shape": READER,
    "reader/tiny": READER,
    "task/conventions": DIALS,
    "task/entity": DIALS,
    "task/needle": DIALS,
    "task/session": DIALS,
    "twins/text": "two sides of text, beside what every plan of twins names",
}
WITHOUT_TARGET = ("experiment",)  # names cells, makes nothing
WITHOUT_PARTS = ("train/tiny_learned",)  # sizes alone: a reader without a slot has no part to name


def faults(file: Path) -> list[str]:
    """Return what is wrong with a choice; nothing where it is right."""
    lines = file.read_text(encoding="utf-8").splitlines()
    found = []
    texts = [line for line in lines if "@package" not in line]  # Hydra's own header may stand above
    if not texts or not texts[0].startswith("# "):
        found.append("the first line is not a comment that says what this is")
    settings = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not 1 <= len(settings) <= MOST_LINES and f"{file.parent.name}/{file.stem}" not in LONGER:
        found.append(f"{len(settings)} lines of settings, expected 1 to {MOST_LINES} or a reason in LONGER")
    if any("${" in line for line in settings):
        found.append("an interpolation: YAML chooses and sets, Python computes")
    targets = _targets(yaml.safe_load("\n".join(lines)))
    if (
        not targets
        and file.parent.name not in WITHOUT_TARGET
        and f"{file.parent.name}/{file.stem}" not in WITHOUT_PARTS
    ):
        found.append("no _target_")
    return found + [f"there is no {target}" for target in targets if not _exists(target)]


def _targets(node: object) -> list[str]:
    if isinstance(node, list):
        return [target for value in node for target in _targets(value)]
    if not isinstance(node, dict):
        return []
    own = [node["_target_"]] if "_target_" in node else []
    return own + [target for value in node.values() for target in _targets(value)]


def _exists(target: str) -> bool:
    """Whether a module defines or imports a name. Read and not imported: a choice may need an engine that is absent."""
    module, _, name = target.rpartition(".")
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return False
    if spec is None or spec.origin is None:
        return False
    names = set()
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return name in names


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_choice_can_be_read_and_its_target_exists(file: Path) -> None:
    assert faults(file) == []


def test_a_reason_to_be_long_belongs_to_a_file_that_is() -> None:
    for choice in LONGER:
        file = CONF / f"{choice}.yaml"
        lines = [line for line in file.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
        assert len(lines) > MOST_LINES, choice


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("_target_: adapters.none.NoMemory\n", "the first line is not a comment that says what this is"),
        ("# @package _global_\n_target_: adapters.none.NoMemory\n# Text\n", "the first line is not a comment"),
        ("# @package _global_\n# Text\n_target_: adapters.none.NoMemory\n", ""),
        ("# Text\n_target_: adapters.none.NoMemorx\n", "there is no adapters.none.NoMemorx"),
        ("# Text\n_target_: adapters.nun.NoMemory\n", "there is no adapters.nun.NoMemory"),
        ("# Text\na:\n  - _target_: adapters.none.Wrong\n", "there is no adapters.none.Wrong"),
        ("# Text\ntop_k: 3\n", "no _target_"),
        ("# Text\n_target_: adapters.none.NoMemory\ntop_k: ${seed}\n", "an interpolation"),
        ("# Text\n_target_: adapters.none.NoMemory\n" + "a: 1\n" * 8, "9 lines of settings"),
        ("# Text\n_target_: adapters.none.NoMemory\n", ""),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, text: str, fault: str) -> None:
    file = tmp_path / "memory" / "x.yaml"
    file.parent.mkdir()
    file.write_text(text)
    found = faults(file)
    assert [fault] == [one[: len(fault)] for one in found] if fault else not found


@pytest.mark.parametrize("experiment", [file.stem for file in FILES if file.parent.name == "experiment"])
def test_every_cell_of_an_experiment_composes_and_no_two_are_the_same(experiment: str) -> None:
    typed = ["+task=needle"] if experiment == "check" else []  # whose task is the one that is examined
    overrides = [*typed, f"+experiment={experiment}"]
    cells = [config.compose(overrides).config for overrides in config.expand(overrides)]
    assert len(cells) >= 2
    assert all(cell not in cells[:number] for number, cell in enumerate(cells))

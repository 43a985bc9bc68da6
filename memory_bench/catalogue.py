"""`list`: what exists, what can run here, and why not. Reads YAML and metadata: imports nothing to find out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml
from rich.console import Console

from memory_bench import outside, provenance
from memory_bench.config import missing_requirement
from memory_bench.user_data import missing_data, missing_option

GROUPS = ("task", "memory", "reader", "embedder", "attention")
TOLD = ("memory-bench-suite", "torch", "numpy", "hydra-core")


@dataclass(frozen=True)
class Entry:
    """One choice: its name, its text (the first line of its YAML) and why it cannot run here, if so."""

    name: str
    text: str
    missing: str | None


def entries(group: str) -> Iterator[Entry]:
    """Yield the choices of a group, ours and those of packages from outside, sorted by name."""
    found: dict[str, Entry] = {}
    for package, file in _files(group):
        name = file.name.removesuffix(".yaml")
        text = file.read_text(encoding="utf-8")
        options = yaml.safe_load(text)
        own = _own(options, group)
        if name in found:
            hidden = f"{group} {name} is another's already: its package has to rename it"
            found[f"{name} of {package}"] = Entry(f"{name} of {package}", _first_comment(text), hidden)
            continue
        lacks = _lacks(group, own, own.get("needs", {}))
        reasons = filter(None, [*map(missing_requirement, _requires(options, group)), lacks])
        found[name] = Entry(name, _first_comment(text), next(reasons, None))
    yield from sorted(found.values(), key=lambda entry: entry.name)


def lacking(group: str, name: str, options: Mapping[str, Any]) -> str | None:
    """Return what a choice with these options lacks of its surroundings, with what mends it; None where it is there.

    That is a file of the user's, a GPU, or an option that nobody set and no variable stands for.
    """
    return _lacks(group, options, _said(group, name).get("needs", {}))


def apart(task: str) -> dict[str, str]:
    """Return kind -> what it is, of the kinds of questions that a task keeps out of its headline (`claims: {apart:`).

    None where a task says nothing, or is no file of `conf/`: programs can register their own.
    """
    return _claimed(task, "apart")


def ceilings(task: str) -> dict[str, str]:
    """Return tag -> what a predictor sees, of the ceilings that a task has (`claims: {ceilings:`).

    The tag counts how many others look the same to a predictor that sees no more than that. None as for `apart`.
    """
    return _claimed(task, "ceilings")


def private(task: str) -> str | None:
    """Return why the records of a task are not to be published (`claims: {private:`); None where nothing says so."""
    reason: str | None = _said("task", task).get("claims", {}).get("private")
    return reason


def unnamed(attention: str) -> str | None:
    """Return why a choice of attention does not say which kernel ran (`claims: {unnamed:`); None where it does."""
    reason: str | None = _said("attention", attention).get("claims", {}).get("unnamed")
    return reason


def show(console: Console) -> None:
    """Print what `python -m memory_bench list` says: a line a choice, then versions and devices."""
    for group in GROUPS:
        console.print(f"{group}:", style="bold")
        found = list(entries(group))
        width = max(len(entry.name) for entry in found)
        for entry in found:
            can = "runs here" if entry.missing is None else f"cannot run here: {entry.missing}"
            console.print(f"  {entry.name:<{width}} {entry.text} ({can})", soft_wrap=True, markup=False)
    versions, gpus = provenance.versions(), provenance.gpus()
    told = ", ".join(f"{name} {versions.get(name, 'not installed')}" for name in TOLD)
    console.print(f"versions: {told}", soft_wrap=True)
    console.print(
        f"devices: {provenance.cpu_name()}, {provenance.usable_cores()} cores; GPU {_text(gpus)}", soft_wrap=True
    )


def _claimed(task: str, claim: str) -> dict[str, str]:
    found: dict[str, str] = _said("task", task).get("claims", {}).get(claim, {})
    return found


def _said(group: str, name: str) -> dict[str, Any]:
    """Return what the YAML of a choice sets; nothing where it has none (programs register their own)."""
    file = next((file for _, file in _files(group) if file.name == f"{name}.yaml"), None)
    return {} if file is None else _own(yaml.safe_load(file.read_text(encoding="utf-8")), group)


def _text(gpus: list[str] | str) -> str:
    return gpus if isinstance(gpus, str) else ", ".join(gpus)


def _own(options: dict[str, Any], group: str) -> dict[str, Any]:
    # a YAML for the whole run (`# @package _global_`) holds its plug-in under the group's name
    own: dict[str, Any] = options if "_target_" in options else options.get(group, {})
    return own


def _requires(options: dict[str, Any], group: str) -> list[str]:
    own = _own(options, group)
    named = (entry.partition("@")[0] for entry in options.get("defaults", ()) if "@" in entry)
    kept = {file.name: file for _, file in reversed(list(_files(group)))}
    texts = (kept[f"{name}.yaml"].read_text(encoding="utf-8") for name in named)
    return [*own.get("requires", ()), *(line for text in texts for line in _requires(yaml.safe_load(text), group))]


def _lacks(group: str, options: Mapping[str, Any], needs: Mapping[str, Any]) -> str | None:
    # a plug-in that reads the user's file names its place below the user's folder as `data`; `path` goes before it
    if "data" in options and options.get("path") is None and (reason := missing_data(options["data"])):
        return reason
    variables = dict(needs)
    if variables.pop("gpu", False) and isinstance(why := provenance.gpus(), str):
        return f"it needs a GPU; found: {why}"
    # `needs: {url: NAME}` names the variable that can stand for an option
    unset = (one for one in variables.items() if options.get(one[0]) is None and not os.environ.get(one[1]))
    return next((missing_option(f"{group}.{key}", name) for key, name in unset), None)


def _files(group: str) -> Iterator[tuple[str, Traversable]]:
    """Yield (package, YAML file) of a group: ours first, which hide others of their names."""
    folders: list[tuple[str, Traversable]] = [("memory_bench", files("memory_bench.conf")), *outside.folders()]
    for package, folder in folders:
        inside = folder / group
        if inside.is_dir():
            for file in sorted(inside.iterdir(), key=lambda file: file.name):
                if file.name.endswith(".yaml"):
                    yield package, file


def _first_comment(text: str) -> str:
    comments = (line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    return next((comment for comment in comments if not comment.startswith("@package")), "")

"""What the cells of a report say of where they were measured: machine, versions, revision, days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os.path import commonpath
from typing import Any

from memory_bench.reporting.cells import Measured


def where(cells: Sequence[Measured]) -> Mapping[str, list[str]]:
    """Return what the measured cells say of where they ran: one value each, or all where they differ."""
    measured = [cell.provenance for cell in cells if cell.reason is None]
    embedders = [_embedder(cell) for cell in cells if cell.config["choices"]["embedder"]]
    return {
        "embedder of the memories that use one": _distinct(embedders) or ["none"],
        "CPU": _distinct(f"{facts['machine']['cpu']}, {facts['machine']['cores']} cores" for facts in measured),
        "device of the reader": _distinct(facts["environment"]["device"] for facts in measured),
        "system": _distinct(facts["machine"]["platform"] for facts in measured),
        "Python": _distinct(facts["machine"]["python"] for facts in measured),
        "torch": _distinct(facts["versions"].get("torch", "not installed") for facts in measured),
        "revision": _distinct(revision(facts["revision"]) for facts in measured),
        "days": _distinct(facts["start"][:10] for facts in measured),
    }


def engines(cells: Sequence[Measured]) -> Mapping[str, list[str]]:
    """Return what else a comparison of engines needs: their versions, and the threads that all of them had."""
    measured = [cell for cell in cells if cell.reason is None]
    engines = {name: version for cell in measured for name, version in sorted(cell.versions.items())}
    return {
        "engines": [f"{name} {version}" for name, version in engines.items()] or ["none"],
        "threads": _distinct(cell.provenance["environment"]["threads"] for cell in measured),
        "memory": _distinct(f"{cell.provenance['machine']['memory_bytes'] / 2**30:.0f} GiB" for cell in measured),
    }


def _embedder(cell: Measured) -> str:
    """Return the embedder of a cell, with its model where it can have one or another.

    A model that no option names was named by the environment: what was read says which, by the names of its parts.
    """
    name = cell.choice("embedder")
    if "model" not in cell.config["embedder"]:
        return name
    read = cell.provenance.get("identities", {}).get("embedder")
    return f"{name} ({cell.config['embedder']['model'] or (commonpath(read) if read else 'model not known')})"


def _distinct(values: Iterable[object]) -> list[str]:
    return list(dict.fromkeys(map(str, values)))


def revision(found: Mapping[str, Any]) -> str:
    """Return the commit that something was measured at, and whether the tree was that commit."""
    if found["commit"] is None:
        return "not known"
    return f"{found['commit'][:12]}{' with changes that are not committed' if found['dirty'] else ''}"

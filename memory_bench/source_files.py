"""Which files a plug-in is made of: its own, and every one of ours that they import. None is imported to find out."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

CORE = "memory_bench"


def source_files(module: str) -> frozenset[Path]:
    """Return the file of a module, and those of all that it imports, directly or not, from its own room and the core.

    A folder such as `adapters/engram` holds more than one plug-in needs, and a change of the rest moves no number of
    it. Where an import stands does not matter. Raises ImportError where there is no such module.
    """
    if _file(module) is None:
        raise ImportError(f"no module {module!r}, which a _target_ names")
    rooms = {module.partition(".")[0], CORE}
    left, seen = [module], set[str]()
    while left:
        if (name := left.pop()) not in seen:
            seen.add(name)
            left += [one for one in _needed(name) if one.partition(".")[0] in rooms]
    return frozenset(file for name in seen if (file := _file(name)) is not None)


def _needed(module: str) -> Iterator[str]:
    """Yield the packages that a module stands in, since their code runs before its own, and the modules it imports."""
    yield from (module[:at] for at, char in enumerate(module) if char == ".")
    file = _file(module)
    if file is None:  # a folder without code of its own, or nothing: who imports it will say so
        return
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for base, name in _imported(file, file.stat().st_mtime_ns, package):
        inner = f"{base}.{name}" if name else base
        yield inner if _file(inner) or _is_folder(inner) else base


@cache
def _imported(file: Path, changed: int, package: str) -> tuple[tuple[str, str], ...]:  # noqa: ARG001 - read again then
    """Return (module, name from it, if any) of every import in a file."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(_absolute(node, package), alias.name) for alias in node.names]
    return tuple(found)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    """Return the module that `from ... import` names, dots at its beginning counted from `package`."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")[: 1 - node.level or None]
    return ".".join([*parts, *filter(None, [node.module])])


def _file(module: str) -> Path | None:
    """Return a module's file; None where there is none. Only its room is looked up, and no module is run."""
    places = _places(module)
    files = (file for place in places for file in (place.with_suffix(".py"), place / "__init__.py"))
    return next((file for file in files if file.is_file()), None)


def _is_folder(module: str) -> bool:
    return any(place.is_dir() for place in _places(module))


def _places(module: str) -> list[Path]:
    room, *inner = module.split(".")
    spec = importlib.util.find_spec(room) if room else None
    if spec is None:
        return []
    if spec.submodule_search_locations is None:  # a room of one file
        return [] if inner or spec.origin is None else [Path(spec.origin)]
    return [Path(folder, *inner) for folder in spec.submodule_search_locations]

"""Memories from outside: installed packages that bring some, named by the entry point `memory_bench.memories`.

    [project.entry-points."memory_bench.memories"]
    toy = "toy_memory"                               a package with toy_memory/memory/NAME.yaml

Its folder stands behind `conf/` on Hydra's search path, so that whatever finds ours finds these. No code of such a
package runs until one of its memories is chosen. What has a name of ours is not found, and `list` says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

GROUP = "memory_bench.memories"


class Outside(SearchPathPlugin):
    """Puts the folders of packages from outside behind ours."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for package, folder in folders():
            search_path.append(provider=package, path=f"file://{folder}")


def register() -> None:
    """Let Hydra look into packages from outside, from now on in this process."""
    Plugins.instance().register(Outside)


@cache
def folders() -> tuple[tuple[str, Path], ...]:
    """Return (package, its folder) of every entry point whose package is there, sorted by package."""
    named = {point.value for point in entry_points(group=GROUP)}
    return tuple((package, folder) for package in sorted(named) for folder in _folder(package))


def _folder(package: str) -> Iterator[Path]:
    try:
        spec = find_spec(package)
    except ModuleNotFoundError:  # a part of a package that is not there
        return
    if spec is not None and spec.submodule_search_locations:
        yield Path(next(iter(spec.submodule_search_locations)))

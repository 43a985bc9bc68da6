"""Whether a distribution that a choice `requires` is installed here. Metadata only: nothing is imported."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import Requirement


def missing(requirement: str) -> str | None:
    """Return what is wrong with a requirement such as `bm25s>=0.2`, with the line that mends it; None if it is met."""
    wanted = Requirement(requirement)
    try:
        found = version(wanted.name)
    except PackageNotFoundError:
        return f"{wanted.name} is not installed: pip install '{requirement}'"
    if wanted.specifier.contains(found, prereleases=True):
        return None
    return f"{wanted.name} {found} is installed: pip install '{requirement}'"

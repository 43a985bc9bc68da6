"""How every figure is kept: as PNG and SVG, the same file from the same numbers. Only who draws needs the library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from memory_bench import config
from memory_bench.errors import Unavailable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LIBRARY = "matplotlib>=3.10"
FORMATS = ("png", "svg")


def save(
    figures: Mapping[str, Callable[[], Figure]], folder: Path, *, dpi: int = 120, formats: Sequence[str] = FORMATS
) -> list[Path]:
    """Draw figures by their names into a folder and return their paths.

    Raises Unavailable where the plotting library is not installed.
    """
    if reason := config.missing_requirement(LIBRARY):
        raise Unavailable(f"figures cannot be drawn here: {reason}")
    from matplotlib import rc_context

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    # no date, no random ids, text that stays text
    with rc_context({"svg.hashsalt": "memory_bench", "svg.fonttype": "none", "font.size": 9}):
        for name, made in figures.items():
            figure = made()
            for suffix in formats:
                paths.append(folder / f"{name}.{suffix}")
                without = {"Date": None} if suffix == "svg" else {"Software": None}
                figure.savefig(paths[-1], dpi=dpi, metadata=without)
    return paths

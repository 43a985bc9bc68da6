"""The page on capacity: `reports/capacity.md`, made from published points alone.

What no point holds is null, with the reason in a footnote.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from scipy import stats

from memory_bench.errors import BadInput
from memory_bench.provenance import ROOT
from tasks.entity.capacity import figure
from tasks.entity.capacity.curve import SAMPLE
from tasks.entity.capacity.points import BUDGETS, REFERENCES, Point, Row, read_rows, within

PUBLISHED = Path("results/published/capacity.jsonl")
PAGE = Path("reports/capacity.md")
MEASURE = "python -m tasks.entity.capacity MEMORY --out FILE"
NOT_MEASURED = "not measured"
NONE_SO_SMALL = "no size that was measured is held in so little"

OPENING = f"""\
How many bits of what it was told does a memory give back for each byte that it holds? It is told facts, each a badge of
a name, worth log2 of the number of badges; then up to {SAMPLE} of them are asked for. A fact counts as given back where
the first passage says the badge: no reader is asked. What a guesser would say by chance is taken off. Brackets hold
95 % intervals of the share that was right (exact binomial); the bits follow from it. What takes longer to tell, or to
ask for, than the limit is null. Below the memories, in italics, the same facts where nothing can be searched: as
compressed lines, in a SQLite table, and in a trained model, which is said to hold 2 bits a parameter (Allen-Zhu and Li,
arXiv 2404.05405): a bit a byte in half precision."""

Curve = Mapping[int, Point]


class Notes:
    """Prints numbers, and numbers the reasons of nulls as they come."""

    def __init__(self) -> None:
        self.reasons: dict[str, int] = {}

    def show(self, value: float | None, form: Callable[[float], str], why: str) -> str:
        if value is None:
            return f"null <sup>{self.reasons.setdefault(why, len(self.reasons) + 1)}</sup>"
        return form(value)

    def footnotes(self) -> str:
        return "\n".join(f"<sup>{number}</sup> {reason}  " for reason, number in self.reasons.items())


def publish(file: Path | None) -> None:
    """Copy a file of points to where the page is made from. Raises BadInput where it holds none."""
    if file is None or not file.is_file() or not list(read_rows(file)):
        raise BadInput(f"--out {file or 'is missing'}: report --publish needs a file of points; type {MEASURE} first")
    (ROOT / PUBLISHED).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, ROOT / PUBLISHED)


def published() -> list[tuple[Row, Point]]:
    return list(read_rows(ROOT / PUBLISHED)) if (ROOT / PUBLISHED).exists() else []


def write() -> Path:
    """Write the page and its figure from the published points, and return the page's path.

    Raises BadInput where none are published, Unavailable where no figure can be drawn here.
    """
    if not (held := published()):
        raise BadInput(f"no points are published; type {MEASURE}, then report --publish --out FILE")
    (ROOT / PAGE).parent.mkdir(parents=True, exist_ok=True)
    (ROOT / PAGE).write_text(render(held), encoding="utf-8")
    figure.draw(sections(held), (ROOT / PAGE).with_suffix(""))
    return PAGE


def render(held: Sequence[tuple[Row, Point]]) -> str:
    """Return the page."""
    notes = Notes()
    parts = ["# Capacity", OPENING]
    for title, curves in sections(held).items():
        parts += [f"## {title}", *_tables(curves, notes)]
    parts += [f"## Figure\n\n![{figure.TEXT}](capacity/{figure.NAME}.png)\n\n{figure.TEXT}", notes.footnotes()]
    return "\n\n".join([*filter(None, parts), _measured([row for row, _ in held])]) + "\n"


def sections(held: Iterable[tuple[Row, Point]]) -> dict[str, dict[str, dict[int, Point]]]:
    """Return title -> memory -> facts -> point, references last. Of two points of one size the later one counts: it had
    more time."""
    found: dict[str, dict[str, dict[int, Point]]] = {}
    for row, point in held:
        curves = found.setdefault(f"Names: {row['names']}, seed {row['seed']}", {})
        curves.setdefault(point.memory, {})[point.facts] = point
    return {
        title: {name: curves[name] for name in sorted(curves, key=REFERENCES.__contains__)}
        for title, curves in found.items()
    }


def _tables(curves: Mapping[str, Curve], notes: Notes) -> Iterator[str]:
    sizes = sorted({facts for curve in curves.values() for facts in curve})
    for heading, shown in COLUMNS.items():
        names = [name for name in curves if shown not in ASKED_OF_MEMORIES or name not in REFERENCES]
        yield f"**{heading}** by the number of facts"
        rows = [(_named(name), *(shown(curves[name].get(size), notes) for size in sizes)) for name in names]
        yield _grid(["memory", *(f"{size:,}" for size in sizes)], rows)
    yield "**Bits given back**, the most of any size that was held within"
    yield _grid(["memory", *BUDGETS], [(_named(name), *_within(curve, notes)) for name, curve in curves.items()])


def _within(curve: Curve, notes: Notes) -> Iterator[str]:
    most = (within(list(curve.values()), budget) for budget in BUDGETS.values())
    return (notes.show(bits, "{:,.0f}".format, NONE_SO_SMALL) for bits in most)


def _right(point: Point | None, notes: Notes) -> str:
    if point is None or point.right is None:
        return notes.show(None, str, _why(point))
    asked = min(SAMPLE, point.facts)
    found = stats.binomtest(round(point.right * asked), asked).proportion_ci()
    return f"{point.right:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _bits_per_byte(point: Point | None, notes: Notes) -> str:
    return notes.show(point.bits_per_byte if point else None, "{:.3f}".format, _why(point))


def _bytes_a_fact(point: Point | None, notes: Notes) -> str:
    held = point.size_bytes / point.facts if point and point.size_bytes else None
    return notes.show(held, "{:,.0f}".format, _why(point))


def _seconds(point: Point | None, notes: Notes) -> str:
    return notes.show(point.write_seconds if point else None, "{:.2f}".format, _why(point))


COLUMNS: Mapping[str, Callable[[Point | None, Notes], str]] = {
    "Bits a byte": _bits_per_byte,
    "Bytes a fact": _bytes_a_fact,
    "Share that was right": _right,
    "Seconds to tell all, settled": _seconds,
}
ASKED_OF_MEMORIES = (_right, _seconds)  # the references hold every fact, and nothing was told or asked


def _why(point: Point | None) -> str:
    return (point.why if point else "") or NOT_MEASURED


def _named(memory: str) -> str:
    return f"*{memory}*" if memory in REFERENCES else f"`{memory}`"


def _grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, [":--", *["--:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _measured(rows: Sequence[Row]) -> str:
    facts = {
        "CPU": (f"{row['cpu']}, {row['cores']} cores" for row in rows),
        "system": (row["platform"] for row in rows),
        "Python": (row["python"] for row in rows),
        "revision": (_revision(row) for row in rows),
        "days": (row["at"][:10] for row in rows),
        "seconds to tell one size at most, and to ask": (f"{row['limit_seconds']:g}" for row in rows),
    }
    said = [f"{name}: {', '.join(sorted(set(values)))}" for name, values in facts.items()]
    return f"Measured by `{MEASURE}`. {'; '.join(said)}."


def _revision(row: Row) -> str:
    return f"{str(row['commit'])[:12]}{' with changes that are not committed' if row['dirty'] else ''}"

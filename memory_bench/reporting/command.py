"""Reports of committed experiments, from records only.

python -m memory_bench report +experiment=NAME                    print the tables of the finished cells
python -m memory_bench report +experiment=NAME --publish          and keep report, figures and records in the repository
                                                                  (no records of a task that claims to be private)
python -m memory_bench report +experiment=NAME --from-published   print them again from the kept records
python -m memory_bench report +experiment=NAME --layers           print what each memory adds to the one it stands over
                                                                  (with the flags above too)
python -m memory_bench report +experiment=NAME --by=TAG           print them by a tag of the questions: depth, kind, ...
                     both flags: keep report and figures anew, from the kept records (after a change of their layout)
python -m memory_bench report +experiment=NAME --format html --out FILE.html
                                                                  write them as one page that needs nothing else, with
                                                                  every question; the experiment is FILE where none is
                                                                  named, and FILE reports/NAME.html
    --format csv|parquet --out FILE                               one row a question, for other programs
    --format png|svg --out FOLDER                                 the figures alone
python -m memory_bench report +task=needle +memory=hash_cache,exact,engram --story QUESTION --out FILE.html
                                                                  walk through one question, asked anew, in pictures
python -m memory_bench report --history                           what moved between the commits of results/history
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memory_bench import catalogue
from memory_bench.errors import BadInput

if TYPE_CHECKING:
    from memory_bench.reporting.cells import Measured

PUBLISHED = Path("results/published")
REPORTS = Path("reports")
LAYERS = "--layers"
FLAGS = {"--publish", "--from-published", LAYERS}
VALUED = {"--by": "TAG", "--format": "html", "--out": "FILE.html", "--story": "QUESTION"}
HTML, HISTORY = "html", "--history"
FORMATS = {
    "csv": ".csv",
    HTML: ".html",
    "parquet": ".parquet",
    "png": "",
    "svg": "",
}  # what a file ends in; "": a folder
DONE = 0


@dataclass(frozen=True)
class Typed:
    """What was typed: the flags, the tag to slice by, what to write where, the experiment, and its overrides."""

    flags: frozenset[str]
    tag: str | None
    format: str | None
    out: Path | None
    experiment: str
    overrides: tuple[str, ...]


def main(argv: list[str]) -> int:
    """Print a report. Raises BadInput for what is not an experiment, and where nothing was measured or published."""
    if argv in (["-h"], ["--help"]):
        print(__doc__)
        return DONE
    if argv[:1] == [HISTORY]:
        return _history(argv[1:])
    if "--story" in (given := _values(argv))[0]:
        return _tell(*given)
    typed = _parse(argv)
    flags, experiment, overrides = typed.flags, typed.experiment, typed.overrides
    from memory_bench.reporting import (
        cells,
        layers,
        markdown,
        plots,
        slices,
        table,
    )  # pandas and SciPy take a second: a misspelt line does not

    again = "--from-published" in flags
    # records lie by the sort of page that is made from them: an experiment is published as the one or the other
    render, kept = (layers.render, PUBLISHED / "layers") if LAYERS in flags else (markdown.render, PUBLISHED)
    found = cells.load(kept, experiment) if again else cells.find(experiment, overrides)
    if typed.tag is not None:
        print(slices.render(found, typed.tag), end="")
        return DONE
    # where the results of this machine lie is no business of a page that others read
    read = "--publish" in flags or typed.out is not None
    told = [one for one in overrides if not (read and one.startswith("results="))]
    if typed.out is not None:
        return _write(typed, found, told)
    report = render(found, experiment=experiment, overrides=told)
    if "--publish" in flags:
        _check_whole(found)
        _check_attention(found)
        private = _private(found)
        REPORTS.mkdir(exist_ok=True)
        # the page of a single table shows no figures, and neither does one of layers
        if LAYERS not in flags and len(tables := table.tables(found)) > 1:
            plots.draw(tables, REPORTS / experiment)
        if not (again or private):
            cells.save(found, kept, experiment)
        (REPORTS / f"{experiment}.md").write_text(report, encoding="utf-8")
        _show_in(Path("README.md"), experiment, report)
    print(report, end="")
    return DONE


def _private(found: Sequence[Measured]) -> bool:
    """Whether the records stay where they are. Raises BadInput where those of some cells do, and others need them."""
    reasons = {task: catalogue.private(task) for task in {cell.choice("task") for cell in found}}
    secret = {task: reason for task, reason in reasons.items() if reason is not None}
    if secret and len(secret) < len(reasons):
        task, reason = next(iter(secret.items()))
        raise BadInput(
            f"the records of {task} are not to be published ({reason}): give it an experiment of its own, of which the "
            "page alone is published"
        )
    return bool(secret)


def _check_whole(found: Sequence[Measured]) -> None:
    if lines := [line for cell in found for line in cell.corrupt]:
        raise BadInput(f"{lines[0]}: cannot be read, and a part of a run is not to be published; run its cell again")


def _check_attention(found: Sequence[Measured]) -> None:
    """Kernels are compared by name. Raises BadInput where a cell that names none stands beside others."""
    names = sorted({name for cell in found if (name := cell.config["choices"].get("attention"))})
    vague = next(((name, reason) for name in names if (reason := catalogue.unnamed(name))), None)
    if vague and len(names) > 1:
        raise BadInput(
            f"attention={vague[0]} is not to be published beside other attention ({vague[1]}): leave it out of the "
            "experiment, or name the kernel that is meant"
        )


def insert(text: str, experiment: str, report: str) -> str:
    """Return a page with the report between its two markers; a page without markers comes back as it is."""
    start, end = f"<!-- report {experiment} -->\n", f"<!-- end of report {experiment} -->"
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    return f"{before}{start}{report}{end}{after}" if found and closed else text


def _write(typed: Typed, found: Sequence[Measured], overrides: Sequence[str]) -> int:
    """Write what was asked for, and print what that is. Raises BadInput where the disk refuses."""
    from memory_bench.reporting import exports
    from memory_bench.reporting.html import page

    assert typed.format is not None
    assert typed.out is not None
    try:
        typed.out.parent.mkdir(parents=True, exist_ok=True)  # before the work: a page takes seconds
        if typed.format == HTML:
            text = page.render(found, experiment=typed.experiment, reports=REPORTS, overrides=overrides)
            # half a character of an answer is no error
            typed.out.write_text(text, encoding="utf-8", errors="xmlcharrefreplace")
            print(f"{typed.out}: {typed.out.stat().st_size:,} bytes")
        else:
            print(exports.WRITERS[typed.format](found, typed.out))
    except OSError as error:
        place = f"FILE{FORMATS[typed.format]}" if FORMATS[typed.format] else "FOLDER"
        raise BadInput(f"cannot write {typed.out}: {error.strerror}; type --out {place}") from None
    return DONE


def _tell(given: Mapping[str, str], overrides: Sequence[str]) -> int:
    """Write the story of a question. Raises BadInput for what a story does not take, and where the disk refuses."""
    from memory_bench.reporting import story
    from memory_bench.reporting.html import story as page

    if other := sorted({*given} - {"--story", "--out"} | {one for one in overrides if one.startswith("-")}):
        raise BadInput(f"--story {given['--story']}: {other[0]} does not go with it; leave it out")
    out = Path(given.get("--out", f"{given['--story']}.html"))
    if out.suffix != FORMATS[HTML]:
        raise BadInput(f"--out {out}: expected a file that ends in {FORMATS[HTML]}")
    typed = f"python -m memory_bench report {' '.join(overrides)} --story {given['--story']} --out {out}"
    text = page.render(story.tell(overrides, given["--story"]), typed=typed)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8", errors="xmlcharrefreplace")
    except OSError as error:
        raise BadInput(f"cannot write {out}: {error.strerror}; type --out FILE.html") from None
    print(f"{out}: {out.stat().st_size:,} bytes")
    return DONE


def _history(others: Sequence[str]) -> int:
    from memory_bench.guards.history import page

    if others:
        raise BadInput(f"--history {others[0]}: it takes all that was kept of commits; leave it out")
    print(page.write(REPORTS), end="")
    return DONE


def _parse(argv: Sequence[str]) -> Typed:
    given, rest = _values(argv)
    flags = frozenset(argument for argument in rest if argument.startswith("-"))
    if unknown := flags - FLAGS:
        known = ", ".join(sorted([*FLAGS, *(f"{name}={value}" for name, value in VALUED.items())]))
        raise BadInput(f"{' '.join(sorted(unknown))}: no such flag of report; there are {known}")
    overrides = [argument for argument in rest if argument not in flags]
    _check_together(given, flags, overrides)
    named = [argument.partition("=")[2] for argument in overrides if argument.startswith("+experiment=")]
    if not named and "--out" in given:
        named = [Path(given["--out"]).stem]
    if len(named) != 1:
        raise BadInput(f"report takes one experiment, got {list(argv)}; type: report +experiment=NAME")
    made = given.get("--format")
    return Typed(
        flags,
        given.get("--by"),
        made,
        None if made is None else Path(given.get("--out", REPORTS / f"{named[0]}{FORMATS[made]}")),
        named[0],
        tuple(one for one in overrides if not one.startswith("+experiment=")),
    )


def _values(argv: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the flags that have a value (`--out=FILE` or `--out FILE`), and all other arguments."""
    given: dict[str, str] = {}
    rest: list[str] = []
    arguments = iter(argv)
    for argument in arguments:
        name, joined, value = argument.partition("=")
        if name not in VALUED:
            rest.append(argument)
            continue
        value = value if joined else next(arguments, "")
        if not value or value.startswith("-"):
            raise BadInput(f"{name} has no value; type {name} {VALUED[name]}")
        if name in given:
            raise BadInput(f"{name}={value}: {name} stands there twice; leave one out")
        given[name] = value
    return given, rest


def _check_together(given: Mapping[str, str], flags: Collection[str], overrides: Sequence[str]) -> None:
    """Raise BadInput for what cannot be asked of one report."""
    made = given.get("--format")
    if made is not None and made not in FORMATS:
        known = ", ".join(sorted(FORMATS))
        raise BadInput(f"--format {made}: no such format of report; there are {known}, and Markdown without the flag")
    if "--out" in given and made is None:
        raise BadInput(f"--out {given['--out']}: Markdown is printed; for a file add --format html, or another format")
    if made is not None and "--out" in given and Path(given["--out"]).suffix != FORMATS[made]:
        expected = (
            f"a file that ends in {FORMATS[made]}" if FORMATS[made] else "a folder, for there are several figures"
        )
        raise BadInput(f"--out {given['--out']}: expected {expected}")
    if "--by" in given and ("--publish" in flags or made):
        raise BadInput(f"--by={given['--by']}: a report by a tag is printed; leave the other flag out")
    if LAYERS in flags and ("--by" in given or made):
        raise BadInput(f"{LAYERS}: a page of its own, in Markdown; leave the other flag out")
    if made and "--publish" in flags:
        raise BadInput("--publish keeps a report in Markdown; leave it out, and keep what --out names")
    changed = [one for one in overrides if not one.startswith(("+experiment=", "results="))]
    if changed and {*flags} - {LAYERS}:
        raise BadInput(f"{changed[0]}: what is published is an experiment as it stands; leave it out, or write its own")


def _show_in(page: Path, experiment: str, report: str) -> None:
    if page.exists():
        page.write_text(insert(page.read_text(encoding="utf-8"), experiment, report), encoding="utf-8")

"""Reports of committed experiments, from records only.

python -m memory_bench report +experiment=NAME                    print the tables of the finished cells
python -m memory_bench report +experiment=NAME --publish          and keep report, figures and records in the repository
                                                                  (no records of a task that claims to be private)
python -m memory_bench report +experiment=NAME --from-published   print them again from the kept records
python -m memory_bench report +experiment=NAME --by=TAG           print them by a tag of the questions: depth, kind, ...
                     both flags: keep report and figures anew, from the kept records (after a change of their layout)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from memory_bench import catalogue
from memory_bench.errors import BadInput

if TYPE_CHECKING:
    from memory_bench.reporting.cells import Measured

PUBLISHED = Path("results/published")
REPORTS = Path("reports")
FLAGS = {"--publish", "--from-published"}
BY = "--by="
DONE = 0


def main(argv: list[str]) -> int:
    """Print a report. Raises BadInput for what is not an experiment, and where nothing was measured or published."""
    if argv in (["-h"], ["--help"]):
        print(__doc__)
        return DONE
    flags, tag, experiment, overrides = _parse(argv)
    from memory_bench.reporting import (
        cells,
        markdown,
        plots,
        slices,
        table,
    )  # pandas and SciPy take a second: a misspelt line does not

    again = "--from-published" in flags
    found = cells.load(PUBLISHED, experiment) if again else cells.find(experiment, overrides)
    if tag is not None:
        print(slices.render(found, tag), end="")
        return DONE
    # where the results of this machine lie is no business of a page that others read
    told = [one for one in overrides if "--publish" not in flags or not one.startswith("results=")]
    report = markdown.render(found, experiment=experiment, overrides=told)
    if "--publish" in flags:
        _check_attention(found)
        private = _private(found)
        REPORTS.mkdir(exist_ok=True)
        if len(tables := table.tables(found)) > 1:  # the page of a single table shows no figures
            plots.draw(tables, REPORTS / experiment)
        if not (again or private):
            cells.save(found, PUBLISHED, experiment)
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


def _parse(argv: Sequence[str]) -> tuple[set[str], str | None, str, list[str]]:
    """Return the flags, the tag to slice by, the experiment, and what else was typed."""
    slicing = [argument for argument in argv if argument.startswith(BY)]
    flags = {argument for argument in argv if argument.startswith("-")} - set(slicing)
    if unknown := flags - FLAGS:
        known = ", ".join(sorted([*FLAGS, f"{BY}TAG"]))
        raise BadInput(f"{' '.join(sorted(unknown))}: no such flag of report; there are {known}")
    if len(slicing) > 1 or (slicing and "--publish" in flags):
        raise BadInput(f"{slicing[-1]}: a report by a tag is printed, by one at a time; leave the other flag out")
    overrides = [argument for argument in argv if argument not in (*flags, *slicing)]
    changed = [one for one in overrides if not one.startswith(("+experiment=", "results="))]
    if changed and flags:
        raise BadInput(f"{changed[0]}: what is published is an experiment as it stands; leave it out, or write its own")
    named = [argument for argument in overrides if argument.startswith("+experiment=")]
    if len(named) != 1:
        raise BadInput(f"report takes one experiment, got {argv}; type: report +experiment=NAME")
    tag = slicing[0].removeprefix(BY) if slicing else None
    return flags, tag, named[0].partition("=")[2], [override for override in overrides if override not in named]


def _show_in(page: Path, experiment: str, report: str) -> None:
    if page.exists():
        page.write_text(insert(page.read_text(encoding="utf-8"), experiment, report), encoding="utf-8")

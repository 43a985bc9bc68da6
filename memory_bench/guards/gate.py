"""Did a change move a number that it should not: small deterministic cells against their accepted baselines.

python -m memory_bench gate                                      measure, compare, one line a cell
python -m memory_bench gate --accept "why the numbers moved"     and keep what was measured as the new baselines
python -m memory_bench gate +experiment=NAME baselines=FOLDER    another matrix, other baselines
python -m memory_bench gate --base main                          and whether a run became slower since that revision,
                                                                 the two in turn on this machine
python -m memory_bench gate --benchmarks BASE HEAD               or whether benchmarks did: folders of files that
                                                                 pytest-benchmark wrote in turn, by name in pairs
python -m memory_bench gate --calibrate --trials 20              what the gate for time is worth on this machine:
                            --levels 0 0.1 --loaded              of these slowdowns, while another process computes
                            --publish                            the page of the trials that ran: reports/gate.md
python -m memory_bench gate --base main --memory NAME            time alone, of one memory: of this repository, or of
                                                                 the one that stands here and brings it
                            --markdown FILE --junit FILE         and every verdict in a file

Exit codes: 0 all pass, or what is not sure is inconclusive (a warning says so), 1 something fails, 2 there is no data
(no baseline, another task version, no engine, no such revision).
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from memory_bench import cell, config, provenance, records, terminal
from memory_bench.errors import BadInput, Unavailable
from memory_bench.guards.baselines import Baseline, Snapshot, load, save, snapshot
from memory_bench.guards.speed import command as speed
from memory_bench.guards.verdict_files import AnyWord, Line, junit, markdown, overall, write
from memory_bench.guards.verdicts import Verdict, differences, judge
from memory_bench.lending import Lender

PASSED = 0
EXIT_CODES: Mapping[AnyWord, int] = {"pass": PASSED, "inconclusive": PASSED, "fail": 1, "no data": 2}
EXPERIMENT = "gate"
BASELINES = Path("results/baselines")

Matrix: TypeAlias = Mapping[str, tuple[str, ...]]
"""Name of a cell -> its overrides."""
Measured: TypeAlias = dict[str, Snapshot | Verdict]
"""Name of a cell -> what came out, or the verdict on a cell of which nothing came."""


@dataclass(frozen=True)
class Request:
    """What was typed: which matrix, where its baselines lie, and why new ones are accepted, if they are."""

    experiment: str
    folder: Path
    why: str | None


def main(argv: list[str]) -> int:
    """Judge what was asked for, print a line a verdict, and return the exit code of the worst.

    Raises BadInput for what is not a gate, and where baselines are to be accepted of which a part is missing.
    """
    if argv in (["-h"], ["--help"]):
        print(__doc__)
        return PASSED
    typed = speed.parse(argv)
    if typed.calibrate:
        return speed.calibrated(typed)
    request = _parse(typed.left)
    lines: list[Line] = []
    if typed.answers:
        lines += _answers(request)
    if typed.timed:
        lines += speed.lines(typed)
    if typed.markdown is not None:
        write(typed.markdown, markdown(lines, f"`gate {' '.join(argv)}`"))
    if typed.junit is not None:
        write(typed.junit, junit(lines))
    return EXIT_CODES[overall(lines)]


def _answers(request: Request) -> list[Line]:
    """Measure the matrix, print a verdict a cell, keep the baselines where that was asked for."""
    matrix = cells(request.experiment)
    baseline = load(request.folder)
    console = terminal.stdout()
    measured: Measured = {}
    lines: list[Line] = []
    for name, verdict in _verdicts(matrix, baseline, measured):
        lines.append(Line("answers", name, verdict.word, verdict.reason))
        console.print(f"{verdict.word:<7}  {name:<24}  {verdict.reason}", markup=False, soft_wrap=True)
    counts = {word: sum(line.word == word for line in lines) for word in ("pass", "fail", "no data")}
    console.print(", ".join(f"{count} {word}" for word, count in counts.items()) + _since(baseline))
    if counts["fail"] and baseline.accepted and (changed := differences(baseline.versions, provenance.versions())):
        console.print(f"installed otherwise than for the baseline: {'; '.join(changed)}", markup=False, soft_wrap=True)
    if request.why is not None:
        save(request.folder, _accepted(measured, baseline, request.why))
        console.print(
            f"accepted: {len(measured)} cells in {request.folder}: {request.why}", markup=False, soft_wrap=True
        )
        return [Line("answers", name, "pass", f"accepted: {request.why}") for name in measured]
    return lines


def cells(experiment: str) -> dict[str, tuple[str, ...]]:
    """Return name -> overrides of every cell of a matrix.

    Raises BadInput for an unknown experiment, a memory that does not claim to be deterministic, and two of a name.
    """
    found: dict[str, tuple[str, ...]] = {}
    for overrides in config.expand([f"+experiment={experiment}"]):
        composed = config.compose(overrides)
        names = composed.config["choices"]
        control = [] if names["control"] == "none" else [names["control"]]
        name = "-".join([names["task"], names["memory"], *control])
        if not composed.claims.get("deterministic"):
            raise BadInput(
                f"memory {names['memory']} does not claim to be deterministic (conf/memory/{names['memory']}.yaml): "
                f"take it out of conf/experiment/{experiment}.yaml"
            )
        if name in found:
            raise BadInput(
                f"conf/experiment/{experiment}.yaml names two cells {name}: a gate tells cells by task, "
                "memory and control"
            )
        found[name] = overrides
    return found


def _verdicts(matrix: Matrix, baseline: Baseline, measured: Measured) -> Iterator[tuple[str, Verdict]]:
    """Yield a verdict a cell and fill `measured` on the way."""
    lender = Lender()
    with tempfile.TemporaryDirectory(prefix="memory_bench-gate-") as folder:  # nothing measured before is believed
        for name, overrides in matrix.items():
            made = measured[name] = _measure((*overrides, f"results={folder}"), lender)
            yield name, made if isinstance(made, Verdict) else judge(made, baseline.cells.get(name))
    for name in baseline.cells.keys() - matrix.keys():
        yield name, Verdict("no data", "it has a baseline and is no cell of the matrix any more")


def _measure(overrides: Sequence[str], lender: Lender) -> Snapshot | Verdict:
    command = " ".join(["python -m memory_bench", *overrides])
    try:
        outcome = cell.measure(config.compose(overrides), command=command, alone=False, lender=lender)
    except Unavailable as error:
        return Verdict("no data", config.one_line(error))
    except BadInput as error:
        return Verdict("fail", config.one_line(error))
    except Exception as error:  # one broken plug-in must not hide the verdicts on the others
        traceback.print_exc(file=sys.stderr)
        return Verdict("fail", f"it broke: {type(error).__name__}: {config.one_line(error)}")
    return snapshot(records.open_run(outcome.place), outcome.rows)


def _accepted(measured: Measured, baseline: Baseline, why: str) -> Baseline:
    if missing := {name: made for name, made in measured.items() if isinstance(made, Verdict)}:
        name, verdict = next(iter(missing.items()))
        raise BadInput(
            f"nothing was accepted, {len(missing)} of {len(measured)} cells could not be measured; "
            f"{name}: {verdict.reason}"
        )
    entry = {"when": provenance.now(), "why": why, "cpu": provenance.cpu_name(), **provenance.revision()}
    kept = {name: made for name, made in measured.items() if isinstance(made, Snapshot)}
    return Baseline(kept, [*baseline.accepted, entry], provenance.versions())


def _since(baseline: Baseline) -> str:
    if not baseline.accepted:
        return '; there are no baselines: gate --accept "why" keeps these'
    last = baseline.accepted[-1]
    return f", against the baselines of {last['when'][:10]}: {last['why']}"


def _parse(argv: Sequence[str]) -> Request:
    left, why = list(argv), None
    if "--accept" in left:
        place = left.index("--accept")
        why = " ".join(left[place + 1 : place + 2]).strip()
        del left[place : place + 2]
        if not why or why.startswith("-"):
            raise BadInput('--accept takes the reason why numbers may move: gate --accept "the reader has new weights"')
    options = dict(argument.split("=", 1) for argument in left if "=" in argument and not argument.startswith("-"))
    if wrong := [argument for argument in left if argument.partition("=")[0] not in ("+experiment", "baselines")]:
        raise BadInput(
            f"gate does not take {wrong[0]!r}: what it measures stands in conf/experiment/{EXPERIMENT}.yaml; "
            'there are --accept "why", +experiment=NAME and baselines=FOLDER; and see gate --help'
        )
    experiment = options.get("+experiment", EXPERIMENT)
    return Request(experiment, Path(options.get("baselines", BASELINES)) / experiment, why)

"""What moved between two runs of the same questions.

python -m memory_bench compare bm25 hash_cache                          their newest finished runs
python -m memory_bench compare bm25 hash_cache task=needle seed=1       also reader=, control=; results=FOLDER
python -m memory_bench compare results/needle/bm25/RUN results/needle/bm25/OTHER flips=5
python -m memory_bench compare bm25 hash_cache json=FILE                and all of it in a file, with every flip
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from memory_bench import terminal
from memory_bench.errors import BadInput
from memory_bench.guards.amounts import HELD, amounts
from memory_bench.guards.pairs import FILTERS, SCORES, Pair, Paired, find, pair

DONE = 0
SHOWN_PASSAGES, SHOWN_LETTERS = 3, 100
FLIPS = 3
OWN = ("results", "flips", "json")


@dataclass(frozen=True)
class Request:
    """What was typed: two runs by folder or memory, what they are chosen by, and how many flips are shown."""

    named: tuple[str, str]
    wanted: dict[str, str]
    results: Path
    flips: int
    json: Path | None


def main(argv: list[str]) -> int:
    """Print what differs between two runs. Raises BadInput where they cannot be compared."""
    if argv in (["-h"], ["--help"]):
        print(__doc__)
        return DONE
    request = _parse(argv)
    first, second = (find(named, request.results, request.wanted) for named in request.named)
    both = pair(first, second)
    show(both, terminal.stdout(), flips=request.flips)
    if request.json is not None:
        request.json.parent.mkdir(parents=True, exist_ok=True)
        request.json.write_text(json.dumps(plain(both), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return DONE


def show(both: Pair, console: Console, *, flips: int) -> None:
    """Print two runs side by side: options, answers, evidence, tokens and bytes, and the questions that flipped."""
    for letter, run in zip("AB", both.runs, strict=True):
        names = run.config["choices"]
        told = f"task {names['task']}, memory {names['memory']}, reader {names['reader']}, seed {run.config['seed']}"
        console.print(f"{letter}  {told}  {run.folder}", markup=False, soft_wrap=True)
    for line in _unlike_options(both):
        console.print(f"   {line}", markup=False, soft_wrap=True)
    console.print(_scores(both, "answers", evidence=False))
    console.print(_scores(both, "evidence", evidence=True))
    console.print(_counted(both))
    console.print(_timed(both))
    for line in _flips(both, flips):
        console.print(line, markup=False, soft_wrap=True)


def _parse(argv: Sequence[str]) -> Request:
    if flags := [argument for argument in argv if argument.startswith("-")]:
        raise BadInput(f"{' '.join(flags)}: no such flag of compare; type: compare A B")
    options = dict(argument.lstrip("+").split("=", 1) for argument in argv if "=" in argument)
    named = [argument for argument in argv if "=" not in argument]
    if len(named) != 2:
        raise BadInput(
            f"compare takes two runs' folders or memories, got {' '.join(named) or 'none'}; type: compare A B"
        )
    if unknown := sorted(options.keys() - {*FILTERS, *OWN}):
        raise BadInput(f"compare has no option {unknown[0]!r}; there are {', '.join((*FILTERS, *OWN))}")
    flips = options.pop("flips", str(FLIPS))
    if not flips.isdecimal():
        raise BadInput(f"flips={flips}: expected a whole number >= 0, such as flips={FLIPS}")
    results = Path(options.pop("results", "results"))
    file = options.pop("json", None)
    if file == "":
        raise BadInput("json= takes the file to write, such as json=compared.json")
    # a control is a run of a memory too, and not what its name is asked for
    return Request(
        (named[0], named[1]), {"control": "none"} | options, results, int(flips), Path(file) if file else None
    )


def _unlike_options(both: Pair) -> Iterator[str]:
    """Yield what else the two runs did not have in common: it may be what moved a number."""
    first, second = both.runs
    if first.folder.resolve() == second.folder.resolve():
        yield "A and B are the same run"
    options = [_flat(run.config) for run in both.runs]
    for key in sorted({**options[0], **options[1]}):
        one, other = (own.get(key) for own in options)
        if one != other and not key.startswith(("memory.", "choices.memory", "embedder.", "choices.embedder")):
            yield f"{key}: {one} and {other}"
    for part in ("reader", "embedder"):
        weights = [run.provenance["identities"].get(part) for run in both.runs]
        if None not in weights and weights[0] != weights[1]:
            yield f"what the {part} reads (weights, tokenizer) is not the same"
    if first.provenance["environment"] != second.provenance["environment"]:
        yield "measured in two classes of environment"


def _flat(options: dict[str, Any], above: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in options.items():
        found |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return found


def _scores(both: Pair, title: str, *, evidence: bool) -> Table:
    headings = (title, "n", "A", "B", "A - B [95 %]", "", "McNemar p", "would show from")
    table = _table(headings)
    silent = [
        letter for letter, frame in zip("AB", both.questions, strict=True) if not frame["passages"].map(len).any()
    ]
    if evidence and silent:
        table.add_row(f"null: {' and '.join(silent)} returned no passage and does not work through the context")
        return table
    findable = both.findable
    slices = [("", None)] if evidence else [("", findable), (", nothing to find", [not one for one in findable])]
    for name in both.names(evidence=evidence):
        for suffix, chosen in slices:
            if (found := both.paired(name, chosen)) is not None:
                table.add_row(*_row(name + suffix, found))
    return table


def _row(title: str, found: Paired) -> tuple[str, ...]:
    interval = found.difference.interval
    return (
        title,
        str(found.n),
        f"{found.first:.3f}",
        f"{found.second:.3f}",
        f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]",
        "tie" if found.difference.tie else "A higher" if interval.mean > 0 else "B higher",
        "graded" if found.p is None else f"{found.p:.3g}",
        "-" if found.detectable is None else f"{found.detectable:.3f}",
    )


def _counted(both: Pair) -> Table:
    table = _table(("tokens and bytes", "", "A", "B", "A - B"))
    for one in amounts(both):
        if one.exact:
            most = " at most" if one.column in HELD else f" a {one.of}"
            table.add_row(f"{one.column}{most}", "", *_amounts([one.first, one.second]))
    return table


def _timed(both: Pair) -> Table:
    # no difference stands here: the two were not timed in turn
    table = _table(("as measured, each at its time", "", "A", "B"))
    for one in amounts(both):
        if not one.exact:
            values = ("null" if value is None else f"{value:,.6g}" for value in (one.first, one.second))
            table.add_row(f"{one.column}{' at most' if one.column in HELD else f' a {one.of}'}", "", *values)
    return table


def _amounts(values: Sequence[float | None]) -> list[str]:
    shown = ["null" if value is None else f"{value:,.1f}".removesuffix(".0") for value in values]
    first, second = values
    if first is None or second is None:
        return [*shown, ""]
    return [*shown, "equal" if first == second else f"{first - second:+,.1f}".removesuffix(".0")]


def _table(headings: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    return table


def plain(both: Pair) -> dict[str, Any]:
    """Return all that `show` prints as plain values, with every question that flipped."""
    scores = [
        asdict(found)
        for evidence in (False, True)
        for name in both.names(evidence=evidence)
        if (found := both.paired(name, None if evidence else both.findable)) is not None
    ]
    flips = [{"right": letter, **_plain_flip(row)} for letter, row in _flipped(both)]
    return {
        "runs": [{"folder": str(run.folder), "config": dict(run.config)} for run in both.runs],
        "unlike": list(_unlike_options(both)),
        "scores": scores,
        "ledger": [asdict(one) for one in amounts(both)],
        "flips": flips,
    }


def _plain_flip(row: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    asked = {name: row[0][name] for name in ("episode", "question", "query")}
    sides = {
        letter: {"answer": own["answer"], "prompt": [dict(one) for one in own["passages"] if one["packed"]]}
        for letter, own in zip("AB", row, strict=True)
    }
    plainly: dict[str, Any] = json.loads(json.dumps({**asked, "gold": list(row[0]["gold"]), **sides}, default=list))
    return plainly


def _flipped(both: Pair) -> Iterator[tuple[str, tuple[dict[str, Any], dict[str, Any]]]]:
    """Yield the run that alone was right, and both rows, of every question where one was."""
    name = SCORES + both.names(evidence=False)[0]
    rows = list(zip(*(frame.to_dict("records") for frame in both.questions), strict=True))
    for letter, better in (("A", 0), ("B", 1)):
        yield from ((letter, row) for row in rows if row[better][name] > row[1 - better][name])


def _flips(both: Pair, most: int) -> Iterator[str]:
    """Yield which answers were right in one run only, and of the first few what stood in the two prompts."""
    name, asked = both.names(evidence=False)[0], len(both.questions[0])
    found = list(_flipped(both))
    for letter in "AB":
        flipped = [row for own, row in found if own == letter]
        yield f"{letter} alone right: {len(flipped)} of {asked} questions ({name})"
        for row in flipped[:most]:
            yield f"  {row[0]['episode']}/{row[0]['question']}  {row[0]['query']}  -> {' | '.join(row[0]['gold'])}"
            for side, own in zip("AB", row, strict=True):
                yield f"    {side} answered {_short(str(own['answer']).strip())!r}; {_prompt(own)}"


def _prompt(row: dict[str, Any]) -> str:
    packed = [passage for passage in row["passages"] if passage["packed"]]
    evidence = set(row["evidence"])
    best = [("* " if evidence & set(p["event_ids"]) else "") + _short(p["text"]) for p in packed[:SHOWN_PASSAGES]]
    more = f" ... and {len(packed) - len(best)} more" if len(packed) > len(best) else ""
    lines = "".join(f"\n        {line}" for line in best)
    return f"{len(packed)} passages in the prompt, best first (* evidence):{lines}{more}" if packed else "no passage"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_LETTERS else f"{line[: SHOWN_LETTERS - 3]}..."

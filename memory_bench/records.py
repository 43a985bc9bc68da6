"""results/ in and out: the one file format of the project.

    results/TASK/MEMORY/RUN/records.jsonl      one row per question
                            operations.jsonl   one row per attach, reset, write, settle, forget
                            config.yaml        the resolved options
                            provenance.json    what ran where, and whether it finished

A run is written beside its final place, as RUN.unfinished-MACHINE-PROCESS, and takes that place when its last row is
on disk: what lies under RUN is always one complete run, also where many processes and machines share the folder. There
is no lock that a dead process could leave behind.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import yaml

from memory_bench.errors import BadInput
from memory_bench.places import REPLACED, UNFINISHED, drop_abandoned, give_way, this_process
from memory_bench.provenance import now

if TYPE_CHECKING:  # pandas takes half a second to import, and a run does without it
    import pandas as pd

_SPREAD = ("scores", "costs", "tags")


@dataclass(frozen=True)
class Operation:
    """What a memory was told to do, and what it cost. `operation` is the phase; `events` how many it concerned."""

    operation: str
    episode: str | None
    events: int
    costs: Mapping[str, float | None]


@dataclass(frozen=True)
class Record:
    """One question: what was asked, brought into the prompt, answered, scored and spent.

    `passages` are all that the memory returned, best first, each with `packed`: whether it stands in the prompt.
    `answer` is null where there is none, and `unanswered` says why.
    """

    episode: str
    question: str
    query: str
    cloze: str
    answer: str | None
    logprob: float | None
    unanswered: str | None
    gold: tuple[str, ...]
    evidence: tuple[str, ...]
    stale: tuple[str, ...]
    forgotten: tuple[str, ...]
    passages: tuple[Mapping[str, object], ...]
    scores: Mapping[str, float | None]
    costs: Mapping[str, float | None]
    tags: Mapping[str, str]


class Writer:
    """Puts the rows of one run on disk as they are made, and the run in its place when it is complete.

        with Writer(place, config=config, provenance=provenance) as writer:
            for row in rows: writer.write(row)
            writer.finish()

    Leaving the block without `finish` keeps the rows so far, marked unfinished with the reason. Raises BadInput with
    one line where the disk refuses, and Elsewhere where another process came to the cell at the same moment, unless it
    is measured `again` on purpose.
    """

    def __init__(
        self, place: Path, *, config: Mapping[str, Any], provenance: Mapping[str, Any], again: bool = True
    ) -> None:
        self.place = place
        self.again = again
        self.folder = place.with_name(f"{place.name}{UNFINISHED}{this_process()}")
        self.config = config
        self.provenance = {**provenance, "start": now(), "end": None}
        self.questions = 0
        self.finished = False

    def __enter__(self) -> Writer:
        with self._one_line_of_trouble():
            self.place.parent.mkdir(parents=True, exist_ok=True)
            drop_abandoned(self.place)
            self.folder.mkdir()
            if not self.again:
                give_way(self.place, self.folder)
            _save_options(self.folder, self.config)
            self._save_provenance(why=None)
            # unbuffered: a row is with the operating system before the next question is asked
            self._rows: dict[type, FileIO] = {
                Record: (self.folder / "records.jsonl").open("wb", buffering=0),
                Operation: (self.folder / "operations.jsonl").open("wb", buffering=0),
            }
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for file in self._rows.values():
            file.close()
        if not self.finished:
            # on a full disk this fails too: what was saved at the start says unfinished already
            with suppress(OSError):
                self._save_provenance(why=f"{kind.__name__}: {error}" if kind else "left before the end", end=now())

    def write(self, row: Operation | Record) -> None:
        """Append one row. One that does not fit the disk leaves nothing of itself behind."""
        file = self._rows[type(row)]
        left = memoryview(json.dumps(vars(row), ensure_ascii=False, allow_nan=False).encode() + b"\n")
        start = file.tell()
        with self._one_line_of_trouble():
            try:
                while left:
                    left = left[file.write(left) :]
            except BaseException:  # Ctrl-C too: half a row would spoil the file for every reader
                file.truncate(start)
                file.seek(start)
                raise
        self.questions += isinstance(row, Record)

    def finish(self) -> None:
        """Mark the run complete and move it to its place; an older run of the same cell gives way."""
        older = self.place.with_name(f"{self.place.name}{REPLACED}{this_process()}")
        with self._one_line_of_trouble():
            self._save_provenance(why=None, end=now(), finished=True)
            try:
                self._take_place(older)
            except BaseException:  # Ctrl-C too: the cell keeps the run that it had
                if older.exists() and not self.place.exists():
                    older.rename(self.place)
                raise
            self.finished = True
        for outdated in (older, _note_folder(self.place.parent, self.config)):
            shutil.rmtree(outdated, ignore_errors=True)

    def _take_place(self, older: Path) -> None:
        while True:
            with suppress(FileNotFoundError):  # mostly there is no older run
                self.place.rename(older)
            try:
                self.folder.rename(self.place)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
                shutil.rmtree(older, ignore_errors=True)  # another process has just put its run there: that one is it
            else:
                return

    def _save_provenance(self, *, why: str | None, end: str | None = None, finished: bool = False) -> None:
        facts = {**self.provenance, "end": end, "questions": self.questions, "finished": finished, "why": why}
        _save_json(self.folder / "provenance.json", facts)

    @contextmanager
    def _one_line_of_trouble(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            kept = f"; {self.questions} questions are kept in {self.folder}" if self.questions else ""
            raise BadInput(
                f"cannot write results to {error.filename or self.folder}: {error.strerror}{kept}; "
                "make room or type results=FOLDER"
            ) from None


def note_missing(results: Path, config: Mapping[str, Any], why: str) -> None:
    """Leave a note that a cell has no result, and why: a report then shows the row with its reason."""
    folder = _note_folder(results / config["choices"]["task"] / config["choices"]["memory"], config)
    facts = {"start": now(), "end": now(), "questions": 0, "finished": False, "why": why}
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):  # another process has just finished the cell, and took the note away
        _save_options(folder, config)
        _save_json(folder / "provenance.json", facts)


def _note_folder(parent: Path, config: Mapping[str, Any]) -> Path:
    return parent / f"{hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]}.missing"


def _save_options(folder: Path, config: Mapping[str, Any]) -> None:
    options = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    (folder / "config.yaml").write_text(options, encoding="utf-8")


def _save_json(path: Path, facts: Mapping[str, object]) -> None:
    """Write beside and replace: the file is the old one or the new one, never a part."""
    beside = path.with_name(f"{path.name}.new-{this_process()}")
    try:
        beside.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@dataclass(frozen=True)
class Run:
    """A run's folder with its options and provenance."""

    folder: Path
    config: dict[str, Any]
    provenance: dict[str, Any]

    @property
    def finished(self) -> bool:
        return bool(self.provenance["finished"])

    @property
    def questions(self) -> int:
        return int(self.provenance["questions"])

    @property
    def why(self) -> str | None:
        """Why there is no result, for a run that did not finish."""
        return None if self.finished else str(self.provenance["why"] or "it was killed, or is still running")


def open_run(folder: Path) -> Run:
    """Return the run in a folder. Raises FileNotFoundError where there is none, BadInput where it cannot be read."""
    options, facts = ((folder / name).read_text(encoding="utf-8") for name in ("config.yaml", "provenance.json"))
    try:
        return Run(folder, dict(yaml.safe_load(options)), dict(json.loads(facts)))
    except (TypeError, ValueError, yaml.YAMLError) as error:
        said = str(error).partition("\n")[0]
        raise BadInput(f"{folder} holds a run that cannot be read ({said}); remove it and run its cell again") from None


def _there(folder: Path) -> Run | None:
    """Return the run in a folder; None where another process has moved it meanwhile."""
    try:
        return open_run(folder)
    except FileNotFoundError:
        return None


def is_complete(folder: Path) -> bool:
    """Whether a folder holds a finished run with all its rows; what a crash of the machine left of one is none."""
    try:
        run = open_run(folder)
        with (folder / "records.jsonl").open("rb") as lines:
            return run.finished and sum(line.endswith(b"\n") for line in lines) == run.questions
    except (FileNotFoundError, BadInput):
        return False


def runs(results: Path | str, *, config: Mapping[str, Any] | None = None) -> list[Run]:
    """Return the runs under a results folder, finished or not, the latest first; `config` keeps those of one cell.

    A cell's options can have several runs: other weights, other code, another machine.
    """
    cell = f"{config['choices']['task']}/{config['choices']['memory']}" if config else "*/*"
    folders = [file.parent for file in Path(results).glob(f"{cell}/*/provenance.json")]
    found = [_there(folder) for folder in folders if REPLACED not in folder.name]
    wanted = [run for run in found if run is not None and (config is None or run.config == config)]
    return sorted(wanted, key=lambda run: str(run.provenance["start"]), reverse=True)


def load(paths: Path | str | Iterable[Path | str] = "results", *, corrupt: list[str] | None = None) -> pd.DataFrame:
    """Return one row a question: of the latest finished run of each cell under a results folder, or of given runs.

    Runs of other code or machines are older runs of a cell: given as folders they can be compared, but never pooled.
    Columns: `run` (the folder), `choices.*` and the other options of the run, then the record's own with `scores.*`,
    `costs.*` and `tags.*` spread out. Null is NaN. Raises BadInput where a finished run lost rows, and for a line that
    cannot be read; where `corrupt` is given, such lines are named there and left out.
    """
    return _frame(paths, "records.jsonl", corrupt)


def load_operations(paths: Path | str | Iterable[Path | str], *, corrupt: list[str] | None = None) -> pd.DataFrame:
    """Return one row an operation, with the same columns of the run as `load` and `costs.*` spread out."""
    return _frame(paths, "operations.jsonl", corrupt)


def _frame(paths: Path | str | Iterable[Path | str], name: str, corrupt: list[str] | None) -> pd.DataFrame:
    import pandas as pd  # half a second: only who reads records pays it

    chosen = list(_chosen(paths))
    for run in chosen:
        if run.finished and not is_complete(run.folder):
            raise BadInput(f"{run.folder} lost rows of the {run.questions} that it had; run its cell again")
    rows = [row for run in chosen for row in _rows(run, name, corrupt)]
    return pd.DataFrame.from_records(rows)


def _chosen(paths: Path | str | Iterable[Path | str]) -> Iterator[Run]:
    for path in [paths] if isinstance(paths, Path | str) else paths:
        folder = Path(path)
        if (folder / "provenance.json").exists():
            yield open_run(folder)
        else:
            latest: dict[str, Run] = {}
            for run in runs(folder):
                if run.finished:
                    latest.setdefault(json.dumps(run.config, sort_keys=True), run)
            yield from latest.values()


def _rows(run: Run, name: str, corrupt: list[str] | None) -> Iterator[dict[str, Any]]:
    options = {key: value for key, value in run.config.items() if not isinstance(value, dict)}
    options |= {f"choices.{part}": choice for part, choice in run.config["choices"].items()}
    with (run.folder / name).open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = _spread(line)
            except (ValueError, AttributeError):  # no JSON, or not what a row is
                place = f"{run.folder / name}, line {number}"
                if corrupt is None:
                    raise BadInput(f"{place}: cannot be read; run its cell again") from None
                corrupt.append(place)
                continue
            yield {"run": str(run.folder), **options, **row}


def _spread(line: bytes) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, value in json.loads(line).items():
        row |= {f"{key}.{k}": v for k, v in value.items()} if key in _SPREAD else {key: value}
    return row

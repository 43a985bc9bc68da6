"""What a memory does over damaged files, on a full disk, and in a folder that may not be written."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from numpy.random import PCG64, Generator, SeedSequence

from memory_bench import config
from memory_bench.errors import BadInput
from memory_bench.guards.durability import work
from memory_bench.guards.durability.child import Child, Children, Gone, Raised
from memory_bench.guards.durability.life import Step, held_after, life, told
from memory_bench.guards.durability.work import Seen, amiss

Outcome: TypeAlias = Literal["as before", "refused", "overwrote", "raised", "ended", "wrong"]
"""It answers as if nothing were; says one line; says one line and had changed files by then; raises an error of its
own; dies or hangs; answers wrongly, silent."""

KINDS = (
    "truncated", "bit flipped", "truncated after a kill", "bit flipped after a kill", "full disk", "read-only folder"
)  # fmt: skip
_PLACES = 2  # where bits are flipped is drawn apart from the seed's life
FULL_AFTER = 0.5  # of the calls of a life
ROOM_BYTES = 4096  # what a file can still hold: most writes fail, some are cut in their middle


@dataclass(frozen=True)
class Trouble:
    """What was wrong (one of `KINDS`), in which file, and what came of it."""

    kind: str
    file: str
    outcome: Outcome
    detail: str = ""


def damaged(
    children: Children,
    cell: config.Cell,
    folder: Path,
    *,
    seed: int,
    flips: int,
    most_files: int | None = None,
    closed: bool = True,
) -> Iterator[Trouble]:
    """Yield what comes of each file of an index being cut to half, and of single bits in it being flipped.

    Of every file, or of the `most_files` with the most in them. An index that was not `closed` is one whose process
    was killed. Raises BadInput and Raised where a memory cannot even live.
    """
    after = "" if closed else " after a kill"
    rng = Generator(PCG64(SeedSequence([seed, _PLACES])))
    steps = life(seed)
    whole = _kept(children.one(), cell, folder, steps, closed=closed)
    sound = _sound(children.one(), cell, whole, steps)
    for file in sorted(_files(whole), key=_written, reverse=True)[:most_files]:
        name = file.relative_to(whole)
        with _copy(whole) as copy:
            _cut(copy / name)
            yield Trouble(f"truncated{after}", str(name), *_outcome(children.one(), cell, copy, told(steps), sound))
        for bit in rng.integers(8 * _written(file), size=flips):
            with _copy(whole) as copy:
                _flip(copy / name, int(bit))
                yield Trouble(
                    f"bit flipped{after}", str(name), *_outcome(children.one(), cell, copy, told(steps), sound)
                )


def read_only(children: Children, cell: config.Cell, folder: Path, *, seed: int) -> Trouble:
    """Return what comes of an index whose files and folders may be read and not written."""
    steps = life(seed)
    whole = _kept(children.one(), cell, folder, steps)
    sound = _sound(children.one(), cell, whole, steps)
    before = _contents(whole)
    _permit(whole, writing=False)
    child = children.one()
    try:
        outcome, detail = _said(lambda: _unwritten(child, cell, whole, told(steps), sound))
    finally:
        child.kill()  # it has given up rights that the next one needs
        _permit(whole, writing=True)
    if _contents(whole) != before:
        return Trouble("read-only folder", "", "overwrote", detail)
    return Trouble("read-only folder", "", outcome, detail)


def full_disk(children: Children, cell: config.Cell, folder: Path, *, seed: int) -> Trouble:
    """Return what comes of a disk that fills up in the middle of a life, and has room again when it is opened."""
    steps, done = life(seed), 0
    child = children.one()

    def fill() -> tuple[Outcome, str]:
        nonlocal done
        for number, _ in child.ask(work.live, cell, folder / "full", steps, int(len(steps) * FULL_AFTER), ROOM_BYTES):
            done = number
        return "as before", f"it took all {done} calls"

    outcome, detail = _said(fill)
    child.kill()  # on a full disk nothing can be closed in peace
    try:
        seen = children.one().answer(work.look, cell, folder / "full", told(steps))
        goes_on = children.one().answer(work.go_on, cell, folder / "full")
    except (BadInput, Raised, Gone) as error:
        return Trouble("full disk", "", "wrong", f"with room again: {error}; before: {detail}")
    wrong = [*amiss(held_after(steps, done), seen).in_words(), *([] if goes_on else ["it does not go on"])]
    if wrong:
        return Trouble("full disk", "", "wrong", f"{', '.join(wrong)}; {detail}")
    return Trouble("full disk", "", outcome, detail)


def _kept(child: Child, cell: config.Cell, folder: Path, steps: Sequence[Step], *, closed: bool = True) -> Path:
    """Return a new folder with the index of a life that was closed in the end, or killed."""
    whole = Path(tempfile.mkdtemp(dir=folder)) / "whole"
    whole.mkdir()
    for number, _ in child.ask(work.live, cell, whole / "kept", steps):
        if number == len(steps) and not closed:
            child.kill()
            break
    return whole


def _sound(child: Child, cell: config.Cell, whole: Path, steps: Sequence[Step]) -> Seen:
    with _copy(whole) as copy:  # opening may write
        sound = child.answer(work.look, cell, copy / "kept", told(steps))
    if wrong := amiss(held_after(steps, len(steps)), sound).in_words():
        raise Raised(f"a copy of its files, undamaged, does not hold what was told: {', '.join(wrong)}")
    return sound


def _outcome(child: Child, cell: config.Cell, copy: Path, texts: Sequence[str], sound: Seen) -> tuple[Outcome, str]:
    before = _contents(copy)
    outcome, detail = _said(lambda: _compared(child.answer(work.look, cell, copy / "kept", texts), sound))
    if outcome == "refused" and _contents(copy) != before:
        return "overwrote", detail
    return outcome, detail


def _said(attempt: Callable[[], tuple[Outcome, str]]) -> tuple[Outcome, str]:
    try:
        return attempt()
    except BadInput as line:
        return "refused", str(line)
    except Raised as error:
        return "raised", str(error)
    except Gone as end:
        return "ended", str(end)


def _compared(seen: Seen, sound: Seen) -> tuple[Outcome, str]:
    counts = {
        "missing": len(sound.found - seen.found),
        "that should not be": len(seen.found - sound.found),
        "no longer first for their own text": len(sound.first - seen.first),
        "twice": len(seen.twice),
    }
    wrong = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return ("wrong", wrong) if wrong else ("as before", "")


def _unwritten(child: Child, cell: config.Cell, whole: Path, texts: Sequence[str], sound: Seen) -> tuple[Outcome, str]:
    answers = child.ask(work.look_without_leave, cell, whole / "kept", texts)
    outcome, detail = _compared(next(answers), sound)
    if outcome == "wrong":
        return outcome, detail
    next(answers)
    return "wrong", "it took an event where nothing may be written"


def _files(folder: Path) -> list[Path]:
    """Return the files with anything in them, in an order of their own."""
    return sorted(file for file in folder.rglob("*") if file.is_file() and _written(file))


def _written(file: Path) -> int:
    """Bytes up to the last that is not zero: engines allocate files ahead, and what was never written is no target."""
    return len(file.read_bytes().rstrip(b"\0"))


def _cut(file: Path) -> None:
    with file.open("r+b") as out:
        out.truncate(_written(file) // 2)


def _flip(file: Path, bit: int) -> None:
    held = bytearray(file.read_bytes())
    held[bit // 8] ^= 1 << bit % 8
    file.write_bytes(held)


@contextmanager
def _copy(whole: Path) -> Iterator[Path]:
    copy = whole.with_name("copy")
    shutil.copytree(whole, copy)
    try:
        yield copy
    finally:
        shutil.rmtree(copy)


def _contents(folder: Path) -> dict[str, str]:
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in _files(folder)}


def _permit(folder: Path, *, writing: bool) -> None:
    for place in [folder, *folder.rglob("*")]:
        place.chmod((0o755 if place.is_dir() else 0o644) if writing else (0o555 if place.is_dir() else 0o444))

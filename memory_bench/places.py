"""Whose a run's folder is while it is written, and whether that process is still at it, here or on another machine.

    RUN                                a complete run
    RUN.unfinished-MACHINE-PROCESS     rows of one that is being measured, or was cut off
    RUN.replaced-MACHINE-PROCESS       an older run, for the moment in which a newer one takes its place

The folder says who is at a cell: there is no lock that a dead process could leave behind. Who is here can be asked
whether it lives. A process of another machine cannot: without a new row for SILENCE_SECONDS its cell is free again,
and after ABANDONED_SECONDS what it left is removed. Where that is wrong a cell is measured twice, and ends whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import time
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

UNFINISHED = ".unfinished-"
REPLACED = ".replaced-"
SILENCE_SECONDS, ABANDONED_SECONDS = 600.0, 86_400.0
CLOCKS_APART_SECONDS = 60.0  # of a machine and of what serves its files
LOOK_SECONDS = 0.5


class Elsewhere(Exception):
    """Another process is at this cell. Its argument is the folder in which that one keeps its rows."""


def at_work(place: Path) -> Path | None:
    """Return where another process is writing a run that is to take this place; None where nobody is."""
    return next((folder for folder in place.parent.glob(f"{place.name}{UNFINISHED}*") if _is_written(folder)), None)


def give_way(place: Path, own: Path) -> None:
    """Of processes that came to a cell at the same moment, let the first by name have it.

    Raises Elsewhere in the others, less their folder, which has to be empty: each looks when its own is there.
    """
    if (other := at_work(place)) and other.name < own.name:
        own.rmdir()
        raise Elsewhere(other)


def wait_for(folder: Path) -> None:
    """Return when the process that writes there has finished its run, or is gone."""
    while _is_written(folder):
        time.sleep(LOOK_SECONDS)


def drop_abandoned(place: Path) -> None:
    """Remove what processes that are gone (or this one, which has come to the cell again) left of runs of this cell."""
    for folder in [*place.parent.glob(f"{place.name}{UNFINISHED}*"), *place.parent.glob(f"{place.name}{REPLACED}*")]:
        if _is_own(folder) or not _may_live(folder, ABANDONED_SECONDS):
            shutil.rmtree(folder, ignore_errors=True)  # another process may be removing it too


def this_process() -> str:
    """Return what the folders of this process are named after."""
    return f"{_machine()}-{os.getpid()}"


def _is_written(folder: Path) -> bool:
    return not _is_own(folder) and _may_live(folder, SILENCE_SECONDS) and not _has_ended(folder)


def _is_own(folder: Path) -> bool:
    return folder.name.endswith(f"-{this_process()}")


def _may_live(folder: Path, silence_seconds: float) -> bool:
    machine, _, process = folder.name.partition(UNFINISHED if UNFINISHED in folder.name else REPLACED)[2].rpartition(
        "-"
    )
    with suppress(FileNotFoundError, psutil.NoSuchProcess):
        if machine == _machine():
            # one that is younger than what it would have done has only the number of the one that did
            return psutil.Process(int(process)).create_time() < folder.stat().st_ctime + CLOCKS_APART_SECONDS
        return time.time() - max(file.stat().st_mtime for file in [folder, *folder.iterdir()]) < silence_seconds
    return False  # it is gone, or has just taken its place


def _has_ended(folder: Path) -> bool:
    """Whether a run says that nothing more will be written, although its process may be at the next cell."""
    try:
        return json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["end"] is not None
    except FileNotFoundError:
        return not folder.exists()  # it has just taken its place, or has just begun


@cache
def _machine() -> str:
    """Return the machine's name, and a hash of what tells apart those of one name: in it, process ids are unique."""
    booted, room = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    told = booted.read_text() + str(room.readlink()) if booted.exists() else f"{uuid.getnode()}"
    return f"{re.sub(r'[^A-Za-z0-9]', '_', platform.node())}_{hashlib.sha256(told.encode()).hexdigest()[:8]}"

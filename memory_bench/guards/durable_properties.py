"""What a memory does that claims to be durable, when its process is killed and its disk is not as it should be.

The memory runs in processes of its own, from its YAML, with no reader: what it keeps is judged by its passages.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memory_bench.guards.durability.damage import Trouble, damaged, full_disk, read_only
from memory_bench.guards.durability.kills import kills
from memory_bench.guards.promise import Property, expect, needs
from memory_bench.guards.subject import Subject

KILLS = 3  # a sign, no measure: `durability` kills as often as is typed
LARGEST_FILES = 3  # are damaged


def nothing_acknowledged_is_lost_by_a_kill(subject: Subject) -> None:
    """Killed within a call and opened again it has all that was acknowledged, once, and nothing that was forgotten"""
    with _place(subject) as folder:
        for kill in kills(subject.children, subject.unread, folder, count=KILLS, seed=0):
            expect(not kill.faults(), f"after {kill.acknowledged} calls (life {kill.seed}): {', '.join(kill.faults())}")


def a_full_disk_is_said_and_loses_nothing(subject: Subject) -> None:
    """A full disk is said in one line, and with room again all that was acknowledged is there"""
    with _place(subject) as folder:
        needs(subject, "full_disk")
        _settled(full_disk(subject.children, subject.unread, folder, seed=0))


def a_cut_file_is_refused_or_changes_no_answer(subject: Subject) -> None:
    """Where a file was cut to half it answers as before, or says in one line that it cannot, and overwrites nothing"""
    with _place(subject) as folder:
        for trouble in damaged(subject.children, subject.unread, folder, seed=0, flips=0, most_files=LARGEST_FILES):
            _settled(trouble)


def what_may_not_be_written_is_left_as_it_is(subject: Subject) -> None:
    """In a folder that may not be written it says so in one line, and changes no file"""
    with _place(subject) as folder:
        _settled(read_only(subject.children, subject.unread, folder, seed=0))


DURABLE: tuple[Property, ...] = (
    nothing_acknowledged_is_lost_by_a_kill,
    a_full_disk_is_said_and_loses_nothing,
    a_cut_file_is_refused_or_changes_no_answer,
    what_may_not_be_written_is_left_as_it_is,
)


@contextmanager
def _place(subject: Subject) -> Iterator[Path]:
    """Give a folder to keep things in, where the memory claims to keep anything."""
    needs(subject, "durable")
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _settled(trouble: Trouble) -> None:
    where = f"{trouble.kind} {trouble.file}".strip()
    expect(trouble.outcome in ("as before", "refused"), f"{where}: {trouble.outcome}, {trouble.detail}")

"""How long a hash cache keeps an event: until it expires, or until there is no room and others were used since."""

from __future__ import annotations

import json
import math
import sqlite3
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from memory_bench.errors import BadInput
from memory_bench.types import Event

KEY_BYTES = 16  # a key and a number
_TIME_BYTES = 8
SCHEMA = """
CREATE TABLE IF NOT EXISTS life (
    event INTEGER PRIMARY KEY REFERENCES event ON DELETE CASCADE,
    bytes INTEGER NOT NULL, checksum INTEGER NOT NULL, expires REAL,
    used INTEGER NOT NULL  -- a count and no time: the higher, the later it was written or returned
);
CREATE INDEX IF NOT EXISTS life_used ON life (used);
CREATE INDEX IF NOT EXISTS life_expires ON life (expires) WHERE expires IS NOT NULL;
CREATE TABLE IF NOT EXISTS total (events INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO total SELECT 0, 0 WHERE NOT EXISTS (SELECT * FROM total);
CREATE TRIGGER IF NOT EXISTS life_begins AFTER INSERT ON life BEGIN
    UPDATE total SET events = events + 1, bytes = bytes + NEW.bytes;
END;
CREATE TRIGGER IF NOT EXISTS life_ends AFTER DELETE ON life BEGIN
    UPDATE total SET events = events - 1, bytes = bytes - OLD.bytes;
END;
"""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a hash cache keeps at most; None: without a bound.

    `ttl_seconds` counts from the writing, by `clock` (seconds of any beginning, asked for nothing else; a file that is
    opened again needs one that goes on). `max_bytes` is of what is held, 16 bytes a key, not of SQLite's pages.
    """

    ttl_seconds: float | None
    max_events: int | None
    max_bytes: int | None
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        if self.ttl_seconds is not None and not 0 < self.ttl_seconds < float("inf"):
            raise BadInput(
                f"ttl_seconds must be > 0 and finite, got {self.ttl_seconds}: "
                "set memory.bounds.ttl_seconds=3600, or null"
            )
        for name, value, usual in (("max_events", self.max_events, 10_000), ("max_bytes", self.max_bytes, 10**7)):
            if value is not None and value < 1:
                raise BadInput(f"{name} must be >= 1, got {value}: set memory.bounds.{name}={usual}, or null")

    @property
    def full_sometime(self) -> bool:
        return self.max_events is not None or self.max_bytes is not None


UNBOUNDED = Bounds(ttl_seconds=None, max_events=None, max_bytes=None)


class Lives:
    """When each event expires and when it was used last, in the database of its events.

    What is used is kept in RAM until the next write: to write at every read would make reads six times as dear. A
    process that is killed in between loses who was used, and no event.
    """

    def __init__(self, db: sqlite3.Connection, bounds: Bounds, *, name: str) -> None:
        self._db, self._bounds, self._name = db, bounds, name
        self._used: dict[str, int] = {}  # event id -> when, not written yet
        (latest,) = db.execute("SELECT max(used) FROM life").fetchone()
        self._tick = int(latest or 0)

    def begin(self, number: int, event: Event, keys: Collection[int]) -> None:
        """Note an event that was just written."""
        self._used.pop(event.id, None)
        self._tick += 1
        ttl = self._bounds.ttl_seconds
        expires = None if ttl is None else self._bounds.clock() + ttl
        row = (number, held_bytes(event) + KEY_BYTES * len(keys), checksum(event), expires, self._tick)
        self._db.execute("INSERT INTO life (event, bytes, checksum, expires, used) VALUES (?, ?, ?, ?, ?)", row)

    def use(self, event_ids: Iterable[str]) -> None:
        """Note which events were returned, the least useful first."""
        if self._bounds.full_sometime:
            for event_id in event_ids:
                self._tick += 1
                self._used[event_id] = self._tick

    def write_used(self) -> None:
        used = ((tick, event_id) for event_id, tick in self._used.items())
        self._db.executemany("UPDATE life SET used = ? WHERE event = (SELECT number FROM event WHERE id = ?)", used)
        self._used.clear()

    def living(self, events: Mapping[int, Event]) -> dict[int, Event]:
        """Return number -> event without what has expired, even if it is still there.

        Raises BadInput where an event is not the one that was written.
        """
        lives = "SELECT event, checksum, expires FROM life WHERE event IN (SELECT value FROM json_each(?))"
        over = set()
        for number, written, expires in self._db.execute(lives, (json.dumps(list(events)),)):
            if checksum(events[number]) != written:
                raise BadInput(
                    f"{self._name} is damaged: event {events[number].id!r} is not what was written; remove the file "
                    "and write the events again"
                )
            if expires is not None and expires <= self._bounds.clock():
                over.add(number)
        return {number: event for number, event in events.items() if number not in over}

    def expired(self) -> list[int]:
        """Return the events that are to go because their time is over."""
        (first,) = self._db.execute("SELECT min(expires) FROM life WHERE expires IS NOT NULL").fetchone()
        if first is None or first > (now := self._bounds.clock()):
            return []
        return [number for (number,) in self._db.execute("SELECT event FROM life WHERE expires <= ?", (now,))]

    def crowded_out(self) -> list[int]:
        """Return the events that are to go for want of room, the one that was used longest ago first."""
        return list(self._crowded_out()) if self._bounds.full_sometime else []

    def _crowded_out(self) -> Iterator[int]:
        events, held = self._db.execute("SELECT events, bytes FROM total").fetchone()
        most = self._bounds.max_events, self._bounds.max_bytes
        for number, size in self._db.execute("SELECT event, bytes FROM life ORDER BY used"):
            if all(bound is None or now <= bound for now, bound in zip((events, held), most, strict=True)):
                return
            events, held = events - 1, held - size
            yield number


def held_bytes(event: Event) -> int:
    """UTF-8 bytes of id, text and scope, and 8 for the time."""
    return sum(len(text.encode()) for text in (event.id, event.text, event.scope)) + _TIME_BYTES


def checksum(event: Event) -> int:
    """CRC-32 of all that an event is: SQLite notices a page that is broken, and not a letter that has changed."""
    # as SQLite gives it back: 1 as 1.0, -0.0 as 0.0, and what is no number as nothing
    time = None if event.time is None or math.isnan(event.time) else float(event.time) + 0.0
    return zlib.crc32("\0".join([event.id, event.text, event.scope, repr(time)]).encode())

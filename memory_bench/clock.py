"""The ledger's clock: it runs as time does, and can be told what a stretch of time counts as.

A plug-in behind a network asks twice where the server is busy, and keeps what it was answered. Neither the waiting nor
the looking up is what an answer costs: `charge` puts down what the answer itself took, or that nobody can say.
"""

from __future__ import annotations

import time

_shift_ns = 0  # of the whole process, as its time is
_unknown = 0  # how many stretches nobody can say the time of


def now_ns() -> int:
    """Return nanoseconds; only differences mean something."""
    return time.perf_counter_ns() + _shift_ns


def unknown() -> int:
    """Return a number that grows with every stretch of unknown length: what was timed around one has no length."""
    return _unknown


def charge(since_ns: int, seconds: float | None) -> None:
    """Let all that happened since `since_ns` count as `seconds`, for everything that is being timed.

    None: nobody can say how long it would have taken, and nothing that is timed around it has a length.
    """
    global _shift_ns, _unknown
    if seconds is None:
        _unknown += 1
    else:
        _shift_ns += since_ns + round(seconds * 1e9) - now_ns()

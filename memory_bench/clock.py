"""The ledger's clock: it runs as time does, and can be told what a stretch of time counts as.

An embedder behind a network asks twice where the server is busy, and keeps what it was answered. Neither the waiting
nor the looking up is what embedding costs: `charge` puts down what the answer itself took, when it was asked for.
"""

from __future__ import annotations

import time

_shift_ns = 0  # of the whole process, as its time is


def now_ns() -> int:
    """Return nanoseconds; only differences mean something."""
    return time.perf_counter_ns() + _shift_ns


def charge(since_ns: int, seconds: float) -> None:
    """Let all that happened since `since_ns` count as `seconds`, for everything that is being timed."""
    global _shift_ns
    _shift_ns += since_ns + round(seconds * 1e9) - now_ns()

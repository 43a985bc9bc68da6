"""A time limit for what may never return: a memory that hangs is found, and not waited for."""

from __future__ import annotations

import faulthandler
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_SECONDS = 60.0


class Hang(BaseException):
    """Time is up. No Exception: what hangs may catch those, and go on hanging."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise Hang where the body takes longer. For the main thread only, as all signals are.

    A signal is heard between two steps of Python. Where a call into native code never comes back the process is
    ended after `GRACE_SECONDS` more, with a traceback that says where it was.
    """

    def ring(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise Hang(f"no end within {seconds:g} s")

    before, start = signal.signal(signal.SIGALRM, ring), time.monotonic()
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(
        seconds + GRACE_SECONDS, exit=True, file=2
    )  # not sys.stderr, which may be no file
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:  # somebody else's alarm was set: it goes on, as if nothing had been between
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - start), 1e-3), interval)

"""Work in a process of its own, watched: where it crashes, hangs or eats memory, it is the work that is lost.

The process leads a session of its own, so that it is ended with all that it has started. What is limited is what it
really holds, the resident bytes of it and its children, looked at four times a second: a limit on addresses
(RLIMIT_AS) would refuse what torch reserves and never touches, and cgroups are not the user's everywhere. In between,
it can hold more for a moment.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import ParamSpec, TypeAlias, TypeVar, cast

import psutil

LOOK_SECONDS = 0.25
PARTING_SECONDS = 5.0  # to mark its rows after Ctrl-C, or to leave once it has said how it went
Given = ParamSpec("Given")
Value = TypeVar("Value")
Said: TypeAlias = tuple[object, BaseException | None]
"""What the work returned, or what it raised."""


class Lost(Exception):
    """A process that ended, or was ended, before it said how its work went. The text says why."""


def apart(
    seconds: float | None,
    size_bytes: int | None,
    work: Callable[Given, Value],
    *given: Given.args,
    **named: Given.kwargs,
) -> Value:
    """Return what the work returns in a process of its own that may last and hold so much; None is no limit.

    Raises Lost where the process is no more, and what the work raises, with the traceback from there as its note. The
    work is a function of a module, and what it is given and returns can be pickled. After Ctrl-C the process has
    PARTING_SECONDS to mark what it did. It does not outlive this process.
    """
    # nothing is inherited but the code: an engine's threads and locks do not survive a fork
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, work, given, named))
    process.start()
    theirs.close()
    patience_seconds = 0.0
    try:
        value, error = _heard(ours, process, seconds, size_bytes)
        patience_seconds = PARTING_SECONDS
    except KeyboardInterrupt as interrupt:
        os.kill(_id(process), signal.SIGINT)
        raise _last_words(ours) or interrupt from None
    finally:
        _end(process, patience_seconds)
        ours.close()
    if error is not None:
        raise error
    return cast(Value, value)


def ended(code: int | None) -> str:
    """Return by which signal or code a process ended, in words."""
    if code is not None and code < 0:
        return f"the process died of {signal.Signals(-code).name}"
    return f"the process ended with code {code}"


def _heard(ours: Connection, process: BaseProcess, seconds: float | None, size_bytes: int | None) -> Said:
    begun = time.monotonic()
    while not ours.poll(LOOK_SECONDS):
        lasted = time.monotonic() - begun
        if seconds is not None and lasted > seconds:
            raise Lost(f"it was ended after {lasted:.1f} seconds: isolate_seconds={seconds:g}")
        if size_bytes is not None and (held := _resident_bytes(_id(process))) > size_bytes:
            raise Lost(f"it was ended after {lasted:.1f} seconds, holding {held} bytes: isolate_bytes={size_bytes}")
    try:
        said: Said = ours.recv()
    except EOFError:
        process.join()
        raise Lost(ended(process.exitcode)) from None
    return said


def _last_words(ours: Connection) -> BaseException | None:
    with suppress(EOFError):
        if ours.poll(PARTING_SECONDS):
            said: Said = ours.recv()
            return said[1]
    return None


def _resident_bytes(process_id: int) -> int:
    """Return what a process and its children hold in RAM; pages that they share count once for each."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        leader = psutil.Process(process_id)
        for one in (leader, *leader.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += one.memory_info().rss
    return total


def _end(process: BaseProcess, patience_seconds: float) -> None:
    """Let a process leave by itself for a while; then kill what is left of it and of those that it started."""
    process.join(patience_seconds)
    with suppress(ProcessLookupError, PermissionError):  # nobody is left; macOS says it of the dead
        os.killpg(_id(process), signal.SIGKILL)
    process.kill()  # it may not have come to lead a session
    process.join()
    process.close()


def _id(process: BaseProcess) -> int:
    assert process.pid is not None, "it was started"
    return process.pid


def _work(theirs: Connection, work: Callable[..., object], given: tuple[object, ...], named: dict[str, object]) -> None:
    os.setsid()
    threading.Thread(target=_follow, daemon=True).start()
    try:
        theirs.send((work(*given, **named), None))
    except BaseException as error:  # a panic of a Rust engine is no Exception, and Ctrl-C says what is kept
        theirs.send((None, _carried(error)))


def _follow() -> None:
    """End with the process that started this one, and with it all that this one has started."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.killpg(os.getpid(), signal.SIGKILL)


def _carried(error: BaseException) -> BaseException:
    """Return an error that arrives, with its traceback as a note: the error itself, or its text."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # its class takes other arguments than its text
        plain = RuntimeError(f"{type(error).__name__}: {error}")
        plain.add_note(error.__notes__[-1])
        return plain
    return error

"""A process of its own that can be killed: it works, says each thing that it has done, and may die or fall silent."""

from __future__ import annotations

import multiprocessing
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Generic, TypeVar

from memory_bench.errors import BadInput
from memory_bench.isolation import ended

SILENCE_SECONDS = 300.0  # for one answer, with an engine's import in it, on a busy machine
Value = TypeVar("Value")


class Gone(Exception):
    """A process that answers no more: by which signal or code it ended, or how long it said nothing."""


class Raised(Exception):
    """What the work raised by itself, in one line: the traceback stands on the standard error."""


class Child:
    """A process that does one piece of work after another, until it is killed.

    Work is a generator function of a module.
    """

    def __init__(self) -> None:
        # nothing is inherited but the code: an engine's threads and locks do not survive a fork
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, work: Callable[..., Iterator[Value]], *arguments: object) -> Answers[Value]:
        """Return what the work yields there, one at a time: it goes on when the next is asked for, as here it would."""
        self._send((work, arguments))
        return Answers(self)

    def answer(self, work: Callable[..., Iterator[Value]], *arguments: object) -> Value:
        """Return the one thing that a piece of work yields. Raises as `Answers` do."""
        (value,) = self.ask(work, *arguments)
        return value

    def go(self) -> None:
        """Let it go on with what it was asked for."""
        self._send(None)

    def hear(self) -> tuple[str, Any]:
        """Return what it says next, after its death too. Raises Gone where it says nothing more; then it is killed."""
        try:
            if not self._ours.poll(SILENCE_SECONDS):
                raise Gone(f"no answer within {SILENCE_SECONDS:g} s")
            message: tuple[str, Any] = self._ours.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            raise Gone(ended(self._process.exitcode)) from None
        except BaseException:
            self.kill()  # what it says later would be taken for the answer to another question
            raise
        return message

    def _send(self, message: object) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # it is dead: that is heard when it is to answer
            self._ours.send(message)

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        """Kill -9: the process closes and flushes nothing."""
        self._process.kill()
        self._process.join()


class Answers(Generic[Value]):
    """What a piece of work yields. Raises BadInput and Raised for what it raises, Gone where its process is no more."""

    def __init__(self, child: Child) -> None:
        self._child = child

    def __iter__(self) -> Answers[Value]:
        return self

    def __next__(self) -> Value:
        self.go()
        return self.wait()

    def go(self) -> None:
        """Let the work go on, and do not wait for it."""
        self._child.go()

    def wait(self) -> Value:
        kind, value = self._child.hear()
        if kind == "refuses":
            raise BadInput(value)
        if kind == "raises":
            raise Raised(value)
        if kind == "is done":
            raise StopIteration
        answer: Value = value
        return answer


class Children:
    """One process at a time: the one that lives, or a new one where the last was killed or died of its work.

    To load an engine takes longer than most of what it is asked for here. A context: nobody is left in the end.
    """

    def __init__(self) -> None:
        self._last: Child | None = None

    def __enter__(self) -> Children:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._last:
            self._last.kill()

    def one(self) -> Child:
        if not (self._last and self._last.alive):
            self._last = Child()
        return self._last


def _serve(connection: Connection) -> None:
    values: Iterator[object] = iter(())
    while True:
        try:
            message = connection.recv()
        except EOFError:  # the other side has ended
            return
        if message is None:
            connection.send(_next(values))
        else:
            work, arguments = message
            values = work(*arguments)


def _next(values: Iterator[object]) -> tuple[str, object]:
    try:
        return "yields", next(values)
    except StopIteration:
        return "is done", None
    except BadInput as error:
        return "refuses", str(error)
    except BaseException as error:  # a panic of a Rust engine is no Exception
        traceback.print_exc(file=sys.stderr)
        return "raises", f"{type(error).__name__}: {' '.join(str(error).split())}"

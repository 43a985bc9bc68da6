"""One place of a server that speaks OpenAI's protocol: asked again while it is busy; every way to fail is one line.

`httpx` and no more: it holds a connection open from one request to the next, so that no answer pays for a handshake,
and hands over a stream as it comes. The library `openai` asks again on its own, where the ledger would not see it.

The key is read from the environment and is in no message: what a server says back is shown without it.
"""

from __future__ import annotations

import json
import os
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx

from memory_bench.errors import BadInput, Unavailable, Withheld
from memory_bench.user_data import checked_address

BUSY = (408, 425, 429, 500, 502, 503, 504)
ATTEMPTS = 6
_LONGEST_PAUSE_SECONDS = 60.0
_MOST_BYTES = 2**26  # of one answer: a server that goes on for ever is left alone
_PATIENCE = 30  # times timeout_seconds: for one answer that comes drop by drop, or signs of life and no answer
_SECRET = 8  # characters: a shorter key, such as the EMPTY of a server without one, is a word that answers may hold
_SHOWN = 200  # characters of what a server says

Some = TypeVar("Some")


@dataclass(frozen=True)
class Answer(Generic[Some]):
    """What was answered, the seconds that it took without the attempts before it, and how many those were."""

    value: Some
    seconds: float
    retries: int


@dataclass(frozen=True)
class Event:
    """A part of a stream, and the seconds from the request until it came."""

    value: Any
    seconds: float


class Server:
    """Where the questions go: `path` below the address `url`, an option of `part` (`reader`, `embedder`).

    `key_variable` names the environment variable of the key; None: none is sent. `timeout_seconds` is how long the
    server may be silent; `less` is the option that gives it less to do. Any number of threads may ask.
    Raises BadInput for an address that is none, or that holds what should be in no record, and for a key that is none.
    """

    def __init__(
        self, part: str, url: str, path: str, *, key_variable: str | None, timeout_seconds: float, less: str
    ) -> None:
        self._part = part
        address = checked_address(
            f"{part}.url",
            url,
            example="http://localhost:8080/v1",
            key=f"{part}.key_variable names the variable that holds the key",
        )
        self.url = f"{address.rstrip('/')}/{path}"
        self._key = _key(part, key_variable)
        if not timeout_seconds > 0:
            raise BadInput(f"timeout_seconds must be > 0, got {timeout_seconds}: set {part}.timeout_seconds=60")
        self._timeout_seconds = timeout_seconds
        self._less = less
        self._met = False  # it has answered: where nobody answers now, it may be starting again
        self._client = httpx.Client(timeout=timeout_seconds, headers=self._headers(), limits=httpx.Limits())
        weakref.finalize(self, self._client.close)

    def ask(self, question: object) -> Answer[Any]:
        """Return the answer to a question.

        Raises Unavailable where nobody answers in time, BadInput where the question is refused or answered in no JSON.
        """
        return self._attempts(lambda: self._json(b"".join(self._received(question))))

    def stream(self, question: object, *, ends: Callable[[Any], bool]) -> Answer[list[Event]]:
        """Return the parts of an answer, each with the time when it came; `ends` says of a part that it is the last of
        the text. A stream without one was cut off, and is asked for again. Raises as `ask` does.
        """
        return self._attempts(lambda: self._streamed(question, ends))

    def without_key(self, text: str) -> str:
        """Return what a server wrote, to be kept: should it have written the key, without it."""
        return text.replace(self._key, "(the key)") if self._key and len(self._key) >= _SECRET else text

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        return headers | ({"Authorization": f"Bearer {self._key}"} if self._key else {})

    def _attempts(self, once: Callable[[], Some]) -> Answer[Some]:
        for attempt in range(ATTEMPTS):
            start = time.perf_counter()
            try:
                value = once()
            except _Busy as busy:
                last = busy
            else:
                self._met = True
                return Answer(value, time.perf_counter() - start, attempt)
            if attempt + 1 < ATTEMPTS:
                pause = 2.0**attempt if last.pause_seconds is None else last.pause_seconds
                time.sleep(min(pause, _LONGEST_PAUSE_SECONDS))
        raise Unavailable(f"{self.url} was busy {ATTEMPTS} times in a row ({last}): try again later")

    def _streamed(self, question: object, ends: Callable[[Any], bool]) -> list[Event]:
        start, events, ended, other = time.perf_counter(), [], False, b""
        for line in _lines(self._received(question)):
            if not line.startswith(b"data:"):  # a comment that keeps the connection open, or what is no stream
                other = other or line
                continue
            data = line.removeprefix(b"data:").strip()
            if data == b"[DONE]":
                ended = True
                continue
            value = self._json(data)
            if isinstance(value, dict) and value.get("error"):
                raise _Busy(f"it broke off: {self._said(data)}")
            events.append(Event(value, time.perf_counter() - start))
            ended = ended or ends(value)
        if not events and not ended:
            raise BadInput(
                f"{self.url} answers in no stream of events ({self._said(other)}): set {self._part}.url, or type "
                f"{self._part}.stream=false"
            )
        if not ended:
            raise _Busy("it broke off in the middle of an answer")
        return events

    def _received(self, question: object) -> Iterator[bytes]:
        """Yield an answer as it comes."""
        received, start = 0, time.perf_counter()
        try:
            with self._client.stream("POST", self.url, content=json.dumps(question).encode()) as response:
                if response.status_code >= 300:  # nobody is sent elsewhere: the key is meant for the server named
                    raise self._refusal(response)
                for some in response.iter_bytes():
                    received += len(some)
                    if received > _MOST_BYTES:
                        raise BadInput(f"{self.url} answers without an end: set {self._part}.url")
                    if (seconds := time.perf_counter() - start) > _PATIENCE * self._timeout_seconds:
                        raise Unavailable(
                            f"{self.url} has not ended an answer after {seconds:.0f} s: set "
                            f"{self._part}.timeout_seconds to more, or {self._part}.{self._less} to less"
                        )
                    yield some
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise self._silence(error) from error

    def _refusal(self, response: httpx.Response) -> Exception:
        try:
            said = response.read()
        except httpx.HTTPError:
            said = b""
        what = f"{response.status_code}: {self._said(said)}"
        if response.status_code in BUSY:
            return _Busy(what, _pause(response.headers.get("Retry-After", "")))
        if response.status_code in (401, 403):
            return BadInput(
                f"{self.url} refuses the key ({what}): set {self._part}.key_variable to the environment variable that "
                "holds one"
            )
        return Refused(f"{self.url} refuses what it is asked ({what}): set {self._part}.url and {self._part}.model")

    def _silence(self, error: Exception) -> Exception:
        if isinstance(error, httpx.TimeoutException):
            return Unavailable(
                f"{self.url} was silent for {self._timeout_seconds:g} s: set {self._part}.timeout_seconds to more, or "
                f"{self._part}.{self._less} to less"
            )
        if isinstance(error, httpx.ProtocolError | httpx.ReadError | httpx.WriteError | httpx.DecodingError):
            return _Busy(f"it hung up: {error}")
        if self._met and isinstance(error, httpx.ConnectError):
            return _Busy(f"nobody answers: {error}")
        return Unavailable(f"no server answers at {self.url} ({error}): set {self._part}.url to one that runs")

    def _json(self, answer: bytes) -> Any:
        try:
            return json.loads(answer)
        except ValueError:
            raise BadInput(f"{self.url} answers what is no JSON ({self._said(answer)}): set {self._part}.url") from None

    def _said(self, content: bytes) -> str:
        text = " ".join(content.decode(errors="replace").split())
        for key in _spellings(self._key) if self._key else ():
            text = text.replace(key, "(the key)")  # before it is cut: half a key is too much
        return text[:_SHOWN] or "nothing"


class Refused(BadInput):
    """The server understands the question, or has no such place, and will not answer it."""


class _Busy(Exception):
    """The server may answer if it is asked again; `pause_seconds` is when, if it said so."""

    def __init__(self, what: str, pause_seconds: float | None = None) -> None:
        super().__init__(what)
        self.pause_seconds = pause_seconds


def _lines(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield lines that are not empty. They end in line breaks and in nothing else: other ends of lines are text."""
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from (line for line in whole if line.strip())
    if rest.strip():
        yield rest


def _spellings(key: str) -> tuple[str, ...]:
    """Return a key as it may stand in what a server says: as it is, in JSON, in an address."""
    return key, key.replace("/", "\\/"), quote(key, safe="")


def _pause(header: str) -> float | None:
    """Return the seconds of a header `Retry-After`, which names them, or a time; None where it is neither."""
    if header.replace(".", "", 1).isdecimal():
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _key(part: str, variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    # neither is shown: somebody may have typed the key in place of the variable's name
    if not key:
        raise Withheld(f"{part}.key_variable names no environment variable that is set: export it with the key")
    if not (key.isascii() and key.isprintable()):
        raise BadInput(f"the key in the variable that {part}.key_variable names holds what no header can: set it again")
    return key

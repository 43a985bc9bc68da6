"""One place of a server that speaks JSON: asked again while the server is busy; every way to fail is one line.

The key is in no message: what a server says back is shown without it.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from memory_bench.errors import BadInput, Unavailable
from memory_bench.user_data import checked_address

BUSY = (408, 425, 429, 500, 502, 503, 504)
ATTEMPTS = 6
_LONGEST_PAUSE_SECONDS = 60.0
_SHOWN = 200  # characters of what a server says


class Server:
    """Where the questions go. `timeout_seconds` is how long the server may be silent.

    Raises BadInput for an address that is none, or that holds what should be in no record.
    """

    def __init__(self, url: str, *, key: str | None, timeout_seconds: float) -> None:
        self.url = checked_address(
            "embedder.url",
            url,
            example="http://localhost:8080/v1",
            key="embedder.key_variable names the variable that holds the key",
        )
        self._key = key
        self._timeout_seconds = timeout_seconds
        self._opener = build_opener(_NoRedirect)

    def ask(self, question: object) -> tuple[Any, float]:
        """Return the answer, and the seconds that it took: of the attempt that succeeded, without those before it.

        Raises Unavailable where nobody answers in time, BadInput where the question is refused or answered in no JSON.
        """
        content = json.dumps(question).encode()
        for attempt in range(ATTEMPTS):
            start = time.perf_counter()
            try:
                return self._answer(content), time.perf_counter() - start
            except _Busy as busy:
                last = busy
            if attempt + 1 < ATTEMPTS:
                pause = 2.0**attempt if last.pause_seconds is None else last.pause_seconds
                time.sleep(min(pause, _LONGEST_PAUSE_SECONDS))
        raise Unavailable(f"{self.url} was busy {ATTEMPTS} times in a row ({last}): try again later")

    def _answer(self, content: bytes) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            with self._opener.open(Request(self.url, content, headers), timeout=self._timeout_seconds) as response:
                answer = response.read()
        except HTTPError as error:
            raise self._refusal(error) from None
        except (OSError, HTTPException) as error:
            raise self._silence(error) from error
        try:
            return json.loads(answer)
        except ValueError:
            raise BadInput(f"{self.url} answers what is no JSON ({self._said(answer)}): set embedder.url") from None

    def _refusal(self, error: HTTPError) -> Exception:
        said = b""
        with error, suppress(OSError, HTTPException):
            said = error.read()
        what = f"{error.code}: {self._said(said)}"
        if error.code in BUSY:
            pause = error.headers.get("Retry-After", "")
            return _Busy(what, float(pause) if pause.isdecimal() else None)
        if error.code in (401, 403):
            return BadInput(
                f"{self.url} refuses the key ({what}): set embedder.key_variable to the environment variable that "
                "holds one"
            )
        return BadInput(f"{self.url} refuses what it is asked ({what}): set embedder.url and embedder.model")

    def _silence(self, error: Exception) -> Exception:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, TimeoutError):
            return Unavailable(
                f"{self.url} was silent for {self._timeout_seconds:g} s: set embedder.timeout_seconds to more, or "
                "embedder.batch_size to less"
            )
        if isinstance(reason, ConnectionResetError | BrokenPipeError | HTTPException):
            return _Busy(f"it hung up: {reason}", None)
        return Unavailable(f"no server answers at {self.url} ({reason}): set embedder.url to one that runs")

    def _said(self, content: bytes) -> str:
        text = " ".join(content.decode(errors="replace").split())
        # before it is cut: half a key is too much
        return (text.replace(self._key, "(the key)") if self._key else text)[:_SHOWN] or "nothing"


class _Busy(Exception):
    """The server may answer if it is asked again; `pause_seconds` is when, if it said so."""

    def __init__(self, what: str, pause_seconds: float | None) -> None:
        super().__init__(what)
        self.pause_seconds = pause_seconds


class _NoRedirect(HTTPRedirectHandler):
    """The key is meant for the server that was named: one that sends elsewhere refuses."""

    def redirect_request(self, *_: object, **__: object) -> None: ...

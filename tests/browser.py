"""A headless Chromium for tests of pages, driven over its own pipe: nothing is installed for it but the browser.

Messages of the Chrome DevTools Protocol are JSON objects that end with a zero byte, read from descriptor 3 and written
to descriptor 4 of the browser (`--remote-debugging-pipe`).
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

CHROMIUM = shutil.which("chromium")
INSTALL = "no Chromium here: apt-get install -y chromium"
DESKTOP, PHONE = (1280, 900), (390, 844)  # width and height in pixels


class Browser:
    """One page. `troubles` are what it wrote to its console as an error or warning, or threw, since it was opened."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._out, self._in = os.fdopen(to_browser, "wb", buffering=0), os.fdopen(from_browser, "rb")
        self._number = 0
        self._session: str | None = None
        self.troubles: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def open(self, url: str, size: tuple[int, int], *, dark: bool = False) -> None:
        """Open an address at a size, and return when it is loaded with what it needs."""
        width, height = size
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self.troubles.clear()
        self._call("Page.navigate", url=url)
        while self._message().get("method") != "Page.loadEventFired":
            pass

    def run(self, script: str) -> Any:
        """Return what an expression of JavaScript is, as JSON knows it. Raises where it throws."""
        done = self._call(
            "Runtime.evaluate", expression=script, returnByValue=True, userGesture=True, awaitPromise=True
        )
        if "exceptionDetails" in done:
            raise RuntimeError(f"{script}: {json.dumps(done['exceptionDetails'])[:500]}")
        return done["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key where the focus is, as a person does: `Enter`, `Tab`."""
        code = {"Enter": 13, "Tab": 9}[key]
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self._call("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": "\r"} if key == "Enter" else {}))
        self._call("Input.dispatchKeyEvent", type="keyUp", **common)

    def picture(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        sent = message | ({"sessionId": self._session} if self._session else {})
        self._out.write(json.dumps(sent).encode() + b"\0")
        while (answer := self._message()).get("id") != number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        found: dict[str, Any] = answer["result"]
        return found

    def _message(self) -> dict[str, Any]:
        letters = bytearray()
        while (letter := self._in.read(1)) != b"\0":
            if not letter:
                raise RuntimeError("the browser has gone")
            letters += letter
        message: dict[str, Any] = json.loads(letters)
        self._notice(message.get("method"), message.get("params", {}))
        return message

    def _notice(self, method: str | None, told: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.troubles.append(json.dumps(told["exceptionDetails"])[:500])
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.troubles.append(told["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.troubles.append(json.dumps(told["args"])[:500])

    def close(self) -> None:
        self._out.close()
        self._in.close()


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser that is gone afterwards. It reaches no network: names resolve to nothing."""
    assert CHROMIUM is not None, INSTALL
    commands, to_browser = os.pipe()
    from_browser, answers = os.pipe()
    # its helpers may still write there when it has gone itself
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = [
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--disable-dev-shm-usage", "--disable-background-networking"),
            f"--user-data-dir={profile}",
        ]
        line = f'exec "$0" "$@" 3<&{commands} 4>&{answers}'
        process = subprocess.Popen(
            ["bash", "-c", line, CHROMIUM, *options],
            pass_fds=(commands, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        os.close(commands)
        os.close(answers)
        page = None
        try:
            page = Browser(to_browser, from_browser)
            yield page
        finally:
            if page is not None:
                page.close()
            process.terminate()
            process.wait(timeout=30)
            with suppress(ProcessLookupError):  # none is left
                os.killpg(process.pid, signal.SIGKILL)

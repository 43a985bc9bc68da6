"""What the user supplies and the project cannot ship: a task's file, or an option that a variable can stand for.

A file is `task.path=FILE`, or lies below the folder $MEMORY_BENCH_DATA.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from memory_bench.errors import BadInput, Unavailable, Withheld

VARIABLE = "MEMORY_BENCH_DATA"


def find_data(path: str | None, data: str) -> Path:
    """Return what was typed as `task.path`, or else the file `data` below the folder that the variable names.

    Raises BadInput where no file is at the typed path, Unavailable where none is at the other.
    """
    if path is None:
        if reason := missing_data(data):
            raise Unavailable(reason)
        return Path(os.environ[VARIABLE]) / data
    if not Path(path).is_file():
        raise BadInput(f"task.path={path}: no such file; give one such as {Path(data).name}")
    return Path(path)


def missing_data(data: str) -> str | None:
    """Return why the file `data` cannot be had, with what mends it; None where it is there."""
    folder = os.environ.get(VARIABLE)
    if folder is None:
        return f"{data} is the user's to supply: set {VARIABLE} to the folder that holds it, or type task.path=FILE"
    file = Path(folder) / data
    if file.is_file():
        return None
    return f"there is no file {file} ({VARIABLE}={folder}); type task.path=FILE"


def find_option(option: str, typed: str | None, variable: str) -> str:
    """Return what was typed as an option, or else what the variable says. Raises Unavailable where neither is set."""
    if found := typed or os.environ.get(variable):
        return found
    raise Unavailable(missing_option(option, variable))


def missing_option(option: str, variable: str) -> str:
    """Return what to type where neither an option nor the variable that can stand for it is set."""
    return f"{option} is not set: type {option}=..., or set {variable}"


def checked_address(option: str, url: str, *, example: str, key: str) -> str:
    """Return the address of a server. Raises BadInput where it is none, Withheld where it holds more than an address:
    options are kept with the results. `key` says where a key belongs.
    """
    if any(mark in url for mark in "@?#"):
        raise Withheld(
            f"{option} is kept with the results and holds more than an address: expected one such as {example}; {key}"
        )
    try:
        parts = urlsplit(url)
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named or not url.isascii() or not url.isprintable() or " " in url:
        raise BadInput(f"{option}={url}: expected an address such as {example}")
    return url

"""A small repository of git with revisions of a package that answers to our name: what a gate for time times."""

from __future__ import annotations

import subprocess
from pathlib import Path

MAIN = """
import sys
import time


def main(argv):
    if "fail" in argv:
        print("it refused", file=sys.stderr)
        return 2
    if "die" in argv:
        print("the engine broke", file=sys.__stderr__, flush=True)  # as an engine in C does
        import os
        os._exit(3)
    until = time.process_time() + {seconds}
    while time.process_time() < until:
        pass
    if {waits}:
        time.sleep({waits})
    return 0
"""


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def package(folder: Path, seconds: float, *, waits: float = 0.0) -> Path:
    """Write a package whose command computes for so many seconds, then waits; return the folder."""
    for inside in ("memory_bench", "conf"):
        (folder / inside).mkdir(parents=True, exist_ok=True)
        (folder / inside / "__init__.py").write_text("")
    (folder / "memory_bench" / "__main__.py").write_text(MAIN.format(seconds=seconds, waits=waits))
    link = folder / "memory_bench" / "conf"
    if not link.is_symlink():
        link.symlink_to("../conf")
    return folder


def repository(folder: Path, *seconds: float) -> Path:
    """Return a repository with one commit for each number of seconds."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / ".gitignore").write_text("memory_bench/conf\n__pycache__/\n")  # as here: it is made where it is needed
    for one in seconds:
        package(folder, one)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message", f"{one} seconds")
    return folder

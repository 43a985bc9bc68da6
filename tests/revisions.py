"""A small repository of git with revisions of a package that answers to our name: what a gate for time times."""

from __future__ import annotations

import subprocess
from pathlib import Path

CELL = """
import os
import sys
import time
from types import SimpleNamespace


def measure(cell, *, command, alone):
    if "fail" in cell.overrides:
        raise RuntimeError("it refused")
    if "die" in cell.overrides:
        print("the engine broke", file=sys.__stderr__, flush=True)  # as an engine in C does
        os._exit(3)
    begun, until = time.perf_counter(), time.process_time() + {seconds}
    while time.process_time() < until:
        pass
    took = time.perf_counter() - begun
    costs = {{"read_seconds": took, "read_cpu_seconds": {seconds}, "read_gpu_seconds": None, "prompt_tokens": 9}}
    return SimpleNamespace(rows=[SimpleNamespace(costs=costs)])
"""

CONFIG = """
from dataclasses import dataclass


@dataclass
class Cell:
    overrides: tuple
    config: dict
    results: object = None


def compose(overrides):
    return Cell(overrides, {"memory": {"_target_": "memory_bench.cell.Memory"}})
"""


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def package(folder: Path, seconds: float) -> Path:
    """Write a package whose cells compute for so many seconds, as their ledger says; return the folder."""
    for inside in ("memory_bench", "conf"):
        (folder / inside).mkdir(parents=True, exist_ok=True)
        (folder / inside / "__init__.py").write_text("")
    (folder / "memory_bench" / "cell.py").write_text(CELL.format(seconds=seconds))
    (folder / "memory_bench" / "config.py").write_text(CONFIG)
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

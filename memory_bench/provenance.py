"""Where a run happened and what exactly ran: facts of the machine, the revision, and the hash that names a run."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import psutil
import threadpoolctl
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import memory_bench
from memory_bench.source_files import source_files

CORE = Path(memory_bench.__file__).parent
ROOT = CORE.parent


def now() -> str:
    """Return the time, UTC, ISO 8601, to the millisecond: short runs that follow each other keep their order."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def run_name(
    config: Mapping[str, Any],
    *,
    identities: Mapping[str, Mapping[str, str | None]],
    environment: object,
    engines: Mapping[str, str],
) -> str:
    """Return the name of a run's folder: the hash of everything that can move a number."""
    facts = [config, identities, code_hashes(targets(config)), environment, engines]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def targets(config: Mapping[str, Any]) -> list[str]:
    """Return every `_target_` of a resolved config, nested ones too, in lists as well."""
    values = [one for value in config.values() for one in (value if isinstance(value, list) else [value])]
    inner = [target for value in values if isinstance(value, dict) for target in targets(value)]
    return [config["_target_"], *inner] if "_target_" in config else inner


def code_hashes(targets: Iterable[str]) -> dict[str, str]:
    """Return file -> sha256 of what measures a cell and of the plug-ins that take part, with all of ours they import.

    What else there is, such as the reports and the guards, moves no number: a change of it keeps every cell's name.
    """
    modules = ["memory_bench.cell", *(target.rpartition(".")[0] for target in targets)]
    files = frozenset[Path]().union(*map(source_files, modules))
    return {f"{file.parent.name}/{file.name}": hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)}


def environment(device: str) -> dict[str, object]:
    """Return what tells one class of machines from another: runs of different classes are different runs."""
    return {
        "os": platform.system(),
        "architecture": platform.machine(),
        "vector_extensions": _vector_extensions(),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "torch": versions().get("torch"),
        "device": device,
        # as set, and not as found: which libraries are loaded by now depends on the cells before this one
        "threads": os.environ.get("OMP_NUM_THREADS") or usable_cores(),
    }


def versions() -> dict[str, str]:
    """Return distribution -> version of everything installed."""
    return dict(_installed())


def engines(requirements: Iterable[str]) -> dict[str, str]:
    """Return distribution -> version of what a cell's plug-ins require and what is installed of it."""
    wanted = {canonicalize_name(Requirement(requirement).name) for requirement in requirements}
    return {name: version for name, version in _installed() if canonicalize_name(name) in wanted}


@cache
def _installed() -> list[tuple[str, str]]:
    # read once a process: every cell of a sweep asks three times, and it costs more than to compose the cell
    return sorted((distribution.name, distribution.version) for distribution in distributions())


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> dict[str, int]:
    """Return how many threads each numeric library that is loaded uses, as it says itself."""
    pools = {
        f"{pool['user_api']}:{pool['prefix']}": int(pool["num_threads"]) for pool in threadpoolctl.threadpool_info()
    }
    return dict(sorted(pools.items()))


def machine() -> dict[str, object]:
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": gpus(),
        "threads": threads(),
    }


def cpu_name() -> str:
    """Return the processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in _lines(info) if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def gpus() -> list[str] | str:
    """Return the names of the GPUs, without importing torch, or why they are not known."""
    try:
        import pynvml
    except ImportError:
        return "not known: pip install nvidia-ml-py"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return f"none: {error}"
    try:
        return [
            str(pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(i)))
            for i in range(pynvml.nvmlDeviceGetCount())
        ]
    finally:
        pynvml.nvmlShutdown()


def revision() -> dict[str, object]:
    """Return the commit that this code stands in and whether the tree differs from it; null outside a repository."""
    if _git("ls-files", "--error-unmatch", "memory_bench/provenance.py") is None:
        return {"commit": None, "dirty": None, "why": "the code does not stand in a git repository of its own"}
    return {"commit": _git("rev-parse", "HEAD"), "dirty": bool(_git("status", "--porcelain"))}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _vector_extensions() -> list[str]:
    wanted = {"avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve"}
    flags = next((line for line in _lines(Path("/proc/cpuinfo")) if line.startswith(("flags", "Features"))), "")
    return sorted(wanted & set(flags.split()))


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []

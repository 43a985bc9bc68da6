"""What fits: sizes are said before anything is allocated.

Imports torch and the standard library alone, so that the commands for a GPU can use it on a bare machine.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch

from memory_bench.errors import BadInput

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def check_memory(what: str, needed_bytes: int, device: torch.device, *, mend: str) -> None:
    """Raise BadInput where `needed_bytes` are more than the device has free now; `mend` says what to type."""
    free = free_memory(device)
    if needed_bytes > free:
        raise BadInput(f"{what} takes {shown(needed_bytes)}, memory of {device.type} has {shown(free)} free: {mend}")


def check_disk(what: str, needed_bytes: int, folder: Path, *, mend: str) -> None:
    """Raise BadInput where `needed_bytes` are more than the disk of `folder` has free now; `mend` says what to type."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if needed_bytes > free:
        raise BadInput(f"{what} takes {shown(needed_bytes)}, the disk of {folder} has {shown(free)} free: {mend}")


def free_memory(device: torch.device) -> int:
    """Return the bytes that can be allocated on a device now, within the limit of this process's group."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return min(filter(None, (_free_of_machine(), _free_of_group())))


def _free_of_machine() -> int:
    if MEMINFO.exists():
        lines = dict(line.split(":") for line in MEMINFO.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # macOS does not say how much is free


def _free_of_group() -> int | None:
    """Return what a container's limit leaves; None where there is none. Pages of files are given up when asked for."""
    limit, current, stat = (CGROUP / f"memory.{name}" for name in ("max", "current", "stat"))
    if not limit.exists() or (most := limit.read_text().strip()) == "max":
        return None
    kept = dict(line.split() for line in stat.read_text().splitlines())
    return max(1, int(most) - int(current.read_text()) + int(kept["inactive_file"]) + int(kept["active_file"]))


def shown(size_bytes: int) -> str:
    """Return a size as a person reads it: 6.4 GB."""
    for unit, power in (("TB", 12), ("GB", 9), ("MB", 6), ("kB", 3)):
        if size_bytes >= 10**power:
            return f"{size_bytes / 10**power:.1f} {unit}"
    return f"{size_bytes} bytes"

"""What a measurement ran on. Standard library and torch alone; what a machine does not say is null, with the reason."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).parent.parent.parent


def hardware(device: torch.device) -> dict[str, Any]:
    """Return the names and sizes of the device and of its host."""
    meminfo = _lines(Path("/proc/meminfo"))
    names = [line.partition(":")[2].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")]
    host = {
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": int(meminfo[0].split()[1]) * 1024 if meminfo else None,
        "platform": platform.platform(),
    }
    if device.type == "mps":
        name = _said("sysctl", "-n", "machdep.cpu.brand_string") or "Apple"
        return {"device": "mps", "host": host, "gpu": {"name": name, "memory_bytes": None}, "why": None}
    if device.type != "cuda":
        return {"device": "cpu", "host": host, "gpu": None, "why": "measured on a CPU: nothing here speaks of a GPU"}
    properties = torch.cuda.get_device_properties(device)
    gpu = {
        "name": properties.name,
        "memory_bytes": properties.total_memory,
        "multiprocessors": properties.multi_processor_count,
        "capability": f"{properties.major}.{properties.minor}",
        "driver": _said("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
    }
    return {"device": "cuda", "host": host, "gpu": gpu, "why": None}


def versions() -> dict[str, str | None]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "cuda": torch.version.cuda,
        "threads": str(torch.get_num_threads()),
        "commit": _said("git", "-C", str(ROOT), "rev-parse", "HEAD"),
        "changed": _said("git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no"),
    }


def command() -> str:
    """Return what was typed."""
    return " ".join(["python -m benchmarks.gpu", *sys.argv[1:]])


def _said(*line: str) -> str | None:
    if shutil.which(line[0]) is None:
        return None
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []

"""Large buffers of the CPU, kept by the process when they are freed, and used again.

glibc maps a large buffer afresh each time and gives it back at once, so that every pass of a model pays for page
faults: a third of the time that Engram takes to write. Nothing that is computed changes by it.
"""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h of glibc
KEPT_BYTES = 1 << 30


def keep_large_buffers() -> bool:
    """Keep up to 1 GiB of freed memory in this process; return whether its allocator is one that can be told so."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:  # not glibc
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))

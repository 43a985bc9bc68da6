"""Large buffers are used again: seen by the page faults of a process of its own, not by a clock."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from memory_bench.readers.buffers import keep_large_buffers
if sys.argv[1] == "kept" and not keep_large_buffers():
    sys.exit("not glibc")
for _ in range(20):
    torch.ones(10_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(10_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=False)
    if "not glibc" in done.stderr:
        pytest.skip("this allocator cannot be told to keep what is freed")
    return int(done.stdout)


def test_a_large_buffer_that_is_kept_costs_no_page_faults_the_next_time() -> None:
    kept = faults("kept")
    assert kept < 100
    assert faults("as it is") >= kept

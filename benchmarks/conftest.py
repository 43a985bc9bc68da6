"""What the benchmarks share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


def pytest_benchmark_update_machine_info(machine_info: dict[str, object]) -> None:
    """Leave out what a machine is called: a file of figures is for others."""
    machine_info.pop("node", None)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Two threads that wait for each other would be measured as a slow table."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)

"""Energy of the GPUs, by NVML's own counter: of every GPU of the machine, so of a machine that does nothing beside.

The counter is renewed some ten to fifty times a second: a whole cell can be told from another, one question cannot.
"""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from typing import Any


class GpuEnergy:
    """Joules of the GPUs since it was made. `missing` says why there are none; None where there are."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._handles: Sequence[Any] = ()
        self._before = 0.0
        self.missing = self._open()

    def joules(self) -> float | None:
        return None if self.missing else self._counted() - self._before

    def _open(self) -> str | None:
        try:
            import pynvml
        except ImportError:
            return "NVML is not asked without its package: pip install nvidia-ml-py"
        try:
            pynvml.nvmlInit()
            self._nvml = pynvml
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
            self._before = self._counted()
        except pynvml.NVMLError as error:
            return f"NVML does not count energy here: {error}"
        atexit.register(pynvml.nvmlShutdown)
        return None

    def _counted(self) -> float:
        return float(sum(self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle) for handle in self._handles)) / 1e3

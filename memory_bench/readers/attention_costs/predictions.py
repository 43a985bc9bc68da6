"""What was expected of attention on a CPU, one thread, the call alone, before these rows were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memory_bench.plans import Row
from memory_bench.readers.attention_costs.subject import CALL, DECODE, PREFILL

TIME_FACTOR, BYTES_FACTOR = 1.5, 1.1
"""As predicted is a time ratio within such a factor, or one of bytes; slower is as predicted where 1 is above all of
the interval."""
PLAN, FRESH, KERNEL = "cpu", "cpu_fresh", "cpu_flash"


@dataclass(frozen=True)
class Prediction:
    """A ratio of off to on at a length. `value` None: flash was expected to be slower."""

    phase: str
    dtype: str
    tokens: int
    figure: str
    value: float | None

    def found(self, rows: Sequence[Row]) -> Mapping[str, Any] | None:
        """Return the arm that was measured, None where none was."""
        wanted = {"subject": CALL, "phase": self.phase, "dtype": self.dtype, "tokens": self.tokens}
        for row in rows:
            if wanted.items() <= row["key"].items() and row["arms"][KERNEL].get(self.figure):
                arm: Mapping[str, Any] = row["arms"][KERNEL]
                return arm
        return None

    def kept(self, arm: Mapping[str, Any]) -> bool:
        if self.value is None:
            return bool(arm["speed_up"]["high"] < 1)
        timed = self.figure == "speed_up"
        found = float(arm["speed_up"]["median"] if timed else arm["memory_ratio"])
        factor = TIME_FACTOR if timed else BYTES_FACTOR
        return 1 / factor <= found / self.value <= factor


PREDICTIONS = (
    *(
        Prediction(PREFILL, "float32", tokens, figure, value)
        for tokens, faster, fewer in ((512, 2.7, 17), (2048, 5.4, 67), (4096, 5.7, 141), (8192, 14.4, 290))
        for figure, value in (("speed_up", faster), ("memory_ratio", float(fewer)))
    ),
    Prediction(DECODE, "bfloat16", 2048, "speed_up", None),
)

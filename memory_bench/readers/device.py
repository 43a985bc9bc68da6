"""What a reader says of the device that it computes on: its events and its bytes."""

from __future__ import annotations

import torch


class OnDevice:
    """A part of every reader that computes with torch."""

    device: torch.device

    def mark(self) -> torch.cuda.Event | None:
        if self.device.type != "cuda":
            return None
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def seconds_between(self, start: object | None, end: object | None) -> float | None:
        if not isinstance(start, torch.cuda.Event) or not isinstance(end, torch.cuda.Event):
            return None
        end.synchronize()
        return float(start.elapsed_time(end)) / 1000

    def peak_device_bytes(self) -> int | None:
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else None

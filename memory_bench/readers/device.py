"""What readers that compute have in common: the events and bytes of their device, and which sizes are none."""

from __future__ import annotations

import torch

from memory_bench.errors import BadInput
from memory_bench.readers.prefix import PrefixCache


class OnDevice:
    """A part of every reader that computes with torch. `prefixes` are the prompts that it keeps."""

    device: torch.device
    prefixes: PrefixCache
    frame_tokens = 0

    def begin(self, *, carry: bool) -> None:
        self.prefixes.begin(carry=carry)
        if self.device.type == "cuda":  # a peak is that of an episode: cells of a process do not see each other's
            torch.cuda.reset_peak_memory_stats(self.device)

    def cached_tokens(self) -> int | None:
        return self.prefixes.cached_tokens

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


def check_sizes(window_tokens: int, max_new_tokens: int, threads: int | None = None) -> None:
    """Raise BadInput for a window without room for an answer, and for no threads."""
    if max_new_tokens < 1:
        raise BadInput(f"reader.max_new_tokens={max_new_tokens}: expected a whole number >= 1, such as 48")
    if window_tokens <= max_new_tokens:
        raise BadInput(
            f"reader.window_tokens={window_tokens}: expected a whole number > reader.max_new_tokens={max_new_tokens}, "
            "such as 8192"
        )
    if threads is not None and threads < 1:
        raise BadInput(f"reader.threads={threads}: expected a whole number >= 1, or null for what torch chooses")

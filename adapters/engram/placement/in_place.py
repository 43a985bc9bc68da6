"""Zero copy: a GPU reads rows of page-locked host memory where they lie.

`torch.index_select` on a tensor of the host is a gather by the CPU, whoever asks; a Triton kernel is handed the address
of page-locked memory and reads it across the bus, each row once for each time that it is asked for.

Shape legend: B batch, T tokens, H hash heads, R rows, C width of a row.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from memory_bench.errors import Unavailable

ROWS_A_PROGRAM = 64


def gather_in_place(device: torch.device) -> Any:
    """Return a gather for tables in page-locked memory. Raises Unavailable where there is no GPU or no Triton."""
    if device.type != "cuda":
        raise Unavailable("rows of the host are read in place by a GPU only: this device is a CPU")
    kernel = _kernel()

    def gathered(table_RC: Tensor, rows_BTH: Tensor) -> Tensor:
        if not table_RC.is_pinned():
            raise ValueError("only page-locked memory can be read in place: table.pin_memory()")
        rows_BTH = rows_BTH.to(device)
        found_BTHC = torch.empty(*rows_BTH.shape, table_RC.shape[1], dtype=table_RC.dtype, device=device)
        launch(kernel, table_RC, rows_BTH, found_BTHC)
        return found_BTHC

    return gathered


def launch(kernel: Any, table_RC: Tensor, rows: Tensor, found: Tensor) -> None:
    """Run the kernel over all rows asked for: `found` [..., C] is filled."""
    count, width = rows.numel(), table_RC.shape[1]
    block = 1 << (width - 1).bit_length()
    programs = (-(-count // ROWS_A_PROGRAM),)
    kernel[programs](table_RC, rows.contiguous(), found, count, width=width, block=block, rows=ROWS_A_PROGRAM)


@cache
def _kernel() -> Any:
    try:
        from adapters.engram.placement import in_place_kernel
    except ImportError as error:
        raise Unavailable(
            f"rows of the host are read in place by a Triton kernel: pip install triton ({error})"
        ) from error
    return in_place_kernel.gather_rows

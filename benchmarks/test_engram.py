"""What an Engram layer adds to a forward pass, on one thread, in pairs. Run: pytest benchmarks/test_engram.py

The network is the bundled reader's without its pointer and without its output layer (128 wide, 4 blocks, fp32), the
module has 8 heads of 16 numbers, or of 32 as the bundled reader's slot. With and without take turns, so that a machine
that grows warm slows both; `extra_info` has the share that one layer adds: addresses, rows, gate, and all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn

from adapters.engram.module import EngramModule
from adapters.engram.table import TrainedTable
from memory_bench.ngrams import no_compression
from memory_bench.readers.buffers import keep_large_buffers
from memory_bench.readers.model import Shape, Slot, TinyModel

VOCABULARY, WIDTH = 4096, 128
BOUND = 0.10
"""What one layer may add, on a machine with nothing else to do: others take its caches."""
ROW_WIDTHS = (16, 32)
pytestmark = pytest.mark.usefixtures("one_thread")


class TrainedSlot(EngramModule, Slot):
    """The module where the network expects one."""


@pytest.fixture(autouse=True, scope="module")
def buffers_are_kept() -> None:
    """As the reader keeps them."""
    keep_large_buffers()


def made(**changes: object) -> tuple[TinyModel, TrainedSlot, TrainedTable]:
    torch.manual_seed(0)
    options = {"width": WIDTH, "layers": [1], "max_order": 3, "heads": 4, "rows": 8192, "seed": 0}
    slot = TrainedSlot(**{**options, "compression": no_compression(VOCABULARY), **changes})  # type: ignore[arg-type]
    table = TrainedTable(slot)
    for rows_RC in table.parameters():
        nn.init.normal_(rows_RC)
    return TinyModel(Shape(vocabulary=VOCABULARY, width=WIDTH, pointer=False), slot).eval(), slot, table


@pytest.mark.parametrize("row_width", ROW_WIDTHS)
@pytest.mark.parametrize("conv", ["off", "on"])
@pytest.mark.parametrize(("batch", "length"), [(8, 64), (1, 512), (1, 2048)])
def test_one_layer(benchmark: BenchmarkFixture, batch: int, length: int, conv: str, row_width: int) -> None:
    model, slot, table = made(conv=conv, row_width=row_width)
    tokens_BT = torch.randint(VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(0))

    def look_up(tokens_BT: Tensor) -> Mapping[int, Tensor]:
        found: Mapping[int, Tensor] = table(slot.rows(tokens_BT))
        return found

    with torch.inference_mode():
        assert not torch.equal(model(tokens_BT), model(tokens_BT, look_up))
        shares = benchmark.pedantic(  # type: ignore[no-untyped-call]
            paired, (lambda: model(tokens_BT), lambda: model(tokens_BT, look_up)), rounds=1
        )
    benchmark.extra_info["added_share"] = round(median(shares), 4)
    if conv == "off":
        assert median(shares) <= BOUND


def paired(plain: Callable[[], object], other: Callable[[], object], rounds: int = 20) -> list[float]:
    """Return by what share `other` took longer than `plain`, pair by pair, the order within a pair taking turns.

    In seconds of this process: what else runs on the machine is not this layer's.
    """
    shares = []
    for turn in range(rounds):
        first, second = (plain, other) if turn % 2 else (other, plain)
        seconds = {}
        for run in (first, second):
            start = time.process_time()
            run()
            seconds[run] = time.process_time() - start
        shares.append(seconds[other] / seconds[plain] - 1)
    return shares

"""What the size of Engram's table and its place cost a forward, on one thread. Run: pytest benchmarks/test_placement.py

Each benchmark times two arms in turn, round by round; `extra_info` has the ratio of the two with its interval of 95 %,
from pairs, and beside it the ratio of the same arm with itself. The network has width 128 and 4 layers, Engram stands
before blocks 1 and 2 with 16 heads of rows of 16 numbers in fp32; a text has 512 tokens.

Tables of 10^8 rows take 6.4 GB of memory; without room they are skipped with the sizes.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from adapters.engram.placement.arms import ShapeSlot, made_slot
from adapters.engram.placement.file import TableFile, write_table
from adapters.engram.placement.places import OnDemand, Placement, Staged
from memory_bench.errors import BadInput
from memory_bench.paired import ratio
from memory_bench.readers.model import Shape, TinyModel
from memory_bench.readers.random_weights import random_model
from memory_bench.readers.room import check_memory

CPU = torch.device("cpu")
VOCABULARY = 4096
LAYERS, HEADS, ROW_WIDTH = (1, 2), 8, 16  # 8 heads for each of the orders 2 and 3
FEW, TOKENS, ROUNDS, TEXTS = 10**5, 512, 120, 16
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def table_goes() -> Iterator[None]:
    yield
    gc.collect()  # a table of gigabytes goes before the next one is made


class Arm:
    """The network with an Engram of so many rows in all, and texts to read."""

    def __init__(self, rows: int, place: Callable[[ShapeSlot], Placement]) -> None:
        self.slot = made_slot(
            layers=LAYERS, heads=HEADS, row_width=ROW_WIDTH, rows=rows // (len(LAYERS) * 2 * HEADS), width=128,
            vocabulary=VOCABULARY,
        )  # fmt: skip
        self.model: TinyModel = random_model(Shape(width=128, layers=4, heads=4, pointer=False), CPU, torch.float32)
        self.model.slot = self.slot
        self.placement = place(self.slot)
        generator = torch.Generator().manual_seed(0)
        self.texts = [torch.randint(0, VOCABULARY, (1, TOKENS), generator=generator) for _ in range(TEXTS)]
        self.slot.rows(self.texts[0])  # the first call makes the primes

    @torch.inference_mode()
    def forward(self, number: int = 0) -> Tensor:
        tokens_BT = self.texts[number % TEXTS]
        hidden_BTD: Tensor = self.model(tokens_BT, lambda tokens: self.placement(self.slot.rows(tokens)))
        return hidden_BTD

    def seconds(self, number: int = 0) -> float:
        begun = time.perf_counter()
        self.forward(number)
        return time.perf_counter() - begun


def in_memory(slot: ShapeSlot) -> OnDemand:
    rows = sum(slot.table_rows(layer) for layer in slot.layers)
    try:
        check_memory(f"a table of {rows:,} rows", rows * ROW_WIDTH * 4, CPU, mend="free memory")
    except BadInput as error:
        pytest.skip(str(error))
    # written to, since pages that nobody wrote to are all one page
    return OnDemand({layer: torch.full((slot.table_rows(layer), ROW_WIDTH), 0.01) for layer in slot.layers})


def compare(benchmark: BenchmarkFixture, arm: Arm, base: Arm) -> None:
    """Time `arm` and `base` in turn, whichever begins, and the base a second time."""
    times: dict[str, list[float]] = {"arm": [], "base": [], "again": []}

    def one_round() -> None:
        order = [("base", base), ("arm", arm), ("again", base)]
        number = len(times["arm"])  # all arms read the same text, and another one in each round
        for name, one in order if number % 2 else order[::-1]:
            times[name].append(one.seconds(number))

    benchmark.pedantic(one_round, rounds=ROUNDS, warmup_rounds=3)  # type: ignore[no-untyped-call]
    for name in times:
        times[name] = times[name][-ROUNDS:]
    for name, pair in (("ratio", ("arm", "base")), ("null_ratio", ("again", "base"))):
        found = ratio(times[pair[0]], times[pair[1]])
        benchmark.extra_info[name] = found and {key: round(value, 4) for key, value in asdict(found).items()}
    benchmark.extra_info["arm_ms"] = round(sorted(times["arm"])[ROUNDS // 2] * 1e3, 2)


@pytest.mark.parametrize("rows", [10**6, 10**7, 10**8])
def test_forward_by_rows(benchmark: BenchmarkFixture, rows: int) -> None:
    """A table of so many rows in memory against one of 10^5."""
    few, many = Arm(FEW, in_memory), Arm(rows, in_memory)
    compare(benchmark, many, few)
    assert torch.equal(many.forward(), few.forward())  # all rows are equal, so what they add is


@pytest.mark.parametrize("rows", [10**6, 10**7])
@pytest.mark.parametrize("how", ["map", "pread"])
def test_forward_from_a_file(benchmark: BenchmarkFixture, rows: int, how: str, tmp_path: Path) -> None:
    """A file that is in the page cache, prefetched before the first block, against the same table in memory."""
    memory = Arm(rows, in_memory)
    folder = tmp_path / "table"
    write_table(
        folder, rows={layer: memory.slot.table_rows(layer) for layer in LAYERS}, row_width=ROW_WIDTH,
        chunks=lambda layer: torch.split(torch.full((memory.slot.table_rows(layer), ROW_WIDTH), 0.01), 1 << 18),
        hash_version="portable-1", address=memory.slot.describe(),
    )  # fmt: skip
    for threads in (1, 16):
        source = TableFile(cooled(folder), how=how, verify=False)
        cold = Arm(rows, partial(staged, source, threads))
        benchmark.extra_info[f"cold_ms_{threads}_threads"] = round(cold.seconds() * 1e3, 2)
        cold.placement.close()
    warm = Arm(rows, partial(staged, TableFile(folder, how=how), 1))  # to verify it is to read it all
    compare(benchmark, warm, memory)
    benchmark.extra_info["overlap"] = warm.placement.statistics.overlap
    assert torch.equal(warm.forward(), memory.forward())
    warm.placement.close()


def staged(source: TableFile, threads: int, _: ShapeSlot) -> Staged:
    return Staged(source, CPU, threads=threads)


def cooled(folder: Path) -> Path:
    """Ask the system to keep nothing of these files in memory."""
    os.sync()
    for file in folder.iterdir():
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return folder

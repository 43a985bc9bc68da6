"""Every placement gives the rows bit for bit, however slow its source and however many forwards are under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from adapters.engram.placement.file import TableFile, write_table
from adapters.engram.placement.in_place import gather_in_place
from adapters.engram.placement.places import HostRows, OnDemand, Placement, Source, Staged, gather_and_copy
from adapters.engram.slot import EngramSlot
from memory_bench.errors import BadInput, Unavailable
from tests.readers import filled_table, random_model, random_slot

CPU = torch.device("cpu")
WIDTH = 5  # no multiple of anything: rows of a file are padded
ROWS = {0: 6007, 2: 6011}


def table(dtype: torch.dtype = torch.float32) -> dict[int, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {layer: torch.randn(rows, WIDTH, generator=generator).to(dtype) for layer, rows in ROWS.items()}


def asked(*shape: int, seed: int = 0) -> dict[int, NDArray[np.int64]]:
    """Return rows of each layer, many of them more than once, the first and the last among them."""
    draw = np.random.default_rng(seed)
    rows = {layer: np.minimum(draw.zipf(1.2, shape), count) - 1 for layer, count in ROWS.items()}
    for layer, count in ROWS.items():
        rows[layer].flat[:2] = (count - 1, 0)
    return rows


def expected(rows: Mapping[int, NDArray[np.int64]], held: Mapping[int, Tensor]) -> dict[int, Tensor]:
    return {layer: held[layer][torch.from_numpy(rows_BTH)].flatten(-2) for layer, rows_BTH in rows.items()}


def written(folder: Path, held: Mapping[int, Tensor], *, shard_bytes: int = 64 * 500) -> Path:
    """Write the table in chunks that do not fit its shards."""
    write_table(
        folder, rows=ROWS, row_width=WIDTH, chunks=lambda layer: torch.split(held[layer], 777), hash_version="test-1",
        address={"seed": 0}, dtype=held[0].dtype, shard_bytes=shard_bytes,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("tables") / "table", table())


PLACEMENTS: dict[str, Callable[[Path], Placement]] = {
    "on the device": lambda _: OnDemand(table()),
    "pageable and synchronous": lambda _: OnDemand(table(), gather_and_copy(CPU)),
    "gathered by one thread": lambda _: Staged(HostRows(table()), CPU, threads=1),
    "gathered as asked for": lambda _: Staged(HostRows(table()), CPU, threads=3, distinct=False),
    "gathered by three threads": lambda _: Staged(HostRows(table()), CPU, threads=3),
    "memory-mapped": lambda folder: Staged(TableFile(folder), CPU, threads=2),
    "read from the file": lambda folder: Staged(TableFile(folder, how="pread"), CPU, threads=2),
}


@pytest.fixture(params=PLACEMENTS)
def placement(request: pytest.FixtureRequest, folder: Path) -> Iterator[Placement]:
    made = PLACEMENTS[request.param](folder)
    yield made
    made.close()


def test_every_placement_gives_the_same_bits(placement: Placement) -> None:
    for seed, shape in enumerate([(1, 1, 2), (2, 40, 4), (3, 400, 8)]):
        rows = asked(*shape, seed=seed)
        found = placement(rows)
        assert list(found) == list(rows)
        for layer, wanted in expected(rows, table()).items():
            assert torch.equal(found[layer], wanted)
            assert found[layer] is found[layer]  # taken once: a second look costs nothing


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rows_of_two_bytes_a_number_come_back_too(dtype: torch.dtype, tmp_path: Path) -> None:
    rows, held = asked(2, 30, 4), table(dtype)
    for source in (HostRows(held), TableFile(written(tmp_path / "table", held))):
        staged = Staged(source, CPU, threads=1)
        found = staged(rows)
        assert all(torch.equal(found[layer], wanted) for layer, wanted in expected(rows, held).items())
        staged.close()


class Slow:
    """A source that takes its time, and fills the buffer with what no row holds first."""

    def __init__(self, source: Source) -> None:
        self.dtype, self.row_width, self.stride_bytes = source.dtype, source.row_width, source.stride_bytes
        self.source = source
        self.let = threading.Event()

    def read(self, layer: int, rows_U: NDArray[np.int64], out_U: NDArray[np.void]) -> None:
        out_U.view(np.uint8)[:] = 0xFF
        assert self.let.wait(30)
        self.source.read(layer, rows_U, out_U)

    def size_bytes(self) -> int:
        return self.source.size_bytes()

    def close(self) -> None:
        self.source.close()


def test_a_layer_waits_for_a_slow_source_and_the_next_forward_may_be_fetched_meanwhile() -> None:
    slow = Slow(HostRows(table()))
    staged = Staged(slow, CPU, threads=1)
    batches = [asked(2, 50, 4, seed=seed) for seed in range(4)]
    fetches = [staged(rows) for rows in batches]  # all under way before the first row is there
    threading.Timer(0.05, slow.let.set).start()
    for rows, fetch in zip(batches[::-1], fetches[::-1], strict=True):  # taken in another order than asked for
        assert all(torch.equal(fetch[layer], wanted) for layer, wanted in expected(rows, table()).items())
    assert staged.statistics.wait_seconds > 0.02
    staged.close()


@pytest.mark.parametrize("distinct", [True, False])
def test_what_a_layer_took_does_not_change_when_its_buffer_is_used_again(distinct: bool) -> None:
    staged = Staged(HostRows(table()), CPU, threads=1, distinct=distinct)
    first = asked(2, 50, 4, seed=0)
    taken = staged(first)
    kept = {layer: taken[layer] for layer in first}
    for seed in range(1, 6):
        again = staged(asked(2, 50, 4, seed=seed))
        assert all(again[layer].isfinite().all() for layer in again)
    assert all(torch.equal(kept[layer], wanted) for layer, wanted in expected(first, table()).items())
    assert staged.staging.made <= 2 * len(ROWS)  # the buffers were used again
    staged.close()


def test_an_abandoned_fetch_costs_a_buffer_and_no_wrong_row() -> None:
    staged = Staged(HostRows(table()), CPU, threads=1)
    for seed in range(3):
        staged(asked(2, 50, 4, seed=seed))
    rows = asked(2, 50, 4, seed=9)
    found = staged(rows)
    assert all(torch.equal(found[layer], wanted) for layer, wanted in expected(rows, table()).items())
    staged.close()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 5), st.integers(1, 3))
def test_concurrent_forwards_never_see_each_others_rows(seed: int, forwards: int, threads: int) -> None:
    held = table()
    staged = Staged(HostRows(held), CPU, threads=threads)

    def forward(number: int) -> bool:
        rows = asked(2, 60, 4, seed=seed + number)
        fetch = staged(rows)
        time.sleep(0.001 * (number % 3))
        return all(torch.equal(fetch[layer], wanted) for layer, wanted in expected(rows, held).items())

    with ThreadPoolExecutor(forwards) as pool:
        assert all(pool.map(forward, range(forwards * 3)))
    staged.close()


def test_the_statistics_count_what_was_asked_for_and_what_was_read(folder: Path) -> None:
    staged = Staged(TableFile(folder), CPU, threads=1)
    rows = asked(2, 60, 4)
    fetch = staged(rows)
    assert staged.statistics.layers == 0  # nothing was taken yet
    assert 0 in fetch  # asking whether a layer has rows does not wait for them
    assert staged.statistics.layers == 0
    [fetch[layer] for layer in fetch]
    found = staged.statistics
    distinct = sum(len(np.unique(rows_BTH)) for rows_BTH in rows.values())
    assert (found.layers, found.rows_requested, found.rows_unique) == (2, 2 * 480, distinct)
    assert found.size_bytes == distinct * 64
    assert found.overlap is not None
    assert 0 <= found.overlap <= 1
    staged.close()


@pytest.mark.parametrize("row", [-1, ROWS[0]])
def test_a_row_beyond_the_table_is_refused_and_not_clipped(row: int, folder: Path) -> None:
    rows = {0: np.array([[[0, 3, row]]])}
    for source in (HostRows(table()), TableFile(folder), TableFile(folder, how="pread")):
        staged = Staged(source, CPU, threads=1)
        with pytest.raises(IndexError, match=rf"rows of layer 0 lie in \[0, {ROWS[0]}\)"):
            staged(rows)[0]
        staged.close()


def test_a_model_gives_the_same_bits_from_any_placement(tmp_path: Path) -> None:
    """The look-up of the model is the placement: what it returns is waited for layer by layer."""
    slot = random_slot()
    model = random_model(slot=slot)
    assert isinstance(model.slot, EngramSlot)
    held = filled_table(slot).rows
    tokens_BT = torch.randint(0, 4096, (3, 40), generator=torch.Generator().manual_seed(0))
    wanted = model(tokens_BT, filled_table(slot))
    assert not torch.equal(wanted, model(tokens_BT))
    write_table(
        tmp_path / "table", rows={layer: len(rows) for layer, rows in held.items()}, row_width=slot.row_width,
        chunks=lambda layer: [held[layer]], hash_version="portable-1", address=slot.describe(),
    )  # fmt: skip
    sources: list[Source] = [HostRows(held), TableFile(tmp_path / "table", address=slot.describe())]
    places: list[Placement] = [OnDemand(held), *(Staged(source, CPU, threads=2) for source in sources)]
    for place in places:
        look_up = partial(looked_up, slot, place)
        assert torch.equal(model(tokens_BT, look_up), wanted)
        place.close()


def looked_up(slot: EngramSlot, place: Placement, tokens_BT: Tensor) -> Mapping[int, Tensor]:
    return place(slot.rows(tokens_BT))


def test_threads_are_a_positive_number_and_a_cpu_reads_nothing_in_place() -> None:
    with pytest.raises(BadInput, match="threads=0: expected a whole number >= 1"):
        Staged(HostRows(table()), CPU, threads=0)
    with pytest.raises(Unavailable, match="by a GPU only: this device is a CPU"):
        gather_in_place(CPU)

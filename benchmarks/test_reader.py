"""What the bundled reader and its table cost, on one thread. Run: pytest benchmarks/test_reader.py

The architecture and the table are those of conf/train/tiny.yaml; the weights are random, which changes no time. Each
benchmark's `extra_info` has the cost of one token, from the median.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pytest_benchmark.fixture import BenchmarkFixture

import memory_bench
from adapters.engram.slot import EngramSlot, EngramTable
from adapters.engram.write import write_rows
from memory_bench.readers.model import Past, Shape, TinyModel
from tests.readers import NEWLINE, randomised

PLAN = yaml.safe_load((Path(memory_bench.__file__).parent.parent / "conf" / "train" / "tiny.yaml").read_text())
CPU = torch.device("cpu")
EVENT_TOKENS = 64
WRITE_STEPS = 2
pytestmark = pytest.mark.usefixtures("one_thread")


def made_slot() -> EngramSlot:
    options: Mapping[str, Any] = {key: value for key, value in PLAN["slot"].items() if not key.startswith("_")}
    return EngramSlot(width=PLAN["shape"]["width"], seed=0, **options)


@pytest.fixture(scope="module")
def model() -> TinyModel:
    return randomised(TinyModel(Shape(**PLAN["shape"], newline=NEWLINE), made_slot()))


def text(length: int) -> torch.Tensor:
    """Return tokens_BT of one text, with a newline every 64 tokens as between passages."""
    tokens_BT = torch.randint(300, 4096, (1, length), generator=torch.Generator().manual_seed(0))
    tokens_BT[:, 63::64] = NEWLINE
    return tokens_BT


def per_token(benchmark: BenchmarkFixture, tokens: int) -> None:
    if benchmark.stats is not None:  # with --benchmark-disable nothing was timed
        benchmark.extra_info["us_per_token"] = round(benchmark.stats.stats.median / tokens * 1e6, 2)


@pytest.mark.parametrize("table", [False, True], ids=["bare", "table"])
@pytest.mark.parametrize("length", [128, 512, 2048])
def test_forward(benchmark: BenchmarkFixture, model: TinyModel, length: int, table: bool) -> None:
    """The next token after a text, all of it read: the first token of an answer. Those that follow read one token."""
    tokens_BT, last = text(length - 1), torch.tensor([[length - 2]])
    look_up = EngramTable(model.slot, CPU) if table and isinstance(model.slot, EngramSlot) else None

    @torch.inference_mode()
    def forward() -> torch.Tensor:
        return model.next_log_probs(model(tokens_BT, look_up), tokens_BT, last)

    log_probs_BQV = benchmark(forward)
    assert log_probs_BQV.exp().sum().item() == pytest.approx(1, abs=1e-4)
    per_token(benchmark, length)


@pytest.mark.parametrize("length", [128, 512, 2048])
def test_token_after_a_kept_text(benchmark: BenchmarkFixture, model: TinyModel, length: int) -> None:
    """What each further token of an answer costs, keys and values of everything before it being kept."""
    tokens_BT = text(length)
    past = Past()
    with torch.inference_mode():
        model(tokens_BT[:, :-1], None, past)

    @torch.inference_mode()
    def step() -> torch.Tensor:
        longer = Past(past.tokens_BT, past.hidden_BTD, past.layers)
        model(tokens_BT[:, -1:], None, longer)
        return next_of(model, longer)

    assert benchmark(step).exp().sum().item() == pytest.approx(1, abs=1e-4)


def next_of(model: TinyModel, past: Past) -> torch.Tensor:
    assert past.hidden_BTD is not None
    assert past.tokens_BT is not None
    last = torch.tensor([[past.tokens_BT.shape[1] - 1]])
    return model.next_log_probs(past.hidden_BTD, past.tokens_BT, last)


def test_table_look_up(benchmark: BenchmarkFixture, model: TinyModel) -> None:
    assert isinstance(model.slot, EngramSlot)
    found = benchmark(EngramTable(model.slot, CPU), text(2048))
    assert found[0].shape == (1, 2048, model.slot.embedding_width)
    per_token(benchmark, 2048)


def test_steps_of_a_write(benchmark: BenchmarkFixture, model: TinyModel) -> None:
    """Two gradient steps on the events of an episode of 2,048 tokens."""
    assert isinstance(model.slot, EngramSlot)
    table = EngramTable(model.slot, CPU)
    texts = text(2048).view(-1, EVENT_TOKENS).tolist()
    benchmark(write_rows, model, table, texts, steps=WRITE_STEPS, rate=0.4, recency=0.5)
    assert all(rows_RC.any() for rows_RC in table.rows.values())
    per_token(benchmark, 2048)


def test_an_empty_table(benchmark: BenchmarkFixture, model: TinyModel) -> None:
    """What `reset` costs, once an episode."""
    assert isinstance(model.slot, EngramSlot)
    table = EngramTable(model.slot, CPU)
    benchmark(table.clear)
    assert not any(rows_RC.any() for rows_RC in table.rows.values())

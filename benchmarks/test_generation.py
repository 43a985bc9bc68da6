"""What keeping keys and values saves, on one thread. Run: pytest benchmarks/test_generation.py

Each benchmark times two ways of the same work in turn, round by round, in CPU seconds of this process; `extra_info` has
the seconds of both and their ratio, from pairs, with its interval of 95 %. The architecture is that of
conf/train/tiny.yaml; the weights are random, which changes no time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from statistics import median

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from benchmarks.test_reader import PLAN, next_of, text
from memory_bench.paired import ratio
from memory_bench.readers.model import Past, Shape, TinyModel
from memory_bench.readers.prefix import PrefixCache
from tests.readers import NEWLINE, randomised

WRITTEN, NEW = 32, 64
ROUNDS = 5
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model() -> TinyModel:
    return randomised(TinyModel(Shape(**PLAN["shape"], newline=NEWLINE)))


@torch.inference_mode()
def written(model: TinyModel, prompt_BT: Tensor, *, keeps: bool) -> list[int]:
    """Return the tokens that follow a prompt. Without keeping, all text so far is read for each of them."""
    past, tokens_BT, unread_BT = Past(), prompt_BT, prompt_BT
    for _ in range(WRITTEN):
        past = past if keeps else Past()
        model(unread_BT if keeps else tokens_BT, None, past)
        unread_BT = next_of(model, past).argmax(-1)
        tokens_BT = torch.cat([tokens_BT, unread_BT], dim=1)
    return tokens_BT[0, -WRITTEN:].tolist()


@torch.inference_mode()
def first_token(model: TinyModel, prompt_BT: Tensor, prefixes: PrefixCache) -> int:
    past = prefixes.head(prompt_BT, None)
    model(prompt_BT[:, past.length :], None, past)
    return int(next_of(model, past).argmax(-1))


def compare(benchmark: BenchmarkFixture, ways: Mapping[str, Callable[[], object]]) -> None:
    """Time two ways in turn, whichever begins, and note the first over the second."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}

    def one_round() -> None:
        order = list(ways) if len(next(iter(seconds.values()))) % 2 else list(ways)[::-1]
        for name in order:
            begun = time.process_time()
            ways[name]()
            seconds[name].append(time.process_time() - begun)

    benchmark.pedantic(one_round, rounds=ROUNDS)  # type: ignore[no-untyped-call]
    for name, found in seconds.items():
        benchmark.extra_info[f"{name}_seconds"] = round(median(found), 4)
    found_ratio = ratio(*seconds.values())
    benchmark.extra_info["ratio"] = found_ratio and {key: round(value, 2) for key, value in asdict(found_ratio).items()}


@pytest.mark.parametrize("length", [512, 2048])
def test_32_tokens_after_a_prompt(benchmark: BenchmarkFixture, model: TinyModel, length: int) -> None:
    """Reading all text again for each token against keeping what was read."""
    prompt_BT = text(length)
    ways = {keeps: (lambda keeps=keeps: written(model, prompt_BT, keeps=keeps)) for keeps in (False, True)}
    assert ways[False]() == ways[True]()
    compare(benchmark, {"anew": ways[False], "kept": ways[True]})


@pytest.mark.parametrize("length", [512, 2048])
def test_first_token_of_a_later_turn(benchmark: BenchmarkFixture, model: TinyModel, length: int) -> None:
    """A prompt of which all but the last 64 tokens stood in the turn before: read anew against read on."""
    prompt_BT = text(length)
    empty, prefixes = PrefixCache(0), PrefixCache(1 << 30)
    prefixes.begin(carry=True)
    with torch.inference_mode():
        past = Past()
        model(prompt_BT[:, :-NEW], None, past)
        prefixes.keep(past)
    ways = {
        "anew": lambda: first_token(model, prompt_BT, empty),
        "kept": lambda: first_token(model, prompt_BT, prefixes),
    }
    assert ways["anew"]() == ways["kept"]()
    compare(benchmark, ways)

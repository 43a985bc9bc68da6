"""What a question costs beside memory and reader: prompts packed, rows written, texts hashed. Run: pytest benchmarks

Each benchmark's `extra_info` has the cost of one question, row, event or token, from the median.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from tokenizers import Tokenizer

import memory_bench
from adapters.hash_cache.keys import Keys
from memory_bench import prompt
from memory_bench.metrics import RETRIEVAL_BUDGETS, evidence_metrics
from memory_bench.ngrams import build_hashes
from memory_bench.records import Operation, Record, Writer
from memory_bench.types import Passage, Query, Question

PASSAGES, WORDS = 64, 48  # what every memory offers, and about what 64 tokens of text hold
ASKED = "The access code of gate 17 is"
TOKENIZER = Path(memory_bench.__file__).parent / "readers" / "weights" / "tokenizer.json"
ROWS = 400


def per_item(benchmark: BenchmarkFixture, unit: str, items: int) -> None:
    if benchmark.stats is not None:  # with --benchmark-disable nothing was timed
        benchmark.extra_info[unit] = round(benchmark.stats.stats.median / items * 1e6, 2)


def texts(number: int) -> list[str]:
    """Return texts of 48 words of 2 to 7 letters; no two are the same."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("etaoinshrdlu"), rng.integers(2, 8))) for _ in range(2_000)]
    return [" ".join(rng.choice(words, WORDS)) for _ in range(number)]


@pytest.fixture(scope="module")
def ranking() -> list[Passage]:
    return [Passage(text, (f"e{rank}",), 1 / (rank + 1)) for rank, text in enumerate(texts(PASSAGES))]


def by_length(text: str) -> int:
    """As good as free: what is left is the packing itself."""
    return len(text) // 4 + 1


@pytest.fixture(scope="module")
def by_tokenizer() -> Callable[[str], int]:
    """The bundled reader's tokens."""
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    return lambda text: len(tokenizer.encode(text).ids)


def test_prompt_packing(benchmark: BenchmarkFixture, ranking: list[Passage]) -> None:
    built = benchmark(prompt.build, ranking, ASKED, budget_tokens=256, count=by_length)
    assert 0 < built.context_tokens <= 256
    per_item(benchmark, "us_per_question", 1)


def test_prompt_packing_with_the_bundled_tokenizer(
    benchmark: BenchmarkFixture, ranking: list[Passage], by_tokenizer: Callable[[str], int]
) -> None:
    """The first question of an episode: no passage was counted before."""
    built = benchmark(prompt.build, ranking, ASKED, budget_tokens=256, count=by_tokenizer)
    assert 0 < built.context_tokens <= 256
    per_item(benchmark, "us_per_question", 1)


@pytest.mark.parametrize("tokens", ["by length", "by the bundled tokenizer"])
def test_the_curve(
    benchmark: BenchmarkFixture, ranking: list[Passage], by_tokenizer: Callable[[str], int], tokens: str
) -> None:
    """Five budgets of a later question of an episode: its passages are known, its contexts are not."""
    count = by_tokenizer if tokens == "by the bundled tokenizer" else by_length
    parts = lru_cache(maxsize=None)(count)
    for passage in ranking:
        parts(passage.text + "\n")
    held = {passage.text + "\n" for passage in ranking}
    packed = benchmark(prompt.pack, ranking, RETRIEVAL_BUDGETS, lambda text: (parts if text in held else count)(text))
    assert [len(packed[budget]) for budget in RETRIEVAL_BUDGETS] == sorted(len(ranks) for ranks in packed.values())
    assert 0 < len(packed[256]) < len(packed[4096])
    per_item(benchmark, "us_per_question", 1)


def test_evidence(benchmark: BenchmarkFixture, ranking: list[Passage]) -> None:
    written = {passage.event_ids[0]: passage.text for passage in ranking}
    question = Question("q", Query("?"), ASKED, ("4411",), frozenset({"e9", "e40"}), frozenset({"e3"}))
    packed = prompt.pack(ranking, RETRIEVAL_BUDGETS, by_length)
    found = benchmark(evidence_metrics, question, ranking, packed=packed[256], packed_within=packed, written=written)
    assert (found["evidence@256"], found["evidence@4096"]) == (0.0, 1.0)
    per_item(benchmark, "us_per_question", 1)


def record(ranking: list[Passage]) -> Record:
    """A row as large as a run's: 64 passages, of which the file keeps the texts."""
    rows = [{"text": p.text, "event_ids": list(p.event_ids), "score": p.score, "packed": False} for p in ranking]
    return Record(
        episode="e", question="q", query="?", cloze=ASKED, answer=" 4411", logprob=-0.1, unanswered=None,
        gold=("4411",), evidence=("e9",), stale=(), forgotten=(), passages=tuple(rows),
        scores={f"s{n}": 1.0 for n in range(12)}, costs={f"c{n}": 0.001 for n in range(24)}, tags={"kind": "lexical"},
    )  # fmt: skip


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    config = {"choices": {"task": "t", "memory": "m"}}
    with Writer(tmp_path / "t" / "m" / "run", config=config, provenance={}) as writer:
        yield writer


@pytest.mark.parametrize("kind", ["record", "operation"])
def test_record_writing(benchmark: BenchmarkFixture, writer: Writer, ranking: list[Passage], kind: str) -> None:
    """Each row is with the operating system before the next is made."""
    costs = {f"c{number}": 0.001 for number in range(12)}
    row = record(ranking) if kind == "record" else Operation("write", "e", 32, costs)

    def write() -> None:
        for _ in range(ROWS):
            writer.write(row)

    benchmark.pedantic(write, rounds=5)  # type: ignore[no-untyped-call]
    file = writer.folder / ("records.jsonl" if kind == "record" else "operations.jsonl")
    assert file.read_bytes().count(b"\n") in (ROWS, 5 * ROWS)  # one round where nothing is timed
    per_item(benchmark, "us_per_row", ROWS)


def test_a_run_in_and_out_of_its_place(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """What every cell pays once: its folder, its options, and the move that makes it complete."""
    config = {"choices": {"task": "t", "memory": "m"}}

    def run() -> Path:
        with Writer(tmp_path / "t" / "m" / "run", config=config, provenance={}) as writer:
            writer.finish()
        return writer.place

    assert (benchmark(run) / "provenance.json").exists()


def test_hashing_of_text_for_the_hash_cache(benchmark: BenchmarkFixture) -> None:
    """Runs of 2 to 5 words of one event, each to a 63-bit key."""
    keys, [text] = Keys(min_order=2, max_order=5), texts(1)
    found = benchmark(keys.by_order, text)
    assert [len(found[order]) for order in (2, 3, 4, 5)] == [WORDS - 1, WORDS - 2, WORDS - 3, WORDS - 4]
    per_item(benchmark, "us_per_event", 1)


def test_hashing_of_tokens_for_a_table(benchmark: BenchmarkFixture) -> None:
    """One token at a time, as a reader that generates asks: what a call costs beside its tokens."""
    hashes = build_hashes(layers=[1], max_order=3, heads=4, base_rows=[8192] * 2, compressed_size=4096, pad=0, seed=0)
    tokens_BT = np.random.default_rng(0).integers(0, 4096, (1, 3))
    assert benchmark(hashes[1].rows, tokens_BT).shape == (1, 3, 8)
    per_item(benchmark, "us_per_call", 1)

"""Text alone: split by package, the same windows for every arm, and bits per byte that mean what they say."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from adapters.engram.twins import text
from adapters.engram.twins.arms import arm
from adapters.engram.twins.draws import below
from adapters.engram.twins.text import Reading, TextPlan, cut
from adapters.engram.twins.train import Course, train
from memory_bench.readers.checkpoint import TOKENIZER
from memory_bench.readers.training.corpus import Document

WORDS = (
    "the array that is returned has one row for each of the values and its columns are sorted by their names".split()
)


def document(number: int) -> Document:
    prose = " ".join(WORDS[chosen] for chosen in below(len(WORDS), 80, "prose", number))
    return Document(f"a/{number}.py", hashlib.sha256(prose.encode()).hexdigest(), prose)


DOCUMENTS = [document(number) for number in range(200)]
TOKENS = Tokenizer.from_file(str(TOKENIZER))
TRAINING, HELD_OUT = DOCUMENTS[20:], DOCUMENTS[:20]
PROSE = cut(TRAINING, HELD_OUT, TOKENS, window=16)


def test_the_held_out_part_is_what_was_held_out_and_a_byte_has_its_share_of_tokens() -> None:
    ids = [number for one in HELD_OUT for number in TOKENS.encode(one.text).ids]
    assert PROSE.held_out_NT.ravel().tolist() == ids[: len(ids) // 17 * 17]
    assert PROSE.tokens_per_byte == pytest.approx(len(ids) / sum(len(one.text.encode()) for one in HELD_OUT))


def test_text_that_was_trained_on_word_for_word_is_counted() -> None:
    assert PROSE.repeated(8) < 0.2
    assert cut(TRAINING, TRAINING[:3], TOKENS, window=16).repeated(8) == 1.0


def test_a_network_that_knows_nothing_needs_the_bits_of_the_whole_vocabulary() -> None:
    lesson = Reading(PROSE, steps=1, batch=4, asked=8, seed=0)
    twin = arm("dense", 4096).twin(seed=0)
    torch.nn.init.zeros_(twin.backbone.read_out.weight)
    bits = math.log2(4096) * PROSE.tokens_per_byte
    assert lesson.scores(twin)["bits_per_byte"] == pytest.approx(bits, rel=1e-3)


def test_the_next_token_is_what_is_learned_and_windows_of_one_seed_are_the_same() -> None:
    torch.set_num_threads(1)
    lessons = [Reading(PROSE, steps=12, batch=16, asked=8, seed=seed) for seed in (1, 1, 2)]
    tokens_BT, targets_BT = lessons[0].batch(0)
    assert torch.equal(tokens_BT[:, 1:], targets_BT[:, :-1])
    assert lessons[0].digest == lessons[1].digest != lessons[2].digest
    rows = list(train(arm("rows_64", 4096).twin(seed=1), lessons[0], Course(12, 0.005, 6)))
    assert rows[-1]["bits_per_byte"] < rows[0]["bits_per_byte"]


def test_a_run_keeps_the_gates_of_a_text_token_by_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    for name in ("CORPUS", "HELD_OUT"):
        monkeypatch.setattr(text, name, tmp_path / f"{name}.jsonl")
    plan = TextPlan(
        packages=["jinja2"], held_out=["rich"], arms=["rows_64"], steps=1, sweep_steps=1, rates=[0.002],
        development_seed=0, seeds=[1], window=8, batch=2, every=1, asked=2,
    )  # fmt: skip
    row = plan.trained("rows_64", seed=1, rate=0.002, steps=1)
    assert len(row["snippet"]) == 9  # a window and the token after it
    assert np.shape(list(row["gates"].values())) == (2, 9)
    assert row["curve"][0]["bits_per_byte"] > 0

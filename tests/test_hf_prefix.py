"""Prompts of an episode that carries its turns: what was read of one is not read again, and no answer changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, MistralConfig, Qwen2Config

from memory_bench.readers.hf import HfReader
from memory_bench.readers.hf_prefix import can_be_cut
from memory_bench.types import Completion
from tests import checkpoints
from tests.checkpoints import FAMILIES, PROMPTS, made

TOLD = "The access code of gate 17 is 4411.\n"
TURNS = [
    f"{TOLD}The access code of gate 17 is",
    f"{TOLD}The access code of gate 17 is a noon\nThe access",  # the turn before it, and more
    f"{TOLD}The access code of gate 23 is",  # parts from both amid the question
    "Noon",
]
CONTINUATIONS = [" 4411", " noon", " 4411 at noon\n", " a"]
BYTES = 2**20


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[HfReader, HfReader]:
    """Two readers of one checkpoint: one that keeps prompts, one that does not."""
    folder: Path = checkpoints.save(tmp_path_factory.mktemp("model") / request.param, request.param)
    return made(folder, prefix_bytes=BYTES), made(folder)


def same(ours: list[Completion], theirs: list[Completion]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert (one.text, one.prompt_tokens, one.completion_tokens) == (
            other.text,
            other.prompt_tokens,
            other.completion_tokens,
        )
        assert one.logprob == pytest.approx(other.logprob, abs=1e-4)


def test_answers_and_scores_are_those_without_what_was_kept(pair: tuple[HfReader, HfReader]) -> None:
    keeps, reads = pair
    keeps.begin(carry=True)
    cached = []
    for turn in TURNS:
        [completion] = keeps.generate([turn])
        same([completion], reads.generate([turn]))
        assert completion.cached_tokens is not None
        cached.append(completion.cached_tokens)
        assert keeps.score(turn, CONTINUATIONS) == pytest.approx(reads.score(turn, CONTINUATIONS), abs=1e-4)
        assert keeps.score(turn, CONTINUATIONS[:1]) == pytest.approx(reads.score(turn, CONTINUATIONS[:1]), abs=1e-4)
        assert keeps.cached_tokens() == completion.prompt_tokens - 1  # the same prompt again, less what is asked for
    first, second = (len(keeps.encode(turn)) for turn in TURNS[:2])
    told = len(keeps.encode(TOLD))
    assert cached[0] == 0
    assert first - 1 <= cached[1] < second
    assert told <= cached[2] < first
    assert cached[3] <= 1  # no more than what stands before every text
    assert reads.cached_tokens() is None


def test_what_counts_as_cached_is_not_given_to_the_model_again(pair: tuple[HfReader, HfReader]) -> None:
    keeps, _ = pair
    given: list[int] = []
    hook = keeps.model.register_forward_pre_hook(
        lambda _, __, named: given.append(named["input_ids"].shape[1]), with_kwargs=True
    )
    keeps.begin(carry=True)
    for turn in TURNS[:3]:
        given.clear()
        [completion] = keeps.generate([turn])
        assert completion.cached_tokens is not None
        assert given[0] == completion.prompt_tokens - completion.cached_tokens
    hook.remove()


def test_rows_of_any_length_begin_with_what_was_kept_and_are_answered_as_alone(pair: tuple[HfReader, HfReader]) -> None:
    keeps, reads = pair
    keeps.begin(carry=True)
    keeps.generate([TOLD])
    rows = [f"{TOLD}{prompt}" for prompt in PROMPTS]
    assert len({len(keeps.encode(row)) for row in rows}) > 1
    together = keeps.generate(rows)
    assert {completion.cached_tokens for completion in together} == {keeps.cached_tokens()}
    assert (keeps.cached_tokens() or 0) >= len(keeps.encode(TOLD)) - 1
    same(together, reads.generate(rows))
    same(together, [reads.generate([row])[0] for row in rows])


def test_nothing_is_kept_where_turns_are_not_carried_and_all_is_forgotten_before_an_episode(
    pair: tuple[HfReader, HfReader],
) -> None:
    keeps, _ = pair
    keeps.begin(carry=True)
    keeps.generate(TURNS[:1])
    assert keeps.prefixes.size_bytes() > 0
    keeps.begin(carry=False)
    for _ in range(2):
        assert [completion.cached_tokens for completion in keeps.generate(TURNS[:1])] == [0]
    assert keeps.prefixes.size_bytes() == 0


def test_what_is_kept_is_not_written_over_by_what_follows_it(pair: tuple[HfReader, HfReader]) -> None:
    keeps, _ = pair
    keeps.begin(carry=True)
    keeps.generate(TURNS[:1])
    (kept,) = keeps.prefixes._pasts
    before = [layer.key_BHTC.clone() for layer in kept.layers]
    keeps.generate([TURNS[1]])
    keeps.score(TURNS[1], CONTINUATIONS)
    assert all(torch.equal(layer.key_BHTC, keys) for layer, keys in zip(kept.layers, before, strict=True))


def test_a_model_that_forgets_and_a_kernel_that_was_named_keep_nothing(tmp_path: Path) -> None:
    assert can_be_cut(LlamaConfig(num_hidden_layers=2))
    assert can_be_cut(Qwen2Config(num_hidden_layers=2))
    assert not can_be_cut(MistralConfig(num_hidden_layers=2, sliding_window=8))
    folder = checkpoints.save(tmp_path / "llama", "llama")
    named = made(folder, attention="off_math", prefix_bytes=BYTES)
    named.begin(carry=True)
    assert [completion.cached_tokens for completion in named.generate(TURNS[:2])] == [None, None]

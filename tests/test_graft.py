"""Engram grafted into models of three families: nothing before something is written, and nothing when it is taken off.

Weights and rows are random, so nothing here shows that anything is remembered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adapters.engram.grafted.graft import compression
from adapters.engram.grafted.layers import chosen, find_layers
from adapters.engram.write import write_rows
from memory_bench.errors import BadInput
from memory_bench.readers.hf import HfReader
from memory_bench.types import Completion
from tests import checkpoints
from tests.checkpoints import FAMILIES, PROMPTS
from tests.grafts import graft_of, grafted, logits, table_of

CONTINUATIONS = [" 4411", " noon", " 4411 at noon\n"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {family: checkpoints.save(root / family, family) for family in FAMILIES}


@pytest.fixture(scope="module", params=FAMILIES)
def one(request: pytest.FixtureRequest, folders: dict[str, Path]) -> HfReader:
    return grafted(folders[request.param], slot={"layers": [0, 1]})


def said(completions: list[Completion]) -> list[tuple[str, float | None]]:
    return [(completion.text, completion.logprob) for completion in completions]


# Before anything is written


def test_an_empty_table_changes_no_bit_of_any_answer_or_score(one: HfReader) -> None:
    """Prompts of several lengths together: padded on the left, and read on with keys and values."""
    bare, empty = checkpoints.made(one.folder), one.with_look_up(table_of(one))
    assert said(empty.generate(PROMPTS)) == said(bare.generate(PROMPTS))
    assert empty.score(PROMPTS[0], CONTINUATIONS) == bare.score(PROMPTS[0], CONTINUATIONS)


def test_an_empty_table_changes_no_bit_of_any_logit(one: HfReader) -> None:
    bare, tokens = checkpoints.made(one.folder), one.encode(PROMPTS[2])
    with torch.no_grad():
        entered_TV = graft_of(one)(torch.tensor([tokens]), table_of(one))[0]
    assert torch.equal(entered_TV, logits(bare.model, tokens))
    assert torch.equal(logits(one.model, tokens), logits(bare.model, tokens))


def test_what_is_in_the_rows_changes_answers_of_the_reader_that_has_them_and_of_no_other(one: HfReader) -> None:
    before = said(one.generate(PROMPTS))
    filled = one.with_look_up(table_of(one, filled=True))
    assert said(filled.generate(PROMPTS)) != before
    assert filled.score(PROMPTS[0], CONTINUATIONS) != one.score(PROMPTS[0], CONTINUATIONS)
    assert said(one.generate(PROMPTS)) == before


def test_sixteen_bits_a_number_are_as_they_were_before_a_write_and_others_after(folders: dict[str, Path]) -> None:
    one, bare = (made(folders["llama"], dtype="bfloat16") for made in (grafted, checkpoints.made))
    table = table_of(one)
    assert said(one.with_look_up(table).generate(PROMPTS)) == said(bare.generate(PROMPTS))
    write_rows(graft_of(one), table, [one.tokens("Lunch is at noon")], steps=2, rate=0.4, recency=0.0)
    assert {rows_RC.dtype for rows_RC in table.rows.values()} == {torch.float32}
    lunch = [made.score("Lunch is at", [" noon"])[0] for made in (bare, one.with_look_up(table))]
    assert lunch[0] < lunch[1]


# With rows


def test_prompts_of_any_length_are_answered_together_as_alone(one: HfReader) -> None:
    filled = one.with_look_up(table_of(one, filled=True))
    for a, [b] in zip(filled.generate(PROMPTS), ([*filled.generate([prompt])] for prompt in PROMPTS), strict=True):
        assert (a.text, a.completion_tokens) == (b.text, b.completion_tokens)
        assert a.logprob == pytest.approx(b.logprob, abs=1e-3)


def test_keys_and_values_that_are_kept_change_no_token(one: HfReader) -> None:
    """Token by token with what was kept, the rows of n-grams that began before it are found as in one pass."""
    table = table_of(one, filled=True)
    [completion] = one.with_look_up(table).generate(PROMPTS[:1])
    tokens, total = one.encode(PROMPTS[0]), 0.0
    for _ in range(completion.completion_tokens):
        with torch.no_grad():
            best = graft_of(one)(torch.tensor([tokens]), table)[0, -1].log_softmax(-1).max(-1)
        tokens.append(int(best.indices))
        total += best.values.item()
    assert completion.completion_tokens > 3
    assert completion.logprob == pytest.approx(total, abs=1e-3)


def test_what_an_episode_carries_is_read_again_from_where_rows_changed_on(one: HfReader) -> None:
    table = table_of(one, filled=True)
    carries = grafted(one.folder, slot={"layers": [0, 1]}, prefix_bytes=2**24).with_look_up(table)
    filled = one.with_look_up(table)
    carries.begin(carry=True)
    turns = [PROMPTS[0], f"{PROMPTS[0]} 4411 noon\n{PROMPTS[1]}"]
    cached = []
    for turn in (*turns, turns[1]):
        [kept], [anew] = carries.generate([turn]), filled.generate([turn])
        assert kept.text == anew.text
        assert kept.logprob == pytest.approx(anew.logprob, abs=1e-3)
        cached.append(carries.cached_tokens())
        for rows_RC in table.rows.values() if len(cached) == 2 else ():
            rows_RC[table.slot.rows(torch.tensor([one.encode(turn)]))[0][0, 5]] += 1
    assert cached[0] == 0
    assert cached[1] == len(one.encode(turns[0]))
    assert cached[2] is not None
    assert cached[2] <= 5


def test_ids_that_differ_in_case_alone_are_one_in_an_n_gram(one: HfReader) -> None:
    held = compression(one.tokenizer, one.model.config.vocab_size)
    small, large, other = (held.map_V[one.tokenizer.convert_tokens_to_ids(piece)] for piece in "tTh")
    assert small == large != other
    ends = {int(held.map_V[token]) for token in one.tokenizer.all_special_ids}
    assert len(ends) == len(set(one.tokenizer.all_special_ids))
    assert len(held.map_V) == one.model.config.vocab_size > held.size


def test_ids_that_the_tokenizer_does_not_have_stay_apart(one: HfReader) -> None:
    size = len(one.tokenizer)
    held = compression(one.tokenizer, size + 3)
    assert len(set(held.map_V[size:].tolist())) == 3
    assert set(held.map_V[size:].tolist()).isdisjoint(held.map_V[:size].tolist())


def test_rows_enter_as_large_as_the_residual_stream(folders: dict[str, Path]) -> None:
    """So a step size means the same in a model whose embeddings are ten times as large."""
    one = checkpoints.made(folders["llama"])
    sizes: list[Tensor] = []
    for factor in (1, 10):
        with torch.no_grad():
            one.model.get_input_embeddings().weight.mul_(factor)
        slot = graft_of(grafted_model(one, layers=[0])).slot
        sizes.extend(weight_DE.clone() for weight_DE in slot.value.parameters())
    torch.testing.assert_close(sizes[1], 10 * sizes[0])


def grafted_model(one: HfReader, **slot: Any) -> HfReader:
    """Return a reader with another slot in the model of this one."""
    other = grafted(one.folder, slot=slot)
    other.model = one.model
    return other


# Taken off


def test_taken_off_again_the_model_is_what_it_was(folders: dict[str, Path]) -> None:
    one, bare = grafted(folders["qwen2"]), checkpoints.made(folders["qwen2"])
    graft, table, tokens = graft_of(one), table_of(one, filled=True), one.encode(PROMPTS[0])
    assert one.model.state_dict().keys() == bare.model.state_dict().keys()
    assert not any(parameter.requires_grad for parameter in (*one.model.parameters(), *graft.slot.parameters()))
    graft.remove()
    with torch.no_grad():
        assert torch.equal(graft(torch.tensor([tokens]), table)[0], logits(bare.model, tokens))
    assert not any(part._forward_pre_hooks for part in one.model.modules())


# Where the layers are


def small(family: str, **options: Any) -> nn.Module:
    """Return a model of one more family, by the names that its config has for its sizes."""
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
    config = AutoConfig.for_model(family, **sizes, **options)
    model: nn.Module = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    return model


@pytest.mark.parametrize(
    ("family", "options", "path"),
    [
        ("opt", {"ffn_dim": 32, "word_embed_proj_dim": 16}, "model.decoder.layers"),
        ("gpt_neox", {"intermediate_size": 32}, "gpt_neox.layers"),
        ("falcon", {}, "transformer.h"),
        ("mixtral", {"intermediate_size": 32, "num_local_experts": 3, "num_key_value_heads": 1}, "model.layers"),
    ],
)
def test_the_layers_are_found_whatever_a_family_calls_them(family: str, options: dict[str, Any], path: str) -> None:
    model = small(family, **options)
    assert find_layers(model, None) is model.get_submodule(path) is find_layers(model, path)


def test_layers_that_are_not_found_are_one_line_with_what_to_type() -> None:
    model = small("opt", ffn_dim=32, word_embed_proj_dim=16)
    model.config.num_hidden_layers = 5  # type: ignore[union-attr]
    line = r"^the decoder layers of OPTForCausalLM were not found: no list of 5 modules is in it; type reader.slot"
    with pytest.raises(BadInput, match=line + r".layers_path=NAME, one of its lists: model.decoder.layers$"):
        find_layers(model, None)
    with pytest.raises(BadInput, match=r"layers_path=h: OPTForCausalLM has no list of modules there; its lists are mo"):
        find_layers(model, "h")
    model.add_module("others", nn.ModuleList(nn.Linear(1, 1) for _ in range(3)))
    model.config.num_hidden_layers = 3  # type: ignore[union-attr]
    with pytest.raises(BadInput, match=r"2 lists of 3 modules are in it; .*: model.decoder.layers, others$"):
        find_layers(model, None)


@pytest.mark.parametrize(("count", "layers"), [(1, [0]), (2, [1]), (3, [1]), (4, [1, 2]), (30, [1, 15])])
def test_rows_enter_before_the_second_layer_and_the_one_in_the_middle(count: int, layers: list[int]) -> None:
    assert chosen(None, count) == layers


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("rows", 0, "reader.slot.rows=0: expected a whole number >= 1"),
        ("heads", 0, "reader.slot.heads=0: expected a whole number >= 1"),
        ("row_width", -1, "reader.slot.row_width=-1: expected a whole number >= 1"),
        ("max_order", 1, "reader.slot.max_order=1: expected a whole number >= 2"),
        ("rows", 10**13, r"a table of [\d,]+ numbers takes .*: type a smaller reader.slot.rows"),
    ],
)
def test_a_table_that_cannot_be_is_refused_before_it_is_made(
    name: str, value: int, line: str, folders: dict[str, Path]
) -> None:
    with pytest.raises(BadInput, match=line):
        _ = grafted(folders["gpt2"], slot={name: value}).slotted


@pytest.mark.parametrize("layers", [[], [4], [-1], [1, 1]])
def test_layers_that_are_not_there_are_refused(layers: list[int]) -> None:
    with pytest.raises(BadInput, match=r"expected distinct numbers from 0 to 3, such as reader.slot.layers=\[1,2\]"):
        chosen(layers, 4)

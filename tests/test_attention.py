"""An attention that is named is the one that runs, gives what the others give, or says why it cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
import yaml
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from memory_bench import config
from memory_bench.errors import BadInput, Unavailable
from memory_bench.readers.attention import CHOICES, AttentionKernel, Sdpa, choose, example
from memory_bench.readers.attention_equivalence import Equivalence, equivalence
from memory_bench.readers.attention_proof import observe
from memory_bench.readers.model import TinyModel
from tests.readers import log_probs, random_model

CPU = torch.device("cpu")
HERE = ("off_math", "cpu_flash")
CONF = Path(__file__).parent.parent / "conf" / "attention"


def attending(name: str) -> TinyModel:
    model = random_model()
    model.attend_with(choose(name).ready(CPU, torch.float32, head_width=16))
    return model


def test_every_choice_is_a_file_that_names_it_and_the_gpu_that_it_needs() -> None:
    assert {file.stem for file in CONF.glob("*.yaml")} == {kernel.name for kernel in CHOICES}
    for file in CONF.glob("*.yaml"):
        said = yaml.safe_load(file.read_text())
        assert said["name"] == file.stem
        assert said.get("needs", {}) == ({} if "cpu" in choose(file.stem).devices else {"gpu": True})


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_choice_is_proved_by_the_operator_that_ran(name: str, dtype: torch.dtype) -> None:
    kernel = choose(name)
    assert kernel.proved(CPU, dtype).operator == kernel.operator


def test_something_else_that_runs_is_found() -> None:
    liar = replace(choose("cpu_flash"), name="liar", operator=choose("off_math").operator)
    with pytest.raises(
        Unavailable, match=r"attention=liar: aten::\S+_math did not run alone, but aten::\S+flash_attention_for_cpu"
    ):
        liar.ready(CPU, torch.float32, head_width=64)


class OfTwo(Sdpa):
    """Two backends are allowed: torch takes one of them, and says nothing."""

    def __call__(
        self, query_BHQC: Tensor, key_BHTC: Tensor, value_BHTC: Tensor, attn_mask: Tensor | None, is_causal: bool
    ) -> Tensor:
        with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
            return F.scaled_dot_product_attention(query_BHQC, key_BHTC, value_BHTC, attn_mask, is_causal=is_causal)


def test_of_two_backends_that_are_allowed_the_one_that_was_not_meant_is_found() -> None:
    both = replace(choose("off_math"), engine=OfTwo(SDPBackend.MATH))
    with pytest.raises(Unavailable, match=r"_math did not run alone, but aten::\S+flash_attention_for_cpu"):
        both.ready(CPU, torch.float32, head_width=64)


def test_a_kernel_that_runs_beside_the_one_that_was_named_is_found() -> None:
    inputs = example(CPU, torch.float32, keys=16, head_width=8)
    flash, off = choose("cpu_flash"), choose("off_math")
    with pytest.raises(Unavailable, match="did not run alone, but aten::_scaled_dot_product_attention_math"):
        flash.proves(observe(lambda: (flash(*inputs), off(*inputs)), CPU), CPU)


def test_a_torch_that_was_patched_to_fall_back_in_silence_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def plain(query: Tensor, key: Tensor, value: Tensor, *_: object, **__: object) -> Tensor:
        return (query @ key.transpose(-1, -2)).softmax(-1) @ value

    monkeypatch.setattr(F, "scaled_dot_product_attention", plain)
    with pytest.raises(Unavailable, match=r"_for_cpu did not run, but .*aten::softmax"):
        choose("cpu_flash").ready(CPU, torch.float32, head_width=64)


def dropping(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, dropout_p=0.1, **options)


def upper_left(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
    """As torch aligns a causal mask that is asked for by `is_causal`, for the rest of a prompt too."""
    return F.scaled_dot_product_attention(query, key, value, is_causal=bool(options))


@pytest.mark.parametrize("broken", [dropping, upper_left])
def test_the_gate_of_equivalence_finds_dropout_and_a_wrong_alignment(broken: Callable[..., Tensor]) -> None:
    torch.manual_seed(0)
    found = equivalence(broken, CPU, torch.float32, keys=48)
    assert not found.passes
    assert found.error > 0.1
    if broken is upper_left:
        assert found.alignment == "causal, lower right"


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize(("dtype", "keys"), [(torch.float32, 300), (torch.bfloat16, 300), (torch.float32, 1024)])
def test_a_choice_computes_what_float64_does_within_the_bounds(name: str, dtype: torch.dtype, keys: int) -> None:
    found = equivalence(choose(name), CPU, dtype, keys=keys)
    assert found.passes, found
    assert found.error > 0


def test_the_gate_of_equivalence_fails_what_is_wrong() -> None:
    assert Equivalence(1e-6, 1e-6, 2e-6).passes
    assert not Equivalence(3e-6, 3e-6, 2e-6).passes
    assert not Equivalence(1.9e-6, 0.9e-6, 2e-6).passes


def test_a_long_context_is_compared_at_some_of_its_queries() -> None:
    assert equivalence(choose("cpu_flash"), CPU, torch.float32, keys=1500).passes
    late = equivalence(
        lambda *inputs, **options: _without_the_last_key(*inputs, **options), CPU, torch.float32, keys=700
    )
    assert not late.passes


def _without_the_last_key(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
    mixed = F.scaled_dot_product_attention(query, key, value, **options)
    mixed[:, :, -1:] = F.scaled_dot_product_attention(query[:, :, -1:], key[:, :, :-1], value[:, :, :-1])
    return mixed


@pytest.mark.parametrize("name", HERE)
def test_a_model_answers_the_same_with_every_choice(name: str) -> None:
    rows = [[1, 2, 3, 4, 5, 6, 7, 8]]
    wanted = log_probs(attending("auto"), rows)
    assert torch.allclose(log_probs(attending(name), rows), wanted, atol=1e-5)


def test_what_torch_chooses_on_a_cpu_is_its_flash_kernel_bit_for_bit() -> None:
    rows = [list(range(40)), list(range(40, 80))]
    assert torch.equal(log_probs(attending("cpu_flash"), rows), log_probs(random_model(), rows))


def test_a_choice_that_cannot_run_says_why_and_what_can() -> None:
    with pytest.raises(Unavailable) as caught:
        choose("fa2_sdpa").ready(CPU, torch.float32, head_width=64)
    assert str(caught.value) == (
        "attention=fa2_sdpa cannot run here: it runs on cuda, the device is cpu; "
        "with float32 on cpu can run: auto, off_math, cpu_flash"
    )
    halves = replace(choose("cpu_flash"), dtypes=(torch.float16,))
    assert halves.lacks(CPU, torch.float32) == "it computes in float16, the reader in float32"


def test_what_torch_refuses_is_told_in_its_words() -> None:
    never = AttentionKernel("never", "", Sdpa(SDPBackend.EFFICIENT_ATTENTION), ("cpu",), (torch.float32,))
    assert "No viable backend for scaled_dot_product_attention" in str(never.lacks(CPU, torch.float32))


def test_a_choice_that_does_not_exist_is_told_with_those_that_do() -> None:
    with pytest.raises(BadInput) as caught:
        config.compose(["+task=needle", "+memory=none", "attention=fa3_sdpa"])
    assert str(caught.value) == (
        f"there is no attention 'fa3_sdpa'; choose one of: {', '.join(sorted(kernel.name for kernel in CHOICES))}"
    )


@pytest.mark.parametrize("name", ["fa2_pkg", "fa4_pkg"])
def test_a_package_is_asked_for_by_the_attention_and_stands_in_the_provenance(name: str) -> None:
    cell = config.compose(["+task=needle", "+memory=none", f"attention={name}", "reader.device=cpu"])
    assert [requirement.split(">")[0] for requirement in cell.requires["attention"]] == [
        choose(name).engine.distribution  # type: ignore[attr-defined]
    ]
    assert cell.requires["reader"] == ()
    assert "requires" not in cell.config["reader"]["attention"]
    with pytest.raises(
        Unavailable, match=f"^attention={name} cannot run here: it runs on cuda, the device is cpu; with"
    ):
        config.build(cell, "reader")


def test_the_attention_is_part_of_a_cell_where_its_reader_takes_it() -> None:
    cells = [config.compose(["+task=needle", "+memory=none", f"attention={name}"]) for name in ("off_math", "auto")]
    assert [cell.config["reader"]["attention"]["name"] for cell in cells] == ["off_math", "auto"]
    assert [cell.config["choices"]["attention"] for cell in cells] == ["off_math", "auto"]
    assert cells[1].config == config.compose(["+task=needle", "+memory=none"]).config
    without = config.compose(["+task=needle", "+memory=none", "reader=none", "attention=off_math"])
    assert without.config == config.compose(["+task=needle", "+memory=none", "reader=none"]).config
    assert "attention" not in without.config["choices"]


def test_a_training_computes_attention_as_torch_chooses() -> None:
    assert "attention" not in config.training(["train=tiny"])["reader"]


def test_a_reader_reads_with_the_attention_of_the_cell() -> None:
    made = [
        config.build(
            config.compose(["+task=needle", "+memory=none", f"attention={name}", "reader.device=cpu"]), "reader"
        )
        for name in ("off_math", "cpu_flash")
    ]
    scores = [reader.score("The code of gate 17 is", [" 4411", " noon"]) for reader in made]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)
    assert scores[0] != scores[1]


def test_the_bytes_of_a_call_are_those_of_its_own_tensors_at_once() -> None:
    def call() -> Tensor:
        first = torch.ones(1000, dtype=torch.float32)
        second = first + first
        del first
        return second + second

    assert observe(call, CPU).peak_bytes == 8000  # of three tensors two are held at a time


def test_flash_holds_no_scores_and_the_plain_formula_holds_them_all() -> None:
    query, key, value = example(CPU, torch.float32, keys=512, head_width=64)
    peaks = [observe(lambda: choose(name)(query, key, value, is_causal=True), CPU).peak_bytes for name in HERE]  # noqa: B023
    scores = 2 * 512 * 512 * 4
    assert peaks[0] is not None
    assert peaks[1] is not None
    assert peaks[0] > scores > 3 * peaks[1]

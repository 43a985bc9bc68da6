"""An attention that is named is the one that runs, gives what the others give, or says why it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from memory_bench import config
from memory_bench.errors import Unavailable
from memory_bench.readers.attention import CHOICES, AttentionKernel, Equivalence, choose, equivalence
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
    flash = choose("cpu_flash")
    liar = AttentionKernel(**{**vars(flash), "name": "liar", "operator": choose("off_math").operator})
    with pytest.raises(Unavailable, match=r"attention=liar: aten::\S+_math did not run, but .*flash_attention_for_cpu"):
        liar.ready(CPU, torch.float32, head_width=64)


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
    halves = AttentionKernel(**{**vars(choose("cpu_flash")), "dtypes": (torch.float16,)})
    assert halves.lacks(CPU, torch.float32) == "it computes in float16, the reader in float32"


def test_what_torch_refuses_is_told_in_its_words() -> None:
    backend = torch.nn.attention.SDPBackend.EFFICIENT_ATTENTION
    never = AttentionKernel("never", "", backend, ("cpu",), (torch.float32,))
    assert "No viable backend for scaled_dot_product_attention" in str(never.lacks(CPU, torch.float32))


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

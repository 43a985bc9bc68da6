"""What is learned once for a grafted model: a slot, codes of tokens, and low-rank matrices where they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from adapters.engram.grafted.__main__ import main
from adapters.engram.grafted.facts import facts
from adapters.engram.grafted.learn import learn, pieces
from adapters.engram.one_shot_memory import EngramOneShot
from memory_bench.errors import BadInput
from tests.checkpoints import PROMPTS
from tests.grafts import events, graft_of, grafted, overlaid, schooled

PROSE = [" ".join(f"the {word} of a graph is {word[::-1]}" for word in (f"node{n}" for n in range(200)))] * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return schooled(tmp_path_factory.mktemp("models") / "llama", "llama", width=32, steps=5)


@pytest.mark.parametrize("rank", [0, 2])
def test_slot_and_codes_are_learned_and_the_model_stays_as_it_is(
    rank: int, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = grafted(folder)
    before = {name: weight.clone() for name, weight in one.model.named_parameters()}
    overlay, book, sha256 = learn(one, PROSE, steps=6, rank=rank, seed=0, out=tmp_path / "out")
    after = {name.replace(".base_layer", ""): weight for name, weight in one.model.named_parameters()}
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())
    assert (len(after) > len(before)) == bool(rank)
    assert not any(parameter.requires_grad for parameter in (*after.values(), *graft_of(one).slot.parameters()))
    assert "step 6  loss " in capsys.readouterr().out
    untrained, learned = grafted(folder), overlaid(one, overlay)
    for name, weight in graft_of(learned).slot.named_parameters():
        assert torch.equal(weight, graft_of(one).slot.get_parameter(name))
        assert not torch.equal(weight, graft_of(untrained).slot.get_parameter(name))
    assert learned.score(PROMPTS[0], [" 4411"]) == one.score(PROMPTS[0], [" 4411"])
    assert (learned.score(PROMPTS[0], [" 4411"]) != untrained.score(PROMPTS[0], [" 4411"])) == bool(rank)
    memory = EngramOneShot(codes=str(book), sha256=sha256)
    told = facts(8, seed=0)
    other = memory.attach(learned)
    before_write = [other.score(cloze, [value]) for cloze, value in told.items()]
    memory.write(events(told))
    assert [other.score(cloze, [value]) for cloze, value in told.items()] != before_write
    with pytest.raises(BadInput, match="the codes of tokens were learned against weights with sha256"):
        memory.attach(untrained)


def test_codes_make_what_is_copied_likelier(folder: Path, tmp_path: Path) -> None:
    one = grafted(folder, slot={"heads": 4, "layers": [0, 1]})
    overlay, book, sha256 = learn(one, PROSE, steps=30, rank=0, seed=0, out=tmp_path)
    memory, told = EngramOneShot(codes=str(book), sha256=sha256), facts(8, seed=0)
    other = memory.attach(overlaid(one, overlay))

    def total() -> float:
        return sum(other.score(cloze, [value])[0] for cloze, value in told.items())

    before = total()
    memory.write(events(told))
    assert total() > before + len(told) / 2


def test_the_same_seed_learns_the_same_bits(folder: Path, tmp_path: Path) -> None:
    made = [learn(grafted(folder), PROSE, steps=2, rank=2, seed=0, out=tmp_path / name) for name in ("a", "b")]
    for one, other in zip(made[0][:2], made[1][:2], strict=True):  # the seconds that it took differ
        assert load_file(one).keys() == load_file(other).keys()
        assert all(torch.equal(tensor, load_file(other)[name]) for name, tensor in load_file(one).items())


def test_prose_is_cut_to_what_a_model_can_read() -> None:
    assert list(pieces(["abcdé", "f"], 3)) == ["abc", "d", "f"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--steps", "0"], "--steps 0: expected a whole number >= 1, such as --steps 700"),
        (["--lora", "-1"], "--lora -1: expected a whole number >= 1, such as --lora 8"),
        (["--layers", "9"], "reader.slot.layers=[9]: expected distinct numbers from 0 to 2, such as"),
        (["--layers-path", "no"], "reader.slot.layers_path=no: LlamaForCausalLM has no list of modules there"),
        (["--dtype", "int4"], "reader.dtype=int4: expected one of"),
    ],
)
def test_the_command_says_in_a_line_what_it_cannot_do(
    options: list[str], line: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["learn", str(folder), "--out", str(tmp_path / "out"), "--device", "cpu", *options]) == 2
    said = capsys.readouterr().err
    assert said.startswith(line)
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()

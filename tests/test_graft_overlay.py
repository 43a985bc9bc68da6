"""What was grafted into a model comes back from a small file to the bit, and into no other model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.engram.grafted import lora
from adapters.engram.grafted.overlay import Overlay
from adapters.engram.slot import EngramTable
from memory_bench.errors import BadInput
from memory_bench.readers.hf import HfReader
from tests import checkpoints
from tests.checkpoints import FAMILIES, PROMPTS
from tests.grafts import graft_of, grafted, overlaid, table_of


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {family: checkpoints.save(root / family, family) for family in FAMILIES}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "overlays" / "overlay.safetensors"


def written(one: HfReader, *, every: int = 3) -> EngramTable:
    """Return a table with something in each so many rows, and move the slot from where it began."""
    table = table_of(one, filled=True)
    for rows_RC in table.rows.values():
        rows_RC[torch.arange(len(rows_RC)) % every > 0] = 0
    for parameter in graft_of(one).slot.parameters():
        parameter.mul_(1.5)
    return table


def saved(one: HfReader, file: Path) -> EngramTable:
    table = written(one)
    Overlay(graft_of(one).slot, rows=table.rows).save(file, identity=one.identity())
    return table


def said(one: HfReader) -> list[tuple[str, float | None]]:
    return [(completion.text, completion.logprob) for completion in one.generate(PROMPTS)]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_loaded_answers_to_the_bit_as_what_was_saved(family: str, folders: dict[str, Path], file: Path) -> None:
    one = grafted(folders[family])
    bare, table = said(one), saved(one, file)
    again = overlaid(one, file)
    assert said(again) == said(one.with_look_up(table)) != bare
    tokens_BT = torch.tensor([one.encode(PROMPTS[2])])
    with torch.no_grad():
        before, after = graft_of(one)(tokens_BT, table), graft_of(again)(tokens_BT, graft_of(again).look_up)
    assert torch.equal(before, after)
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_low_rank_matrices_come_back_as_well(folders: dict[str, Path], file: Path) -> None:
    one = grafted(folders["llama"])
    bare, options = said(one), lora.settings(2)
    lora.insert(one.model, options)
    assert said(one) == bare
    with torch.no_grad():
        for parameter in lora.weights(one.model).values():
            parameter.normal_(std=0.3)
    Overlay(graft_of(one).slot, lora=lora.weights(one.model), settings=options).save(file, identity=one.identity())
    again = overlaid(one, file)
    assert said(again) == said(one) != bare
    assert not any(parameter.requires_grad for parameter in again.model.parameters())
    assert again.look_up is None


def test_it_is_a_small_file_that_holds_nothing_of_the_model(folders: dict[str, Path], file: Path) -> None:
    one = grafted(folders["llama"])
    table = saved(one, file)
    held = load_file(file)
    assert {name.partition(".")[0] for name in held} == {"slot", "rows"}
    rows = sum(len(tensor) for name, tensor in held.items() if name.endswith(".places"))
    assert rows == sum(int(rows_RC.any(1).sum()) for rows_RC in table.rows.values())


def test_an_overlay_is_part_of_what_a_reader_is(folders: dict[str, Path], file: Path) -> None:
    one = grafted(folders["llama"])
    saved(one, file)
    before, after = one.identity(), overlaid(one, file).identity()
    assert {name for name in after if before.get(name) != after[name]} == {"llama/overlay"}


def test_another_model_is_refused_and_the_same_one_elsewhere_is_not(
    folders: dict[str, Path], file: Path, tmp_path: Path
) -> None:
    one = grafted(folders["llama"])
    table = saved(one, file)
    moved = Path(shutil.copytree(folders["llama"], tmp_path / "elsewhere"))
    assert said(grafted(moved, overlay=str(file))) == said(one.with_look_up(table))
    weights = load_file(moved / "model.safetensors")
    weights["model.norm.weight"] += 1
    save_file(weights, moved / "model.safetensors", metadata={"format": "pt"})
    line = r"was made for another model: model.safetensors has sha256 \w{12}... here, \w{12}... there; give that model"
    with pytest.raises(BadInput, match=line):
        grafted(moved, overlay=str(file))
    with pytest.raises(BadInput, match=r"was made for another model: config.json has sha256"):
        grafted(folders["qwen2"], overlay=str(file))


def test_a_missing_a_foreign_a_cut_and_an_altered_file_are_one_line_each(folders: dict[str, Path], file: Path) -> None:
    one = grafted(folders["llama"])
    with pytest.raises(BadInput, match=r"overlay.safetensors: no such file; make one \(python -m adapters.engram.gra"):
        overlaid(one, file)
    saved(one, file)
    whole = file.read_bytes()
    for harmed in (whole[:-1], whole[:100], b"", b"{"):
        file.write_bytes(harmed)
        with pytest.raises(BadInput, match=r"^reader.overlay=\S+ holds no overlay \(.*\): restore the file, or python"):
            overlaid(one, file)
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BadInput, match="was altered: its tensors are not those saved; restore the file"):
        overlaid(one, file)
    shutil.copy(folders["gpt2"] / "model.safetensors", file)
    with pytest.raises(BadInput, match="holds no overlay"):
        overlaid(one, file)


def test_rows_that_a_memory_writes_take_the_place_of_those_of_an_overlay(folders: dict[str, Path], file: Path) -> None:
    """What was trained into the model and what was written at run time are two memories, and never mixed."""
    one = grafted(folders["llama"])
    saved(one, file)
    again = overlaid(one, file)
    assert said(again.with_look_up(table_of(again))) == said(grafted(folders["llama"]))

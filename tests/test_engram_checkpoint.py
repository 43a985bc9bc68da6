"""Law 16 of the Engram module: rows go back to a module that means the same rows by their numbers, or nowhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from adapters.engram.address import UNNAMED, check_address
from adapters.engram.module import EngramModule
from adapters.engram.slot import EngramSlot
from adapters.engram.table import TrainedTable, described
from memory_bench.errors import BadInput
from memory_bench.ngrams import compress_vocabulary, no_compression
from memory_bench.readers import checkpoint

SMALL = {"width": 8, "layers": [1, 2], "max_order": 3, "heads": 2, "row_width": 2, "rows": 31, "seed": 0}
OTHER_WORDS = compress_vocabulary(["a", "A", *map(str, range(30))], ["a", "A", *map(str, range(30))])


class Backbone(nn.Module):
    """The least that holds a module and its table."""

    def __init__(self, **changes: object) -> None:
        super().__init__()
        given = {**SMALL, "compression": no_compression(32), **changes}
        self.engram = EngramModule(**given)  # type: ignore[arg-type]
        self.table = TrainedTable(self.engram)
        for rows_RC in self.table.rows_RC.values():
            nn.init.normal_(rows_RC)


def test_weights_go_through_a_file_and_give_the_same_bits(tmp_path: Path) -> None:
    one, other = Backbone(), Backbone()
    save_file(one.state_dict(), tmp_path / "model.safetensors")
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    tokens_BT = torch.tensor([[1, 2, 3]])
    assert torch.equal(*(model.table(model.engram.rows(tokens_BT))[1] for model in (one, other)))
    assert one.table.rows_RC["1"].any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 5}, "other addresses: arguments.seed is 0 here and 5 in the checkpoint"),
        ({"rows": 37}, "arguments.rows is 31 here and 37 in the checkpoint"),
        ({"heads": 1}, "arguments.heads is 2 here and 1 in the checkpoint"),
        ({"layers": [0, 2]}, r"arguments.layers is \[1, 2\] here and \[0, 2\] in the checkpoint"),
        ({"mode": "compat"}, "hash_version is portable-1 here and compat-1 in the checkpoint"),
        ({"gate": "plain"}, "arguments.gate is signed_sqrt here and plain in the checkpoint"),
        ({"conv": "on"}, "arguments.conv is off here and on in the checkpoint"),
        ({"init": "paper_like"}, "arguments.init is identity here and paper_like in the checkpoint"),
        ({"min_order": 3}, "arguments.min_order is 2 here and 3 in the checkpoint"),
        ({"pad_id": 4}, "arguments.pad_id is 0 here and 4 in the checkpoint"),
        ({"boundary_ids": [4]}, r"arguments.boundary_ids is \[\] here and \[4\] in the checkpoint"),
        ({"compression": no_compression(33)}, "another tokenizer: compressed_size is 32 here and 33 in"),
        ({"compression": OTHER_WORDS}, "another tokenizer: compressed_size is 32 here and 31 in the checkpoint"),
    ],
)
def test_a_checkpoint_that_means_other_rows_is_refused_with_both_values(
    changes: dict[str, object], message: str
) -> None:
    model = Backbone()
    before = {name: tensor.clone() for name, tensor in model.table.state_dict().items()}
    with pytest.raises(BadInput, match=f"^engram checkpoint of .*{message}"):
        model.table.load_state_dict(Backbone(**changes).table.state_dict())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.table.state_dict().items())


def test_a_map_with_as_many_ids_but_other_ones_is_refused_by_its_digest() -> None:
    swapped = (
        compress_vocabulary(["a", "b", "a"], ["a", "b", "a"]),
        compress_vocabulary(["a", "b", "b"], ["a", "b", "b"]),
    )
    one, other = (Backbone(compression=compression) for compression in swapped)
    mine, theirs = (compression.digest for compression in swapped)
    with pytest.raises(BadInput, match=f"another tokenizer: compression_sha256 is {mine} here and {theirs} in"):
        one.load_state_dict(other.state_dict())


def test_rows_that_are_no_numbers_are_refused_before_any_is_loaded() -> None:
    model, state = Backbone(), Backbone().state_dict()
    state["table.rows_RC.2"][[7, 9], 1] = torch.tensor([torch.nan, torch.inf])
    before = model.table.rows_RC["1"].detach().clone()
    with pytest.raises(
        BadInput, match="2 rows of layer 2 hold what is no number, the first is row 7: restore the file"
    ):
        model.load_state_dict(state)
    assert torch.equal(model.table.rows_RC["1"], before)


def test_rows_without_their_address_are_refused() -> None:
    state = Backbone().state_dict()
    del state["table._extra_state"]
    with pytest.raises(BadInput, match=r"table\._extra_state is missing, so nobody knows what its rows mean"):
        Backbone().load_state_dict(state)


def test_a_damaged_address_is_refused() -> None:
    state = Backbone().state_dict()
    state["table._extra_state"] = state["table._extra_state"][:-3]
    with pytest.raises(BadInput, match="its addresses are not JSON"):
        Backbone().load_state_dict(state)


# Built again from a checkpoint


@pytest.mark.parametrize("mode", ["portable", "compat"])
def test_a_module_is_built_again_from_its_checkpoint_alone(mode: str) -> None:
    model = Backbone(mode=mode, compression=OTHER_WORDS, gate="plain", rows=[31, 41], boundary_ids=[3])
    again = described(model.state_dict(), table="table", map_V="engram.map_V")
    again.load_state_dict(model.engram.state_dict())
    tokens_BT = torch.tensor([[1, 2, 3, 4]])
    assert again.describe() == model.engram.describe()
    assert (again.rows(tokens_BT)[2] == model.engram.rows(tokens_BT)[2]).all()


def test_multipliers_of_a_checkpoint_are_used_and_not_drawn_again() -> None:
    """As by a NumPy whose numbers are others."""
    drawn_elsewhere = {1: [3, 5, 7], 2: [9, 11, 13]}
    model = Backbone(mode="compat", multipliers=drawn_elsewhere)
    again = described(model.state_dict(), table="table", map_V="engram.map_V")
    again.load_state_dict(model.engram.state_dict())
    assert again.hashes[2].multipliers.tolist() == [9, 11, 13]
    with pytest.raises(BadInput, match=r"multipliers\.1 is .* here and \[3, 5, 7\] in the checkpoint"):
        Backbone(mode="compat").load_state_dict(model.state_dict())


def test_a_map_that_does_not_belong_to_the_address_is_refused() -> None:
    state = Backbone().state_dict()
    state["engram.map_V"] = torch.arange(31, dtype=torch.int32)
    with pytest.raises(BadInput, match="compressed_size is 31 here and 32 in the checkpoint"):
        described(state, table="table", map_V="engram.map_V")


def test_a_version_of_the_hash_that_nobody_knows_is_refused() -> None:
    state = Backbone().state_dict()
    text = bytes(state["table._extra_state"].tolist()).replace(b"portable-1", b"portable-9")
    state["table._extra_state"] = torch.tensor(list(text), dtype=torch.uint8)
    with pytest.raises(BadInput, match="hash_version is portable-9, expected one of portable-1, compat-1"):
        described(state, table="table", map_V="engram.map_V")


def test_a_loaded_map_is_the_one_that_addresses() -> None:
    module = EngramModule(**SMALL, compression=no_compression(32))  # type: ignore[arg-type]
    tokens_BT = torch.tensor([[1, 2, 3]])
    before = module.rows(tokens_BT)[1]
    state: dict[str, Tensor] = dict(module.state_dict())
    state["map_V"] = state["map_V"].flip(0)
    module.load_state_dict(state)
    assert (module.rows(tokens_BT)[1] != before).any()
    assert module.compression.digest != no_compression(32).digest


# Older descriptions


def shipped() -> dict[str, object]:
    slot: dict[str, object] = json.loads((checkpoint.WEIGHTS / "tiny" / "config.json").read_text("utf-8"))["slot"]
    return slot


def test_the_shipped_description_names_no_argument_that_came_later_and_means_its_first_value() -> None:
    kept = shipped()
    arguments = kept["arguments"]
    assert isinstance(arguments, dict)
    assert not set(arguments) & set(UNNAMED)
    slot = EngramSlot(**arguments)
    assert slot.describe() == kept
    assert {name: getattr(slot, name) for name in UNNAMED} == dict(UNNAMED)


def test_what_a_description_does_not_name_is_its_first_value_and_no_other() -> None:
    kept = shipped()
    named = {**kept, "arguments": {**kept["arguments"], **UNNAMED}}  # type: ignore[dict-item]
    check_address(here=named, kept=kept)
    check_address(here=kept, kept=named)
    other = {**kept, "arguments": {**kept["arguments"], "gate": "plain"}}  # type: ignore[dict-item]
    with pytest.raises(BadInput, match=r"arguments\.gate is plain here and signed_sqrt in the checkpoint"):
        check_address(here=other, kept=kept)


def test_multipliers_that_could_overflow_or_lose_a_bit_are_refused() -> None:
    largest = 2 * (np.iinfo(np.int64).max // 32 // 2) - 1
    for wrong in ([1, 3], [1, 3, 4], [1, 3, largest + 2], [1, 3, -1]):
        with pytest.raises(ValueError, match=f"3 odd multipliers from 1 to {largest} are needed"):
            Backbone(multipliers={1: [1, 3, largest], 2: wrong})

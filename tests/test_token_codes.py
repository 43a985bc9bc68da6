"""Writing in one shot: what a copied code moves, that forgetting undoes it to the bit, and how codes are learned."""

from __future__ import annotations

import dataclasses
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from adapters.engram.learn_codes import LENGTH, Codes, Texts, learn, main, simulated
from adapters.engram.one_shot_memory import EngramOneShot
from adapters.engram.slot import EngramTable
from adapters.engram.token_codes import TokenCodes, load
from memory_bench.errors import BadInput
from memory_bench.readers.tiny import TinyReader
from memory_bench.types import Event
from tests.readers import random_model, random_slot, reader
from tests.stubs import StubReader

SLOT = random_slot(rows=32)  # so few that texts write over each other's rows
FACT, OTHERS = Event("a", "The code of gate 17 is 4411."), [Event("b", "Crate 9 is blue."), Event("c", "Blue is 9.")]
NEWER = Event("a", "The code of gate 17 is 7365.")
PROSE = [" ".join(f"the {word} of a graph is {word[::-1]}" for word in (f"node{n}" for n in range(40)))]
TOKENS = st.lists(st.integers(0, 40), min_size=2, max_size=12)


@pytest.fixture(scope="module")
def slotted(tmp_path_factory: pytest.TempPathFactory) -> TinyReader:
    return reader(random_model(slot=SLOT), tmp_path_factory.mktemp("weights") / "small")


@pytest.fixture(scope="module")
def codes(slotted: TinyReader) -> TokenCodes:
    generator = torch.Generator().manual_seed(0)
    wide = SLOT.heads * SLOT.row_width
    made = {layer: torch.randn(4096, wide, generator=generator).half().float() for layer in SLOT.layers}
    return TokenCodes(made, slotted.identity()["small/model.safetensors"] or "", SLOT.describe(), {"seconds": 40.0})


@pytest.fixture(scope="module")
def kept(codes: TokenCodes, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A file of codes, and its sha256."""
    file = tmp_path_factory.mktemp("codes") / "small.safetensors"
    return str(file), codes.save(file)


def told(slotted: TinyReader, kept: tuple[str, str], *events: Event) -> EngramOneShot:
    memory = EngramOneShot(codes=kept[0], sha256=kept[1])
    memory.attach(slotted)
    memory.write(events)
    return memory


def same(one: EngramOneShot, other: EngramOneShot) -> bool:
    return all(torch.equal(one.table.rows[layer], other.table.rows[layer]) for layer in one.table.rows)


@settings(deadline=None, max_examples=40)
@given(texts=st.lists(TOKENS, min_size=1, max_size=3))
def test_rows_hold_the_codes_of_what_follows_as_if_written_token_by_token(
    codes: TokenCodes, texts: list[list[int]]
) -> None:
    table = EngramTable(SLOT, torch.device("cpu"))
    expected = {layer: rows_RC.clone() for layer, rows_RC in table.rows.items()}
    for text in texts:
        codes.write(table, text)
        for layer, rows_BTH in SLOT.rows(torch.tensor([text])).items():
            for place, token in enumerate(text[1:]):
                own = torch.from_numpy(rows_BTH[0, place, -SLOT.heads :])
                expected[layer][own] = codes.codes[layer][token].view(SLOT.heads, -1)
    assert all(torch.equal(table.rows[layer], expected[layer]) for layer in expected)
    assert any(rows_RC.any() for rows_RC in expected.values())


def test_codes_go_through_a_file_with_what_they_cost(codes: TokenCodes, kept: tuple[str, str]) -> None:
    again = load(*kept)
    assert all(torch.equal(again.codes[layer], codes.codes[layer]) for layer in codes.codes)
    assert (again.weights_sha256, again.cost) == (codes.weights_sha256, codes.cost)


@settings(deadline=None, max_examples=25)
@given(forgotten=st.sets(st.sampled_from("abc")), batch=st.integers(1, 3))
def test_forgetting_leaves_the_bits_of_never_having_been_told_however_it_was_batched(
    slotted: TinyReader, kept: tuple[str, str], forgotten: set[str], batch: int
) -> None:
    events = [OTHERS[0], FACT, OTHERS[1]]
    memory = told(slotted, kept)
    for start in range(0, len(events), batch):
        memory.write(events[start : start + batch])
    memory.forget(sorted(forgotten))
    assert same(memory, told(slotted, kept, *(event for event in events if event.id not in forgotten)))


def test_a_newer_text_of_an_id_leaves_nothing_of_the_older_one(slotted: TinyReader, kept: tuple[str, str]) -> None:
    memory = told(slotted, kept, FACT, *OTHERS)
    memory.write([NEWER])
    assert same(memory, told(slotted, kept, *OTHERS, NEWER))
    memory.reset()
    assert same(memory, told(slotted, kept))


def test_its_size_is_that_of_table_texts_and_codes(
    slotted: TinyReader, kept: tuple[str, str], codes: TokenCodes
) -> None:
    memory = told(slotted, kept)
    empty = memory.table.size_bytes() + 2 * 4096 * SLOT.heads * SLOT.row_width * 4
    assert memory.size_bytes() == empty == memory.table.size_bytes() + codes.size_bytes()
    memory.write([FACT])
    assert memory.size_bytes() > empty


def test_codes_of_other_weights_and_of_another_slot_are_refused(codes: TokenCodes) -> None:
    codes.check(SLOT, codes.weights_sha256)
    with pytest.raises(BadInput, match=r"against weights with sha256 0000.*learn them again \(python -m adapters"):
        dataclasses.replace(codes, weights_sha256="0" * 64).check(SLOT, codes.weights_sha256)
    with pytest.raises(BadInput, match="rows is 64 here and 32 in the checkpoint"):
        codes.check(random_slot(rows=64), codes.weights_sha256)


def test_a_reader_without_a_slot_is_refused(kept: tuple[str, str], tmp_path: Path) -> None:
    memory = EngramOneShot(codes=kept[0], sha256=kept[1])
    for one in (StubReader(), reader(random_model(), tmp_path / "plain")):
        with pytest.raises(BadInput, match="type reader=tiny"):
            memory.attach(one)


def test_a_file_that_is_missing_altered_or_none_is_refused_in_a_line(kept: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"memory.codes=nowhere: no such codes; bundled are "):
        load("nowhere", kept[1])
    altered = tmp_path / "altered.safetensors"
    altered.write_bytes(Path(kept[0]).read_bytes()[:-1] + b"x")
    with pytest.raises(
        BadInput, match=rf"altered.safetensors has sha256 .*, memory.sha256={kept[1][:12]}... was expec"
    ):
        load(str(altered), kept[1])
    other = tmp_path / "other.safetensors"
    save_file({"0": torch.zeros(1)}, other)
    with pytest.raises(BadInput, match="holds no codes of tokens"):
        load(str(other), sha256(other.read_bytes()).hexdigest())


def test_a_simulated_write_holds_the_codes_of_what_follows_where_it_is_written_and_in_some_heads_another_one(
    slotted: TinyReader,
) -> None:
    made = Codes(slotted.model.embed.weight, SLOT, seed=0)
    tokens_BT = torch.randint(0, 4096, (4, 10))
    written_BT = torch.arange(10).expand(4, -1) >= 4
    found = simulated(made, SLOT, tokens_BT, written_BT, generator=torch.Generator().manual_seed(0))
    for layer, embeddings_BTE in found.items():
        shorter, longest = embeddings_BTE.view(4, 10, 2, SLOT.heads, -1).unbind(2)
        assert not shorter.any()
        right = made.of(layer, tokens_BT.roll(-1, 1)).view(longest.shape) * written_BT[..., None, None]
        equal = (longest == right).all(-1)
        assert 0.7 < float(equal.float().mean()) < 1.0


def test_the_reader_learns_to_say_what_is_written_and_stays_as_it_is(slotted: TinyReader) -> None:
    before = {name: tensor.clone() for name, tensor in slotted.model.state_dict().items()}
    losses: list[float] = []
    embedding_VD, texts = slotted.model.embed.weight, Texts(slotted, PROSE, seed=0)
    learned = learn(slotted, texts, embedding_VD=embedding_VD, steps=24, seed=0, told=losses.append)
    assert sum(losses[-6:]) < sum(losses[:6])
    assert all(torch.equal(tensor, before[name]) for name, tensor in slotted.model.state_dict().items())
    assert set(learned.all()) == set(SLOT.layers)


def test_texts_to_learn_from_are_of_one_length_and_of_the_seed_alone(slotted: TinyReader) -> None:
    (first, written_BT), (again, _), (other, _) = (Texts(slotted, PROSE, seed=seed).batch() for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == written_BT.shape == (16, LENGTH)
    assert written_BT[:, -1].all()
    assert not written_BT.all()


def test_the_command_says_in_a_line_what_it_cannot_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--steps", "0"]) == 2
    assert capsys.readouterr().err == "--steps 0: expected a whole number >= 1, such as --steps 700\n"

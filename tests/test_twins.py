"""Engram's twins: one training for all arms, the same data in the same order, and each arm what it claims to be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from adapters.engram.twins.arms import ARMS, ENGRAM, arm
from adapters.engram.twins.backbone import Backbone, Size
from adapters.engram.twins.draws import below, draws, permutation
from adapters.engram.twins.names import BLANK, FIRST_VALUE, VOCABULARY, draw_names, order
from adapters.engram.twins.recall import Recall, accuracy, lens, tensors
from adapters.engram.twins.train import Course, mean_loss, train
from adapters.engram.twins.twin import Twin
from memory_bench.errors import BadInput

NAMES = draw_names(64, seed=3)
SMALL = Size(VOCABULARY, width=32, layers=2, heads=2, hidden=64)
FEW_ROWS = {"layers": [1], "max_order": 3, "heads": 2, "row_width": 8, "rows": 512}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def with_rows(name: str) -> Twin:
    """An arm whose table is not empty: an empty one says the same wherever it is asked."""
    twin = arm(name, VOCABULARY).twin(seed=0)
    assert twin.table is not None
    for rows_RC in twin.table.parameters():
        torch.nn.init.normal_(rows_RC, generator=torch.Generator().manual_seed(1))
    return twin


def test_the_draws_are_those_of_splitmix64_and_of_any_machine() -> None:
    assert draws(3, "golden").tolist() == [9134162031912217003, 1381555834965607079, 182046597738027697]
    assert np.array_equal(draws(2, "golden"), draws(3, "golden")[:2])
    assert sorted(permutation(100, "a").tolist()) == list(range(100))
    assert not np.array_equal(permutation(100, "a"), permutation(100, "b"))
    assert set(below(3, 100, "c").tolist()) == {0, 1, 2}


def test_names_are_distinct_and_more_of_them_begin_with_the_same() -> None:
    many = draw_names(4096, seed=3)
    assert len(np.unique(many.tokens_NT, axis=0)) == len(many) == 4096
    assert np.array_equal(many[:64].tokens_NT, NAMES.tokens_NT)
    assert np.array_equal(many[:64].targets_N, NAMES.targets_N)
    assert 0.4 < float((many.tokens_NT[:, 0] == BLANK).mean()) < 0.6
    assert many.targets_N.min() >= FIRST_VALUE
    assert many.targets_N.max() < VOCABULARY
    assert not np.array_equal(draw_names(64, seed=4).tokens_NT, NAMES.tokens_NT)
    with pytest.raises(ValueError, match="expected 1 to"):
        draw_names(0, seed=3)


def test_each_round_has_every_name_once_in_an_order_of_its_own() -> None:
    rounds_RN = order(64, steps=8, batch=32, seed=1).reshape(4, 64)
    assert np.array_equal(np.sort(rounds_RN, axis=1), np.tile(np.arange(64), (4, 1)))
    assert len(np.unique(rounds_RN, axis=0)) == 4


def test_a_position_of_the_backbone_sees_no_later_token() -> None:
    torch.manual_seed(0)
    backbone = Backbone(SMALL)
    tokens_BT = torch.randint(VOCABULARY, (4, 6))
    changed_BT = tokens_BT.clone()
    changed_BT[:, 4] = (changed_BT[:, 4] + 1) % VOCABULARY
    before, after = backbone(tokens_BT)[-1], backbone(changed_BT)[-1]
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.equal(before[:, 4:], after[:, 4:])


def test_positions_are_told_apart() -> None:
    torch.manual_seed(0)
    backbone = Backbone(SMALL)
    first, second = backbone(torch.tensor([[5, 9, 7], [9, 5, 7]]))[-1][:, -1]
    assert not torch.allclose(first, second)


def test_parameters_and_operations_are_those_counted_by_hand() -> None:
    assert SMALL.parameters == sum(parameter.numel() for parameter in Backbone(SMALL).parameters())
    matrices = 2 * (4 * 32 * 32 + 2 * 32 * 64)
    assert SMALL.forward_flops(3, read=1) == 2 * 3 * matrices + 2 * 4 * 32 * (1 + 2 + 3) + 2 * VOCABULARY * 32
    twin = Twin(SMALL, FEW_ROWS, seed=0)
    assert twin.forward_flops(3, read=2) == SMALL.forward_flops(3, read=2) + 2 * 3 * (2 * 32 * 32)
    sizes = twin.sizes()
    rows = 521 + 523 + 541 + 547  # the next primes from 512 on
    assert sizes["table_parameters"] == rows * 8
    assert sizes["active_parameters"] == sizes["parameters"] - rows * 8 + 4 * 8


@pytest.mark.parametrize("vocabulary", [VOCABULARY, 4096])
def test_arms_match_in_what_they_claim_to_within_half_a_percent(vocabulary: int) -> None:
    engram, dense = (arm(name, vocabulary).twin(seed=0) for name in ("engram", "dense"))
    for name in ("iso_parameter", "order_1", "orders_2", "orders_2_to_4"):
        parameters = arm(name, vocabulary).twin(seed=0).sizes()["parameters"]
        assert parameters == pytest.approx(engram.sizes()["parameters"], rel=0.005), name
    flops = arm("iso_flop", vocabulary).twin(seed=0).forward_flops(5, read=1)
    assert flops == pytest.approx(dense.forward_flops(5, read=1), rel=0.005)


@pytest.mark.parametrize("name", [name for name in ARMS if name not in ("iso_parameter", "iso_flop")])
def test_an_arm_starts_as_the_dense_backbone_bit_for_bit(name: str) -> None:
    tokens_BT = tensors(NAMES)[0]
    ours, dense = arm(name, VOCABULARY).twin(seed=5), arm("dense", VOCABULARY).twin(seed=5)
    assert torch.equal(ours(tokens_BT)[-1], dense(tokens_BT)[-1])
    assert not torch.equal(dense(tokens_BT)[-1], arm("dense", VOCABULARY).twin(seed=6)(tokens_BT)[-1])


def test_one_row_a_head_tells_nothing_apart_and_a_salt_tells_every_sequence_apart() -> None:
    tokens_BT = tensors(NAMES)[0]
    one = with_rows("capacity_1").embeddings(tokens_BT)[1]
    assert torch.equal(one, one[:1, :1].expand_as(one))
    salted = with_rows("salted")
    assert not torch.equal(salted.embeddings(tokens_BT)[1], salted.embeddings(tokens_BT)[1])
    engram = with_rows("engram")
    assert torch.equal(engram.embeddings(tokens_BT)[1], engram.embeddings(tokens_BT)[1])


def test_rows_of_order_1_follow_from_the_token_alone() -> None:
    tokens_BT = torch.tensor([[5, 9, 7], [9, 3, 7]])
    alone, pairs = (with_rows(name).embeddings(tokens_BT)[1][:, -1] for name in ("order_1", "engram"))
    assert torch.equal(alone[0], alone[1])
    assert not torch.equal(pairs[0], pairs[1])


def test_every_arm_sees_the_same_data_in_the_same_order_and_takes_the_same_number_of_steps() -> None:
    seen = {}
    for name in ARMS:
        lesson = Recall(NAMES, steps=2, batch=16, asked=16, seed=7)
        chosen = arm(name, VOCABULARY)
        if chosen.engram is not None:  # fewer rows, for speed
            chosen = replace(chosen, engram={**chosen.engram, "rows": min(64, chosen.engram["rows"])})
        rows = list(train(chosen.twin(seed=7), lesson, Course(steps=2, rate=1e-3, every=1)))
        seen[name] = (lesson.digest, tuple(row["step"] for row in rows), tuple(row["updates"] for row in rows))
    assert set(seen.values()) == {(seen["dense"][0], (1, 2), (1, 2))}
    assert Recall(NAMES, steps=2, batch=16, asked=16, seed=8).digest != seen["dense"][0]


def test_names_are_learned_and_the_same_training_gives_the_same_curve() -> None:
    curves = []
    for _ in range(2):
        twin = Twin(SMALL, FEW_ROWS, seed=1)
        rows = list(train(twin, Recall(NAMES, steps=24, batch=64, asked=64, seed=1), Course(24, 0.01, 4)))
        curves.append([(row["step"], row["flops"], row["loss"], row["accuracy"]) for row in rows])
    assert curves[0] == curves[1]
    assert [step for step, *_ in curves[0]] == [4, 8, 12, 16, 20, 24]
    assert curves[0][0][3] < 0.5
    assert curves[0][-1][3] > 0.95
    assert curves[0][-1][1] == 3 * 24 * 64 * twin.forward_flops(5, read=1)
    assert lens(twin, *tensors(NAMES))[-1] == accuracy(twin, *tensors(NAMES)) > 0.95
    assert lens(twin, *tensors(NAMES))[0] < 0.95


def test_only_tokens_with_a_target_are_in_the_loss() -> None:
    twin = Twin(SMALL, None, seed=0)
    lesson = Recall(NAMES, steps=1, batch=64, asked=64, seed=0)
    tokens_BT, targets_BT = lesson.batch(0)
    logits_BV = twin.logits(twin(tokens_BT)[-1][:, -1])
    wanted = torch.nn.functional.cross_entropy(logits_BV, targets_BT[:, -1])
    assert mean_loss(twin, tokens_BT, targets_BT).item() == pytest.approx(wanted.item(), rel=0.02)  # bfloat16


def test_an_arm_that_does_not_exist_says_which_do() -> None:
    with pytest.raises(BadInput, match=r"arm 'wide': expected one of dense, engram, .* or rows_N such as rows_1024"):
        arm("wide", VOCABULARY)
    assert arm("rows_64", VOCABULARY) == replace(arm("engram", VOCABULARY), engram={**ENGRAM, "rows": 64})

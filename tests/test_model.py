"""The bundled architecture: what holds for every weight, and the pointer's terms one by one.

The models are small and random; vocabularies are so small that tokens recur and newlines are frequent.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from memory_bench.readers.model import NEVER, Past, Pointer, Shape, TinyModel, line_starts
from tests.readers import filled_table, log_probs, random_model, random_slot

VOCABULARY, NEW = 8, 0
ROUNDING = 2e-5
"""Nats. Other shapes of a batch take other kernels, which add the same fp32 numbers in another order."""

MODELS = {
    "pointer": random_model(vocabulary=VOCABULARY, newline=NEW),
    "learned": random_model(vocabulary=VOCABULARY, newline=NEW, pointer=False),
}
TOKENS = st.lists(st.integers(0, VOCABULARY - 1), min_size=2, max_size=24)
few = settings(deadline=None, max_examples=30)
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


@every_model
@few
@given(tokens=TOKENS, data=st.data())
def test_a_later_token_changes_nothing_before_it(model: TinyModel, tokens: list[int], data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(tokens) - 1))
    other = [*tokens[:at], data.draw(st.integers(0, VOCABULARY - 1)), *tokens[at + 1 :]]
    assert torch.equal(log_probs(model, [tokens])[:, :at], log_probs(model, [other])[:, :at])


@every_model
def test_every_earlier_token_changes_what_comes(model: TinyModel) -> None:
    tokens = [1, 2, 3, 4, 5, 6]
    last_V = log_probs(model, [tokens])[0, -1]
    for at in range(len(tokens)):
        other_V = log_probs(model, [[*tokens[:at], 7, *tokens[at + 1 :]]])[0, -1]
        assert (last_V - other_V).abs().max() > 100 * ROUNDING


@every_model
@few
@given(tokens=TOKENS, padding=st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=9))
def test_padding_on_the_right_changes_nothing(model: TinyModel, tokens: list[int], padding: list[int]) -> None:
    alone_TV = log_probs(model, [tokens])[0]
    padded_TV = log_probs(model, [[*tokens, *padding]])[0, : len(tokens)]
    torch.testing.assert_close(padded_TV, alone_TV, rtol=0, atol=ROUNDING)


@every_model
@few
@given(rows=st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=7, max_size=7), min_size=1, max_size=4))
def test_a_batch_equals_its_prompts_one_by_one(model: TinyModel, rows: list[list[int]]) -> None:
    together_BTV = log_probs(model, rows)
    for row, expected_TV in zip(rows, together_BTV, strict=True):
        torch.testing.assert_close(log_probs(model, [row])[0], expected_TV, rtol=0, atol=ROUNDING)


@every_model
@few
@given(tokens=TOKENS)
def test_probabilities_sum_to_one_and_targets_agree_with_them(model: TinyModel, tokens: list[int]) -> None:
    all_BTV = log_probs(model, [tokens])
    torch.testing.assert_close(all_BTV.exp().sum(-1), torch.ones(1, len(tokens)), rtol=0, atol=1e-5)
    tokens_BT = torch.tensor([tokens])
    positions_BQ = torch.arange(len(tokens))[None]
    for target in range(VOCABULARY):
        targets_BQ = torch.full_like(positions_BQ, target)
        found_BQ = model.target_log_probs(model(tokens_BT), tokens_BT, positions_BQ, targets_BQ)
        torch.testing.assert_close(found_BQ, all_BTV[..., target], rtol=0, atol=ROUNDING)


@every_model
def test_chosen_positions_are_those_of_all_positions(model: TinyModel) -> None:
    tokens_BT = torch.tensor([[1, 2, 3, 0, 1, 2, 4, 0], [5, 0, 5, 1, 0, 0, 5, 1]])
    positions_BQ = torch.tensor([[7, 2], [6, 6]])
    found_BQV = model.next_log_probs(model(tokens_BT), tokens_BT, positions_BQ)
    all_BTV = log_probs(model, tokens_BT.tolist())
    expected_BQV = torch.stack([all_BTV[0, [7, 2]], all_BTV[1, [6, 6]]])
    torch.testing.assert_close(found_BQV, expected_BQV, rtol=0, atol=ROUNDING)


@every_model
def test_first_and_second_derivatives_are_finite(model: TinyModel) -> None:
    """Also where nothing overlaps, nothing matches, lines are empty and a row is all padding."""
    model = random_model(vocabulary=VOCABULARY, newline=NEW, pointer=model.pointer is not None).requires_grad_(True)
    tokens_BT = torch.tensor([[1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0], [1, 2, 0, 1, 2, 0]])
    positions_BQ = torch.arange(5).expand(3, -1)
    parameters = list(model.parameters())
    loss = -model.target_log_probs(model(tokens_BT), tokens_BT, positions_BQ, tokens_BT[:, 1:]).sum()
    slopes = torch.autograd.grad(loss, parameters)
    assert all(slope.isfinite().all() for slope in slopes)
    assert all(slope.any() for slope in slopes)


@pytest.mark.parametrize("with_slot", [False, True])
@settings(deadline=None, max_examples=25)
@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_read_in_parts_a_text_leaves_what_it_leaves_in_one(with_slot: bool, sizes: list[int], seed: int) -> None:
    model = random_model(slot=random_slot() if with_slot else None)
    tokens_BT = torch.randint(300, (2, sum(sizes)), generator=torch.Generator().manual_seed(seed))
    table = filled_table(random_slot()) if with_slot else None
    whole_BTD = model(tokens_BT, table)
    past = Past()
    parts = [model(part_BT, table, past) for part_BT in torch.split(tokens_BT, sizes, dim=1)]
    assert past.tokens_BT is not None
    assert torch.equal(past.tokens_BT, tokens_BT)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole_BTD, rtol=0, atol=ROUNDING)
    torch.testing.assert_close(past.hidden_BTD, whole_BTD, rtol=0, atol=ROUNDING)


def test_a_line_starts_after_the_newline_that_ends_the_one_before() -> None:
    tokens_BT = torch.tensor([[5, 0, 6, 7, 0, 0, 8], [0, 1, 2, 3, 4, 5, 6]])
    assert line_starts(tokens_BT, NEW).tolist() == [[0, 0, 2, 2, 2, 5, 6], [0, 1, 1, 1, 1, 1, 1]]


# The pointer's terms, each alone: hidden states are zero, so that only biases speak. `_` are no sources: the query's
# position and those after it.

_ = NEVER
ONE, NOTHING = math.log(math.e - 1), -60.0  # softplus of these: 1 and 9e-27


def pointed(
    tokens: list[int],
    at: int,
    *,
    match: tuple[float, float, float] = (0, 0, 0),
    near: int | None = None,
    covered: int | None = None,
    recency: float = 0.0,
    sink: float = 0.0,
    order: int = 0,
) -> tuple[list[float], float]:
    """Return the scores of all sources and of not copying. Only n-grams of one order (0: single tokens) overlap; `near`
    and `covered` choose the neighbourhood that counts 1 and 3."""
    pointer = Pointer(Shape(vocabulary=VOCABULARY, width=4, pointer_width=4, match_length=3, newline=NEW))
    neighbourhoods = [[float(i == chosen) for i in range(5)] for chosen in (near, covered)]
    terms = [*match, *neighbourhoods[0], *(3 * share for share in neighbourhoods[1]), recency, 0.0, sink]
    with torch.no_grad():
        for weight in (pointer.query.weight, pointer.key.weight, pointer.terms.weight, pointer.importance.weight):
            nn.init.zeros_(weight)
        pointer.terms.bias.copy_(torch.tensor(terms))
        pointer.importance.bias.copy_(torch.tensor([ONE if i == order else NOTHING for i in range(3)]))
        scores_BQT, _ends, sink_BQ = pointer(
            torch.zeros(1, len(tokens), 4), torch.tensor([tokens]), torch.tensor([[at]])
        )
    return scores_BQT[0, 0].tolist(), sink_BQ.item()


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([1, 2, 3, 7, 1, 2, 3], [0, 0, 0, 111, 0, 0, _]),  # three tokens before the source stand before the query
        ([5, 2, 3, 7, 1, 2, 3], [0, 0, 0, 11, 0, 0, _]),
        ([5, 5, 3, 7, 3, 2, 3], [0, 0, 0, 1, 0, 1, _]),
        ([3, 7, 6, 5, 4, 2, 3], [0, 1, 0, 0, 0, 0, _]),  # what would stand before the start matches nothing
        ([3, 3, 3, 3, 3, 3, 3], [0, 1, 11, 111, 111, 111, _]),
        ([1, 5, 3, 7, 1, 2, 3], [0, 0, 0, 1, 0, 0, _]),  # a match ends at the first difference
    ],
)
def test_match_counts_how_many_of_the_last_tokens_stand_before_the_source(
    tokens: list[int], expected: list[float]
) -> None:
    assert pointed(tokens, 6, match=(1, 10, 100)) == (expected, 0)


LINES = [1, 2, 3, 0, 4, 5, 6, 0, 1, 2]


@pytest.mark.parametrize(
    ("near", "order", "at", "expected"),
    [
        (0, 0, 9, [0.5, 1, 1, 1, 1, 1, 1, 0.5, 0, _]),  # within six tokens before the source and the source
        (1, 0, 9, [0.5, 1, 1, 1, 1, 1, 1, 1, 1, _]),  # within twelve
        (4, 0, 9, [1, 0.5, 0, 0, 0, 0, 0, 0, 0, _]),  # within 24 from the source on
        (0, 0, 8, [1, 1, 1, 1, 1, 1, 1, 0, _, _]),  # the line as far as it is there: its one token
        (0, 1, 9, [0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0, _]),  # of its two pairs, `1 2` and `newline 1`
        (0, 2, 9, [*[0] * 9, _]),  # no triple recurs
    ],
)
def test_overlap_is_the_share_of_the_line_that_stands_around_the_source(
    near: int, order: int, at: int, expected: list[float]
) -> None:
    scores, sink = pointed(LINES, at, near=near, order=order)
    assert scores == pytest.approx(expected, abs=1e-6)
    assert sink == 0


@pytest.mark.parametrize(
    ("tokens", "best"), [(LINES, 1.0), ([1, 2, 3, 0, 1, 7], 0.5), ([1, 2, 3, 0, 5, 6], 0.0), ([1, 2, 1, 2], 0.0)]
)
def test_coverage_weighs_the_best_overlap_of_all_on_not_copying(tokens: list[int], best: float) -> None:
    scores, sink = pointed(tokens, len(tokens) - 1, covered=0, sink=0.25)
    assert sink == pytest.approx(3 * best + 0.25, abs=1e-6)
    assert scores == [*[0.0] * (len(tokens) - 1), _]


def test_recency_grows_evenly_up_to_the_query() -> None:
    scores, sink = pointed(LINES, 4, recency=10.0)
    assert scores == pytest.approx([2, 4, 6, 8, _, _, _, _, _, _])
    assert sink == 0


def test_of_two_equal_matches_the_later_wins() -> None:
    tokens = [0, 1, 2, 5, 0, 1, 2, 6, 0, 1, 2]
    equal, _sink = pointed(tokens, 10, match=(1, 10, 100))
    later, _sink = pointed(tokens, 10, match=(1, 10, 100), recency=1.0)
    assert equal[3] == equal[7] == max(equal)
    assert max(range(11), key=later.__getitem__) == 7


def test_what_is_pointed_at_becomes_likely_and_its_copies_add_up() -> None:
    model = random_model(vocabulary=VOCABULARY, newline=NEW)
    assert model.pointer is not None
    tokens_BT = torch.tensor([[1, 2, 5, 4, 1, 2, 5, 3, 1, 2]])
    hidden_BTD: Tensor = model(tokens_BT)
    last = torch.tensor([[9]])
    scores_BQT, ends_BQT, sink_BQ = model.pointer(hidden_BTD, tokens_BT, last)
    shares = torch.cat([scores_BQT, sink_BQ[..., None]], -1).softmax(-1)[0, 0]
    over = ends_BQT[0, 0].sigmoid()
    chosen_V = (hidden_BTD[0, 9] @ model.embed.weight.T * model.logit_scale).softmax(-1)
    found_V = model.next_log_probs(hidden_BTD, tokens_BT, last)[0, 0].exp()
    copied = shares[2] * (1 - over[2]) + shares[6] * (1 - over[6])
    torch.testing.assert_close(found_V[5], copied + shares[-1] * chosen_V[5])
    ended = (shares[:-1] * over).sum()  # wherever the copy ends, the line does
    torch.testing.assert_close(found_V[NEW], ended + shares[-1] * chosen_V[NEW])
    assert 0.01 < ended < 0.99


def test_whether_a_copy_ends_is_seen_from_the_source_and_the_token_after_it_alone() -> None:
    pointer = Pointer(Shape(vocabulary=VOCABULARY, width=4, pointer_width=4, match_length=3, newline=NEW))
    hidden_BTD = torch.randn(1, 6, 4, generator=torch.Generator().manual_seed(0))
    tokens_BT, last = torch.tensor([[1, 2, 3, 4, 5, 6]]), torch.tensor([[5]])
    _scores, before_BQT, _sink = pointer(hidden_BTD, tokens_BT, last)
    hidden_BTD[0, 3] += 1
    _scores, after_BQT, _sink = pointer(hidden_BTD, tokens_BT, last)
    changed = (before_BQT != after_BQT)[0, 0]
    assert changed.tolist() == [False, False, True, True, False, False]

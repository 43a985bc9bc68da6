"""Keys and values that are kept: within an answer always, from prompt to prompt where an episode carries its turns.

Whatever is kept, the answers are those of reading everything anew: sums in another order may move the last bits of a
logit, and no token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
from torch import Tensor

from adapters.engram.slot import EngramSlot, EngramTable
from memory_bench.errors import BadInput
from memory_bench.readers.attention import choose
from memory_bench.readers.model import Past
from memory_bench.readers.prefix import PrefixCache
from memory_bench.readers.tiny import TinyReader
from memory_bench.types import Episode
from tests.needles import events, needle, questions
from tests.readers import copier, filled_table, random_model, random_slot, reader
from tests.test_carry import RULES, Saying, question, whole
from tests.test_runner import Given, records, walk
from tests.test_shape_reader import made

ROUNDING = 1e-4
"""More than another order of sums can move a log-probability by, less than anything else does."""
ROOM = 1 << 24
HEAD = "The code of gate 17 is 4411\nLunch is served at noon\n"
FIRST, SECOND = HEAD + "The code of gate 17 is", HEAD + "Lunch is served at"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture
def random_one(folder: Path) -> TinyReader:
    return reader(random_model(), folder / "random", prefix_bytes=ROOM)


@pytest.fixture
def slotted(folder: Path) -> TinyReader:
    """A reader with something in every row of its table."""
    slot = random_slot()
    one = reader(random_model(slot=slot), folder / "slotted", prefix_bytes=ROOM)
    return one.with_look_up(filled_table(one.model.slot))  # type: ignore[arg-type]


@contextmanager
def counted(one: TinyReader) -> Iterator[list[int]]:
    """Collect how many tokens each call of the network reads."""
    lengths: list[int] = []
    hook = one.model.register_forward_pre_hook(lambda _, given: lengths.append(given[0].shape[1]))
    yield lengths
    hook.remove()


def anew(one: TinyReader, prompt: str) -> tuple[str, float | None]:
    """Return the answer to a prompt of a reader that has read nothing before, and its log-probability."""
    one.begin(carry=False)
    [completion] = one.generate([prompt])
    assert completion.cached_tokens == 0
    return completion.text, completion.logprob


# Against no cache at all, with the weights that are shipped


def asked_in(episode: Episode) -> list[str]:
    """Return prompts that begin alike: two events, the evidence, and what is asked."""
    first, second, *others = events(episode)
    return [
        "\n".join([first.text, second.text, *(one.text for one in others if one.id in asked.evidence), asked.cloze])
        for asked in questions(episode)
    ]


@torch.inference_mode()
def read_at_once(one: TinyReader, rows: Sequence[list[int]], starts: Sequence[int]) -> list[Tensor]:
    """Return for each row the log-probabilities [Q, V] after its prompt and after each token of its answer: one batch,
    padded, and nothing kept."""
    tokens_BT = one.batch(rows)
    hidden_BTD = one.model(tokens_BT)
    every = [torch.arange(start - 1, len(row)) for row, start in zip(rows, starts, strict=True)]
    return [
        one.model.next_log_probs(hidden_BTD[[i]], tokens_BT[[i]], positions[None])[0]
        for i, positions in enumerate(every)
    ]


def test_answers_of_the_bundled_reader_are_token_for_token_those_of_no_cache() -> None:
    """Of 320 such prompts too no token differed: the largest difference of an answer's log-probability was 3e-6, the
    smallest lead of a token .002. In sessions of longer prompts and answers the largest difference was 2e-5."""
    bare = TinyReader(
        "tiny", device="cpu", window_tokens=8192, max_new_tokens=48, slot=partial(EngramSlot), prefix_bytes=1 << 28
    )
    told: list[list[int]] = []  # of a bias that adds nothing: all tokens before each token of an answer
    one = bare.with_bias(lambda tokens: told.append(list(tokens)) or {})  # type: ignore[func-returns-value]
    answered = 0
    for episode in needle(length_tokens=1024, questions=8, distractors=1, episodes=16).episodes(0):
        one.begin(carry=True)
        prompts, rows = asked_in(episode), []
        completions = []
        for prompt in prompts:
            completions += one.generate([prompt])
            rows.append(told[-1])
        assert all(completion.cached_tokens for completion in completions[1:])
        for completion, row, log_probs_QV in zip(
            completions, rows, read_at_once(one, rows, [c.prompt_tokens for c in completions]), strict=True
        ):
            best = log_probs_QV.max(-1)
            *written, last = best.indices.tolist()
            assert written == row[completion.prompt_tokens :]
            assert last == one.newline or completion.completion_tokens == one.max_new_tokens
            assert completion.logprob == pytest.approx(best.values.sum().item(), abs=ROUNDING)
            answered += 1
    assert answered == 128


# Attention behind what is kept


@pytest.mark.parametrize("name", ["auto", "off_math", "cpu_flash"])
def test_a_text_read_in_parts_is_a_text_read_at_once_under_every_kernel(name: str) -> None:
    model = random_model()
    model.attend_with(choose(name).ready(torch.device("cpu"), torch.float32, head_width=16))
    tokens_BT = torch.randint(300, (2, 40), generator=torch.Generator().manual_seed(0))
    past = Past()
    parts = [model(part_BT, None, past) for part_BT in torch.split(tokens_BT, [17, 1, 9, 13], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens_BT), rtol=0, atol=1e-5)


def test_attention_aligned_at_the_upper_left_would_be_seen() -> None:
    """`is_causal` lets the first of several new tokens see the first of all tokens and no other."""

    def upper_left(query: Tensor, key: Tensor, value: Tensor, **_: Any) -> Tensor:
        return F.scaled_dot_product_attention(query, key, value, is_causal=query.shape[2] > 1)

    model = random_model()
    model.attend_with(upper_left)
    tokens_BT = torch.randint(300, (1, 12), generator=torch.Generator().manual_seed(0))
    past = Past()
    parts = [model(part_BT, None, past) for part_BT in torch.split(tokens_BT, [8, 4], dim=1)]
    assert (torch.cat(parts, dim=1) - model(tokens_BT)).abs().max() > 0.01


def test_the_head_of_a_past_is_what_it_was_when_it_ended_there() -> None:
    model = random_model(slot=random_slot())
    table = filled_table(random_slot())
    tokens_BT = torch.randint(300, (1, 30), generator=torch.Generator().manual_seed(0))
    past = Past()
    model(tokens_BT, table, past)
    for length in (1, 2, 3, 20):
        head = past.head(length)
        assert head.length == length
        rest_BTD = model(tokens_BT[:, length:], table, head)
        assert past.hidden_BTD is not None
        torch.testing.assert_close(rest_BTD, past.hidden_BTD[:, length:], rtol=0, atol=1e-5)
    assert past.head(0).tokens_BT is None


# From prompt to prompt


def test_a_prompt_that_begins_as_an_earlier_one_reads_only_what_is_new(random_one: TinyReader) -> None:
    random_one.begin(carry=True)
    first, second = random_one.encode(FIRST), random_one.encode(SECOND)
    shared = random_one.count_tokens(HEAD)
    assert first[:shared] == second[:shared]
    assert first[shared] != second[shared]
    with counted(random_one) as lengths:
        [one] = random_one.generate([FIRST])
        assert (one.cached_tokens, lengths[0]) == (0, len(first))
        del lengths[:]
        [two] = random_one.generate([SECOND])
        assert (two.cached_tokens, lengths[0]) == (shared, len(second) - shared)
        assert set(lengths[1:]) == {1}
    text, logprob = anew(random_one, SECOND)
    assert two.text == text
    assert two.logprob == pytest.approx(logprob, abs=ROUNDING)


def test_the_last_token_of_a_prompt_is_always_read(random_one: TinyReader) -> None:
    random_one.begin(carry=True)
    once, again = random_one.generate([FIRST, FIRST])
    assert again.cached_tokens == again.prompt_tokens - 1
    assert (again.text, again.completion_tokens) == (once.text, once.completion_tokens)
    assert again.logprob == pytest.approx(once.logprob, abs=ROUNDING)


@pytest.mark.parametrize("name", ["random_one", "slotted"])
def test_answers_are_those_of_reading_everything_anew(name: str, request: pytest.FixtureRequest) -> None:
    one: TinyReader = request.getfixturevalue(name)
    prompts = [FIRST, SECOND, "a", HEAD, HEAD + HEAD, FIRST + " 4411\n" + SECOND, SECOND]
    expected = [anew(one, prompt) for prompt in prompts]
    one.begin(carry=True)
    found = one.generate(prompts)
    assert [completion.text for completion in found] == [text for text, _ in expected]
    assert [completion.logprob for completion in found] == pytest.approx([p for _, p in expected], abs=ROUNDING)
    assert sum(completion.cached_tokens or 0 for completion in found) > 3 * one.count_tokens(HEAD)


def test_choices_are_scored_as_anew_and_their_prompt_is_read_once(slotted: TinyReader) -> None:
    choices = [" 4411", " noon", " 4411 or so", " at"]
    expected = {prompt: slotted.score(prompt, choices) for prompt in (FIRST, SECOND)}
    assert slotted.cached_tokens() == 0
    slotted.begin(carry=True)
    with counted(slotted) as lengths:
        assert slotted.score(FIRST, choices) == pytest.approx(expected[FIRST], abs=ROUNDING)
        assert slotted.cached_tokens() == 0  # the choices share their prompt with one another, not with an earlier one
        assert sum(lengths) < slotted.count_tokens(FIRST) + 20
        assert slotted.score(SECOND, choices) == pytest.approx(expected[SECOND], abs=ROUNDING)
    assert slotted.cached_tokens() == slotted.count_tokens(HEAD)


@pytest.mark.parametrize("arm", ["A", "B"])
def test_a_network_that_is_only_timed_reads_on_as_well(arm: str) -> None:
    one = made(f"reader.engram.arm={arm}")
    text, logprob = anew(one, SECOND)
    one.begin(carry=True)
    [_, found] = one.generate([FIRST, SECOND])
    assert (found.cached_tokens, found.text) == (one.count_tokens(HEAD), text)
    assert found.logprob == pytest.approx(logprob, abs=ROUNDING)


# What was written in between


def test_what_was_written_between_two_questions_is_in_the_second_answer(slotted: TinyReader) -> None:
    table = slotted.look_up
    assert isinstance(table, EngramTable)
    slotted.begin(carry=True)
    [before] = slotted.generate([FIRST])
    for rows_RC in table.rows.values():
        rows_RC.neg_()
    [after] = slotted.generate([FIRST])
    assert after.cached_tokens == 0
    assert after.logprob != pytest.approx(before.logprob, abs=ROUNDING)
    assert (after.text, after.logprob) == anew(slotted, FIRST)


def test_only_from_the_first_token_whose_rows_changed_is_a_prompt_read_again(slotted: TinyReader) -> None:
    table = slotted.look_up
    assert isinstance(table, EngramTable)
    tokens = slotted.encode(FIRST)
    slotted.begin(carry=True)
    slotted.generate([FIRST])
    changed = len(tokens) - 4
    rows = table.slot.rows(slotted.batch([tokens]))[1][0, changed]
    table.rows[1][rows[-1]] += 1.0
    [after] = slotted.generate([FIRST])
    assert after.cached_tokens is not None
    assert 0 < after.cached_tokens <= changed
    assert after.logprob == pytest.approx(anew(slotted, FIRST)[1], abs=ROUNDING)


def test_a_table_that_hands_out_its_own_numbers_is_not_compared_with_itself(slotted: TinyReader) -> None:
    table = slotted.look_up
    assert table is not None
    held: dict[tuple[int, ...], dict[int, Tensor]] = {}

    def same_tensors(tokens_BT: Tensor) -> dict[int, Tensor]:
        return held.setdefault(tuple(tokens_BT[0].tolist()), dict(table(tokens_BT)))

    one = slotted.with_look_up(same_tensors)
    one.begin(carry=True)
    one.generate([FIRST])
    with torch.inference_mode():
        for of_layers in held.values():
            for embeddings_BTE in of_layers.values():
                embeddings_BTE.neg_()
    assert one.generate([FIRST])[0].cached_tokens == 0


def test_a_reader_with_a_table_takes_nothing_from_one_without(slotted: TinyReader) -> None:
    bare = slotted.with_look_up(None)  # type: ignore[arg-type]
    expected = anew(slotted, FIRST)
    slotted.begin(carry=True)
    bare.generate([FIRST])
    [found] = slotted.generate([FIRST])
    assert (found.cached_tokens, found.text, found.logprob) == (0, *expected)


def test_what_is_added_to_logits_may_change_between_two_questions(random_one: TinyReader) -> None:
    added: dict[int, float] = {}
    one = random_one.with_bias(lambda _: added)
    one.begin(carry=True)
    one.generate([FIRST])
    added[300] = 50.0
    [found] = one.generate([FIRST])
    assert found.cached_tokens == found.prompt_tokens - 1
    assert found.text == one.tokenizer.decode([300] * 12).strip()


# When, and how much


def test_questions_of_an_episode_that_carries_nothing_begin_cold(random_one: TinyReader) -> None:
    expected = anew(random_one, SECOND)
    random_one.generate([FIRST])
    with counted(random_one) as lengths:
        [found] = random_one.generate([SECOND])
    assert lengths[0] == found.prompt_tokens
    assert (found.cached_tokens, found.text, found.logprob) == (0, *expected)


def test_an_episode_takes_nothing_from_the_one_before(random_one: TinyReader) -> None:
    again = random_one.count_tokens(FIRST) - 1
    for _ in range(2):
        random_one.begin(carry=True)
        assert [found.cached_tokens for found in random_one.generate([FIRST, FIRST])] == [0, again]


def test_what_is_kept_stays_within_its_bytes_and_the_oldest_goes_first(random_one: TinyReader) -> None:
    prompts = [f"{letter} {FIRST}" for letter in "abcde"]  # not alike from the first token on
    random_one.max_new_tokens = 1
    random_one.begin(carry=True)
    random_one.generate(prompts[:1])
    size, again = random_one.prefixes.size_bytes(), random_one.count_tokens(prompts[0]) - 1
    assert size > 0
    for room, first, second, last in ((size - 1, 0, 0, 0), (size, 0, 0, again), (4 * size, 0, again, again)):
        for asked_again, cached in zip((prompts[0], prompts[1], prompts[4]), (first, second, last), strict=True):
            random_one.prefixes = PrefixCache(room)
            random_one.begin(carry=True)
            random_one.generate(prompts)
            assert random_one.prefixes.size_bytes() == room // size * size
            assert random_one.generate([asked_again])[0].cached_tokens == cached


def test_a_reader_that_keeps_nothing_counts_nothing(folder: Path) -> None:
    one = reader(random_model(), folder / "without", prefix_bytes=0)
    one.begin(carry=True)
    assert [found.cached_tokens for found in one.generate([FIRST, FIRST])] == [None, None]
    assert one.score(FIRST, [" 4411"]) == [pytest.approx(one.score(FIRST, [" 4411"])[0])]
    assert one.cached_tokens() is None


@pytest.mark.parametrize("choices", [(), ("1001", "1002")])
def test_records_count_what_turns_have_in_common_where_they_are_carried(
    choices: tuple[str, ...], random_one: TinyReader
) -> None:
    def asked(carry: bool) -> list[float | None]:
        turns = [replace(question(gate, turn), choices=choices) for turn, gate in enumerate((1, 1, 2))]
        memory = Saying([whole(1)], [whole(2)], [])
        given = Given([Episode("e", (*RULES, *turns), carry=carry)])
        found = records(walk(given, memory, random_one, answer_tokens=12))
        prompts = [record.costs["prompt_tokens"] for record in found]
        cached = [record.costs["cached_tokens"] for record in found]
        assert all(one is not None and other is not None for one, other in zip(prompts, cached, strict=True))
        return cached

    assert asked(False) == [0, 0, 0]
    first, second, third = asked(True)
    turn = random_one.count_tokens(f"{RULES[1].text}\nThe code of gate 1 is")
    assert (first, second) == (0, turn)
    assert third > second  # type: ignore[operator]


def test_a_prompt_takes_the_place_of_those_that_it_begins_with(random_one: TinyReader) -> None:
    random_one.begin(carry=True)
    random_one.generate([HEAD + SECOND])
    expected = random_one.prefixes.size_bytes()
    random_one.begin(carry=True)
    random_one.generate([HEAD, HEAD + SECOND])
    assert random_one.prefixes.size_bytes() == expected


def test_a_size_below_nothing_is_one_line(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"^reader.prefix_bytes=-1: expected a whole number >= 0; 0 keeps nothing$"):
        reader(copier(), folder / "refused", prefix_bytes=-1)

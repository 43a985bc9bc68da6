"""N-gram logits: what is counted, how it is weighed, and that it moves nothing where it has nothing to say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from adapters.ngram_logits import Continuations, NgramLogits
from memory_bench.errors import BadInput
from memory_bench.readers import checkpoint
from memory_bench.readers.tiny import TinyReader
from memory_bench.types import Event, Query
from tests.readers import NEWLINE, random_model, reader
from tests.stubs import StubReader

TOKENIZER: Tokenizer = Tokenizer.from_file(str(checkpoint.TOKENIZER))
FACT = Event("a", "The code of gate 17 is 4411.")
NEWER = Event("z", "The code of gate 17 is 7365.")
OTHERS = [Event("b", "Lunch is served at noon."), Event("c", "The code of gate 18 was lost.")]
CLOZE = "For the record, the code of gate 17 is"
SHARED = Continuations(TOKENIZER, 3)
# few tokens, so that n-grams recur; none of them is another one in other case
TEXTS = st.lists(st.lists(st.integers(300, 303), max_size=8), max_size=4)
few = settings(deadline=None, max_examples=60)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> TinyReader:
    return reader(random_model(), tmp_path_factory.mktemp("weights") / "small")


def told(
    small: TinyReader, *events: Event, max_order: int = 3, strength: float = 10.0, recency: float = 0.5
) -> NgramLogits:
    memory = NgramLogits(max_order=max_order, strength=strength, recency=recency)
    memory.attach(small)
    memory.write(events)
    memory.settle()
    return memory


def followed(texts: Sequence[Sequence[int]], tokens: Sequence[int], order: int) -> list[int]:
    """Return what followed the last `order` tokens, by going through the texts; None stands where no token is."""
    pad = [None] * order
    asked = [*pad, *tokens][-order:]
    found = []
    for text in texts:
        padded = [*pad, *text, NEWLINE]
        found += [padded[end] for end in range(order + 1, len(padded)) if padded[end - order : end] == asked]
    return [token for token in found if token is not None]


@few
@given(texts=TEXTS, tokens=st.lists(st.integers(300, 303), min_size=1, max_size=6))
def test_it_finds_what_followed_the_longest_n_gram_that_was_told_in_the_order_of_telling(
    texts: list[list[int]], tokens: list[int]
) -> None:
    SHARED.count(texts)
    found = (followed(texts, tokens, order) for order in (3, 2))
    assert SHARED.after(tokens).tolist() == next(filter(None, found), [])


def test_an_n_gram_in_other_case_is_the_same_one(small: TinyReader) -> None:
    memory = told(small, FACT)
    of = small.encode(" of")
    assert memory.bias(small.encode("The code")) == memory.bias(small.encode("the code")) == {of[0]: 10.0}
    assert memory.bias(small.encode("a code")) == {}


def test_events_do_not_run_into_each_other(small: TinyReader) -> None:
    memory = told(small, Event("a", "the code of gate"), Event("b", "17 is open"))
    assert memory.bias(small.encode("the code of gate")) == {NEWLINE: 10.0}  # a passage ends with its line


@pytest.mark.parametrize(("recency", "older", "newer"), [(0.0, 5.0, 5.0), (0.5, 10 / 3, 20 / 3), (1.0, 0.0, 10.0)])
def test_what_was_told_later_weighs_more_by_recency(
    small: TinyReader, recency: float, older: float, newer: float
) -> None:
    memory = told(small, FACT, NEWER, recency=recency)
    four, seven = (small.encode(f"{CLOZE} {digit}")[-1] for digit in "47")
    assert memory.bias(small.encode(f"{CLOZE} 4")[:-1]) == pytest.approx({four: older, seven: newer})


def test_no_logit_moves_by_more_than_the_strength_and_the_shares_add_up_to_it(small: TinyReader) -> None:
    memory = told(small, *[Event(str(n), f"gate 17 is {n}") for n in range(9)], FACT, strength=7.0)
    added = memory.bias(small.encode(f"{CLOZE} 4")[:-1])
    assert len(added) == 9
    assert sum(added.values()) == pytest.approx(7.0)
    assert all(0 < value <= 7.0 for value in added.values())


def test_the_reader_says_what_was_told_and_its_answer_is_as_likely_as_its_score_says(small: TinyReader) -> None:
    memory = NgramLogits(max_order=3, strength=40.0, recency=0.5)
    one = memory.attach(small)
    memory.write([FACT])
    assert "4411" not in one.generate([CLOZE])[0].text  # held, and not yet counted
    memory.settle()
    [completion] = one.generate([CLOZE])
    assert completion.text == "4411."
    assert one.score(CLOZE, [" 4411.\n"])[0] == pytest.approx(completion.logprob, abs=1e-3)
    assert memory.read(Query("What is the code of gate 17?")) == []


def test_a_prompt_that_ends_with_no_n_gram_that_was_told_gets_the_same_bits(small: TinyReader) -> None:
    memory = NgramLogits(max_order=3, strength=40.0, recency=0.5)
    one = memory.attach(small)
    prompts, continuations = ["Nobody counted herons", "a b c d"], [" or so", " 4411\n"]
    before = [(small.generate([p])[0].logprob, small.score(p, continuations)) for p in prompts]
    for events in ([], [Event("x", "Zebras graze quietly.")]):
        memory.write(events)
        memory.settle()
        assert [(one.generate([p])[0].logprob, one.score(p, continuations)) for p in prompts] == before


def same(one: NgramLogits, other: NgramLogits) -> bool:
    keys = zip(one.table.keys, other.table.keys, strict=True)
    followed = zip(one.table.followed, other.table.followed, strict=True)
    equal = all(np.array_equal(a, b) for a, b in keys) and all(np.array_equal(a, b) for a, b in followed)
    return equal and list(one.store) == list(other.store)


def test_forgetting_leaves_the_counts_of_never_having_been_told_at_once(small: TinyReader) -> None:
    memory, never = told(small, OTHERS[0], FACT, OTHERS[1]), told(small, *OTHERS)
    assert not same(memory, never)
    memory.forget([FACT.id, "never told"])
    assert same(memory, never)
    memory.settle()
    assert same(memory, never)
    assert memory.size_bytes() == never.size_bytes()


def test_a_fact_that_was_superseded_is_back_when_the_newer_one_is_forgotten_and_an_older_text_of_an_id_is_not(
    small: TinyReader,
) -> None:
    memory = told(small, FACT, NEWER)
    memory.forget([NEWER.id])
    assert same(memory, told(small, FACT))
    memory = told(small, FACT)
    memory.write([Event(FACT.id, NEWER.text)])
    memory.settle()
    assert same(memory, told(small, Event(FACT.id, NEWER.text)))
    memory.forget([FACT.id])
    assert same(memory, told(small))
    memory.write([FACT])
    memory.settle()
    assert same(memory, told(small, FACT))


def test_its_size_is_that_of_keys_continuations_and_kept_texts(small: TinyReader) -> None:
    memory = told(small, FACT)
    places = len(small.encode(FACT.text)) * 2  # a token has an n-gram of 2 and one of 3
    assert memory.size_bytes() == places * (8 + 4) + len("a" + FACT.text) + 8
    memory.reset()
    assert memory.size_bytes() == 0


def test_a_reader_whose_logits_cannot_be_reached_is_refused() -> None:
    with pytest.raises(BadInput, match="shows none: type reader=tiny"):
        NgramLogits(max_order=2, strength=1.0, recency=0.0).attach(StubReader())


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("max_order", 1, "a whole number >= 2, such as memory.max_order=12"),
        ("strength", 0.0, "a number > 0, such as memory.strength=16"),
        ("recency", 1.5, r"a number in \[0, 1\], such as memory.recency=0.5"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(name: str, value: float, expected: str) -> None:
    given = {"max_order": 3, "strength": 1.0, "recency": 0.0, name: value}
    with pytest.raises(BadInput, match=f"memory.{name}={value}: expected {expected}"):
        NgramLogits(**given)  # type: ignore[arg-type]

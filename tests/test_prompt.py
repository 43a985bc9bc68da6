"""The prompt: packed in rank order, whole or not at all, within the budget, best passage last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memory_bench import prompt
from memory_bench.types import Passage


def words(text: str) -> int:
    return len(text.split())


def merging(text: str) -> int:
    """A tokenizer whose whole is sometimes more than the sum of its parts: a line break between texts costs extra."""
    return len(text.split()) + 2 * max(0, len(text.splitlines()) - 1)


def test_layout_is_worst_first_then_the_question() -> None:
    passages = [Passage("best one"), Passage("second"), Passage("third in line")]
    built = prompt.build(passages, "The code is", budget_tokens=99, count=words)
    assert built.text == "third in line\nsecond\nbest one\nThe code is"
    assert built.packed == (0, 1, 2)
    assert built.context_tokens == 6
    assert built.context_bytes == len(b"third in line\nsecond\nbest one\n")


def test_a_passage_that_does_not_fit_is_left_out_whole_and_the_next_is_tried() -> None:
    passages = [Passage("a b"), Passage("c d e"), Passage("f")]
    built = prompt.build(passages, "q", budget_tokens=3, count=words)
    assert built.packed == (0, 2)
    assert built.text == "f\na b\nq"


def test_the_budget_counts_separators() -> None:
    passages = [Passage("ab"), Passage("cd")]
    assert prompt.build(passages, "q", budget_tokens=6, count=len).packed == (0, 1)
    assert prompt.build(passages, "q", budget_tokens=5, count=len).packed == (0,)


def test_the_whole_decides_where_parts_add_up_to_less() -> None:
    passages = [Passage("a"), Passage("b"), Passage("c")]
    built = prompt.build(passages, "q", budget_tokens=3, count=merging)
    assert built.packed == (0,)
    assert built.context_tokens == 1


def test_no_passage_leaves_the_question_alone() -> None:
    built = prompt.build([], "The code is", budget_tokens=10, count=words)
    assert (built.text, built.packed, built.context_tokens, built.context_bytes) == ("The code is", (), 0, 0)


TEXTS = st.lists(st.text(alphabet="ab c", min_size=1, max_size=12), max_size=12)


@given(texts=TEXTS, budget=st.integers(0, 40), count=st.sampled_from([words, len, merging]))
def test_laws(texts: list[str], budget: int, count: prompt.Count) -> None:
    passages = [Passage(text) for text in texts]
    built = prompt.build(passages, "?", budget_tokens=budget, count=count)
    kept = [texts[rank] for rank in built.packed]
    assert built.context_tokens <= budget
    assert list(built.packed) == sorted(set(built.packed))
    assert built.text == "".join(f"{text}\n" for text in reversed(kept)) + "?"  # nothing cut, nothing added


@given(texts=TEXTS, budget=st.integers(0, 40))
def test_nothing_that_would_fit_is_left_out(texts: list[str], budget: int) -> None:
    built = prompt.build([Passage(text) for text in texts], "?", budget_tokens=budget, count=len)
    for rank in set(range(len(texts))) - set(built.packed):
        room = budget - sum(len(texts[other]) + 1 for other in built.packed if other < rank)
        assert len(texts[rank]) + 1 > room


@given(texts=TEXTS, budgets=st.lists(st.integers(-3, 40), max_size=5), count=st.sampled_from([words, len, merging]))
def test_one_ranking_is_packed_at_every_budget_as_for_a_prompt_of_it(
    texts: list[str], budgets: list[int], count: prompt.Count
) -> None:
    passages = [Passage(text) for text in texts]
    packed = prompt.pack(passages, budgets, count)
    alone = {budget: prompt.build(passages, "?", budget_tokens=budget, count=count).packed for budget in budgets}
    assert packed == alone


def test_each_passage_is_counted_once_for_all_budgets() -> None:
    counted: list[str] = []

    def count(text: str) -> int:
        counted.append(text)
        return len(text)

    packed = prompt.pack([Passage("ab"), Passage("c"), Passage("d")], [2, 5, 7, 99], count)
    assert packed == {2: (1,), 5: (0, 1), 7: (0, 1, 2), 99: (0, 1, 2)}
    wholes = ["c\n", "c\nab\n", "d\nc\nab\n"]  # and each context that differs
    assert sorted(counted) == sorted(["ab\n", "c\n", "d\n", *wholes])

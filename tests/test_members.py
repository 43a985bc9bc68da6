"""Memories made of memories: what stack and cascade return, and what reaches their members."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hydra.core.config_store import ConfigStore

from adapters.bm25 import BM25
from adapters.cascade import Cascade
from adapters.exact import Exact
from adapters.full_context import FullContext
from adapters.hash_cache import HashCache
from adapters.random import Random
from adapters.stack import Stack
from memory_bench import catalogue, config
from memory_bench.contracts import Memory
from memory_bench.errors import BadInput, Unavailable
from memory_bench.types import Event, Passage, Query
from tests import engines
from tests.stubs import StubReader

QUERY = Query("What is the access code of gate 17?")
EVENTS = [
    Event("code", "The access code of gate 17 is 4411", time=1.0),
    Event("gate", "gate 18 was painted", time=2.0),
    Event("lunch", "Lunch at noon", time=3.0),
    Event("pond", "Nobody counted herons", time=4.0),
]


def bm25(top_k: int = 64) -> BM25:
    return BM25(k1=1.5, b=0.75, stemmer="english", split_identifiers=True, top_k=top_k)


def told(memory: Memory, events: Sequence[Event] = EVENTS) -> Memory:
    memory.write(events)
    memory.settle()
    return memory


def ids(passages: Sequence[Passage]) -> list[str]:
    return [passage.event_ids[0] for passage in passages]


class TestStack:
    def test_members_take_turns_and_nothing_comes_twice(self) -> None:
        members: dict[str, Memory] = {"newest": FullContext(), "words": bm25()}
        newest, words = (ids(told(member).read(QUERY)) for member in members.values())
        assert (newest, words) == (["pond", "lunch", "gate", "code"], ["code", "gate"])
        stacked = told(Stack(members=members, top_k=64)).read(QUERY)
        assert ids(stacked) == ["pond", "code", "lunch", "gate"]
        assert {passage.score for passage in stacked} == {None}

    def test_it_returns_top_k_in_all(self) -> None:
        assert ids(told(Stack(members={"newest": FullContext(), "words": bm25()}, top_k=3)).read(QUERY)) == [
            "pond",
            "code",
            "lunch",
        ]

    def test_a_forgotten_event_is_forgotten_by_all(self) -> None:
        stack = told(Stack(members={"newest": FullContext(), "words": bm25()}, top_k=64))
        stack.forget(["code"])
        assert sorted(ids(stack.read(QUERY))) == ["gate", "lunch", "pond"]

    def test_its_size_is_that_of_all(self) -> None:
        one, other = told(FullContext()), told(bm25())
        stack = told(Stack(members={"newest": FullContext(), "words": bm25()}, top_k=64))
        assert stack.size_bytes() == one.size_bytes() + other.size_bytes()

    def test_one_that_fails_to_close_keeps_none_open(self) -> None:
        first, last = Closing(), Closing()
        with pytest.raises(OSError, match="disk is gone"):
            Stack(members={"first": first, "broken": Closing(fails=True), "last": last}, top_k=1).close()
        assert first.closed
        assert last.closed

    def test_a_member_inside_the_model_changes_the_reader_for_all(self) -> None:
        reader = Stack(members={"words": bm25(), "model": Inside()}, top_k=1).attach(StubReader())
        assert isinstance(reader, InsideReader)


class Closing(FullContext):
    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.fails, self.closed = fails, False

    def close(self) -> None:
        if self.fails:
            raise OSError("the disk is gone")
        self.closed = True


class InsideReader(StubReader):
    """A reader that a memory made of another."""


class Inside(FullContext):
    def attach(self, reader: object) -> InsideReader:  # noqa: ARG002
        return InsideReader()


def hash_cache() -> HashCache:
    return HashCache(path=None, min_order=2, max_order=5, front_entries=64, top_k=64)


class TestCascade:
    def cascade(self, margin: float = 2.0) -> Cascade:
        vectors = Exact(embedder=engines.embedder(), top_k=64)
        return Cascade(members={"cheap": hash_cache(), "dear": vectors}, margin=margin)

    def test_where_the_first_is_sure_its_passages_are_the_answer(self) -> None:
        cheap = told(hash_cache()).read(QUERY)
        assert cheap[0].event_ids == ("code",)
        assert told(self.cascade()).read(QUERY) == cheap

    def test_where_its_best_does_not_stand_out_the_next_is_asked(self) -> None:
        events = [*EVENTS, Event("other", "The access code of gate 16 is 9020", time=9.0)]
        best, second, *_ = told(hash_cache(), events).read(QUERY)
        assert best.score is not None
        assert second.score is not None
        assert 1 < best.score / second.score < 2
        dear = told(Exact(embedder=engines.embedder(), top_k=64), events).read(QUERY)
        assert len(dear) == 5
        assert told(self.cascade(), events).read(QUERY) == dear
        assert len(told(self.cascade(margin=1.1), events).read(QUERY)) < 5

    def test_where_the_first_finds_nothing_the_next_is_asked(self) -> None:
        query = Query("herons?")
        assert told(hash_cache()).read(query) == []
        assert ids(told(self.cascade()).read(query))[0] == "pond"

    def test_passages_without_a_score_are_never_sure(self) -> None:
        members: dict[str, Memory] = {"newest": FullContext(), "words": bm25()}
        assert ids(told(Cascade(members=members, margin=2.0)).read(QUERY)) == ["code", "gate"]

    def test_what_the_last_finds_is_returned_however_sure_it_is(self) -> None:
        assert ids(told(Cascade(members={"only": FullContext()}, margin=2.0)).read(QUERY))[0] == "pond"

    def test_a_margin_that_everything_has_is_refused(self) -> None:
        with pytest.raises(BadInput, match=r"^margin must be > 1, got 1: set memory.margin=2.0$"):
            self.cascade(margin=1)


@pytest.mark.parametrize("make", [lambda: Stack(members={}, top_k=1), lambda: Cascade(members={}, margin=2.0)])
def test_a_memory_of_no_memories_is_refused(make: type[Memory]) -> None:
    with pytest.raises(BadInput, match=r"^a memory of memories needs one: name it under defaults in the YAML"):
        make()


class TestConfig:
    """A YAML names other memories by their files: their options, what they need, and the embedder of the run."""

    CELL = ("+task=needle", "+memory=stack", "embedder=hashing")

    def test_members_have_the_options_of_their_own_files(self) -> None:
        members = config.compose(self.CELL).config["memory"]["members"]
        for name in ("bm25", "exact"):
            alone = config.compose(["+task=needle", f"+memory={name}", "embedder=hashing"]).config["memory"]
            assert members[name] == alone

    def test_an_option_of_a_member_can_be_set(self) -> None:
        cell = config.compose([*self.CELL, "memory.members.bm25.k1=0.9"])
        assert cell.config["memory"]["members"]["bm25"]["k1"] == 0.9
        with pytest.raises(BadInput, match=r"there is no option 'memory.members.bm25.k2'"):
            config.compose([*self.CELL, "memory.members.bm25.k2=0.9"])

    def test_the_embedder_of_the_run_reaches_the_member_that_asks_for_it(self) -> None:
        cell = config.compose(self.CELL)
        assert cell.config["choices"]["embedder"] == "hashing"
        embedder = config.build(cell, "embedder")
        stack = config.build(cell, "memory", embedder=embedder)
        assert list(stack.members) == ["bm25", "exact"]
        assert stack.members["exact"]._embedder is embedder  # the very one: it is metered

    def test_what_members_need_is_needed(self) -> None:
        alone = config.compose(["+task=needle", "+memory=bm25"]).requires["memory"]
        assert alone
        assert config.compose(self.CELL).requires["memory"] == alone

    def test_a_member_that_cannot_run_here_is_said_by_list_and_by_a_run(self) -> None:
        node = {"_target_": "adapters.none.NoMemory", "requires": ["no-such-engine>=1"], "claims": {"finds": False}}
        whole = {"_target_": "adapters.stack.Stack", "members": {"none": node}, "top_k": 64}
        ConfigStore.instance().store(group="memory", name="with_a_missing_engine", node=whole)
        try:
            cell = config.compose(["+task=needle", "+memory=with_a_missing_engine"])
        finally:
            del ConfigStore.instance().repo["memory"]["with_a_missing_engine.yaml"]
        with pytest.raises(Unavailable, match="no-such-engine is not installed: pip install 'no-such-engine>=1'"):
            config.build(cell, "memory")
        assert catalogue._requires({"_target_": "x", "defaults": ["bm25@members.bm25", "_self_"]}, "memory") == list(
            config.compose(["+task=needle", "+memory=bm25"]).requires["memory"]
        )


class TestRandom:
    def test_the_seed_and_the_question_decide_the_order(self) -> None:
        events = engines.texts(40)
        orders = {
            (seed, text): tuple(ids(told(Random(seed=seed, top_k=64), events).read(Query(text))))
            for seed in (0, 1)
            for text in ("one", "two")
        }
        assert len(set(orders.values())) == 4
        assert {tuple(sorted(order)) for order in orders.values()} == {tuple(sorted(event.id for event in events))}

    def test_the_first_passage_is_any_with_the_same_chance(self) -> None:
        memory, events = told(Random(seed=0, top_k=1), engines.texts(10)), 10
        first = [ids(memory.read(Query(f"question {number}")))[0] for number in range(1000)]
        counts = [first.count(f"e{number}") for number in range(events)]
        assert sum((count - 100) ** 2 / 100 for count in counts) < 27.9  # chi-squared, 9 degrees, p = .001

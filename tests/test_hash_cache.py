"""The hash cache: its keys, its ranking, and what its file holds before and after."""

from __future__ import annotations

import math
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hash_cache import HashCache
from adapters.hash_cache.keys import Keys
from adapters.hash_cache.memory import Reason
from adapters.hash_cache.snippets import Origin, Snippet
from adapters.hash_cache.store import Statistics
from memory_bench.errors import BadInput
from memory_bench.types import Event, Query
from tests.caches import SECRET, cache, found

WORDS = st.lists(st.sampled_from("abcdefgh"), max_size=9)


@pytest.fixture
def memory() -> Iterator[HashCache]:
    one = cache()
    yield one
    one.close()


def files_with(folder: Path, text: str) -> list[str]:
    return [path.name for path in folder.iterdir() if text.encode() in path.read_bytes()]


@settings(deadline=None)
@given(WORDS)
def test_keys_are_one_to_one_with_the_runs_of_words(words: list[str]) -> None:
    keys = Keys(min_order=2, max_order=5).by_order(" ".join(words))
    runs = {n: {tuple(words[i : i + n]) for i in range(len(words) - n + 1)} for n in range(2, 6)}
    assert {order: len(found) for order, found in keys.items()} == {order: len(runs[order]) for order in runs}


@settings(deadline=None)
@given(WORDS, WORDS)
def test_texts_share_the_keys_of_the_runs_that_they_share(one: list[str], other: list[str]) -> None:
    keys = Keys(min_order=2, max_order=3)
    shared = set(keys.by_order(" ".join(one))[3]) & set(keys.by_order(" ".join(other))[3])
    runs = [{tuple(words[i : i + 3]) for i in range(len(words) - 2)} for words in (one, other)]
    assert len(shared) == len(runs[0] & runs[1])


def test_keys_see_neither_case_nor_accent_nor_punctuation() -> None:
    keys = Keys(min_order=2, max_order=5)
    assert keys.by_order("The Élan: of\tGATE 17!") == keys.by_order("the elan of gate 17")
    assert keys.by_order("gate 17") != keys.by_order("17 gate")


def test_keys_are_pinned() -> None:
    """A file written today is read by these keys tomorrow."""
    assert Keys(min_order=2, max_order=3).by_order("the access code") == {
        2: [161633978178924468, 949848943056733230],
        3: [1080027766053224006],
    }


def test_a_longer_shared_run_ranks_higher(memory: HashCache) -> None:
    memory.write(
        [
            Event("two", "a gate 17 of iron", time=3.0),
            Event("five", "the access code of gate was lost", time=2.0),
            Event("none", "gate and code", time=4.0),
        ]
    )
    assert found(memory, "the access code of gate 17") == ["five", "two"]


def test_a_rare_run_ranks_above_a_common_one(memory: HashCache) -> None:
    memory.write([Event(f"common{n}", f"what is the matter, number {n}", time=float(n)) for n in range(20)])
    memory.write([Event("rare", "near gate seventeen", time=-1.0)])
    assert found(memory, "what is gate seventeen")[0] == "rare"


def test_nothing_is_found_by_a_single_shared_word(memory: HashCache) -> None:
    memory.write([Event("a", "xylograph")])
    assert found(memory, "xylograph") == []


def test_events_written_after_a_read_are_found(memory: HashCache) -> None:
    """The front must not keep answering from before."""
    memory.write([Event("a", SECRET, time=1.0)])
    assert found(memory, SECRET) == ["a"]
    memory.write([Event("b", SECRET, time=2.0)])
    assert found(memory, SECRET) == ["b", "a"]
    memory.forget(["b"])
    assert found(memory, SECRET) == ["a"]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_a_small_front_changes_no_answer(texts: list[list[str]], query: list[str]) -> None:
    answers = []
    for front_entries in (1, 4096):
        memory = cache(front_entries=front_entries)
        memory.write([Event(f"{place}", " ".join(words)) for place, words in enumerate(texts)])
        answers.append([memory.read(Query(" ".join(query))) for _ in range(2)])
        memory.close()
    assert answers[0] == answers[1]
    assert answers[0][0] == answers[0][1]


def test_a_very_long_question_is_answered(memory: HashCache) -> None:
    """More keys than SQLite takes parameters."""
    memory.write([Event("a", SECRET)])
    assert found(memory, " ".join(f"w{n}" for n in range(40_000)) + " " + SECRET) == ["a"]


def test_a_file_is_found_again(tmp_path: Path) -> None:
    first = cache(tmp_path / "cache.db")
    first.write([Event("a", SECRET, scope="x", time=1.0)])
    first.close()
    again = cache(tmp_path / "cache.db")
    assert found(again, SECRET) == ["a"]
    assert again.read(Query(SECRET, scope="y")) == []
    again.close()


@pytest.mark.parametrize("way", ["forget", "reset", "replace"])
def test_no_file_keeps_what_is_gone(tmp_path: Path, way: str) -> None:
    memory = cache(tmp_path / "cache.db")
    memory.write([Event("a", SECRET), Event("b", "something that stays")])
    assert files_with(tmp_path, "xylograph")
    if way == "forget":
        memory.forget(["a"])
    if way == "reset":
        memory.reset()
    if way == "replace":
        memory.write([Event("a", "another text")])
        memory.settle()
    assert files_with(tmp_path, "xylograph") == []
    assert bool(files_with(tmp_path, "something that stays")) is (way != "reset")
    memory.close()


def test_a_killed_process_loses_no_written_event(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    script = f"""
import os, signal
from adapters.hash_cache import HashCache
from memory_bench.types import Event
memory = HashCache(path={str(path)!r}, min_order=2, max_order=5, front_entries=9, top_k=64)
for n in range(40):
    memory.write([Event(str(n), "the vault word is number %d" % n)])
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    memory = cache(path)
    assert len(found(memory, "the vault word")) == 40
    memory.close()


def test_a_file_that_another_process_reads_is_not_said_to_be_clean(tmp_path: Path) -> None:
    memory = cache(tmp_path / "cache.db")
    memory.write([Event("a", SECRET)])
    other = sqlite3.connect(tmp_path / "cache.db")
    other.execute("BEGIN")
    other.execute("SELECT * FROM event").fetchall()
    with pytest.raises(sqlite3.OperationalError, match="its log cannot be emptied"):
        memory.forget(["a"])
    other.close()
    memory.close()


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "poem.txt").write_text("Shall I compare thee to a summer's day? " * 99)
    with pytest.raises(BadInput, match=r"poem.txt is not a hash cache of this kind .*: set memory.path"):
        cache(tmp_path / "poem.txt")
    with pytest.raises(BadInput, match=r"cannot be opened .*: set memory.path to a file in a folder that exists"):
        cache(tmp_path / "no folder" / "cache.db")
    cache(tmp_path / "cache.db").close()
    with pytest.raises(BadInput, match=r"its keys are 'words.*2\.\.5', not 'words.*2\.\.3'"):
        cache(tmp_path / "cache.db", max_order=3)


@pytest.mark.parametrize("orders", [(1, 5), (3, 2)])
def test_orders_that_make_no_runs_are_refused(orders: tuple[int, int]) -> None:
    with pytest.raises(BadInput, match=r"2 <= min_order <= max_order, got \d and \d"):
        Keys(min_order=orders[0], max_order=orders[1])


def test_a_front_of_nothing_is_refused() -> None:
    with pytest.raises(BadInput, match="front_entries must be >= 1, got 0"):
        cache(front_entries=0)


def test_a_hit_is_explained_by_its_runs_and_its_event(memory: HashCache) -> None:
    code = Event("code", "The access code of Gate 17 is 4411.", scope="site", time=1.0)
    memory.write([code, Event("gate", "gate 17 is of iron", time=2.0)])
    first, second = memory.explain(Query("access code of gate 17"))
    assert (first.event, first.passage.text) == (code, code.text)
    assert [(reason.shown, reason.held_by) for reason in first.reasons if len(reason.shown.split()) > 3] == [
        ("access code of gate 17", 1),
        *sorted([("access code of gate", 1), ("code of gate 17", 1)], key=lambda one: key_of(one[0])),
    ]
    assert second.reasons == (Reason("words", "gate 17", 2 * math.log1p(2 / 2), 2),)


def key_of(run: str) -> int:
    (number,) = Keys(min_order=2, max_order=5).by_order(run)[len(run.split())]
    return number


@settings(deadline=None, max_examples=40)
@given(st.lists(WORDS, max_size=6), WORDS)
def test_the_reasons_of_a_hit_add_up_to_its_score(texts: list[list[str]], asked: list[str]) -> None:
    memory = cache(code_keys=True)
    query = Query(f"f({', '.join(asked)}, 1)")
    memory.write([Event(f"{place}", f"g({', '.join(words)}, 2)") for place, words in enumerate(texts)])
    hits = memory.explain(query)
    assert [hit.passage for hit in hits] == memory.read(query)
    assert [math.fsum(reason.weight for reason in hit.reasons) for hit in hits] == pytest.approx(
        [hit.passage.score for hit in hits]
    )
    assert all(reason.shown for hit in hits for reason in hit.reasons)
    memory.close()


def test_code_is_explained_by_the_fragment_that_is_shared() -> None:
    memory = cache(code_keys=True)
    memory.write([Event("a", "db=sqlite3.connect(path)"), Event("b", "what is the time")])
    (hit,) = memory.explain(Query("conn = sqlite3.connect( name )"))
    weights = {reason.shown: reason.weight for reason in hit.reasons if reason.kind == "code"}
    assert weights == {
        "conn = sqlite3.connect(name)": math.log2(7) * math.log1p(2),
        "sqlite3.connect(name)": math.log2(5) * math.log1p(2),
    }
    memory.close()


def test_snippets_are_canonical_and_say_where_they_stand(memory: HashCache) -> None:
    memory.write(
        [
            Event("a1", "import json\ndef load(path): return json.load(open(path))", scope="x", time=1.0),
            Event("a2", "def load(path):  # the settings\n    return json.load(\n        open(path))", time=2.0),
            Event("a3", "How  to load:\njson load open.", time=3.0),
        ]
    )
    asked = Query("json load open path")
    load = Snippet(
        "def load(path):\n    return json.load(open(path))",
        frozenset({"function", "load"}),
        (Origin("a2", "", 2.0, 1, 3), Origin("a1", "x", 1.0, 2, 2)),
    )
    assert memory.snippets(asked) == [
        load,
        Snippet("import json", frozenset({"import", "json"}), (Origin("a1", "x", 1.0, 1, 1),)),
        Snippet("How to load: json load open.", frozenset({"prose"}), (Origin("a3", "", 3.0, 1, 2),)),
    ]
    assert memory.snippets(asked, tags=["function"]) == [load]
    memory.forget(["a1", "a2"])
    assert [snippet.tags for snippet in memory.snippets(asked)] == [{"prose"}]


def test_statistics_count_what_was_asked_and_who_answered(memory: HashCache) -> None:
    memory.write([Event("a", "gate seventeen is open"), Event("b", "nothing else")])
    assert memory.statistics() == Statistics(events=2)
    memory.read(Query("gate seventeen is shut"))  # three runs of two words, two of three, one of four
    assert memory.statistics() == Statistics(events=2, asked=6, from_front=0, found=3)
    memory.read(Query("gate seventeen is shut"))
    assert memory.statistics() == Statistics(events=2, asked=12, from_front=6, found=6)


def test_another_process_finds_the_same() -> None:
    script = """
from adapters.hash_cache import HashCache
from memory_bench.types import Event, Query
memory = HashCache(path=None, min_order=2, max_order=5, front_entries=9, top_k=64)
memory.write([Event(str(n), "the vault word is number %d" % (n % 5)) for n in range(20)])
print(memory.read(Query("the vault word is xylograph number 3")))
"""
    command = [sys.executable, "-c", script]
    runs = {
        subprocess.run(command, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1
    assert "number 3" in runs.pop()

"""Durability: the lives that are cut short, the processes that are killed, and what is counted of them."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from memory_bench import config
from memory_bench.__main__ import main
from memory_bench.errors import BadInput
from memory_bench.guards.durability import child as child_module
from memory_bench.guards.durability import command, page
from memory_bench.guards.durability.child import Child, Children, Gone, Raised
from memory_bench.guards.durability.damage import damaged
from memory_bench.guards.durability.kills import Kill, kills
from memory_bench.guards.durability.life import Held, Step, held_after, life, told
from memory_bench.guards.durability.work import Amiss, Seen, amiss
from memory_bench.types import Event
from tests import faulty


def event(event_id: str, text: str) -> Event:
    return Event(event_id, text)


STEPS = [
    Step(write=(event("a", "one"), event("b", "two"))),
    Step(write=(event("a", "three"),)),
    Step(forget=("b",)),
    Step(),
]


def held(must: str = "", may: str = "", gone: str = "") -> Held:
    return Held(*(frozenset((one[0], one[2:]) for one in text.split()) for text in (must, may, gone)))


@pytest.mark.parametrize(
    ("acknowledged", "expected"),
    [
        (0, held(may="a:one b:two")),
        (1, held(must="b:two", may="a:one a:three")),
        (2, held(must="a:three", may="b:two", gone="a:one")),
        (3, held(must="a:three", gone="a:one b:two")),
        (4, held(must="a:three", gone="a:one b:two")),
    ],
)
def test_what_was_acknowledged_has_happened_and_what_was_begun_may_have(acknowledged: int, expected: Held) -> None:
    assert held_after(STEPS, acknowledged) == expected


def test_a_life_follows_from_its_seed_and_does_everything() -> None:
    steps = life(0)
    assert steps == life(0)
    assert steps != life(1)
    assert len(set(told(steps))) == len(told(steps))
    ids = [one.id for step in steps for one in step.write]
    assert len(set(ids)) < len(ids)
    assert any(step.forget for step in steps)
    assert Step() in steps


def test_each_kind_of_fault_is_counted_as_itself() -> None:
    expected = held(must="a:three", may="b:two", gone="a:one")

    def seen(*found: tuple[str, str], twice: str = "") -> Seen:
        return Seen(frozenset(found), frozenset(), frozenset(twice), 0.0, 0.0)

    right = ("a", "three")
    assert amiss(expected, seen(right)) == amiss(expected, seen(right, ("b", "two"))) == Amiss()
    assert amiss(expected, seen()) == Amiss(lost=1)
    assert amiss(expected, seen(right, ("a", "one"))) == Amiss(ghosts=1)
    assert amiss(expected, seen(right, twice="a")) == Amiss(duplicates=1)
    assert amiss(expected, seen(right, ("a", "thrae"))) == Amiss(altered=1)


def counts_and(end: str) -> Iterator[int]:
    yield 1
    if end == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    if end == "hang":
        time.sleep(1e6)
    if end == "refuse":
        raise BadInput("set it right")
    if end == "panic":
        sys.exit("out of order")
    yield 2


def test_a_child_says_what_it_did_and_how_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with Children() as children:
        assert list(children.one().ask(counts_and, "end")) == [1, 2]
        first = children.one()
        for end, error, said in [
            ("refuse", BadInput, "^set it right$"),
            ("panic", Raised, "^SystemExit: out of order$"),
            ("die", Gone, "^the process died of SIGSEGV$"),
        ]:
            answers = children.one().ask(counts_and, end)
            assert next(answers) == 1
            with pytest.raises(error, match=said):
                next(answers)
        assert not first.alive
        second = children.one()
        assert next(second.ask(counts_and, "end")) == 1  # what nobody asks to go on is left as it is
        answers = second.ask(counts_and, "hang")
        assert next(answers) == 1
        monkeypatch.setattr(child_module, "SILENCE_SECONDS", 0.2)
        with pytest.raises(Gone, match=r"^no answer within 0.2 s$"):
            next(answers)
        assert not second.alive


def test_a_child_can_be_killed_while_it_works() -> None:
    child = Child()
    answers = child.ask(counts_and, "hang")
    assert next(answers) == 1
    answers.go()
    child.kill()
    with pytest.raises(Gone, match="SIGKILL"):
        answers.wait()


@pytest.fixture
def planted() -> Iterator[str]:
    """A memory of the tests, as a YAML would make it one."""
    node = {"_target_": "tests.faulty.Right", "path": None, "top_k": 64, "claims": faulty.CLAIMS}
    ConfigStore.instance().store(group="memory", name="planted", node=node)
    yield "planted"
    del ConfigStore.instance().repo["memory"]["planted.yaml"]


def cell(target: str) -> config.Cell:
    base = config.compose(["+task=needle", "+memory=hash_cache", "reader=none"])
    options = {"_target_": f"tests.faulty.kept.{target}", "path": None, "top_k": 64}
    return config.Cell({**base.config, "memory": options}, base.requires, base.results, {}, {})


@pytest.mark.parametrize(
    ("target", "fault"),
    [("KeepsWhenItIsClosed", "lost"), ("BringsGhostsBack", "ghosts"), ("OpensWithEverythingTwice", "duplicates")],
)
def test_what_a_kill_costs_is_counted(target: str, fault: str, tmp_path: Path) -> None:
    with Children() as children:
        (kill,) = kills(children, cell(target), tmp_path, count=1, seed=0)
    assert getattr(kill.amiss, fault) > 0
    assert any(fault in said for said in kill.faults())


def test_a_silent_answer_over_damage_is_told_from_a_refusal(tmp_path: Path) -> None:
    found = {}
    with Children() as children:
        for target in ("Right", "ReadsWhatIsLeft", "EmptiesWhatItRefuses"):
            (tmp_path / target).mkdir()
            (trouble,) = damaged(children, cell(target), tmp_path / target, seed=0, flips=0)
            found[target] = (trouble.outcome, trouble.detail)
    assert found["Right"][0] == "refused"
    assert "is damaged: set memory.path" in found["Right"][1]
    assert found["ReadsWhatIsLeft"][0] == "wrong"
    assert "missing" in found["ReadsWhatIsLeft"][1]
    assert found["EmptiesWhatItRefuses"][0] == "overwrote"
    assert "is damaged: set memory.path" in found["EmptiesWhatItRefuses"][1]


def test_the_command_measures_and_the_page_is_made_of_what_it_keeps(
    planted: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["durability", f"+memory={planted}", "kills=1", "flips=1", f"results={tmp_path}"]
    assert main(line) == 0
    out = capsys.readouterr().out
    assert "0 lost, 0 ghosts, 0 duplicates, 0 altered" in out
    (found,) = command.published(tmp_path / "durability")
    assert (found["memory"], len(found["kills"]), found["machine"]["cores"] > 0) == (planted, 1, True)
    assert [trouble["kind"] for trouble in found["troubles"]] == [
        "full disk",
        "read-only folder",
        "truncated",
        "bit flipped",
        "truncated after a kill",
        "bit flipped after a kill",
    ]
    assert {trouble["outcome"] for trouble in found["troubles"]} == {"refused"}
    assert str(tmp_path) not in json.dumps(found["troubles"])
    text = page.render([found])
    assert "| `planted` | 1 |" in text
    assert "0 [0.00, 0.97]" in text
    assert f"| `planted` {'| 1 refused ' * 6}|" in text
    assert "Every wrong answer" not in text
    wrong = {"kind": "bit flipped", "file": "kept/index/log", "outcome": "wrong", "detail": "2 missing"}
    told_wrong = page.render([{**found, "troubles": [*found["troubles"], wrong]}])
    assert "Every wrong answer:\n\n- `planted`, bit flipped, `index/log`: 2 missing.\n" in told_wrong


def test_the_page_shows_a_memory_that_never_opened(planted: str) -> None:
    kill = {**vars(Kill(0, 3, 5, Amiss(), False, None, None, False, "it is damaged")), "amiss": vars(Amiss(lost=5))}
    found = {"memory": planted, "embedder": None, "seed": 0, "kills": [kill], "troubles": []}
    lines = page.summary(found)
    assert any("5 lost" in line for line in lines)
    assert any("null: never opened" in line for line in lines)
    assert "    seed 0: it is damaged" in lines


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("durability", "durability takes a memory; type +memory=NAME with one of: "),
        ("durability +memory=lancedb --kill", "--kill: durability takes --publish alone, or +memory=NAME"),
        ("durability +memory=lancedb kills=no", "kills=no: expected a whole number >= 1, such as kills=3"),
        ("durability +memory=bm25", "bm25 has no memory.path: it keeps nothing that could be lost"),
    ],
)
def test_a_slip_of_durability_is_one_line(typed: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(typed.split()) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(line)
    assert (captured.err.count("\n"), captured.out) == (1, "")


def test_the_published_page_is_made_of_the_published_numbers() -> None:
    root = Path(__file__).parent.parent
    found = command.published(root / command.PUBLISHED)
    if not found:
        pytest.skip("nothing is published yet: durability +experiment=durability, then durability --publish")
    assert (root / command.PAGE).read_text(encoding="utf-8") == page.render(found)
    assert all(len(one["kills"]) >= 50 for one in found)

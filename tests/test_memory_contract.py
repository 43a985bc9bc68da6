"""What every memory of `conf/memory` does, whichever of its two doors it works through.

The promises themselves are `memory_bench/guards/properties.py`, which `check` asks too. Here they are asked of every
file of `conf/memory`, and of memories that each break one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from hydra.core.config_store import ConfigStore

from memory_bench.__main__ import main
from memory_bench.errors import BadInput
from memory_bench.guards.check import findings, judge
from memory_bench.guards.durable_properties import DURABLE, a_full_disk_is_said_and_loses_nothing
from memory_bench.guards.promise import Property, Reason, expectation
from memory_bench.guards.properties import PROPERTIES, finds_what_was_written
from memory_bench.guards.subject import CODE, FACT, Subject
from tests import faulty, stubs
from tests.taken import attach

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "conf" / "memory"
MEMORIES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def durable() -> list[str]:
    """Return a memory for each module that claims to keep what it is told."""
    claiming: dict[str, str] = {}
    for name in MEMORIES:
        options = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
        options = options.get("memory", options)
        if options.get("claims", {}).get("durable"):
            claiming.setdefault(options["_target_"].rpartition(".")[0], name)
    return sorted(claiming.values())


@contextmanager
def subject(name: str) -> Iterator[Subject]:
    if name == "qdrant_server" and "QDRANT_URL" not in os.environ:
        pytest.skip("no Qdrant server is named: QDRANT_URL=http://localhost:6333")
    with Subject(["+task=needle", f"+memory={name}", "embedder=hashing"], attach=attach) as made:
        yield made


@pytest.mark.parametrize(
    "promise", [one for one in PROPERTIES if one not in DURABLE], ids=lambda promise: promise.__name__
)
@pytest.mark.parametrize("name", MEMORIES)
def test_every_memory_keeps_its_promises(name: str, promise: Property) -> None:
    with subject(name) as made:
        finding = judge(promise, made)
    assert finding.verdict != "fail", finding.detail
    reason = finding.reason.value if finding.reason else "no reason is given"
    assert finding.verdict == "pass" or finding.detail.startswith(reason)


def test_every_reason_why_a_promise_is_not_applicable_is_one_of_a_list_and_none_is_without_use() -> None:
    """Whoever raises it names one: what is left to show is that the list holds nothing else."""
    sources = [file.read_text() for file in (ROOT / "memory_bench" / "guards").glob("*properties.py")]
    sources.append((ROOT / "memory_bench" / "guards" / "promise.py").read_text())
    assert [one.name for one in Reason if not any(f"Reason.{one.name}" in text for text in sources)] == []


def test_a_memory_that_returns_passages_is_held_to_what_is_said_of_them() -> None:
    """A promise that is not claimed proves nothing: of a memory outside the model few may be left unclaimed."""
    with subject("hash_cache") as made:
        assert {finding.verdict for finding in findings(made)} == {"pass"}
    with subject("engram") as made:
        unclaimed = {finding.detail for finding in findings(made) if finding.verdict == "not applicable"}
    assert unclaimed == {
        "it does not claim it: claims.durable is false",
        "it does not claim it: claims.erases is false",
        "it has no top_k",
        "it returned no passage: it does not work through the context",
    }


@pytest.mark.parametrize("name", durable())
def test_a_durable_memory_keeps_its_promises_when_it_is_killed(name: str) -> None:
    """One of a kind: what is killed is the adapter, whatever its options; `check` asks it of the others."""
    with subject(name) as made:
        found = {promise: judge(promise, made).verdict for promise in DURABLE}
        full_disk = "pass" if made.claims["full_disk"] else "not applicable"
    assert found == {**dict.fromkeys(DURABLE, "pass"), a_full_disk_is_said_and_loses_nothing: full_disk}


@pytest.mark.parametrize("name", MEMORIES)
def test_its_first_comment_says_what_it_is(name: str) -> None:
    lines = [line for line in (FOLDER / f"{name}.yaml").read_text().splitlines() if not line.startswith("# @")]
    assert lines[0].startswith("# ")
    assert 10 < len(lines[0]) <= 120


@pytest.mark.parametrize("name", MEMORIES)
def test_every_memory_offers_as_many_passages(name: str) -> None:
    with subject(name) as made:
        assert made.options.get("top_k", 64) == 64


def test_a_memory_that_is_none_returns_nothing() -> None:
    with subject("none") as made:
        one = made.make()
        one.tell(FACT)
        assert one.read() == []
        assert not one.knows(CODE)


def test_a_memory_that_is_none_fails_to_find_what_was_written_where_it_claims_to() -> None:
    """As a control it claims nothing: of a memory that does, returning nothing is a failure and no excuse."""
    with subject("none") as made:
        assert judge(finds_what_was_written, made).verdict == "not applicable"
        vars(made)["claims"] = {**made.claims, "finds": True}
        assert judge(finds_what_was_written, made).verdict == "fail"


def test_every_promise_says_in_a_line_what_is_expected() -> None:
    lines = [expectation(promise) for promise in PROPERTIES]
    assert len(set(lines)) == len(lines)
    assert all(10 < len(line) <= 110 for line in lines)


@contextmanager
def planted(memory: type[faulty.Right], claims: dict[str, bool]) -> Iterator[str]:
    """A memory of the tests under a name of its own, as a YAML would make it one."""
    name = f"planted_{memory.__name__}_{len(claims)}"
    node = {"_target_": f"{memory.__module__}.{memory.__name__}", "path": None, "top_k": 64, "claims": claims}
    ConfigStore.instance().store(group="memory", name=name, node=node)
    try:
        yield name
    finally:
        del ConfigStore.instance().repo["memory"][f"{name}.yaml"]


def test_a_right_memory_keeps_every_promise() -> None:
    with planted(faulty.Right, faulty.CLAIMS) as name, subject(name) as made:
        assert {finding.verdict for finding in findings(made)} == {"pass"}


def test_there_is_a_fault_for_every_promise() -> None:
    assert faulty.names() == sorted(promise.__name__ for promise in PROPERTIES)


@pytest.mark.parametrize(
    ("promise", "memory"),
    [(promise, memory) for promise in PROPERTIES for memory in faulty.BREAKING[promise.__name__]],
    ids=lambda one: one.__name__,
)
def test_a_broken_promise_is_found(promise: Property, memory: type[faulty.Right]) -> None:
    with planted(memory, faulty.CLAIMS) as name, subject(name) as made:
        finding = judge(promise, made)
    assert finding.verdict == "fail"
    assert finding.detail


def test_a_memory_that_hangs_is_found_and_not_waited_for() -> None:
    with planted(faulty.passages.Hangs, faulty.CLAIMS) as name, subject(name) as made:
        finding = judge(finds_what_was_written, made, limit_seconds=0.5)
    assert (finding.verdict, finding.detail) == ("fail", "no end within 0.5 s")


def test_check_prints_a_line_a_promise_and_exits_with_1_where_one_is_broken(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stubs.register()
    with planted(faulty.told.NeverResets, {"deterministic": True}) as name:
        assert main(["check", f"+memory={name}", "reader=stub"]) == 1
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0] == f"memory {name}, reader stub"
    assert len(lines) == len(PROPERTIES) + 2
    assert "pass            What was written is found, and not before" in lines
    assert any(line.startswith("fail            After a reset nothing is left: 4411 is known: after") for line in lines)
    why = "Opened again it finds what was written, and nothing of what was replaced or forgotten"
    assert f"not applicable  {why}: it does not claim it: claims.durable is false" in lines


def test_check_exits_with_0_where_all_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    stubs.register()
    with planted(faulty.Right, faulty.CLAIMS) as name:
        assert main(["check", f"+memory={name}", "reader=stub"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{len(PROPERTIES)} pass, 0 fail, 0 not applicable"


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("check", "check takes a memory, got nothing; type +memory=NAME with one of: "),
        ("check +memory=bm52", "there is no memory 'bm52'; choose one of: "),
        ("check +memory=none --all", "--all: no such flag of check; type: check +memory=NAME"),
    ],
)
def test_a_slip_of_check_is_one_line(typed: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(typed.split()) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(line)
    assert (captured.err.count("\n"), captured.out) == (1, "")


def test_a_claim_that_nobody_knows_is_one_line() -> None:
    with (
        planted(faulty.Right, {"durabel": True}) as name,
        pytest.raises(BadInput, match=r"claims \['durabel'\]; a memory can claim finds, deterministic, durable"),
        subject(name),
    ):
        pass

"""`gate`: what has to be equal is, what moved is named, and a baseline changes only when that is typed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore

from memory_bench import config, runner
from memory_bench.__main__ import main
from memory_bench.errors import BadInput
from memory_bench.guards import gate
from memory_bench.guards.baselines import INDEX, Baseline, Snapshot, load, save
from memory_bench.guards.verdicts import MARGIN, judge
from memory_bench.types import Episode, Event, Query, Question
from tests import stubs

FOLDER = Path("results/baselines/gate_stub")


class NewerTask(stubs.StubTask):
    version = "2"


class ChangedTask(stubs.StubTask):
    """Asks otherwise under the same version: a bug of its author."""

    def episodes(self, seed: int) -> Iterator[Episode]:
        for episode in super().episodes(seed):
            steps = [replace(s, query=Query("?")) if isinstance(s, Question) else s for s in episode.steps]
            yield replace(episode, steps=tuple(steps))


class Forgetful(stubs.StubMemory):
    """Holds the last event of a batch only."""

    def write(self, events: Sequence[Event]) -> None:
        super().write(events[-1:])


class Wordy(stubs.StubMemory):
    """Answers as before, and holds twice the bytes."""

    def size_bytes(self) -> int:
        return 2 * super().size_bytes()


class Breaking(stubs.StubMemory):
    def settle(self) -> None:
        raise ZeroDivisionError("the engine broke")


def register(memory: type = stubs.StubMemory, task: type = stubs.StubTask, **more: Any) -> None:
    """A matrix of two cells over the stubs; `memory` and `task` stand for them as they are after a change."""
    stubs.register()
    store = ConfigStore.instance().store
    claims = {"deterministic": True, "durable": False}
    node = {"_target_": f"{memory.__module__}.{memory.__name__}", "top_k": 4, "claims": claims, **more}
    store(group="memory", name="gated", node=node)
    node = {"_target_": f"{task.__module__}.{task.__name__}", "episodes": 16, "facts": 2}
    store(group="task", name="gated", node=node)
    cells = [{"task": ["gated"], "memory": ["none", "gated"], "reader": ["stub"]}]
    store(group="experiment", name="gate_stub", node={"cells": cells}, package="_global_")


@pytest.fixture(autouse=True)
def a_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    register()
    yield
    for group, name in (("memory", "gated"), ("task", "gated"), ("experiment", "gate_stub")):
        del ConfigStore.instance().repo[group][f"{name}.yaml"]


Said = tuple[int, list[str]]


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> Said:
    """Return the exit code and the lines of a gate over the stubs, blanks made one."""
    capsys.readouterr()
    code = main(["gate", "+experiment=gate_stub", *words])
    out, err = capsys.readouterr()
    return code, [" ".join(line.split()) for line in (out + err).splitlines()]


def files() -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in FOLDER.iterdir()} if FOLDER.exists() else {}


def test_without_a_baseline_there_is_no_data_and_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = typed(capsys)
    assert code == 2
    assert lines == [
        "no data gated-none no baseline",
        "no data gated-gated no baseline",
        '0 pass, 0 fail, 2 no data; there are no baselines: gate --accept "why" keeps these',
    ]
    assert list(Path().iterdir()) == []


def test_what_was_accepted_passes(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = typed(capsys, "--accept", "the first numbers")
    assert (code, lines[-1]) == (0, f"accepted: 2 cells in {FOLDER}: the first numbers")
    assert sorted(files()) == [INDEX, "gated-gated.jsonl", "gated-none.jsonl"]
    code, lines = typed(capsys)
    assert code == 0
    assert lines[1] == "pass gated-gated 48 answers, their tokens and bytes are equal"
    assert lines[2].startswith("2 pass, 0 fail, 0 no data, against the baselines of ")
    assert lines[2].endswith(": the first numbers")


def test_a_change_fails_and_says_what_moved(capsys: pytest.CaptureFixture[str]) -> None:
    typed(capsys, "--accept", "the first numbers")
    before = files()
    register(Forgetful)
    code, lines = typed(capsys)
    assert code == 1
    [line] = [line for line in lines if line.startswith("fail")]
    assert line.startswith("fail gated-gated 16 of 48 answers differ, the first is q0: '")
    assert "' -> 'unknown'; exact_match 1.000 -> 0.667;" in line
    assert "context_tokens -336 to 336" in line
    assert f"memory._target_: tests.stubs.StubMemory -> {Forgetful.__module__}.Forgetful" in line
    assert files() == before


def test_bytes_alone_fail_too(capsys: pytest.CaptureFixture[str]) -> None:
    typed(capsys, "--accept", "the first numbers")
    register(Wordy)
    code, lines = typed(capsys)
    assert code == 1
    assert lines[1].startswith("fail gated-gated size_bytes +1,036 to 2,072; memory._target_")


def test_an_accepted_change_passes_and_every_reason_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    typed(capsys, "--accept", "the first numbers")
    register(Forgetful)
    code, lines = typed(capsys, "--accept", "it may forget")
    assert code == 0
    assert lines[1].startswith("fail gated-gated 16 of 48")
    assert typed(capsys)[0] == 0
    assert [entry["why"] for entry in load(FOLDER).accepted] == ["the first numbers", "it may forget"]


def test_a_cell_that_breaks_fails_and_cannot_be_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    typed(capsys, "--accept", "the first numbers")
    before = files()
    register(Breaking)
    code, lines = typed(capsys)
    assert code == 1
    assert "fail gated-gated it broke: ZeroDivisionError: the engine broke" in lines
    code, lines = typed(capsys, "--accept", "it may break")
    assert code == 2
    assert lines[-1] == (
        "nothing was accepted, 1 of 2 cells could not be measured; gated-gated: it broke: ZeroDivisionError: "
        "the engine broke"
    )
    assert files() == before


def test_an_absent_engine_is_no_data_with_its_install_line(capsys: pytest.CaptureFixture[str]) -> None:
    typed(capsys, "--accept", "the first numbers")
    before = files()
    register(requires=["no-such-engine>=2"])
    code, lines = typed(capsys)
    assert code == 2
    assert lines[1].startswith("no data gated-gated memory=gated cannot run here: no-such-engine is not installed: pip")
    assert typed(capsys, "--accept", "without it")[0] == 2
    assert files() == before


def test_another_task_version_is_one_line_and_nothing_is_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    typed(capsys, "--accept", "the first numbers")
    before = files()
    register(task=NewerTask)
    code, lines = typed(capsys)
    assert code == 2
    assert lines[0] == "no data gated-none the baseline is of task version 1, the task is version 2"
    assert files() == before


def test_other_questions_under_the_same_version_fail(capsys: pytest.CaptureFixture[str]) -> None:
    typed(capsys, "--accept", "the first numbers")
    register(task=ChangedTask)
    for file in FOLDER.glob("*.jsonl"):  # the author changed the class in its place
        file.write_text(file.read_text().replace("tests.stubs.StubTask", f"{ChangedTask.__module__}.ChangedTask"))
    code, lines = typed(capsys)
    assert code == 1
    assert lines[0] == "fail gated-none it asks something else under the same task version 1: bump it, then accept"


def test_a_cell_that_left_the_matrix_is_not_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    typed(capsys, "--accept", "the first numbers")
    cells = [{"task": ["gated"], "memory": ["none"], "reader": ["stub"]}]
    ConfigStore.instance().store(group="experiment", name="gate_stub", node={"cells": cells}, package="_global_")
    code, lines = typed(capsys)
    assert code == 2
    assert "no data gated-gated it has a baseline and is no cell of the matrix any more" in lines
    assert typed(capsys, "--accept", "without it")[0] == 0
    assert sorted(files()) == [INDEX, "gated-none.jsonl"]


def test_a_failure_half_way_leaves_the_old_baselines(capsys: pytest.CaptureFixture[str]) -> None:
    typed(capsys, "--accept", "the first numbers")
    before = files()
    kept = load(FOLDER)
    broken = replace(kept.cells["gated-gated"], questions=[{"answer": float("nan")}])
    with pytest.raises(ValueError, match="Out of range float"):
        save(FOLDER, Baseline({**kept.cells, "z": broken}, kept.accepted, kept.versions))
    assert files() == before
    assert [folder.name for folder in FOLDER.parent.iterdir()] == ["gate_stub"]


def test_a_folder_that_cannot_be_written_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("in the way")
    code, lines = typed(capsys, "baselines=file", "--accept", "why")
    assert code == 2
    assert lines[-1].startswith("cannot write baselines to file")
    assert lines[-1].endswith("nothing changed")


def test_baselines_of_another_format_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    typed(capsys, "--accept", "the first numbers")
    facts = json.loads((FOLDER / INDEX).read_text())
    (FOLDER / INDEX).write_text(json.dumps(facts | {"format": 0}))
    assert typed(capsys) == (2, [f"{FOLDER} holds baselines of format 0, this version reads 1: remove the folder and "
                                 "accept new ones"])  # fmt: skip


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--accept", "--accept takes the reason why numbers may move: gate --accept"),
        ("--acept why", "gate does not take '--acept': what it measures stands in conf/experiment/gate.yaml"),
        ("seed=3", "gate does not take 'seed=3'"),
        ("+experiment=gaet", "there is no experiment 'gaet'; choose one of:"),
    ],
)
def test_a_slip_is_one_line(words: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", *words.split()]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(line)
    assert (captured.err.count("\n"), captured.out) == (1, "")


def test_a_memory_that_does_not_claim_to_be_deterministic_is_no_cell_of_a_gate() -> None:
    register(claims={"deterministic": False})
    with pytest.raises(BadInput, match="memory gated does not claim to be deterministic"):
        gate.cells("gate_stub")


matrix = cache(gate.cells)  # a second or two for as many cells


def test_the_matrix_of_the_gate_runs_on_the_cpu_and_asks_enough_to_exclude_a_loss() -> None:
    """Were it fewer questions, a class of environment without a baseline of its own would never have data."""
    assert {"needle-none", "needle-bm25", "needle-hash_cache", "needle-engram"} <= matrix("gate").keys()
    asked: dict[str, int] = {}
    for overrides in matrix("gate").values():
        cell = config.compose(overrides)
        assert cell.config["reader"]["device"] == "cpu"
        options = json.dumps(cell.config["task"])
        if options not in asked:
            asked[options] = runner.count_questions(config.build(cell, "task"), seed=0, limit=cell.config["limit"])
    assert min(asked.values()) >= 32


def test_what_was_accepted_is_small_and_of_the_matrix() -> None:
    folder = Path(gate.__file__).parents[2] / "results" / "baselines" / "gate"
    assert load(folder).cells.keys() <= matrix("gate").keys()
    assert sum(file.stat().st_size for file in folder.glob("*")) <= 600_000


def a_cell(answers: Sequence[float], *, environment: str = "here", tokens: int = 100) -> Snapshot:
    """A cell of as many questions; 1.0 is a right answer."""
    config = {"seed": 0, "limit": None, "task": {"episodes": 1}, "memory": {"k": 1}}
    facts = {
        "config": config,
        "task_version": "1",
        "identities": {"task": {"text": "a1"}, "reader": {"weights": "b1"}},
        "environment": {"os": environment},
    }
    questions = [
        {
            "episode": "e",
            "question": f"q{number}",
            "asked": f"h{number}",
            "answer": "yes" if right else "no",
            "scores": {"exact_match": right, "evidence_in_context": 0.5},
            "costs": {"prompt_tokens": tokens},
        }
        for number, right in enumerate(answers)
    ]
    return Snapshot(facts, questions, [{"episode": "e", "costs": {"size_bytes": 7}}])


def changed(cell: Snapshot, place: str, value: object) -> Snapshot:
    facts = deepcopy(dict(cell.facts))
    *above, last = place.split(".")
    node = facts
    for key in above:
        node = node[key]
    node[last] = value
    return replace(cell, facts=facts)


RIGHT = [1.0] * 32


def test_elsewhere_a_few_flips_pass_and_here_none() -> None:
    two_lost = [0.0, 0.0, *RIGHT[2:]]
    assert judge(a_cell(two_lost), a_cell(RIGHT)).word == "fail"
    elsewhere = judge(a_cell(two_lost, environment="there"), a_cell(RIGHT))
    assert elsewhere.word == "pass"
    assert elsewhere.reason == (
        "another class of environment (os: here -> there): exact_match: 2 of 32 lost, 0 gained, at most 0.18 are lost "
        f"(margin {MARGIN:g})"
    )


@pytest.mark.parametrize(
    ("lost", "gained", "n", "word"),
    [(0, 0, 32, "pass"), (2, 0, 32, "pass"), (3, 0, 32, "no data"), (3, 3, 32, "no data"), (6, 0, 32, "fail"),
     (0, 0, 8, "no data"), (0, 6, 32, "pass")],
)  # fmt: skip
def test_elsewhere_it_must_not_be_worse(lost: int, gained: int, n: int, word: str) -> None:
    then = [1.0] * lost + [0.0] * (n - lost)
    now = [0.0] * lost + [1.0] * gained + [0.0] * (n - lost - gained)
    assert judge(a_cell(now, environment="there"), a_cell(then)).word == word


def test_elsewhere_a_cell_without_scores_has_no_data() -> None:
    then, now = a_cell(RIGHT), a_cell(RIGHT, environment="there")
    silent = replace(then, questions=[{**row, "answer": None, "scores": {}} for row in then.questions])
    assert judge(now, silent).word == "no data"
    assert judge(silent, silent).word == "pass"


@pytest.mark.parametrize(("tokens", "word"), [(100, "pass"), (105, "pass"), (106, "fail"), (50, "pass")])
def test_elsewhere_costs_may_grow_by_a_little(tokens: int, word: str) -> None:
    assert judge(a_cell(RIGHT, environment="there", tokens=tokens), a_cell(RIGHT)).word == word


def test_here_every_token_counts() -> None:
    verdict = judge(a_cell(RIGHT, tokens=99), a_cell(RIGHT))
    assert (verdict.word, verdict.reason) == ("fail", "prompt_tokens -32 to 3,168")


def test_one_wrong_answer_of_200_and_one_more_token_in_a_prompt_are_found_wherever_they_stand() -> None:
    then = a_cell([1.0] * 200)
    for at, asked in enumerate(then.questions):
        wrong = {**asked, "answer": "no", "scores": {**asked["scores"], "exact_match": 0.0}}
        longer = {**asked, "costs": {"prompt_tokens": 101}}
        for now in (wrong, longer):
            questions = [*then.questions[:at], now, *then.questions[at + 1 :]]
            assert judge(replace(then, questions=questions), then).word == "fail"
    assert judge(then, then).word == "pass"


@pytest.mark.parametrize(
    ("place", "value", "word", "reason"),
    [
        ("task_version", "2", "no data", "the baseline is of task version 1, the task is version 2"),
        ("config.task.episodes", 2, "no data", "the baseline asked other questions: task.episodes: 1 -> 2"),
        ("config.seed", 1, "no data", "the baseline asked other questions: seed: 0 -> 1"),
        ("identities.task.text", "a2", "no data", "the task reads other sources here than for the baseline: text"),
        ("identities.reader.weights", "b2", "pass", "32 answers, their tokens and bytes are equal"),
        ("config.memory.k", 2, "pass", "32 answers, their tokens and bytes are equal"),
    ],
)
def test_what_was_not_meant_to_be_the_same_is_no_data(place: str, value: object, word: str, reason: str) -> None:
    verdict = judge(changed(a_cell(RIGHT), place, value), a_cell(RIGHT))
    assert (verdict.word, verdict.reason) == (word, reason)


def test_a_failure_names_its_suspects() -> None:
    now = changed(changed(a_cell([0.0, *RIGHT[1:]]), "config.memory.k", 2), "identities.reader.weights", "b2")
    assert judge(now, a_cell(RIGHT)).reason == (
        "1 of 32 answers differ, the first is q0: 'yes' -> 'no'; exact_match 1.000 -> 0.969; memory.k: 1 -> 2; "
        "what the reader reads has changed"
    )

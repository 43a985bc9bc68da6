"""Plans of Engram's twins: a line a run, what was cut off goes on, and what is not the same is not mixed."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch

from adapters.engram.twins import facts, probes
from adapters.engram.twins.__main__ import main
from adapters.engram.twins.arms import ENGRAM, arm
from adapters.engram.twins.backbone import Size
from adapters.engram.twins.facts import FactsPlan, best_step, teach
from adapters.engram.twins.names import VOCABULARY, draw_names
from adapters.engram.twins.recall import Recall, lens, tensors
from adapters.engram.twins.recall_plan import RecallPlan
from adapters.engram.twins.runs import GROUP, code_digest, load, run
from adapters.engram.twins.sweep import best_rate
from adapters.engram.twins.train import Course, train
from adapters.engram.twins.twin import Twin
from memory_bench.errors import BadInput
from memory_bench.plans import Row, names, read
from memory_bench.source_files import source_files

TINY = RecallPlan(
    names=64, arms=["dense", "rows_64"], steps=2, sweep_steps=1, rates=[0.001, 0.01], development_seed=0, seeds=[1],
    batch=16, every=1, asked=16,
)  # fmt: skip
SMALL = Size(VOCABULARY, width=32, layers=2, heads=2, hidden=64)
OLD = draw_names(64, seed=3)
NEW = draw_names(80, seed=3)[64:]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def knowing() -> Twin:
    """A small Engram network that knows the old names."""
    twin = Twin(SMALL, {"layers": [1], "max_order": 3, "heads": 2, "row_width": 8, "rows": 512}, seed=1)
    list(train(twin, Recall(OLD, steps=20, batch=64, asked=64, seed=1), Course(20, 0.01, 20)))
    return twin


def test_a_plan_leaves_a_line_a_run_with_all_that_it_took(tmp_path: Path) -> None:
    file = tmp_path / "tiny.jsonl"
    rows = run("tiny", TINY, file)
    assert [tuple(row["key"].values())[:3] for row in rows] == [
        *[("sweep", name, 0) for _ in TINY.rates for name in TINY.arms],
        *[("seed", name, 1) for name in TINY.arms],
    ]
    assert read(file) == rows
    dense, engram = rows[-2:]
    assert dense["order"] == engram["order"] != rows[0]["order"]
    assert [row["step"] for row in engram["curve"]] == [1, 2]
    assert {"seconds", "flops", "loss", "accuracy", "updates"} <= set(engram["curve"][-1])
    assert len(engram["lens"]) == 4
    assert set(engram["without_rows"]) == {"zero", "mean", "shuffled", "layer 1 off", "layer 2 off"}
    assert (dense["without_rows"], dense["collisions"]) == ({}, None)
    assert engram["revision"].keys() >= {"commit", "dirty"}
    assert engram["versions"]["torch"] == torch.__version__


def test_what_was_cut_off_goes_on_and_a_line_that_was_not_finished_is_run_again(tmp_path: Path) -> None:
    file = tmp_path / "tiny.jsonl"
    rows = run("tiny", TINY, file)
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:4]) + lines[4][:50])
    told: list[Row] = []
    again = run("tiny", TINY, file, told=told.append)
    assert [row["key"] for row in told] == [row["key"] for row in rows[4:]]
    assert [row["key"] for row in again] == [row["key"] for row in rows]
    assert again[4]["curve"][-1]["loss"] == rows[4]["curve"][-1]["loss"]
    assert run("tiny", TINY, file, told=lambda _: pytest.fail("nothing is left to run")) == again


def test_runs_of_another_plan_are_not_mixed(tmp_path: Path) -> None:
    file = tmp_path / "tiny.jsonl"
    single = replace(TINY, rates=[0.001], arms=["dense"], steps=1)
    run("tiny", single, file)
    with pytest.raises(BadInput, match=r"tiny.jsonl holds rows of other options: name another folder \(--out"):
        run("tiny", replace(single, steps=2), file)
    file.write_text(json.dumps({**read(file)[0], "code": "0"}) + "\n")
    with pytest.raises(BadInput, match="holds rows of other code"):
        run("tiny", single, file)


def test_code_that_a_plan_imports_moves_its_digest_and_code_beside_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {"plan": "from twins_room.near import rate\nclass Plan: ...\n", "near": "rate = 1\n", "page": "title = 1\n"}
    (tmp_path / "twins_room").mkdir()
    files = {name: tmp_path / "twins_room" / f"{name}.py" for name in texts}
    for name, text in texts.items():
        files[name].write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    plan = import_module("twins_room.plan").Plan()
    before = code_digest(plan)
    files["page"].write_text("title = 2\n")
    assert code_digest(plan) == before
    digests = {before}
    for name in ("near", "plan"):
        files[name].write_text(texts[name] + "# changed\n")
        digests.add(code_digest(plan))
    assert len(digests) == 3


@pytest.mark.parametrize("name", names(GROUP))
def test_the_code_of_every_plan_is_the_network_its_rows_and_its_training_and_not_the_page(name: str) -> None:
    made_of = {f"{file.parent.name}/{file.name}" for file in source_files(type(load(name)).__module__)}
    twins = {f"twins/{part}.py" for part in ("arms", "backbone", "draws", "names", "recall", "train", "twin")}
    trained = {*twins, "engram/table.py", "engram/costs.py"}
    written = {"engram/memory.py", "engram/slot.py", "engram/write.py", "readers/tiny.py", "training/wordings.py"}
    engram = {f"engram/{part}.py" for part in ("module", "convolution", "address")}
    assert made_of >= {*(written if name == "locality" else trained), *engram, "memory_bench/ngrams.py"}
    assert not made_of & {f"twins/{part}.py" for part in ("report", "figures", "summary", "predictions", "__main__")}


def test_the_rate_with_the_lowest_loss_is_taken_and_one_that_blew_up_is_not() -> None:
    def swept(rate: float, loss: float) -> Row:
        return {"key": {"purpose": "sweep", "arm": "a", "seed": 0, "rate": rate}, "curve": [{"loss": loss}]}

    done = [swept(0.1, float("nan")), swept(0.2, 1.0), swept(0.3, 2.0)]
    assert best_rate(done, "a", [0.1, 0.2, 0.3]) == 0.2
    assert best_rate([], "a", [0.7]) == 0.7


@pytest.mark.parametrize("name", names(GROUP))
def test_every_plan_can_be_made_and_names_arms_and_ways_that_exist(name: str) -> None:
    plan = load(name)
    first = next(plan.jobs([]))
    assert {"purpose", "arm", "seed"} <= set(first.key)
    if isinstance(plan, RecallPlan):
        assert all(arm(chosen, VOCABULARY) for chosen in plan.arms)
        assert plan.development_seed not in plan.seeds
    if isinstance(plan, FactsPlan):
        assert set(plan.ways) <= set(facts.WAYS)
        assert len({len(rates) for rates in plan.ways.values()}) == 1
        assert plan.development_seed not in plan.seeds


def test_a_plan_that_does_not_exist_says_which_do() -> None:
    with pytest.raises(BadInput, match=r"plan 'recall_5k': expected one of .*recall_4k.* \(conf/twins\), or report"):
        load("recall_5k")


def test_without_its_rows_an_arm_is_its_backbone_and_other_rows_say_other_things(knowing: Twin) -> None:
    tokens_NT, targets_N = tensors(OLD)
    shares = probes.without_rows(knowing, tokens_NT, targets_N)
    dense = Twin(SMALL, None, seed=1)
    dense.backbone.load_state_dict(knowing.backbone.state_dict())
    assert shares["zero"] == shares["layer 1 off"] == lens(dense, tokens_NT, targets_N)[-1]
    assert shares["shuffled"] < 0.9 < lens(knowing, tokens_NT, targets_N)[-1]
    assert probes.without_rows(dense, tokens_NT, targets_N) == {}


def test_gates_are_shares_and_are_read_at_every_token(knowing: Twin) -> None:
    opened = probes.gates(knowing, tensors(OLD)[0])["1"]
    assert opened.shape == (64, 5)
    assert 0 < opened.min() < opened.max() < 1


def test_collisions_are_those_that_are_counted_by_hand() -> None:
    tokens_BT = torch.tensor([[5, 9, 7], [9, 3, 7], [5, 9, 7]])
    few, many = (
        probes.collisions(Twin(SMALL, {**ENGRAM, "rows": rows, "layers": [1]}, seed=0).engram, tokens_BT)  # type: ignore[arg-type]
        for rows in (1, 100_000)
    )
    assert few["ngrams"] == many["ngrams"] == 6  # two distinct rows of three tokens
    assert (few["shared"], few["shared_in_all_heads"]) == (1.0, 1.0)
    assert (many["shared"], many["shared_in_all_heads"]) == (0.0, 0.0)


def test_writing_rows_leaves_every_other_number_as_it_was(knowing: Twin) -> None:
    twin = copy.deepcopy(knowing)
    curve = list(teach(twin, facts.rows_only(twin, 0.2), old=OLD, new=NEW, steps=12))
    assert curve[-1]["new"] > 0.25  # by chance 1 of 256
    before, after = dict(knowing.named_parameters()), dict(twin.named_parameters())
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"table.rows_RC.1"}
    assert twin.engram is not None
    touched = set(twin.engram.rows(tensors(NEW)[0])[1].ravel().tolist())
    differs_R = (before["table.rows_RC.1"] != after["table.rows_RC.1"]).any(1)
    assert set(differs_R.nonzero().ravel().tolist()) <= touched


def test_lora_leaves_the_network_as_it_was_and_full_fine_tuning_does_not(knowing: Twin) -> None:
    pytest.importorskip("peft")
    tuned, full = copy.deepcopy(knowing), copy.deepcopy(knowing)
    curve = list(teach(tuned, facts.low_rank(tuned, 0.02), old=OLD, new=NEW, steps=12))
    assert curve[-1]["loss"] < curve[0]["loss"] / 2
    kept = {name.replace(".base_layer", ""): value for name, value in tuned.named_parameters() if "lora" not in name}
    assert all(torch.equal(kept[name], value) for name, value in knowing.named_parameters())
    list(teach(full, facts.everything(full, 0.001), old=OLD, new=NEW, steps=1))
    assert not torch.equal(full.backbone.read_out.weight, knowing.backbone.read_out.weight)


def test_the_step_that_counts_is_the_first_that_knows_the_new_names() -> None:
    curve = [{"new": 0.5, "old": 1.0}, {"new": 0.96, "old": 0.9}, {"new": 1.0, "old": 0.8}]
    assert best_step(curve) == curve[1]
    assert best_step(curve[:1]) == curve[0]


def test_ways_are_compared_from_one_and_the_same_network() -> None:
    plan = FactsPlan(
        old=64, new=16, pretraining_steps=1, pretraining_rate=0.002, steps=1, ways={"rows": [0.02]},
        development_seed=0, seeds=[1],
    )  # fmt: skip
    kept: dict[int, Twin] = {}
    first, second = (plan.taught("rows", seed=0, rate=rate, trained=kept) for rate in (0.02, 0.05))
    assert first["before"] == second["before"]
    assert first["curve"][0]["loss"] == second["curve"][0]["loss"]
    assert list(kept) == [0]


def test_the_command_says_in_one_line_what_it_cannot_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recall_5k", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("plan 'recall_5k': expected one of ")
    assert main(["report", "--publish", "--out", str(tmp_path)]) == 2
    assert "run a plan first" in capsys.readouterr().err

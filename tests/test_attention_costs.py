"""Attention on and off: proved and gated before it is timed, what cannot be is a row with its reason, and the page says
what the rows hold. Nothing is asserted of a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
from torch import Tensor

from memory_bench import plans
from memory_bench.drawing import FORMATS
from memory_bench.errors import BadInput
from memory_bench.paired import Ratio
from memory_bench.plans import Row
from memory_bench.provenance import ROOT
from memory_bench.readers import attention
from memory_bench.readers.attention import AttentionKernel, Sdpa, choose
from memory_bench.readers.attention_costs import bench, figures, memories, report
from memory_bench.readers.attention_costs.__main__ import main, run
from memory_bench.readers.attention_costs.bench import Limits, measure
from memory_bench.readers.attention_costs.memories import Curve, Memory, meetings
from memory_bench.readers.attention_costs.plan import GROUP, FreshPlan, Plan
from memory_bench.readers.attention_costs.predictions import PREDICTIONS, Prediction
from memory_bench.readers.attention_costs.subject import Setting, forward

CPU = torch.device("cpu")
QUICK: Mapping[str, Any] = {"seconds": 0.0, "call_seconds": 20.0, "rounds": 6, "call_bytes": 1e9, "waited": 1e9}
LIMITS = Limits(**QUICK)
CALL = Setting(subject="call", phase="prefill", dtype="float32", tokens=64)
NETWORK = Setting(subject="network", phase="prefill", dtype="float32", tokens=48, layers=2, heads=2, head_width=16)
KERNELS = ["off_math", "cpu_flash", "fa2_pkg"]
PLAN = Plan(
    device="cpu", kernels=KERNELS, questions=2, context_tokens=2048, limits=QUICK,
    settings=[
        {**asdict(setting), "tokens": [setting.tokens, 4 * setting.tokens], "phase": phase}
        for setting in (CALL, NETWORK)
        for phase in ("prefill", "decode")
    ],
)  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("attention") / "cpu.jsonl"
    run("cpu", PLAN, found)
    return found


@pytest.fixture(scope="module")
def rows(file: Path) -> list[Row]:
    return plans.read(file)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_every_setting_is_timed_with_what_can_run_and_says_why_the_rest_cannot(rows: list[Row]) -> None:
    assert [row["key"]["subject"] for row in rows] == ["answers", *["call"] * 4, *["network"] * 4]
    for row in rows[1:]:
        off, on, package = (row["arms"][name] for name in KERNELS)
        assert off["proof"]["operator"] == choose("off_math").operator
        assert on["proof"]["operator"] == choose("cpu_flash").operator
        assert on["gate"]["error"] <= on["gate"]["bound"]
        assert package["why"].startswith("attention=fa2_pkg cannot run here: it runs on cuda, the device is cpu")
        read = row["key"]["tokens"] if row["key"]["phase"] == "prefill" else 1
        assert on["tokens_per_second"] == pytest.approx(read / on["seconds"])
        assert on["speed_up"]["low"] <= on["speed_up"]["median"] <= on["speed_up"]["high"]
        assert row["null_ratio"] is not None
        assert row["rounds"] + row["dropped"] >= 6
    long = rows[2]["arms"]
    assert long["off_math"]["peak_bytes"] > 8 * 256 * 256 * 4 > long["cpu_flash"]["peak_bytes"]
    assert long["cpu_flash"]["memory_ratio"] > 5


def test_answers_are_those_of_the_plain_formula_and_of_prompts_that_are_not_padded(rows: list[Row]) -> None:
    arms = rows[0]["arms"]
    assert min(rows[0]["prompt_tokens"]) > 1500
    assert arms["off_math"]["tokens_changed"] == arms["off_math"]["largest_logprob_change"] == 0
    assert arms["cpu_flash"]["answers_changed"] == 0
    assert 0 < arms["cpu_flash"]["largest_logprob_change"] < 1e-3
    assert 0 < arms["cpu_flash"]["largest_padded_logprob_change"] < 1e-3
    assert "cannot run here" in arms["fa2_pkg"]["why"]


def test_a_plan_goes_on_where_it_was_cut_off(file: Path, rows: list[Row]) -> None:
    text = file.read_text()
    file.write_text("".join(text.splitlines(keepends=True)[:-1]) + text.splitlines()[-1][:80])
    again = run("cpu", PLAN, file)
    assert again[:-1] == rows[:-1]
    assert again[-1]["key"] == rows[-1]["key"]
    with pytest.raises(BadInput, match="holds rows of other options"):
        run("cpu", replace(PLAN, questions=3), file)


def test_a_call_and_a_network_are_the_same_with_both_kernels_and_decode_is_the_end_of_prefill() -> None:
    for setting in (CALL, NETWORK):
        made = forward(setting, CPU)
        with torch.inference_mode():
            torch.testing.assert_close(made(choose("cpu_flash")), made(choose("off_math")), atol=1e-4, rtol=1e-4)
    with torch.inference_mode():
        whole = forward(CALL, CPU)(choose("off_math"))
        last = forward(replace(CALL, phase="decode"), CPU)(choose("off_math"))
        torch.testing.assert_close(last, whole[:, :, -1:])
        one_more = forward(replace(NETWORK, tokens=NETWORK.tokens + 1), CPU)(choose("off_math"))
        after = forward(replace(NETWORK, phase="decode"), CPU)
        for _ in range(2):  # what a forward writes does not stay in the past that it goes on from
            torch.testing.assert_close(after(choose("off_math")), one_more, atol=1e-4, rtol=1e-4)


def test_what_would_take_too_long_or_hold_too_much_is_a_row_that_says_so() -> None:
    before = {"key": {"tokens": 32}, "arms": {"off_math": {"seconds": 6.0, "peak_bytes": 1}, "cpu_flash": {
        "seconds": 0.1, "peak_bytes": 2**29}}}  # fmt: skip
    found = measure(CALL, ["off_math", "cpu_flash"], CPU, LIMITS, shorter=[before])
    assert found["arms"]["off_math"]["why"] == (
        "time: a call would take about 24 s by how it grew up to 32 tokens, and may take 20 s"
    )
    assert found["arms"]["cpu_flash"]["why"] == (
        "memory: a call would hold about 2.0 GiB by how it grew up to 32 tokens, and may hold 0.9 GiB"
    )


def test_rounds_that_waited_for_the_processor_are_dropped_and_of_none_there_is_no_figure() -> None:
    found = measure(CALL, ["off_math", "cpu_flash"], CPU, replace(LIMITS, waited=0.0))
    assert (found["rounds"], found["dropped"], found["null_ratio"]) == (0, bench.MOST_TRIES, None)
    for arm in found["arms"].values():
        assert arm["why"] == "the processor was not free: in every round a call waited too long for it"
        assert "seconds" not in arm
        assert arm["proof"]["operator"]


class Exhausted(Sdpa):
    """A kernel that has no room for more than a few tokens."""

    def __call__(
        self, query_BHQC: Tensor, key_BHTC: Tensor, value_BHTC: Tensor, attn_mask: Tensor | None, is_causal: bool
    ) -> Tensor:
        if key_BHTC.shape[1] == 8:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        return super().__call__(query_BHQC, key_BHTC, value_BHTC, attn_mask, is_causal)


class Patched(Sdpa):
    """A kernel that falls back in silence where contexts are long."""

    def __call__(
        self, query_BHQC: Tensor, key_BHTC: Tensor, value_BHTC: Tensor, attn_mask: Tensor | None, is_causal: bool
    ) -> Tensor:
        if key_BHTC.shape[1] == 8:
            return Sdpa(torch.nn.attention.SDPBackend.MATH)(query_BHQC, key_BHTC, value_BHTC, attn_mask, is_causal)
        return super().__call__(query_BHQC, key_BHTC, value_BHTC, attn_mask, is_causal)


class Dropping(Sdpa):
    def __call__(
        self, query_BHQC: Tensor, key_BHTC: Tensor, value_BHTC: Tensor, attn_mask: Tensor | None, is_causal: bool
    ) -> Tensor:
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            return F.scaled_dot_product_attention(
                query_BHQC, key_BHTC, value_BHTC, attn_mask, dropout_p=0.1, is_causal=is_causal
            )


BROKEN = {
    "exhausted": (replace(choose("cpu_flash"), engine=Exhausted(choose("cpu_flash").engine.backend)),  # type: ignore[attr-defined]
                  "out of memory: CUDA out of memory"),
    "patched": (replace(choose("cpu_flash"), engine=Patched(choose("cpu_flash").engine.backend)),  # type: ignore[attr-defined]
                "did not run alone, but aten::_scaled_dot_product_attention_math"),
    "dropping": (replace(choose("off_math"), engine=Dropping(None)), "is not equivalent to float64, so it is not"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_kernel_gets_a_reason_and_no_time_and_the_others_are_measured(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel: AttentionKernel = replace(BROKEN[name][0], name=name)
    monkeypatch.setattr(attention, "CHOICES", (*attention.CHOICES, kernel))
    found = measure(CALL, ["off_math", name, "cpu_flash"], CPU, LIMITS)["arms"]
    assert BROKEN[name][1] in found[name]["why"]
    assert "seconds" not in found[name]
    assert found["cpu_flash"]["speed_up"] is not None


class Failing(Sdpa):
    """A kernel that fails in an alignment that only a reader asks for."""

    def __call__(
        self, query_BHQC: Tensor, key_BHTC: Tensor, value_BHTC: Tensor, attn_mask: Tensor | None, is_causal: bool
    ) -> Tensor:
        if attn_mask is not None:
            raise RuntimeError("No available kernel.\nAborting execution.")
        return super().__call__(query_BHQC, key_BHTC, value_BHTC, attn_mask, is_causal)


def test_a_kernel_that_fails_in_what_a_reader_asks_for_is_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = replace(choose("cpu_flash"), name="failing", engine=Failing(torch.nn.attention.SDPBackend.FLASH_ATTENTION))
    monkeypatch.setattr(attention, "CHOICES", (*attention.CHOICES, kernel))
    found = measure(CALL, ["off_math", "failing"], CPU, LIMITS)["arms"]
    assert found["failing"] == {"why": "RuntimeError: No available kernel"}
    assert "seconds" in found["off_math"]


def test_an_error_that_is_no_lack_of_memory_is_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"):
        bench.said(RuntimeError("shapes differ"))


class TestMeetings:
    OFF = Curve({10: 1.0, 100: 10.0, 1000: 1000.0}, {10: 0.1, 1000: 0.1})
    ON = Curve({10: 1.0, 100: 5.0, 1000: 100.0}, {10: 0.1, 1000: 0.1})
    FULL = Memory(memories.FULL, 1.0, 1000, 1, 0.0, 0.0)

    def met(self, **changes: float) -> memories.Meeting:
        memory = Memory("some", right=1.0, **{
            "prompt_tokens": 100, "completion_tokens": 1, "find_seconds": 0.0, "write_seconds": 0.0, **changes,
        })  # fmt: skip
        (found,) = meetings([memory, self.FULL], self.OFF, self.ON)
        return found

    def test_what_both_save_is_shared_out_by_the_mean_of_both_orders(self) -> None:
        found = self.met()
        assert (found.off, found.on, found.full_off, found.full_on) == pytest.approx((10, 5, 1000, 100))
        assert (found.memory_alone, found.flash_alone, found.both) == pytest.approx((0.99, 0.9, 0.995))
        assert found.memorys_share == pytest.approx((990 + 95) / 2 / 995)

    def test_further_tokens_are_decoded(self) -> None:
        assert self.met(completion_tokens=11).off == pytest.approx(11)

    def test_a_context_pays_from_where_reading_it_takes_as_long(self) -> None:
        found = self.met(find_seconds=90.0)  # 100 seconds: of 1,000 tokens on, of 316 off
        assert found.even_off == pytest.approx(316.2, abs=1)
        assert found.even_on == pytest.approx(961.4, abs=1)  # 95 seconds
        assert self.met(find_seconds=2000.0).even_off is None

    def test_a_write_is_repaid_by_the_time_that_questions_spare(self) -> None:
        found = self.met(write_seconds=1980.0)
        assert found.questions(on=False) == pytest.approx(2)
        assert found.questions(on=True) == pytest.approx(1980 / 95)
        assert self.met(find_seconds=2000.0, write_seconds=1.0).questions(on=True) is None

    def test_a_length_that_was_not_measured_has_no_time(self) -> None:
        assert self.OFF.seconds(2000, 1) is None
        assert meetings([Memory("long", 1.0, 2000, 1, 0, 0), self.FULL], self.OFF, self.ON) == []

    def test_what_is_known_of_memories_is_kept_beside_the_rows(self, tmp_path: Path) -> None:
        kept = tmp_path / "memories.json"
        assert memories.published(kept) == []
        memories.publish(kept)
        found = {memory.name: memory for memory in memories.published(kept)}
        assert found[memories.FULL].prompt_tokens > 4 * found["bm25"].prompt_tokens > 0
        assert found["bm25"].find_seconds > 0
        assert 0 <= found["none"].right < found["bm25"].right <= 1


class TestThePage:
    def test_says_what_was_found_and_why_what_is_missing(self, rows: list[Row]) -> None:
        page = report.render({"cpu": rows})
        assert "**On a CPU: nothing here speaks of a GPU.**" in page
        assert "### The call alone: a prompt read at once (8 heads of 64, batch 1, float32)" in page
        assert "`aten::_scaled_dot_product_flash_attention_for_cpu`" in page
        assert page.count("attention=fa2_pkg cannot run here: it runs on cuda, the device is cpu") == 1
        assert "Written and never executed: `fa2_sdpa`" in page
        assert "| prefill, float32, 512 tokens | times off / on | 2.7 | not measured |  | not measured |  |" in page
        assert "Not measured: no length of the network reaches" in page

    def test_of_the_repository_is_the_one_that_its_rows_make(self) -> None:
        held = report.published()
        if not held:
            pytest.skip("no rows are published")
        assert (ROOT / report.PAGE).read_text(encoding="utf-8") == report.render(held)
        drawn = sorted(path.name for path in (ROOT / report.PAGE).with_suffix("").glob("*"))
        assert drawn == sorted(f"{name}.{form}" for name in figures.TEXTS for form in FORMATS)


def test_predictions_are_judged_by_their_intervals_and_factors() -> None:
    arm = {"speed_up": {"median": 0.4, "low": 0.3, "high": 0.5}, "memory_ratio": 17.3}
    assert Prediction("decode", "bfloat16", 2048, "speed_up", None).kept(arm)
    assert not Prediction("prefill", "float32", 512, "speed_up", 2.7).kept(arm)
    assert Prediction("prefill", "float32", 512, "memory_ratio", 17.0).kept(arm)
    assert not Prediction("prefill", "float32", 512, "memory_ratio", 14.0).kept(arm)
    assert len(PREDICTIONS) == 9


def test_a_plan_that_gives_buffers_back_asks_no_reader() -> None:
    fresh = plans.make(GROUP, "cpu_fresh")
    assert isinstance(fresh, FreshPlan)
    assert not fresh.keeps_buffers
    assert [job.key["subject"] for job in fresh.jobs([])] == ["call"] * len(fresh.every())
    assert next(iter(PLAN.jobs([]))).key["subject"] == "answers"


def test_every_plan_is_made_and_names_kernels_that_exist() -> None:
    for name in plans.names(GROUP):
        plan = plans.make(GROUP, name)
        assert plan.kernels[0] == bench.OFF
        assert {kernel.name for kernel in attention.CHOICES} >= set(plan.kernels)
        assert len(plan.every()) == sum(len(line["tokens"]) for line in plan.settings)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device that must be missing")
def test_the_command_says_in_one_line_what_it_cannot_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gpu", "--out", str(tmp_path)]) == 2
    assert main(["tpu", "--out", str(tmp_path)]) == 2
    assert main(["report", "--publish", "--out", str(tmp_path)]) == 2  # a plan that left no row is not published
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "reader.device=cuda: this torch sees no GPU; type reader.device=cpu"
    assert said[1] == "plan 'tpu': expected one of cpu, cpu_fresh, gpu (conf/attention_costs), or report"
    assert said[2].endswith("no rows there; run a plan first: python -m memory_bench.readers.attention_costs cpu")


def test_ratios_are_json(rows: list[Row]) -> None:
    assert json.loads(json.dumps(rows)) == rows
    assert set(rows[1]["null_ratio"]) == set(asdict(Ratio(1, 1, 1)))

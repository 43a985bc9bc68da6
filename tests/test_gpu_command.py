"""The GPU command runs through the same code on a CPU: every arm that a CPU has, and a reason for every other one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu import attention, facts
from benchmarks.gpu.__main__ import main
from benchmarks.gpu.offload import OUT_OF_TIME, Bench, Plan, Setting, drawn_tokens
from memory_bench.paired import Ratio, penalty, ratio, shown

ROOT = Path(__file__).parent.parent
TINY = (
    "--device cpu --width 32 --layers 3 --heads 2 --vocabulary 512 --insertions 0 2 --hash-heads 2 --row-width 8 "
    "--rows 999 --threads 2 --batches 1 2 --prompts 16 --ids zipf --attention cpu_flash off_math fa2_sdpa "
    "--lengths 16 32 --kernels off_math cpu_flash fa4_pkg"
).split()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("gpu")
    arms = ["--arms", "A", "B", "C1", "C2", "C3", "C4", "D", "--folder", str(folder / "table")]
    assert main([*TINY, *arms, "--rounds", "6", "--out", str(folder / "out.json")]) == 0
    found: dict[str, Any] = json.loads((folder / "out.json").read_text())
    return found


def test_every_arm_of_a_cpu_is_measured_and_every_other_one_says_why(report: dict[str, Any]) -> None:
    measured = [setting for setting in report["settings"] if setting["why"] is None]
    assert [(setting["phase"], setting["batch"], setting["attention"]) for setting in measured] == [
        (phase, batch, attention)
        for phase in ("prefill", "decode")
        for batch in (1, 2)
        for attention in ("cpu_flash", "off_math")
    ]
    for setting in measured:
        assert setting["rows_equal"] == dict.fromkeys(("B", "C3", "C4", "D"), True)
        assert setting["attention_proof"]["operator"].startswith("aten::_scaled_dot_product")
        assert set(setting["arms"]) == {"A", "A again", "B", "C1", "C2", "C3", "C4", "D"}
        assert setting["arms"]["C1"]["why"] == "rows of the host are read in place by a GPU only: this device is a CPU"
        tokens = setting["batch"] * (16 if setting["phase"] == "prefill" else 1)
        fetched = setting["arms"]["C3"]["fetched"]
        assert fetched["rows_requested"] == fetched["layers"] * tokens * 4  # two orders of two heads
        seconds = setting["arms"]["B"]["seconds_median"]
        assert setting["arms"]["B"]["tokens_per_second"] == pytest.approx(tokens / seconds)
        assert setting["rounds"] == 6
        assert setting["engram_cost"]["low"] <= setting["engram_cost"]["median"] <= setting["engram_cost"]["high"]
        assert setting["arms"]["C3"]["offload_penalty"]["shown"]
    refused = [setting["why"] for setting in report["settings"] if setting["attention"] == "fa2_sdpa"]
    assert len(refused) == 4
    assert all("attention=fa2_sdpa cannot run here: it runs on cuda" in why for why in refused)


def test_attention_on_and_off_is_measured_first_with_a_reason_for_every_kernel_that_is_not(
    report: dict[str, Any],
) -> None:
    rows = report["attention"]
    assert [(row["key"]["subject"], row["key"]["phase"], row["key"]["tokens"]) for row in rows] == [
        (subject, phase, tokens)
        for subject in ("call", "network")
        for phase in ("prefill", "decode")
        for tokens in (16, 32)
    ]
    for row in rows:
        assert row["arms"]["off_math"]["proof"]["operator"].endswith("attention_math")
        assert row["arms"]["cpu_flash"]["gate"]["error"] < 2e-6
        assert row["arms"]["cpu_flash"]["peak_bytes"] > 0
        assert row["arms"]["fa4_pkg"]["why"].startswith("attention=fa4_pkg cannot run here: it runs on cuda")
    assert "cpu_flash" in attention.line(rows[0])


def test_attention_that_gets_no_time_says_so() -> None:
    chosen = attention.settings("float32", [16], layers=1, heads=2, width=16)
    rows = list(attention.sweep(chosen, ["off_math"], torch.device("cpu"), seconds=0))
    assert {arm["why"] for row in rows for arm in row["arms"].values()} == {OUT_OF_TIME}


def test_a_token_after_a_prompt_is_read_as_it_is_at_the_end_of_the_whole() -> None:
    plan = Plan(
        width=32, layers=3, heads=2, vocabulary=512, insertions=(0, 2), hash_heads=2, row_width=8, rows=99, threads=1,
        dtype=torch.float32, folder=None,
    )  # fmt: skip
    bench = Bench(plan, ("A", "B"), torch.device("cpu"))
    whole, last = (bench._batch(Setting(2, 9, "uniform", "off_math", phase)) for phase in ("prefill", "decode"))
    for _ in range(2):  # the first token does not stay in what is kept of the prompt
        torch.testing.assert_close(bench._forward("A", last), bench._forward("A", whole))
    assert (whole.tokens_BT.shape, last.tokens_BT.shape) == ((2, 9), (2, 1))
    assert all(torch.equal(last.host[layer], rows_BTH[:, -1:]) for layer, rows_BTH in whole.host.items())
    assert not torch.equal(bench._forward("B", last), bench._forward("A", last))


def test_the_report_says_what_it_ran_on_and_that_it_was_no_gpu(report: dict[str, Any]) -> None:
    assert report["hardware"]["gpu"] is None
    assert report["hardware"]["why"] == "measured on a CPU: nothing here speaks of a GPU"
    assert report["versions"]["torch"] == torch.__version__
    assert report["command"].startswith("python -m benchmarks.gpu")
    assert report["table"]["bytes"] == report["table"]["rows"] * 8 * 4


def test_a_setting_that_gets_no_time_says_so(tmp_path: Path) -> None:
    assert main([*TINY, "--minutes", "0", "--arms", "A", "B", "--out", str(tmp_path / "out.json")]) == 0
    settings = json.loads((tmp_path / "out.json").read_text())["settings"]
    assert {setting["why"] for setting in settings} == {"no time was left for it: give --minutes more"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device that must be missing")
def test_a_gpu_that_is_not_there_is_refused_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "--device cuda: this torch sees no GPU; type --device cpu --out FILE" in capsys.readouterr().err


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this machine has the device that must be missing")
def test_an_apple_gpu_that_is_not_there_is_refused_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--device", "mps"]) == 2
    assert "--device mps: this torch sees no Apple GPU; type --device cpu --out FILE" in capsys.readouterr().err
    told = facts.hardware(torch.device("mps"))
    assert (told["device"], told["gpu"]["memory_bytes"]) == ("mps", None)
    assert attention.KERNELS.keys() == {"cuda", "mps", "cpu"}


def test_what_a_cpu_measures_is_not_published(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(TINY) == 2
    assert "--device cpu needs --out FILE: what is published was measured on a GPU" in capsys.readouterr().err


def test_it_needs_nothing_but_torch_and_numpy() -> None:
    """Imported where every other installed package is hidden, as on a machine that has these two alone."""
    code = (
        "import sys\n"
        "allowed = {'torch', 'numpy'}\n"
        "before = set(sys.modules)\n"
        "import torch, torch.profiler, torch.nn.attention, numpy.random\n"
        "brought = {name.partition('.')[0] for name in sys.modules}\n"
        "import benchmarks.gpu.__main__\n"
        "ours = {'benchmarks', 'adapters', 'memory_bench'}\n"
        "new = {name.partition('.')[0] for name in sys.modules} - brought - ours - set(sys.stdlib_module_names)\n"
        "print(sorted(new))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_python_without_torch_is_told_so_in_a_line() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); import benchmarks.gpu"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "has no torch and no numpy: install torch>=2.6 and numpy" in done.stderr
    assert done.stderr.count("\n") == 1


def test_ratios_are_paired_and_a_penalty_within_the_noise_is_never_zero() -> None:
    slow, quick = [2.0, 4.0, 6.0, 8.0, 10.0], [1.0, 2.0, 3.0, 4.0, 5.0]
    assert ratio(slow, quick) == Ratio(2.0, 2.0, 2.0)
    lost = penalty(slow, quick)
    assert lost is not None
    assert lost.median == pytest.approx(0.5)
    assert shown(lost, Ratio(1.0, 0.99, 1.01)) == "50.0% [50.0%, 50.0%]"
    assert shown(Ratio(0.002, -0.001, 0.004), Ratio(1.0, 0.99, 1.02)) == "< 2.0%"
    assert ratio(slow[:4], quick[:4]) is None  # too few rounds for an interval


def test_zipf_repeats_its_tokens_and_uniform_does_not() -> None:
    kinds = [drawn_tokens(Setting(4, 500, ids, "off_math", "prefill"), 32768) for ids in ("zipf", "uniform")]
    distinct = [len(set(tokens.ravel().tolist())) for tokens in kinds]
    assert distinct[0] < 0.7 * distinct[1]
    assert all(tokens.min() >= 0 and tokens.max() < 32768 for tokens in kinds)

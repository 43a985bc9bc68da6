"""The lesson in three figures: what is taught is known, Engram off is Engram off, and depth is that of the model."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import torch

from adapters.engram.grafted import lesson
from adapters.engram.grafted.__main__ import _parser, main
from adapters.engram.grafted.facts import Asked, asked, depths, facts, known
from adapters.engram.grafted.figures import NAMES, draw
from memory_bench.config import compose
from memory_bench.errors import BadInput
from memory_bench.plans import Row, read
from memory_bench.readers.hf import HfReader
from tests.grafts import graft_of, grafted, overlaid, schooled, table_of
from tests.grafts import known as answered

ROOT = Path(__file__).parent.parent
SMALL = ["--facts", "16", "--steps", "24", "--every", "12", "--batch", "16", "--rate", "0.02", "--device", "cpu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return schooled(tmp_path_factory.mktemp("models") / "qwen2", "qwen2", width=32, steps=15)


@pytest.fixture(scope="module")
def taught(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    """The worked example as it stands in docs/real_models.md, on a tiny model."""
    out = tmp_path_factory.mktemp("lesson")
    assert main(["lesson", str(folder), "--out", str(out), *SMALL]) == 0
    return out, read(out / "lesson.jsonl")


def asked_of(one: HfReader, count: int = 16) -> Asked:
    return asked(one, facts(count, seed=0))


def test_every_arm_learns_the_same_facts_in_the_same_order(taught: tuple[Path, list[Row]]) -> None:
    _, rows = taught
    assert [row["key"]["arm"] for row in rows] == ["lora", "engram", "lora_engram"]
    assert len({row["order"] for row in rows}) == 1
    for row in rows:
        assert [point["step"] for point in row["curve"]] == [0, 12, 24]
        assert (row["curve"][0]["accuracy"], row["curve"][0]["loss"]) == (0.0, None)
    known_at_the_end = {row["key"]["arm"]: row["curve"][-1]["accuracy"] for row in rows}
    assert known_at_the_end["engram"] > 0.9


def test_engram_off_at_inference_leaves_the_model_as_it_was(taught: tuple[Path, list[Row]]) -> None:
    off = {row["key"]["arm"]: row["off"] for row in taught[1]}
    assert off["lora"] is None  # it has nothing to switch off
    assert off["engram"] == 0.0  # its model never moved


def test_the_read_out_after_the_last_layer_is_that_of_the_model(taught: tuple[Path, list[Row]]) -> None:
    for row in taught[1]:
        assert len(row["depth"]) == 3
        assert row["depth"][-1] == row["curve"][-1]["accuracy"]
        assert row["depth"][0] <= row["depth"][-1]


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2"])
def test_a_read_out_goes_through_the_model_s_own_last_norm_and_head(family: str, tmp_path: Path) -> None:
    from tests import checkpoints

    one = grafted(checkpoints.save(tmp_path / family, family))
    questions, table = asked_of(one, 4), table_of(one, filled=True)
    with torch.no_grad(), graft_of(one).entering(table(questions.tokens_BT)):
        states = one.model(input_ids=questions.tokens_BT, output_hidden_states=True, use_cache=False).hidden_states
        norm = one.model.transformer.ln_f if family == "gpt2" else one.model.model.norm
        by_hand = one.model.lm_head(norm(states[1])).argmax(-1)
    found = by_hand[:, :-1] == questions.tokens_BT[:, 1:]
    share = (found | ~questions.asked_BT[:, 1:]).all(1).float().mean().item()
    read_out = depths(graft_of(one), questions, table)
    assert read_out[0] == pytest.approx(share)
    assert read_out[-1] == known(graft_of(one), questions, table)


def test_what_was_taught_stays_in_overlays_that_answer(folder: Path, taught: tuple[Path, list[Row]]) -> None:
    out, rows = taught
    for row in rows:
        one = overlaid(grafted(folder), out / f"{row['key']['arm']}.safetensors")
        assert known(graft_of(one), asked_of(one), one.look_up) == row["curve"][-1]["accuracy"]
    engram = overlaid(grafted(folder), out / "engram.safetensors")
    assert answered(engram, facts(16, seed=0)) > 0.9
    assert answered(grafted(folder), facts(16, seed=0)) == 0.0


def test_three_figures_are_drawn_and_drawn_again_alike(
    folder: Path, taught: tuple[Path, list[Row]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is taught a second time."""
    out, rows = taught
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    assert {"accuracy.png", "off.png", "depth.png", "accuracy.svg", "off.svg", "depth.svg"} <= set(before)
    assert main(["lesson", str(folder), "--out", str(out), *SMALL]) == 0
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert read(out / "lesson.jsonl") == rows
    assert "known" not in capsys.readouterr().out


def test_rows_of_another_lesson_are_not_mixed_with(folder: Path, taught: tuple[Path, list[Row]]) -> None:
    other = lesson.Lesson(facts=8, steps=1, batch=8, rate=0.1, every=1, lora=2, seeds=[0])
    with pytest.raises(BadInput, match=r"lesson.jsonl holds rows of other options: name another folder"):
        lesson.run(other, lambda: grafted(folder), taught[0], told=lambda _: None)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--facts", "0"], "--facts 0: expected a whole number >= 1"),
        (["--lora", "0"], "--lora 0: expected a whole number >= 1"),
        (["--rate", "2"], "--rate 2.0: expected a number in (0, 1), such as --rate 0.002"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(
    options: list[str], line: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lesson", str(folder), "--out", str(tmp_path / "out"), *SMALL, *options]) == 2
    assert capsys.readouterr().err == f"{line}\n"
    assert not (tmp_path / "out").exists()


def test_facts_are_of_the_seed_alone_and_no_two_have_one_name() -> None:
    assert json.dumps(facts(8, seed=0)) == json.dumps(dict(list(facts(64, seed=0).items())[:8]))
    assert len(facts(256, seed=0)) == 256
    assert facts(8, seed=0) != facts(8, seed=1)


def test_the_commands_of_the_page_are_those_of_the_program() -> None:
    page = (ROOT / "docs" / "real_models.md").read_text(encoding="utf-8").replace("\\\n", " ")
    typed = [shlex.split(line) for line in page.splitlines() if line.startswith("python -m adapters.engram.grafted ")]
    assert {_parser().parse_args(words[3:]).command for words in typed} == {"learn", "lesson"}
    runs = [shlex.split(line)[3:] for line in page.splitlines() if line.startswith("python -m memory_bench +task")]
    [ours] = [words for words in runs if "reader=hf" in words]
    assert compose(ours).config["memory"]["steps"] == 64


def test_the_figures_and_numbers_of_the_page_are_those_of_its_rows(tmp_path: Path) -> None:
    held, page = ROOT / "docs" / "graft", (ROOT / "docs" / "real_models.md").read_text(encoding="utf-8")
    rows = read(held / "lesson.jsonl")
    draw(rows, tmp_path)
    for name in ("accuracy", "off", "depth"):
        assert (tmp_path / f"{name}.svg").read_bytes() == (held / f"{name}.svg").read_bytes()
    for arm, label in NAMES.items():
        runs = [row for row in rows if row["key"]["arm"] == arm]
        found = [(row["curve"][5]["accuracy"], row["curve"][-1]["accuracy"], row["depth"][3]) for row in runs]
        early, late, depth = (
            " ".join(f"{round(value, 3):g}".removeprefix("0") for value in sorted(part))
            for part in zip(*found, strict=True)
        )
        line = next(line for line in page.splitlines() if line.startswith(f"| {label} |"))
        assert (early, late, depth) == tuple(line.split(" | ")[place].rstrip(" |") for place in (1, 2, 4))

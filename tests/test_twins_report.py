"""The page on Engram and its twins: made from rows alone, the controls first, and null where nothing was measured."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from adapters.engram.twins import figures, report, summary, unmeasured
from adapters.engram.twins.report import PAGE, published, render
from adapters.engram.twins.runs import GROUP
from memory_bench.drawing import FORMATS
from memory_bench.errors import BadInput
from memory_bench.plans import Row, names
from memory_bench.provenance import ROOT

ENDS = {"dense": 0.3, "engram": 0.95, "iso_parameter": 0.6, "capacity_1": 0.3, "salted": 0.2}


def row(plan: str, arm: str, seed: int, curve: Sequence[Mapping[str, float]], **more: object) -> Row:
    where = {
        "revision": {"commit": "0123456789abcdef", "dirty": False}, "machine": {"cpu": "a CPU", "python": "3.11"},
        "versions": {"torch": "2.6"}, "start": "2026-01-01T00:00:00",
    }  # fmt: skip
    key = {"purpose": "seed", "arm": arm, "seed": seed, "rate": 0.002}
    return {"plan": plan, "options": {"old": 4096, "new": 256, "steps": 2}, "key": key, "curve": curve, **where, **more}


def recall(plan: str, arm: str, seed: int, end: float) -> Row:
    share = end * (1 + 0.001 * seed)
    curve = [
        {"step": step, "seconds": step * 0.1, "flops": step * 1e9, "loss": 6 - part, "accuracy": share * part}
        for step, part in ((50, 0.5), (100, 0.97), (160, 1.0))
    ]
    table = 0 if arm in ("dense", "iso_parameter") else 600
    sizes = {"parameters": 1000, "table_parameters": table, "forward_flops": 2000}
    gates = {"1": [0.1 * place for place in range(5)]} if table else {}
    without = {"zero": 0.1, "mean": 0.1, "shuffled": 0.1} if table else {}
    shared = (
        {"ngrams": 10, "rows_per_ngram": 2.0 + len(arm), "shared": 0.2, "shared_in_all_heads": 0.0} if table else None
    )
    return row(
        plan, arm, seed, curve, sizes=sizes, accuracy=share, lens=[0.0, 0.1, 0.9 * share, share], gates=gates,
        without_rows=without, collisions=shared, order=f"digest {seed}",
    )  # fmt: skip


def rows(**changed: float) -> dict[str, list[Row]]:
    """Rows of three seeds for every plan but `text`, `locality` and `one_shot`, and none of a sweep."""
    ends = {**ENDS, **changed}
    found: dict[str, list[Row]] = {plan: [] for plan in (*names(GROUP), "one_shot")}
    for plan in ("recall_4k", "recall_16k"):
        found[plan] = [recall(plan, arm, seed, end) for seed in (1, 2, 3) for arm, end in ends.items()]
    found["tables"] = [recall("tables", arm, seed, 0.9) for seed in (1, 2) for arm in ("rows_64", "engram", "orders_2")]
    facts = [{"step": 1, "seconds": 0.1, "new": 0.5, "old": 1.0}, {"step": 2, "seconds": 0.2, "new": 1.0, "old": 0.875}]
    found["facts"] = [
        row("facts", way, seed, facts, before={"old": 1.0}) for seed in (1, 2) for way in ("rows", "full")
    ]
    return found


def test_the_page_says_first_whether_a_table_that_cannot_remember_does_as_well() -> None:
    good = render(rows())
    assert "after 100 steps: `capacity_1` is 0.63 behind, `salted` is 0.73 behind" in good
    assert "does as well" not in good
    assert "**`capacity_1` does as well as Engram**" in render(rows(capacity_1=0.96))


def test_a_difference_that_is_smaller_than_twice_the_spread_is_a_tie() -> None:
    ours, theirs = {1: 0.50, 2: 0.60, 3: 0.70}, {1: 0.45, 2: 0.55, 3: 0.64}
    gap = summary.gap(ours, theirs)
    assert gap is not None
    assert gap.interval.low > 0
    assert gap.spread == pytest.approx(0.1)
    assert not gap.counts
    clear = summary.gap({1: 0.90, 2: 0.93, 3: 0.92}, {1: 0.1, 2: 0.11, 3: 0.12})
    assert clear is not None
    assert clear.counts
    assert summary.gap({1: 0.9}, {1: 0.1}) is None


def test_the_step_at_which_a_share_is_reached_lies_between_measurements() -> None:
    runs = [recall("recall_4k", "engram", 1, 0.999), recall("recall_4k", "engram", 2, 0.5)]
    low, high = runs[0]["curve"][0]["accuracy"], runs[0]["curve"][1]["accuracy"]
    assert summary.steps_to(runs) == {1: pytest.approx(50 + 50 * (0.9 - low) / (high - low))}
    assert summary.steps_to(runs, 0.25) == {1: pytest.approx(25.0, abs=0.1), 2: pytest.approx(49.9, abs=0.1)}


def test_what_was_not_measured_is_null_with_its_reason() -> None:
    page = render(rows())
    number = re.search(r"<sup>(\d+)</sup> not measured: its plan was not run to a first seed", page)
    assert number
    assert f"null <sup>{number[1]}</sup>: `text`" in page
    assert re.search(rf"text: behind the iso-parameter twin \| null <sup>{number[1]}</sup>", page)
    empty = render({name: [] for name in (*names(GROUP), "one_shot")})
    assert "Nothing was measured yet" in empty
    assert "nan" not in page + empty


def test_plans_without_a_row_are_listed_with_the_command_that_runs_them() -> None:
    page = render(rows())
    listed = page.partition("## Not measured here\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"run `python -m adapters\.engram\.twins (\w+)`", listed)) == {
        "ablations_4k", "locality", "one_shot", "text"
    }  # fmt: skip
    assert "- Text alone: bits per byte of docstrings that were not trained on" in listed
    every = {**rows(), "ablations_4k": [recall("ablations_4k", "engram", 1, 0.9)]}
    assert set(re.findall(r"twins (\w+)`", "\n".join(unmeasured.not_run(every)))) == {"locality", "one_shot", "text"}
    assert not list(unmeasured.not_run({name: [row(name, "engram", 1, [])] for name in names(GROUP)}))


def test_what_only_a_gpu_runs_is_said_to_have_never_run_until_one_was_measured(tmp_path: Path) -> None:
    never = "\n".join(unmeasured.places(tmp_path))
    assert "written and never executed" in never
    assert "`conf/experiment/engram_offload.yaml`" in never
    assert "`make gpu`" in never
    measured = json.dumps({"hardware": {"gpu": {"name": "NVIDIA H100 80GB HBM3"}}})
    (tmp_path / "gpu_nvidia_h100.json").write_text(measured)
    told = "\n".join(unmeasured.places(tmp_path))
    assert "Measured on NVIDIA H100 80GB HBM3: `results/published/gpu_nvidia_h100.json`." in told
    assert "never executed" not in told
    assert "\n\n".join(unmeasured.places()) in render(rows())


def test_rates_that_were_swept_stand_beside_each_other_and_the_chosen_one_in_bold() -> None:
    assert "no rate was swept: all arms learned at the same one" in render(rows())
    swept = [recall("recall_4k", "engram", 0, end) for end in (0.5, 0.7)]
    for run, rate, loss in zip(swept, (0.001, 0.002), (3.0, 2.0), strict=True):
        run["key"] |= {"purpose": "sweep", "rate": rate}
        run["curve"][-1]["loss"] = loss
    lone = recall("recall_4k", "dense", 0, 0.25)
    lone["key"] |= {"purpose": "sweep", "rate": 0.002}
    page = render({**rows(), "recall_4k": [*rows()["recall_4k"], *swept, lone]})
    assert "| `engram` | 0.50, 3.00 | **0.70, 2.00** |" in page
    assert re.search(r"\| `dense` \| null <sup>\d+</sup> \| \*\*0.25, 5.00\*\* \|", page)
    assert page.count("no rate was swept") == 1  # of 16,384 names


def test_tables_hold_the_numbers_of_the_rows() -> None:
    page = render(rows())
    engram = next(line for line in page.splitlines() if line.startswith("| `engram` | 0.00 M | 60%"))
    assert "| 0.95 [0.95, 0.95] |" in engram
    assert "| `full` | 0.002 | 2.0 (all seeds) |" in page
    assert "| full fine-tuning: old facts .90 or less | 0.875 (all seeds) |" in page
    assert "| 16,384 names, 160 steps: iso-parameter .30 or less | 0.601 [" in page


def other_text(seed: int) -> Row:
    """A run of `locality`: some sequences read no written row after 1 fact, none after 1,024."""
    shares = {"rows_written": 0.05, "tokens_exposed": 0.5, "tokens_shared": 0.0125, "top_1_changed": 0.25}
    points = [
        {"step": 0, "facts": facts, "untouched": untouched, "identical": untouched, "kl_nats": 0.125, **shares}
        for facts, untouched in ((1, 3), (1024, 0))
    ]
    return row("locality", "engram", seed, points)


def test_other_text_has_its_line_a_load_and_says_how_many_sequences_kept_their_bits(tmp_path: Path) -> None:
    found = {**rows(), "locality": [other_text(seed) for seed in (1, 2)]}
    page = render(found)
    assert "| `engram` | 1 | 0.05 (all seeds) | 0.50 (all seeds) | 0.013 (all seeds) | 6 of 6 | 0.125" in page
    assert re.search(r"\| `engram` \| 1,024 \| .* \| null <sup>\d+</sup> \| 0.125 \(all seeds\) \| 0.25", page)
    assert "no sequence is without an exposed token" in page
    assert "![Other text, by how many facts were written](engram/locality.png)" in page
    figures.draw({**{plan: [] for plan in found}, "locality": found["locality"]}, tmp_path)
    assert "KL divergence, nats a token" in (tmp_path / "locality.svg").read_text()


def test_a_code_book_is_said_to_have_cost_something_before_the_first_write() -> None:
    curve = [{"step": 0, "facts": 64, "new": 1.0, "old": 0.5, "us_a_fact": 3.0}]
    shot = [row("one_shot", "one_shot", 1, curve, fixed_cost={"seconds": 40.0, "flops": 2.5e12})]
    page = render({**rows(), "one_shot": shot})
    assert "learned together, 40.0 (one seed) CPU-seconds, 2.5 T operations." in page


def test_the_same_rows_give_the_same_figures_and_others_do_not(tmp_path: Path) -> None:
    first, second = (figures.draw(rows(), tmp_path / name) for name in "ab")
    assert {path.stem for path in first} == {"accuracy", "loss", "lens", "tables", "facts"}
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    other = figures.draw(rows(engram=0.5), tmp_path / "c")
    assert first[0].read_bytes() != other[0].read_bytes()
    texts = (tmp_path / "a/accuracy.svg").read_text()
    assert all(name in texts for name in ENDS)


@pytest.mark.parametrize("name", ["accuracy", "lens"])
def test_an_arm_looks_the_same_in_all_panels_and_no_two_alike(name: str) -> None:
    many = [recall("recall_4k", f"arm_{number}", seed, 0.9) for number in range(9) for seed in (1, 2)]
    few = [recall("recall_16k", f"arm_{number}", seed, 0.9) for number in (4, 9, 1) for seed in (1, 2)]
    figure = figures.FIGURES[name][2]([many, few])
    looks: dict[object, set[object]] = {}
    for line in (line for panel in figure.axes for line in panel.lines):
        looks.setdefault(line.get_label(), set()).add((line.get_color(), line.get_marker(), line.get_linestyle()))
    assert len(looks) == 10
    assert all(len(look) == 1 for look in looks.values())
    assert len(set.union(*looks.values())) == 10
    legend = figure.legends[0] if name == "accuracy" else figure.axes[0].get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == (10 if name == "accuracy" else 9)


def test_the_page_in_the_repository_is_the_one_that_its_rows_make() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == render(published())
    drawn = [f"{name}.{form}" for name in figures.drawable(published()) for form in FORMATS]
    assert sorted(drawn) == sorted(path.name for path in (ROOT / PAGE).with_suffix("").glob("*"))


def test_rows_are_published_from_the_folder_of_runs_or_it_is_said_that_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no rows there; run a plan first: python -m adapters\.engram\.twins recall_4k"):
        report.publish(tmp_path)

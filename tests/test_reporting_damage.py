"""Reports over what is not as it should be: corrupt lines, records of other versions, unlike versions of a task."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from memory_bench import records
from memory_bench.__main__ import main
from memory_bench.errors import BadInput
from memory_bench.reporting import cells, table
from memory_bench.reporting.html import ledger
from tests.measured import EVERYTHING, NOTHING, PROVENANCE, measured
from tests.test_html_command import experiment, results

__all__ = ["experiment", "results"]  # fixtures


@pytest.fixture
def damaged(experiment: Path) -> Path:
    """The records of one of four cells, its second line spoilt."""
    (file,) = experiment.glob("results/stub/stub/*/records.jsonl")
    lines = file.read_bytes().split(b"\n")
    lines[1] = lines[1][:40] + b"\xff" + lines[1][41:]
    file.write_bytes(b"\n".join(lines))
    return file.relative_to(experiment)


def test_a_corrupt_line_is_named_and_its_question_left_out_for_every_memory(
    damaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "+experiment=page"]) == 0
    page = capsys.readouterr().out
    assert "8 questions in 3 episodes" in page
    assert f"left out for every memory, since it cannot be read: {damaged}, line 2" in page
    found = cells.find("page")
    assert f"{damaged}, line 2: {ledger.LEFT_OUT}." in ledger.warnings(found)
    (group,) = table.groups(found)
    assert [len(cell.questions) for cell in group] == [8] * 4
    assert main(["report", "+experiment=page", "--publish"]) == 2
    assert capsys.readouterr().err.startswith(f"{damaged}, line 2: cannot be read, and a part of a run is not to be")


def test_who_loads_records_alone_is_told_of_a_corrupt_line(damaged: Path) -> None:
    with pytest.raises(BadInput, match=r"records\.jsonl, line 2: cannot be read; run its cell again"):
        records.load()
    corrupt: list[str] = []
    assert len(records.load(corrupt=corrupt)) == 35
    assert corrupt == [f"{damaged}, line 2"]


def test_records_of_another_version_are_refused_by_name(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "+experiment=page", "--publish"]) == 0
    published = experiment / "results/published/page.parquet"
    rows = pd.read_parquet(published)
    rows.drop(columns="offered").to_parquet(published)
    capsys.readouterr()
    assert main(["report", "+experiment=page", "--from-published"]) == 2
    said = "results/published/page.parquet holds records of another version, without offered; publish it again\n"
    assert capsys.readouterr().err == said
    rows.to_parquet(published)
    facts = json.loads(published.with_suffix(".json").read_text())
    del facts["cells"][0]["returned"]
    published.with_suffix(".json").write_text(json.dumps(facts))
    assert main(["report", "+experiment=page", "--from-published"]) == 2
    assert capsys.readouterr().err.startswith("results/published/page.json was written by another version")
    (file,) = experiment.glob("results/stub/stub/*/records.jsonl")
    old = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps({k: v for k, v in row.items() if k != "passages"}) + "\n" for row in old))
    assert main(["report", "+experiment=page"]) == 2
    assert "holds records of another version, without passages; run its cell again" in capsys.readouterr().err


def test_cells_of_unlike_versions_of_a_task_are_never_put_in_one_table() -> None:
    first, second = measured("m", EVERYTHING), measured("n", NOTHING)
    newer = replace(second, provenance={**PROVENANCE, "task_version": "2"})
    with pytest.raises(BadInput, match="n and m were measured on different versions of the task"):
        table.tables([first, newer])

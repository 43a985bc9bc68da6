"""The workflows have the form that GitHub reads, and run what the pages say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from memory_bench.provenance import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
EXAMPLE = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


def linted(*files: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *files]
    return subprocess.run(command, capture_output=True, text=True)


def test_every_workflow_has_the_form_of_one() -> None:
    assert len(WORKFLOWS) >= 2
    done = linted(*map(str, WORKFLOWS))
    assert done.returncode == 0, done.stdout


def test_a_planted_fault_is_found(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "runs-at:"))
    assert linted(str(broken)).returncode == 1


def test_the_example_of_ten_lines_gives_what_the_workflow_asks_for() -> None:
    (text,) = (one for one in EXAMPLE.findall((ROOT / "docs" / "gate.md").read_text()) if "jobs:" in one)
    assert len(text.splitlines()) <= 10
    (job,) = yaml.safe_load(text)["jobs"].values()
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "gate.yml").read_text())
    asked = workflow[True]["workflow_call"]["inputs"]  # YAML 1.1 reads `on` as true
    assert job["uses"].endswith("/.github/workflows/gate.yml@main")
    assert {name for name, one in asked.items() if one.get("required")} <= set(job["with"]) <= set(asked)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_nothing_that_others_type_is_pasted_into_a_command(file: Path) -> None:
    for job in yaml.safe_load(file.read_text())["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), "hand it over by env: a name can hold a command"

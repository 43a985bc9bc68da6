"""What is installed is what the tree holds, and needs what it says it needs."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PACKAGES = ("memory_bench", "adapters", "tasks")
DATA = (".yaml", ".safetensors", ".json", ".jsonl", ".jinja", ".css", ".js", ".txt")
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = frozenset(PYPROJECT["project"]["optional-dependencies"])


def tracked() -> list[Path]:
    """Return the files of the repository, new ones included. Raises where this is no git checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def test_every_package_of_the_tree_is_packaged_and_every_packaged_folder_exists() -> None:
    mapped = PYPROJECT["tool"]["setuptools"]["package-dir"]
    named = set(PYPROJECT["tool"]["setuptools"]["packages"])
    folders = {name: ROOT / _place(name, mapped) for name in named}
    assert [name for name, folder in folders.items() if not folder.is_dir()] == []
    there = {file.parent for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    there |= {file.parent for file in (ROOT / "conf").rglob("*.yaml")}
    assert there - set(folders.values()) == set()


def _place(package: str, mapped: dict[str, str]) -> str:
    for name, folder in mapped.items():
        if package == name or package.startswith(f"{name}."):
            package = folder + package.removeprefix(name)
    return package.replace(".", "/")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built from a copy: a build leaves folders behind, and old ones leak into new wheels."""
    copy, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in (*PACKAGES, "conf"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(out),
        str(copy),
    ]
    subprocess.run(build, check=True, capture_output=True, text=True, env=os.environ | {"PIP_NO_INDEX": "1"})
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_every_module_choice_and_weight(wheel: Path) -> None:
    shipped = set(zipfile.ZipFile(wheel).namelist())
    expected = set()
    for file in (
        file for package in PACKAGES for file in (ROOT / package).rglob("*") if "__pycache__" not in file.parts
    ):
        if file.suffix in (".py", *DATA):
            expected.add(str(file.relative_to(ROOT)))
    expected |= {f"memory_bench/conf/{file.relative_to(ROOT / 'conf')}" for file in (ROOT / "conf").rglob("*.yaml")}
    assert expected - shipped == set()
    assert "memory_bench/conf/task/needle.yaml" in shipped
    assert "memory_bench/reporting/report.md.jinja" in shipped


def test_the_command_runs_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    found = "import memory_bench, adapters, tasks; print(memory_bench.__file__, adapters.__file__, tasks.__file__)"
    places = _run_installed(tmp_path, "-c", found).split()
    assert [Path(place).is_relative_to(tmp_path / "installed") for place in places] == [True] * 3
    assert "needle" in _run_installed(tmp_path, "-m", "memory_bench", "list")


def _run_installed(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=os.environ | {"PYTHONPATH": str(folder / "installed")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_import_is_a_declared_dependency() -> None:
    """What happens to be installed with something else can go away with it."""
    project = PYPROJECT["project"]
    lines = [*project["dependencies"], *(line for extra in EXTRAS for line in project["optional-dependencies"][extra])]
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    owners = importlib.metadata.packages_distributions()
    used = {module for file in (*(f for p in PACKAGES for f in (ROOT / p).rglob("*.py")),) for module in _modules(file)}
    foreign = used - set(sys.stdlib_module_names) - set(PACKAGES) - OPTIONAL
    undeclared = {
        name for name in foreign if not {canonicalize_name(owner) for owner in owners.get(name, ())} & declared
    }
    assert undeclared == set()
    assert {"torch", "hydra", "numpy"} <= foreign


OPTIONAL = {"pynvml", "triton"}  # asked for where there is a GPU, and said to be missing; a CPU needs neither


def _modules(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_the_constraints_pin_exactly_what_an_installation_brings() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = {canonicalize_name(Requirement(line).name) for line in lines}
    assert all("==" in line and "+" not in line for line in lines)
    # platforms differ in what they bring (GPU libraries, of which torch asks for exact versions itself)
    brought = {
        name
        # what only a GPU needs is no part of dev: where no test runs with it, none would know its pin
        for name in _closure("memory-bench-suite", EXTRAS - {"gpu-names", "flash-attn", "flash-attn-4", "ray", "all"})
        if not name.startswith(("nvidia-", "cuda-", "triton"))
    }
    assert brought - pinned == {"memory-bench-suite"}
    assert pinned - brought == set()


def _closure(name: str, extras: frozenset[str]) -> set[str]:
    seen: dict[tuple[str, frozenset[str]], None] = {}
    waiting = [(canonicalize_name(name), extras)]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen[one] = None
        for line in importlib.metadata.requires(one[0]) or ():
            need = Requirement(line)
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *one[1])):
                waiting.append((canonicalize_name(need.name), frozenset(need.extras)))
    return {name for name, _ in seen}


def test_only_the_ci_script_names_the_folder_of_private_data() -> None:
    private = "/".join(("shared", "data")).encode()
    naming = [str(file.relative_to(ROOT)) for file in tracked() if private in file.read_bytes()]
    assert naming == [".ci/run"]


def test_the_weights_stay_small() -> None:
    """A clone is quick: all weights together take 25 MB at most."""
    weights = list((ROOT / "memory_bench/readers/weights").rglob("*.safetensors"))
    assert weights
    assert sum(file.stat().st_size for file in weights) <= 25_000_000

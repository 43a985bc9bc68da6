"""Who may import whom. The core knows no plug-in by name, plug-ins do not know each other, and torch stays inside."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("memory_bench", "adapters", "tasks")


@dataclass(frozen=True)
class Rule:
    """Files whose module name starts with one of `where` import nothing that starts with one of `never`.

    `but` are the exceptions to `never`; `outside` the modules within `where` that the rule leaves alone.
    """

    where: tuple[str, ...]
    never: tuple[str, ...]
    but: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()


CORE = tuple(
    f"memory_bench.{part}"
    for part in (
        "runner",
        "prompt",
        "metrics",
        "meter",
        "records",
        "statistics",
        "reporting",
        "guards",
        "engines",
        "config",
        "__main__",
    )
)
RULES = {
    "the nouns import nothing of ours": Rule(("memory_bench.types",), OURS),
    "the errors import nothing of ours": Rule(("memory_bench.errors",), OURS),
    "the verbs import only the nouns": Rule(("memory_bench.contracts",), OURS, but=("memory_bench.types",)),
    "the core knows no plug-in": Rule(
        CORE, ("adapters", "tasks", "memory_bench.readers", "memory_bench.embedders"),
        but=("memory_bench.readers.train",),  # the command hands `train` over, and `-m` needs no import of it
    ),
    "a memory knows neither tasks nor the run": Rule(
        ("adapters",),
        ("tasks", *(core for core in CORE if core != "memory_bench.statistics"), "memory_bench.embedders"),
    ),
    "a task knows neither memories nor readers": Rule(
        ("tasks",), ("adapters", "memory_bench.readers", *CORE),
        but=("memory_bench.metrics",),  # pure functions: what "exact match" means has one home
        # commands beside the tasks: one makes memories by name, as the run does, the other reads what was published
        outside=("tasks.entity.capacity", "tasks.predictions"),
    ),
    "a reader knows neither tasks nor memories": Rule(
        ("memory_bench.readers", "memory_bench.embedders"), ("tasks", "adapters"),
    ),
    "torch stays in readers, embedders and memories inside the model": Rule(
        OURS, ("torch", "sentence_transformers", "transformers", "safetensors.torch"),
        outside=("memory_bench.readers", "memory_bench.embedders", "adapters.engram"),
    ),
    "only the command, the config and the launchers know Hydra": Rule(
        OURS, ("hydra", "omegaconf"),
        outside=("memory_bench.config", "memory_bench.outside", "memory_bench.__main__", "memory_bench.launchers"),
    ),
}  # fmt: skip


def module_name(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path, root: Path) -> Iterator[str]:
    """Yield every module that a file imports anywhere, functions and type checking included, by absolute name."""
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join([*base, *([node.module] if node.module else [])])
            # `from memory_bench import runner` imports a module, `from memory_bench.types import Event` a name
            yield from (f"{source}.{alias.name}" for alias in node.names)


def within(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def violations(rule: Rule, root: Path) -> list[str]:
    found = []
    for path in sorted(file for package in OURS for file in (root / package).rglob("*.py")):
        importer = module_name(path, root)
        if within(importer, rule.where) and not within(importer, rule.outside):
            wrong = {name for name in imports(path, root) if within(name, rule.never) and not within(name, rule.but)}
            found += [f"{importer} imports {name}" for name in sorted(wrong)]
    return found


def neighbours(root: Path) -> list[str]:
    """Return imports from one memory, or one task, into another: a folder is one plug-in, a file is one."""
    found = []
    for package in ("adapters", "tasks"):
        for path in sorted((root / package).rglob("*.py")):
            importer = module_name(path, root)
            own = ".".join(importer.split(".")[:2])
            wrong = {name for name in imports(path, root) if within(name, (package,)) and not within(name, (own,))}
            found += [f"{importer} imports {name}" for name in sorted(wrong)]
    return found


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_tree_keeps(rule: Rule) -> None:
    assert violations(rule, ROOT) == []


def test_plug_ins_do_not_import_each_other() -> None:
    assert neighbours(ROOT) == []


PLANTED = {
    "the nouns import nothing of ours": ("memory_bench/types.py", "import memory_bench.errors"),
    "the errors import nothing of ours": ("memory_bench/errors.py", "from memory_bench import types"),
    "the verbs import only the nouns": ("memory_bench/contracts.py", "from .errors import BadInput"),
    "the core knows no plug-in": ("memory_bench/reporting/x.py", "def f():\n    from adapters.bm25 import BM25"),
    "a memory knows neither tasks nor the run": ("adapters/x.py", "from memory_bench import prompt"),
    "a task knows neither memories nor readers": ("tasks/x/y.py", "from memory_bench.readers.tiny import TinyReader"),
    "a reader knows neither tasks nor memories": ("memory_bench/readers/x.py", "import tasks"),
    "torch stays in readers, embedders and memories inside the model": ("adapters/x.py", "import torch.nn as nn"),
    "only the command, the config and the launchers know Hydra": (
        "memory_bench/runner.py",
        "from hydra.utils import instantiate",
    ),
}


@pytest.mark.parametrize("title", RULES)
def test_a_planted_violation_is_found(title: str, tmp_path: Path) -> None:
    place, source = PLANTED[title]
    file = tmp_path / place
    file.parent.mkdir(parents=True)
    file.write_text(source)
    assert len(violations(RULES[title], tmp_path)) == 1


def test_a_planted_neighbour_is_found_and_a_folder_may_import_itself(tmp_path: Path) -> None:
    (tmp_path / "adapters/big").mkdir(parents=True)
    (tmp_path / "adapters/big/own.py").write_text("from adapters.big import parts\nfrom . import other")
    (tmp_path / "adapters/small.py").write_text("from adapters.big.own import Thing")
    assert neighbours(tmp_path) == ["adapters.small imports adapters.big.own.Thing"]


@pytest.mark.parametrize("package", OURS)
def test_the_package_that_is_found_is_ours(package: str) -> None:
    """Other distributions own the names `adapters` and `memory_bench` too; the last one installed wins silently."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert [Path(place) for place in spec.submodule_search_locations or []] == [ROOT / package]


def test_the_nouns_start_without_a_single_dependency() -> None:
    """`types` and `errors` load on a bare interpreter, without anything installed."""
    code = "import memory_bench.types, memory_bench.errors"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

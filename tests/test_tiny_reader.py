"""The reader of the command: what it answers, what it counts, and what it refuses.

Most tests read with `copier`: it copies what followed the longest earlier match, so its answers are known beforehand.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from adapters.engram.slot import EngramTable
from memory_bench.__main__ import main
from memory_bench.errors import BadInput
from memory_bench.readers import checkpoint
from memory_bench.readers.tiny import TinyReader
from tests.readers import NEWLINE, copier, log_probs, random_model, random_slot, reader

CONTEXT = "The code of gate 17 is 4411\nLunch is served at noon\n"
CLOZE = "The code of gate 17 is"
ENDLESS = "one two three four one two three"
LARGEST_MEGABYTES = 25


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> TinyReader:
    return reader(copier(), tmp_path_factory.mktemp("weights") / "copier")


@pytest.fixture(scope="module")
def random_one(tmp_path_factory: pytest.TempPathFactory) -> TinyReader:
    return reader(random_model(), tmp_path_factory.mktemp("weights") / "random")


@pytest.fixture
def bundled(tmp_path: Path) -> Path:
    """A copy of the bundled weights that may be harmed."""
    return Path(shutil.copytree(checkpoint.WEIGHTS / "tiny", tmp_path / "copied"))


def flip_last_byte(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def test_it_answers_up_to_the_first_newline_and_counts_that_too(one: TinyReader) -> None:
    [completion] = one.generate([CONTEXT + CLOZE])
    assert completion.text == "4411"
    assert completion.completion_tokens == one.count_tokens(" 4411\n")
    assert completion.prompt_tokens == one.count_tokens(CONTEXT + CLOZE)
    assert one.newline == NEWLINE


def test_it_stops_at_max_new_tokens(one: TinyReader) -> None:
    [completion] = one.generate([ENDLESS])
    assert completion.text == "four one two three four one two three four"
    assert completion.completion_tokens == 12


def test_prompts_of_any_length_are_answered_together_as_alone(one: TinyReader, random_one: TinyReader) -> None:
    prompts = [CONTEXT + CLOZE, ENDLESS, "a", CONTEXT * 5 + CLOZE]
    for some in (one, random_one):
        together = some.generate(prompts)
        alone = [some.generate([prompt])[0] for prompt in prompts]
        assert [c.text for c in together] == [c.text for c in alone]
        assert [c.completion_tokens for c in together] == [c.completion_tokens for c in alone]
        assert [c.logprob for c in together] == pytest.approx([c.logprob for c in alone], abs=1e-3)
    assert one.generate([]) == []


def test_each_token_is_the_likeliest(random_one: TinyReader) -> None:
    [completion] = random_one.generate(["a b"])
    tokens = random_one.encode("a b")
    total = 0.0
    for _ in range(completion.completion_tokens):
        best = log_probs(random_one.model, [tokens])[0, -1].max(-1)
        tokens.append(int(best.indices))
        total += best.values.item()
    assert completion.text == random_one.tokenizer.decode(tokens[len(random_one.encode("a b")) :]).strip()
    assert completion.logprob == pytest.approx(total, abs=1e-3)


def test_a_score_is_the_log_probability_of_the_whole_continuation(random_one: TinyReader) -> None:
    prompt, continuation = "The code of gate 17 is", " 4411 or so\n"
    start, tokens = len(random_one.encode(prompt)), random_one.encode(prompt + continuation)
    predicted_TV = log_probs(random_one.model, [tokens])[0, start - 1 : -1]
    expected = predicted_TV.gather(1, torch.tensor(tokens[start:])[:, None]).sum().item()
    [score] = random_one.score(prompt, [continuation])
    assert score == pytest.approx(expected, abs=1e-3)
    assert len(tokens) - start == random_one.count_tokens(continuation)


def test_scores_rank_and_agree_with_what_is_generated(one: TinyReader) -> None:
    prompt = CONTEXT + CLOZE
    wrong, right, other = one.score(prompt, [" 4412\n", " 4411\n", " noon\n"])
    assert right > max(wrong, other)
    assert one.generate([prompt])[0].logprob == pytest.approx(right, abs=1e-3)


def test_the_last_token_that_fits_is_read_and_the_next_is_refused(one: TinyReader) -> None:
    room = 512 - 12
    longest = " a" * room
    assert one.count_tokens(longest) == room
    assert one.generate([longest])[0].prompt_tokens == room
    with pytest.raises(BadInput, match=r"a prompt of 501 tokens .* between 1 and 500 fit: lower budget_tokens"):
        one.generate(["a", longest + " a"])
    with pytest.raises(BadInput, match="a prompt of 0 tokens was given"):
        one.generate([""])


def test_behind_the_longest_prompt_a_choice_has_the_room_of_an_answer(one: TinyReader) -> None:
    longest = " a" * (512 - 12)
    assert one.score(longest, [" a" * 12])[0] <= 0
    with pytest.raises(BadInput, match=r"a prompt of 513 tokens .* between 1 and 512 fit: lower budget_tokens"):
        one.score(longest, [" a" * 13])


def test_a_cpu_has_no_device_events(one: TinyReader) -> None:
    assert one.device == torch.device("cpu")
    assert one.mark() is None
    assert one.seconds_between(one.mark(), one.mark()) is None
    assert one.peak_device_bytes() is None


def test_the_first_token_takes_a_part_of_the_time(one: TinyReader) -> None:
    seconds = one.generate([ENDLESS])[0].first_token_seconds
    assert seconds is not None
    assert 0 < seconds < 60


def test_its_identity_is_that_of_the_files(one: TinyReader) -> None:
    files = {f"copier/{name}": one.folder / name for name in ("model.safetensors", "config.json")}
    files["tokenizer.json"] = checkpoint.TOKENIZER
    expected = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    assert one.identity() == expected


def test_another_reader_reads_the_table_and_this_one_stays(tmp_path: Path) -> None:
    one = reader(random_model(slot=random_slot()), tmp_path / "slotted")
    table = EngramTable(one.model.slot, one.device)  # type: ignore[arg-type]
    before = one.score("a b c", [" d"])
    other = one.with_look_up(table)
    assert other.score("a b c", [" d"]) == before
    for rows_RC in table.rows.values():
        rows_RC += 1.0
    assert other.score("a b c", [" d"]) != before
    assert one.score("a b c", [" d"]) == before
    assert other.model is one.model
    assert other.identity() == one.identity()


def test_another_reader_adds_to_the_logits_and_this_one_stays(random_one: TinyReader) -> None:
    prompt, continuation = "a b c", " d e"
    start, tokens = len(random_one.encode(prompt)), random_one.encode(prompt + continuation)
    before = random_one.score(prompt, [continuation])
    other = random_one.with_bias(lambda tokens: {tokens[-1]: 2.0}).with_bias(lambda _: {300: 1.5, 7: -1.0})
    logits_QV = log_probs(random_one.model, [tokens])[0, start - 1 : -1].clone()
    for logits_V, last in zip(logits_QV, tokens[start - 1 :], strict=False):
        logits_V[last] += 2.0
        logits_V[300] += 1.5
        logits_V[7] -= 1.0
    expected = logits_QV.log_softmax(-1).gather(1, torch.tensor(tokens[start:])[:, None]).sum().item()
    assert other.score(prompt, [continuation])[0] == pytest.approx(expected, abs=1e-3)
    assert other.generate([prompt])[0].logprob != random_one.generate([prompt])[0].logprob
    assert random_one.score(prompt, [continuation]) == before
    assert random_one.with_bias(lambda _: {}).score(prompt, [continuation]) == before


def test_weights_come_back_rounded_to_sixteen_bits_and_frozen(tmp_path: Path) -> None:
    model = random_model(slot=random_slot())
    kept = reader(model, tmp_path / "kept").model
    for name, tensor in model.state_dict().items():
        expected = tensor.half().float() if tensor.is_floating_point() else tensor
        assert torch.equal(kept.state_dict()[name], expected)
    assert not any(parameter.requires_grad for parameter in kept.parameters())
    assert not kept.training


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"device": "tpu"}, "reader.device=tpu: expected auto, cpu, cuda or mps"),
        ({"max_new_tokens": 0}, "reader.max_new_tokens=0: expected a whole number >= 1"),
        ({"window_tokens": 12}, "reader.window_tokens=12: expected a whole number > reader.max_new_tokens=12"),
        ({"threads": 0}, "reader.threads=0: expected a whole number >= 1, or null"),
        ({"slot": random_slot}, "the weights kept have no slot, the reader's YAML names one: see slot in conf/reader"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object], line: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        reader(copier(), tmp_path / "kept", **options)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device that must be missing")
def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"reader.device=mps: this torch sees no Apple GPU; type reader.device=cpu"):
        reader(copier(), tmp_path / "kept", device="mps")
    with pytest.raises(BadInput, match=r"reader.device=cuda: this torch sees no GPU; type reader.device=cpu"):
        reader(copier(), tmp_path / "kept", device="cuda")


def test_weights_with_a_slot_need_one_in_the_yaml(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the weights kept have a slot, the reader's YAML names none: see slot"):
        reader(random_model(slot=random_slot()), tmp_path / "kept", slot=None)


def test_weights_that_do_not_exist_are_named_with_those_that_do() -> None:
    with pytest.raises(BadInput, match=r"reader.weights=tinny: no such weights; bundled are tiny.*, or give a folder"):
        checkpoint.find("tinny")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_weights_with_a_part_missing_or_broken_are_refused(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    reader(copier(), folder)
    (folder / name).write_bytes(b"{")
    with pytest.raises(BadInput, match=f"{name}.*git checkout"):
        TinyReader(str(folder), device="cpu", window_tokens=512, max_new_tokens=12)
    (folder / name).unlink()
    with pytest.raises(BadInput, match=r"no such weights|model.safetensors is missing"):
        TinyReader(str(folder), device="cpu", window_tokens=512, max_new_tokens=12)


def test_the_bundled_weights_are_those_that_their_config_names() -> None:
    for config in checkpoint.WEIGHTS.glob("*/config.json"):
        kept = json.loads(config.read_text(encoding="utf-8"))
        assert kept["model_sha256"] == checkpoint.sha256(config.parent / "model.safetensors")
        assert kept["tokenizer_sha256"] == checkpoint.sha256(checkpoint.TOKENIZER)
    assert (checkpoint.WEIGHTS / "tiny" / "config.json").is_file()


def test_all_weights_together_stay_small() -> None:
    files = [path for path in checkpoint.WEIGHTS.rglob("*") if path.is_file()]
    assert checkpoint.WEIGHTS / "tiny" / "model.safetensors" in files
    assert sum(path.stat().st_size for path in files) <= LARGEST_MEGABYTES * 1e6


def test_the_command_refuses_weights_with_a_wrong_hash_in_one_line(
    bundled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["+task=needle", "+memory=none", f"reader.weights={bundled}", "limit=1", "task.episodes=1"]
    assert main(command) == 0
    flip_last_byte(bundled / "model.safetensors")
    shutil.rmtree(tmp_path / "results")
    capsys.readouterr()
    assert main(command) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("model.safetensors of copied has sha256 ")
    assert "restore the file (git checkout)" in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (tmp_path / "results").exists()

"""The reader of any model of `transformers`: what it is given, what it answers, and what it counts.

The models are small, their weights random but for one that writes a text known beforehand; nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import date
from pathlib import Path

import pytest
import torch

from memory_bench.__main__ import main
from memory_bench.errors import BadInput
from memory_bench.meter import Meter
from memory_bench.readers.hf import HfReader
from tests import checkpoints
from tests.checkpoints import FAMILIES, PROMPTS, WINDOW, made

CHAIN = " code is 4411.\n"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of each family, and one that writes CHAIN."""
    root = tmp_path_factory.mktemp("models")
    made = {family: checkpoints.save(root / family, family) for family in FAMILIES}
    return made | {"chain": checkpoints.save(root / "chain", "llama", chain=CHAIN)}


@pytest.fixture(scope="module", params=FAMILIES)
def one(request: pytest.FixtureRequest, folders: dict[str, Path]) -> HfReader:
    return made(folders[request.param])


def log_probs(one: HfReader, tokens: list[int]) -> torch.Tensor:
    """Return the log-probabilities of every next token by one pass that keeps nothing: [T, V]."""
    with torch.inference_mode():
        logits_BTV: torch.Tensor = one.model(torch.tensor([tokens]), use_cache=False).logits
    return logits_BTV[0].log_softmax(-1)


def test_keys_and_values_that_are_kept_change_no_token(one: HfReader) -> None:
    texts = set()
    for prompt in PROMPTS:
        [completion] = one.generate([prompt])
        tokens, total = one.encode(prompt), 0.0
        for _ in range(completion.completion_tokens):
            best = log_probs(one, tokens)[-1].max(-1)
            tokens.append(int(best.indices))
            total += best.values.item()
        written = one.tokenizer.decode(tokens[len(one.encode(prompt)) :], skip_special_tokens=True)
        assert completion.text == written.partition("\n")[0].strip()
        assert completion.logprob == pytest.approx(total, abs=1e-3)
        texts.add(completion.text)
    assert len(texts) > 1


def test_prompts_of_any_length_are_answered_together_as_alone(one: HfReader) -> None:
    together, alone = one.generate(PROMPTS), [one.generate([prompt])[0] for prompt in PROMPTS]
    assert len({completion.prompt_tokens for completion in alone}) == len(PROMPTS)
    for a, b in zip(together, alone, strict=True):
        assert (a.text, a.prompt_tokens, a.completion_tokens) == (b.text, b.prompt_tokens, b.completion_tokens)
        assert a.logprob == pytest.approx(b.logprob, abs=1e-3)
    assert one.generate([]) == []


def test_a_score_is_the_log_probability_of_the_whole_continuation(one: HfReader) -> None:
    prompt, continuations = "The access code of gate 17 is", [" 4411", " noon", " 4411 at noon\n", " a"]
    start, expected = len(one.encode(prompt)), []
    for continuation in continuations:
        tokens = one.encode(prompt, continuation)
        predicted_NV = log_probs(one, tokens)[start - 1 : -1]
        expected.append(predicted_NV.gather(1, torch.tensor(tokens[start:])[:, None]).sum().item())
    assert one.score(prompt, continuations) == pytest.approx(expected, abs=1e-3)
    assert one.score(prompt, continuations[:1]) == pytest.approx(expected[:1], abs=1e-3)


def test_a_continuation_that_grows_together_with_the_prompt_is_scored_from_where_they_part(one: HfReader) -> None:
    prompt, continuation = "What is the acc", "ess"
    alone, tokens = one.encode(prompt), one.encode(prompt, continuation)
    assert tokens[: len(alone)] != alone
    last_NV = log_probs(one, tokens)[-2:-1]
    assert one.score(prompt, [continuation]) == pytest.approx([last_NV[0, tokens[-1]].item()], abs=1e-3)


def test_every_token_that_the_model_is_given_is_counted(folders: dict[str, Path]) -> None:
    for family, first in (("llama", 1), ("qwen2", 0), ("gpt2", 0)):
        one = made(folders[family])
        [completion] = one.generate([PROMPTS[0]])
        assert completion.prompt_tokens == one.count_tokens(PROMPTS[0]) + first
        assert one.encode(PROMPTS[0]) == one.tokenizer.encode(PROMPTS[0])
        assert one.window_tokens == WINDOW - first
        assert completion.cached_tokens is None


@pytest.mark.parametrize(("prompt", "family"), [("cloze", "llama"), ("chat", "qwen2")])
def test_a_choice_costs_the_tokens_around_its_prompt_too(prompt: str, family: str, folders: dict[str, Path]) -> None:
    one = made(folders[family], prompt=prompt)
    meter = Meter(one)
    with meter.region("generate") as region:
        meter.reader(one).score(PROMPTS[0], [" 4411", " noon"])
    texts = one.count_tokens(PROMPTS[0]) + one.count_tokens(" 4411") + one.count_tokens(" noon")
    assert meter.costs(region)["prompt_tokens"] == texts + len(one.encode(PROMPTS[0])) - one.count_tokens(PROMPTS[0])
    assert one.frame_tokens > 0


def test_it_stops_at_the_first_line_break_at_the_end_of_a_text_and_at_max_new_tokens(folders: dict[str, Path]) -> None:
    one = made(folders["chain"], max_new_tokens=20)
    prompt, rest = "The access code", " is 4411.\n"
    [completion] = one.generate([prompt])
    assert (completion.text, completion.completion_tokens) == ("is 4411.", one.count_tokens(rest))
    assert one.score(prompt, [rest]) == pytest.approx([completion.logprob], abs=1e-3)
    assert completion.first_token_seconds is not None
    [short] = made(folders["chain"], max_new_tokens=1).generate([prompt])
    assert (short.text, short.completion_tokens) == ("is", 1)
    one.ends |= {one.encode("", ".")[-1]}
    [ended] = one.generate([prompt])
    assert ended.completion_tokens == completion.completion_tokens - 1


def test_the_tokens_that_end_a_text_are_those_of_the_model_and_of_the_tokenizer(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders["qwen2"], tmp_path / "several"))
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(settings | {"eos_token_id": [7, 9], "max_length": 3}))
    one = made(folder)
    assert one.ends == {7, 9, one.tokenizer.eos_token_id}


def test_settings_of_generation_that_come_with_a_model_change_nothing(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["gpt2"], tmp_path / "settings"))
    settings = json.loads((folder / "generation_config.json").read_text())
    penalty = {"repetition_penalty": 9.0, "do_sample": True, "temperature": 5.0}
    (folder / "generation_config.json").write_text(json.dumps(settings | penalty))
    plain, other = made(folders["gpt2"]).generate(PROMPTS), made(folder).generate(PROMPTS)
    assert [completion.text for completion in plain] == [completion.text for completion in other]


def test_a_chat_is_the_template_of_the_model(folders: dict[str, Path]) -> None:
    one = made(folders["qwen2"], prompt="chat")
    asked = "The access code of gate 17 is 4411\nWhat is the access code of gate 17?"
    expected = f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n"
    assert one.style == "chat"
    assert one.tokenizer.decode(one.encode(asked)) == expected
    assert one.generate([asked])[0].prompt_tokens == len(one.tokenizer.encode(expected, add_special_tokens=False))
    assert one.window_tokens == WINDOW - one.count_tokens(expected) + one.count_tokens(asked)
    assert one.tokenizer.decode(one.encode(asked, " 4411")) == expected + "4411"


def test_a_template_that_prints_the_day_prints_the_same_one_each_day(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["qwen2"], tmp_path / "dated"))
    (folder / "chat_template.jinja").write_text("{{ strftime_now('%d %b %Y') }}|{{ messages[0].content }}")
    one = made(folder, prompt="chat")
    assert one.tokenizer.decode(one.encode("a")) == "26 Jul 2024|a"
    todays = one.tokenizer.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False)
    assert todays == f"{date.today():%d %b %Y}|a"


def test_the_last_token_that_fits_is_read_and_the_next_is_refused(folders: dict[str, Path]) -> None:
    one = made(folders["llama"], window_tokens=64)
    longest = " noon" * (64 - 8 - 1)
    assert one.count_tokens(longest) == 64 - 8 - 1
    assert one.generate([longest])[0].prompt_tokens == 64 - 8
    assert one.score(longest, [" noon" * 8])[0] < 0
    with pytest.raises(BadInput, match=r"a prompt of 57 tokens was given, between 1 and 56 fit llama: lower"):
        one.generate([longest + " noon"])
    with pytest.raises(BadInput, match="a prompt of 65 tokens was given, between 1 and 64 fit"):
        one.score(longest, [" noon" * 9])
    with pytest.raises(BadInput, match="a prompt of 0 tokens was given"):
        made(folders["gpt2"]).generate([""])


@pytest.mark.parametrize("name", ["off_math", "cpu_flash"])
def test_attention_is_computed_as_the_run_says(name: str, one: HfReader) -> None:
    other = made(one.folder, attention=name)
    for a, b in zip(one.generate(PROMPTS), other.generate(PROMPTS), strict=True):
        assert (a.text, a.completion_tokens) == (b.text, b.completion_tokens)
        assert a.logprob == pytest.approx(b.logprob, abs=1e-3)


def test_sixteen_bits_a_number_are_read_as_such(folders: dict[str, Path]) -> None:
    one = made(folders["llama"], dtype="bfloat16")
    assert {parameter.dtype for parameter in one.model.parameters()} == {torch.bfloat16}
    assert one.generate(PROMPTS[:1])[0].completion_tokens > 0


def test_its_identity_is_that_of_the_files(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["llama"], tmp_path / "llama"))
    before = made(folder).identity()
    names = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert before == {
        f"llama/{name}": hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sorted(names)
    }
    (folder / "tokenizer_config.json").write_text((folder / "tokenizer_config.json").read_text() + "\n")
    after = made(folder).identity()
    assert {name for name in before if before[name] != after[name]} == {"llama/tokenizer_config.json"}


def test_a_cpu_has_no_device_events(one: HfReader) -> None:
    assert one.mark() is None
    assert one.seconds_between(one.mark(), one.mark()) is None
    assert one.peak_device_bytes() is None


@pytest.mark.parametrize("prompt", ["cloze", "chat"])
def test_a_run_ends_with_records(
    prompt: str, folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["+task=needle", "+memory=bm25", "reader=hf", f"reader.model={folders['qwen2']}", f"results={tmp_path}"]
    small = ["task.episodes=1", "task.questions=2", "task.length_tokens=512", "task.distractors=1"]
    room = ["reader.max_new_tokens=4", f"reader.prompt={prompt}", "reader.device=cpu"]
    assert main([*command, *small, *room]) == 0
    assert "reader hf" in capsys.readouterr().out
    [file] = tmp_path.rglob("records.jsonl")
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(records) == 2
    one = made(folders["qwen2"], prompt=prompt, max_new_tokens=4)
    for record in records:
        asked = record["cloze" if prompt == "cloze" else "query"]
        passages = [passage["text"] for passage in record["passages"] if passage["packed"]]
        given = one.encode("".join(f"{text}\n" for text in reversed(passages)) + asked)
        assert passages
        assert record["costs"]["prompt_tokens"] == len(given)
        assert 1 <= record["costs"]["completion_tokens"] <= 4
        assert record["answer"] is not None

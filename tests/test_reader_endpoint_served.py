"""The reader of a server in earnest: `transformers serve` in a process of its own, and a server that is killed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore

from memory_bench import records
from memory_bench.__main__ import main
from memory_bench.errors import BadInput, NoAnswer
from memory_bench.readers.endpoint import EndpointReader
from tests import checkpoints, completion_server, local_server, stubs
from tests.checkpoints import PROMPTS
from tests.completion_server import CompletionServer

CHAIN = " code is 4411.\n"


@dataclass(frozen=True)
class Served:
    url: str
    model: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`transformers serve` with a small model that writes CHAIN."""
    model = checkpoints.save(tmp_path_factory.mktemp("models") / "chain", "qwen2", chain=CHAIN)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(model), "--device", "cpu"]
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert server.stderr is not None
    try:
        said = next((line for line in server.stderr if "running on" in line), None)
        assert said is not None, "transformers serve did not start"
        threading.Thread(target=server.stderr.read, daemon=True).start()  # a full pipe would hold it up
        yield Served(f"http://127.0.0.1:{port}/v1", model)
    finally:
        server.kill()
        server.communicate()


@pytest.fixture
def reader_of(served: Served, tmp_path: Path) -> Any:
    """Make a reader that asks it, some options set otherwise."""

    def make(**options: Any) -> EndpointReader:
        usual = {"url": served.url, "model": str(served.model)}
        server = CompletionServer(served.model)  # is not asked: the address is another one
        return completion_server.asking(server, served.model, tmp_path / "kept", **{**usual, **options})

    return make


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("api", "prompt"), [("chat", "chat"), ("completions", "cloze")])
def test_answers_and_tokens_are_those_of_the_model_itself(
    api: str, prompt: str, stream: bool, served: Served, reader_of: Any
) -> None:
    model = checkpoints.made(served.model, prompt=prompt)
    completions, expected = reader_of(api=api, stream=stream).generate(PROMPTS), model.generate(PROMPTS)
    assert [(one.prompt_tokens, one.completion_tokens) for one in completions] == [
        (one.prompt_tokens, one.completion_tokens) for one in expected
    ]
    assert [one.text for one in completions] == [one.text for one in expected]
    assert {one.first_token_seconds is not None for one in completions} == {stream}
    assert {one.cached_tokens for one in completions} == {None}  # it does not say


def test_a_tokenizer_of_another_model_is_found_out(reader_of: Any, tmp_path: Path) -> None:
    checkpoints.saved_tokenizer(tmp_path / "other", "llama")
    with pytest.raises(BadInput, match=r"read \d+ tokens of a prompt that has \d+ by the tokenizer"):
        reader_of(api="completions", tokenizer=str(tmp_path / "other"))


def test_log_probabilities_that_it_reads_over_are_missed(reader_of: Any) -> None:
    """It answers a question with `echo` and `logprobs` as if they were not there."""
    with pytest.raises(NoAnswer, match=r"\(echo, logprobs\) does not give"):
        reader_of(api="completions").score("The access code of gate 17 is", [" 4411", " noon"])


def test_another_model_is_one_line(reader_of: Any) -> None:
    with pytest.raises(BadInput, match=r"refuses what it is asked \(400: .*requested 'large'.*reader.model$"):
        reader_of(model="large")


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_a_run_ends_with_records(api: str, served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["+task=needle", "+memory=bm25", "reader=endpoint", f"reader.url={served.url}"]
    small = ["task.episodes=1", "limit=4", "reader.window_tokens=1024", f"reader.api={api}"]
    kept = [f"reader.model={served.model}", f"reader.cache={tmp_path / 'kept'}", f"results={tmp_path / 'results'}"]
    assert main([*command, *small, *kept, "reader.max_new_tokens=4"]) == 0
    assert "reader endpoint" in capsys.readouterr().out
    frame = records.load(tmp_path / "results")
    assert len(frame) == 4
    assert frame["answer"].notna().all()
    assert (frame["costs.server_prompt_tokens"] == frame["costs.prompt_tokens"]).all()
    assert (frame["costs.generate_seconds"] > frame["costs.first_token_seconds"]).all()
    assert (frame["costs.retries"] == 0).all()
    assert frame["costs.generate_gpu_seconds"].isna().all()
    assert len(records.load_operations(tmp_path / "results")) > 3


@pytest.fixture
def experiment(served: Served, tmp_path: Path) -> Iterator[list[str]]:
    """The overrides of an experiment that asks `transformers serve`."""
    stubs.register()
    options = {"url": served.url, "model": str(served.model), "window_tokens": 1024, "cache": str(tmp_path / "kept")}
    node = {"defaults": [{"/task": "stub"}, {"override /reader": "endpoint"}], "reader": options}
    cells = {"cells": [{"memory": ["bm25", "none"]}]}
    ConfigStore.instance().store(group="experiment", name="asked", package="_global_", node={**node, **cells})
    yield ["+experiment=asked", f"results={tmp_path / 'results'}"]
    del ConfigStore.instance().repo["experiment"]["asked.yaml"]


def test_a_report_says_of_answers_that_were_kept_that_they_have_no_time(
    experiment: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    why = "answers were kept from an earlier request: 6 of 6 questions"
    reports = []
    for _ in range(2):
        assert main(["-m", *experiment]) == 0
        capsys.readouterr()
        assert main(["report", *experiment]) == 0
        reports.append(capsys.readouterr().out)
        assert main(["report", *experiment, "--format", "html", "--out", str(tmp_path / "page.html")]) == 0
        shutil.rmtree(tmp_path / "results")
    assert [why in report for report in reports] == [False, True]
    assert all("not known: a server's" in report for report in reports)
    assert why in (tmp_path / "page.html").read_text()


def test_a_server_that_was_killed_and_started_again_loses_no_finished_question(
    tokenizer_folder: Path, tmp_path: Path, pauses: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    stubs.register()
    finished = 4
    before = finished + 2  # the fixed text, and the first call that no question pays for
    mortal = subprocess.Popen(
        [sys.executable, "-m", "tests.completion_server", str(tokenizer_folder), str(before)],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    assert mortal.stdout is not None
    url = mortal.stdout.readline().strip()
    typed = ["+task=stub", "+memory=bm25", "reader=endpoint", "reader.model=small", "reader.window_tokens=1024"]
    typed += [f"reader.url={url}", f"reader.tokenizer={tokenizer_folder}", f"reader.cache={tmp_path / 'kept'}"]
    typed += [f"results={tmp_path / 'results'}"]
    assert main(typed) == 1
    mortal.communicate()
    assert mortal.returncode == -9
    assert len(pauses) == 5
    assert "busy 6 times in a row (nobody answers: " in capsys.readouterr().err
    [cut_off] = (tmp_path / "results").rglob("records.jsonl")
    answers = [json.loads(line)["answer"] for line in cut_off.read_text().splitlines()]
    assert len(answers) == finished
    port = int(url.split(":")[2].split("/")[0])
    with local_server.running(CompletionServer(tokenizer_folder), port) as server:
        assert main(typed) == 0
    assert "answers were kept from an earlier request, and have no time: 4 of 6 questions" in capsys.readouterr().out
    frame = records.load(tmp_path / "results")
    assert list(frame["answer"])[:finished] == answers
    assert list(frame["costs.kept_answers"]) == [1] * finished + [0] * (len(frame) - finished)
    assert list(frame["costs.generate_seconds"].isna()) == [True] * finished + [False] * (len(frame) - finished)
    assert len(server.asked) == 1 + len(frame) - finished  # a look at the fixed text, and what was not finished

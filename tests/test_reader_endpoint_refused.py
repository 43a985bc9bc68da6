"""What a server of answers is refused for, each in one line that shows no key; and what such a run leaves."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from memory_bench import endpoint
from memory_bench.__main__ import main
from memory_bench.errors import BadInput, Unavailable
from memory_bench.readers import attention
from memory_bench.readers.endpoint import EndpointReader
from tests import checkpoints, local_server, stubs
from tests.completion_server import CompletionServer, streams
from tests.local_server import KEY, says

Make = Callable[..., EndpointReader]

NONSENSE = {
    "a page": "<html>It works!</html>",
    "nothing": "",
    "a list": "[]",
    "no choices": '{"error": "unknown model"}',
    "no choice": '{"choices": []}',
    "no message": '{"choices": [{}]}',
    "a message of another kind": '{"choices": [{"message": "4411"}]}',
    "a text of another kind": '{"choices": [{"message": {"content": ["4411"]}}]}',
    "half of it": '{"choices": [{"message": {"conte',
}
NO_EVENTS = {
    "a number": "17",
    "a list": "[]",
    "no choices": '{"object": "chat.completion.chunk"}',
    "a text of another kind": '{"choices": [{"delta": {"content": 4411}}]}',
    "a choice of another kind": '{"choices": ["4411"]}',
    "half of it": '{"choices": [{"delta": {"conte',
}


class TestAnswers:
    @pytest.mark.parametrize("content", NONSENSE.values(), ids=NONSENSE)
    def test_one_without_a_text_is_one_line_and_kept_nowhere(
        self, content: str, completions: CompletionServer, reader_of: Make
    ) -> None:
        completions.acts.extend([says(200, content)] * 2)
        for _ in range(2):
            with pytest.raises(
                BadInput, match=f"^{completions.url}/chat/completions answers .*: set reader.url[^\n]*$"
            ):
                reader_of(stream=False)
        assert not completions.acts  # it was asked twice

    @pytest.mark.parametrize("content", NO_EVENTS.values(), ids=NO_EVENTS)
    def test_a_stream_of_something_else_is_one_line(
        self, content: str, completions: CompletionServer, reader_of: Make
    ) -> None:
        completions.acts.append(streams(content, "[DONE]"))
        with pytest.raises(BadInput, match=f"^{completions.url}/chat/completions answers .*: set reader.url[^\n]*$"):
            reader_of()

    def test_one_in_a_piece_where_a_stream_was_asked_for_is_one_line(
        self, completions: CompletionServer, reader_of: Make
    ) -> None:
        completions.acts.append(says(200, '{"choices": [{"message": {"content": "4411"}}]}'))
        with pytest.raises(BadInput, match=r"answers in no stream of events \(.*4411.*\): .*type reader.stream=false$"):
            reader_of()

    def test_one_without_an_end_is_not_read_to_it(
        self, completions: CompletionServer, reader_of: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(endpoint, "_MOST_BYTES", 1000)
        completions.acts.append(streams(*['{"choices": []}'] * 100))
        with pytest.raises(BadInput, match=r"answers without an end: set reader.url$"):
            reader_of()

    def test_a_count_that_is_not_ours_is_one_line_and_so_is_none(
        self, completions: CompletionServer, reader_of: Make
    ) -> None:
        line = r"read 9 tokens of a prompt that has \d+ by the tokenizer: set reader.tokenizer .* reader.usage=reported"
        completions.usage = lambda usage: {**usage, "prompt_tokens": 9}
        with pytest.raises(BadInput, match=line):
            reader_of()
        reader_of(usage="reported")
        with pytest.raises(BadInput, match=line):
            reader_of()  # what was kept under another rule is held against this one
        completions.usage = lambda _: None
        with pytest.raises(BadInput, match=r"does not say how many tokens it read: type reader.usage=none"):
            reader_of(cache=None)
        reader_of(cache=None, usage="none")

    def test_one_that_was_kept_under_another_rule_is_held_against_this_one(
        self, completions: CompletionServer, reader_of: Make
    ) -> None:
        reader = reader_of(usage="reported")
        completions.usage = lambda usage: {**usage, "prompt_tokens": 9}
        reader.generate(["Who?"])
        with pytest.raises(BadInput, match="read 9 tokens"):
            reader_of().generate(["Who?"])


class TestServers:
    def test_one_that_is_down_is_one_line_at_once(
        self, reader_of: Make, pauses: list[float], tokenizer_folder: Path
    ) -> None:
        with local_server.running(CompletionServer(tokenizer_folder)) as gone:
            pass
        line = f"^no server answers at {gone.url}/chat/completions .*refused.*: set reader.url to one that runs$"
        with pytest.raises(Unavailable, match=line):
            reader_of(url=gone.url)
        assert pauses == []

    @pytest.mark.parametrize("begins", [False, True], ids=["at once", "in the middle of a stream"])
    def test_one_that_hangs_is_one_line(self, begins: bool, completions: CompletionServer, reader_of: Make) -> None:
        done = threading.Event()

        def waits(handler: BaseHTTPRequestHandler) -> None:
            if begins:
                handler.send_response(200)
                handler.end_headers()
                handler.wfile.write(b'data: {"choices": [{"delta": {"content": "44"}}]}\n\n')
                handler.wfile.flush()
            done.wait(60)

        completions.acts.append(waits)
        line = r"was silent for 0.05 s: set reader.timeout_seconds to more, or reader.max_new_tokens to less"
        try:
            with pytest.raises(Unavailable, match=line):
                reader_of(timeout_seconds=0.05)
        finally:
            done.set()

    def test_one_that_shows_signs_of_life_and_no_answer_is_left(
        self, completions: CompletionServer, reader_of: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(endpoint, "_PATIENCE", 0.1)
        done = threading.Event()

        def keeps_alive(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.end_headers()
            while not done.wait(0.01):
                handler.wfile.write(b": keep-alive\n\n")
                handler.wfile.flush()

        completions.acts.append(keeps_alive)
        try:
            with pytest.raises(
                Unavailable, match=r"has not ended an answer after \d+ s: set reader.timeout_seconds to"
            ):
                reader_of(timeout_seconds=2.0)
        finally:
            done.set()

    def test_a_key_is_not_shown_in_the_spellings_of_json_and_of_an_address(
        self, completions: CompletionServer, reader_of: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = "ab/cd+0123456789=="
        monkeypatch.setenv("SOMEBODYS_KEY", key)
        completions.acts.append(says(403, r"no ab\/cd+0123456789== here, nor ab%2Fcd%2B0123456789%3D%3D"))
        with pytest.raises(BadInput, match=r"\(403: no \(the key\) here, nor \(the key\)\)"):
            reader_of(key_variable="SOMEBODYS_KEY")

    def test_one_that_fails_six_times_in_a_row_is_one_line(
        self, completions: CompletionServer, reader_of: Make, pauses: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOMEBODYS_KEY", KEY)
        failing = [says(500, f"no memory for {KEY}"), streams('{"error": {"message": "no memory for ' + KEY + '"}}')]
        completions.acts.extend(failing * 3)
        with pytest.raises(Unavailable, match=r"busy 6 times in a row \(it broke off: .*no memory for \(the key\)"):
            reader_of(key_variable="SOMEBODYS_KEY")
        assert pauses == [1, 2, 4, 8, 16]

    @pytest.mark.parametrize(
        ("status", "line"),
        [
            (401, r"refuses the key \(401: no \(the key\) here\): set reader.key_variable to the environment variable"),
            (404, r"refuses what it is asked \(404: no \(the key\) here\): set reader.url and reader.model$"),
            (302, r"refuses what it is asked \(302: no \(the key\) here\)"),
        ],
    )
    def test_a_refusal_shows_what_was_said_without_the_key(
        self, status: int, line: str, completions: CompletionServer, reader_of: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOMEBODYS_KEY", KEY)
        completions.acts.append(says(status, f"no {KEY}\n\nhere", Location=f"{completions.url}/elsewhere"))
        with pytest.raises(BadInput, match=line):
            reader_of(key_variable="SOMEBODYS_KEY")
        assert len(completions.asked) == 1


class TestOptions:
    @pytest.mark.parametrize(
        ("wrong", "line"),
        [
            ({"url": None}, r"^reader.url is not set: type reader.url=..., or set MEMORY_BENCH_READER_URL$"),
            ({"model": None}, r"^reader.model is not set: type reader.model=..., or set MEMORY_BENCH_READER_MODEL$"),
            ({"url": "localhost:80"}, r"^reader.url=localhost:80: expected an address such as http://localhost:8080/v1$"),
            ({"url": f"http://me:{KEY}@host/v1"}, r"^reader.url is kept with the results"),
            ({"body": {"api_key": KEY}}, r"^reader.body is kept with the results and has a field for a secret"),
            ({"key_variable": KEY}, r"^reader.key_variable names no environment variable that is set"),
            ({"api": "responses"}, r"^reader.api=responses: expected one of chat, completions$"),
            ({"usage": "some"}, r"^reader.usage=some: expected one of exact, reported, none$"),
            ({"concurrency": 0}, r"^reader.concurrency=0: expected a whole number >= 1, such as 4$"),
            ({"timeout_seconds": 0}, r"^timeout_seconds must be > 0, got 0: set reader.timeout_seconds=60$"),
            ({"max_new_tokens": 0}, r"^reader.max_new_tokens=0: expected a whole number >= 1"),
            ({"tokenizer": "nobody/none"}, r"^reader.tokenizer=nobody/none is no folder .*type: hf download nobody/"),
            ({"attention": attention.choose("off_math")}, r"^attention=off_math: which kernel .*attention=auto$"),
        ],
    )  # fmt: skip
    def test_what_makes_no_sense_is_one_line_and_nobody_is_asked(
        self, wrong: dict[str, object], line: str, completions: CompletionServer, reader_of: Make
    ) -> None:
        with pytest.raises((BadInput, Unavailable), match=line) as error:
            reader_of(**wrong)
        assert KEY not in str(error.value)
        assert completions.asked == []

    def test_a_chat_needs_a_template_and_a_text_does_not(self, reader_of: Make, tmp_path: Path) -> None:
        checkpoints.saved_tokenizer(tmp_path / "plain", "gpt2")
        with pytest.raises(BadInput, match=r"has no chat template: type reader.api=completions$"):
            reader_of(tokenizer=str(tmp_path / "plain"))
        assert reader_of(tokenizer=str(tmp_path / "plain"), api="completions", usage="none").style == "cloze"
        (tmp_path / "empty").mkdir()
        with pytest.raises(BadInput, match=r"^reader.tokenizer=.*empty: its tokenizer cannot be loaded"):
            reader_of(tokenizer=str(tmp_path / "empty"))

    def test_code_that_comes_with_a_tokenizer_is_run_only_if_that_is_typed(
        self, reader_of: Make, tokenizer_folder: Path, tmp_path: Path
    ) -> None:
        folder = Path(shutil.copytree(tokenizer_folder, tmp_path / "own"))
        ran = tmp_path / "ran"
        code = ["from pathlib import Path", "from transformers import PreTrainedTokenizerFast"]
        code += [f"Path({str(ran)!r}).touch()", "class OwnTokenizer(PreTrainedTokenizerFast): ..."]
        (folder / "own.py").write_text("\n".join(code))
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        settings |= {"tokenizer_class": "OwnTokenizer", "auto_map": {"AutoTokenizer": [None, "own.OwnTokenizer"]}}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        with pytest.raises(
            BadInput, match=r"^reader.tokenizer=.* brings code of its own.*reader.trust_remote_code=true$"
        ):
            reader_of(tokenizer=str(folder))
        assert not ran.exists()
        reader_of(tokenizer=str(folder), trust_remote_code=True)
        assert ran.exists()

    def test_the_last_token_that_fits_is_sent_and_the_next_is_refused(
        self, completions: CompletionServer, reader_of: Make
    ) -> None:
        reader = reader_of(window_tokens=64)
        longest = "?" * (reader.window_tokens - 8)
        assert reader.count_tokens(longest) == reader.window_tokens - 8
        assert reader.generate([longest])[0].prompt_tokens == 56
        line = r"a prompt of 57 tokens was given, between 1 and 56 fit small: lower .* or set reader.window_tokens"
        with pytest.raises(BadInput, match=line):
            reader.generate([f"{longest}?"])
        assert len(completions.asked) == 2

    def test_a_kept_answer_that_was_altered_and_a_folder_that_keeps_nothing_are_refused(
        self, reader_of: Make, tmp_path: Path
    ) -> None:
        reader_of()
        file = tmp_path / "kept" / "answers.sqlite"
        file.write_bytes(file.read_bytes().replace(b'"text": "', b'"text": "9'))
        with pytest.raises(BadInput, match=r"answers.sqlite (holds an answer that was altered|cannot keep answers)"):
            reader_of()
        (tmp_path / "no folder").write_text("somebody's own notes")
        with pytest.raises(BadInput, match=r"cannot keep answers \(.*\): set reader.cache to another folder$"):
            reader_of(cache=str(tmp_path / "no folder"))


class TestARun:
    def typed(self, server: CompletionServer, tokenizer: Path, folder: Path) -> list[str]:
        stubs.register()
        return [
            *["+task=stub", "+memory=bm25", "reader=endpoint", "reader.model=small", "reader.window_tokens=1024"],
            *[f"reader.url={server.url}", f"reader.tokenizer={tokenizer}", "reader.key_variable=SOMEBODYS_KEY"],
            *[f"reader.cache={folder / 'kept'}", f"results={folder / 'results'}"],
        ]

    @pytest.mark.parametrize("ends", ["with answers", "with an error"])
    def test_the_key_is_in_no_file_and_no_line_even_where_the_server_says_it_back(
        self,
        ends: str,
        completions: CompletionServer,
        tokenizer_folder: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("SOMEBODYS_KEY", KEY)
        completions.write = lambda _: f" {KEY}"
        typed = self.typed(completions, tokenizer_folder, tmp_path)
        if ends == "with an error":

            def fails_later(prompt: str) -> str:
                if "gate 1" in prompt:
                    completions.acts.append(says(401, f'{{"error": "Incorrect API key provided: {KEY}"}}'))
                return f" {KEY}"

            completions.write = fails_later
            assert main(typed) == 2
            assert main(["-m", *typed, "seed=0,1"]) == 1
        else:
            assert main(typed) == 0
            [file] = (tmp_path / "results").rglob("records.jsonl")
            records = [json.loads(line) for line in file.read_text().splitlines()]
            assert {record["answer"] for record in records} == {"(the key)"}
            assert {(record["costs"]["retries"], record["costs"]["kept_answers"]) for record in records} == {(0, 0)}
            assert all(
                record["costs"]["server_prompt_tokens"] == record["costs"]["prompt_tokens"] for record in records
            )
            [facts] = (tmp_path / "results").rglob("provenance.json")
            assert json.loads(facts.read_text())["environment"]["device"] == "not known: a server's"
        assert completions.asked[0].authorization == f"Bearer {KEY}"
        written = [file for file in tmp_path.rglob("*") if file.is_file()]
        assert len(written) > 3
        assert not [file for file in written if KEY.encode() in file.read_bytes()]
        said = capfd.readouterr()
        assert KEY not in said.out + said.err
        assert ("(the key)" in said.out + said.err) == (ends == "with an error")

    def test_a_memory_inside_the_model_is_refused_in_one_line(
        self, completions: CompletionServer, tokenizer_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        typed = self.typed(completions, tokenizer_folder, tmp_path)
        typed[1], typed[7] = "+memory=engram", "reader.key_variable=null"
        assert main(typed) in (1, 2)
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "engram" in error

    def test_without_an_address_the_matrix_and_a_run_say_so_in_a_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("MEMORY_BENCH_READER_URL", raising=False)
        stubs.register()
        typed = ["+task=stub", "+memory=exact", "reader=endpoint", f"results={tmp_path}"]
        line = "reader.url is not set: type reader.url=..., or set MEMORY_BENCH_READER_URL"
        assert main([*typed, "dry_run=true"]) == 1
        assert line in " ".join(capsys.readouterr().out.split())
        assert main(typed) == 1
        assert capsys.readouterr().err == f"{line}\n"

    def test_a_secret_that_was_typed_as_a_field_is_in_no_file_of_a_sweep(
        self, completions: CompletionServer, tokenizer_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        typed = [one for one in self.typed(completions, tokenizer_folder, tmp_path) if "key_variable" not in one]
        assert main(["-m", *typed, f"reader.body={{api_key:{KEY}}}"]) == 1
        assert "reader.body is kept with the results" in capsys.readouterr().out
        assert not any(KEY.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())

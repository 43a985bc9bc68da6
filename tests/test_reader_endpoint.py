"""Answers from a real server, over HTTP, in this process: what is asked, counted, kept and charged."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoTokenizer

from memory_bench import endpoint
from memory_bench.errors import BadInput, NoAnswer, Unavailable
from memory_bench.meter import Meter
from memory_bench.readers.endpoint import FIXED_PROMPT, EndpointReader
from tests import checkpoints, completion_server, local_server
from tests.completion_server import CACHED_TOKENS, CompletionServer, framed, streams, written
from tests.local_server import KEY, hangs_up, says

PROMPTS = ["The access code of gate 17 is 4411\nWhat is the access code of gate 17?", "Lunch is served at", "gate 23?"]
Make = Callable[..., EndpointReader]


def prompts(server: CompletionServer) -> list[str]:
    """Return what was asked, in its order."""
    bodies = [asked.body for asked in server.asked]
    return [body["messages"][0]["content"] if "messages" in body else body["prompt"] for body in bodies]


class TestWhatIsAskedAndCounted:
    @pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
    def test_a_chat_is_a_message_and_its_tokens_are_those_of_the_template(
        self, stream: bool, completions: CompletionServer, reader_of: Make, tokenizer_folder: Path
    ) -> None:
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
        reader = reader_of(stream=stream)
        completion, *_ = reader.generate(PROMPTS)
        given = [{"role": "user", "content": PROMPTS[0]}]
        tokens = tokenizer.apply_chat_template(given, add_generation_prompt=True, return_dict=False)
        text = written(framed(given))
        assert (reader.style, completion.text) == ("chat", text.strip())
        assert (completion.prompt_tokens, completion.cached_tokens) == (len(tokens), CACHED_TOKENS)
        assert completion.completion_tokens == len(tokenizer.encode(text))
        assert (completion.first_token_seconds is not None) == stream
        assert reader.cached_tokens() == CACHED_TOKENS
        assert prompts(completions) == [FIXED_PROMPT, *PROMPTS]
        body = completions.asked[1].body
        extra = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        limits = {"max_tokens": 8, "temperature": 0, "stop": ["\n"]}
        assert body == {"model": "small", "messages": given, **limits, **extra}
        assert {asked.path for asked in completions.asked} == {"/v1/chat/completions"}
        assert completions.asked[1].authorization is None

    @pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
    def test_a_text_to_go_on_is_sent_as_it_is(
        self, stream: bool, completions: CompletionServer, reader_of: Make, tokenizer_folder: Path
    ) -> None:
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
        reader = reader_of(api="completions", stream=stream)
        [completion] = reader.generate(PROMPTS[:1])
        assert (reader.style, completion.text) == ("cloze", written(PROMPTS[0]).strip())
        assert completion.prompt_tokens == len(tokenizer.encode(PROMPTS[0])) == reader.count_tokens(PROMPTS[0])
        assert completion.completion_tokens == len(tokenizer.encode(written(PROMPTS[0])))
        assert completions.asked[1].path == "/v1/completions"
        assert completions.asked[1].body["prompt"] == PROMPTS[0]

    def test_what_follows_the_first_line_is_cut_off(self, completions: CompletionServer, reader_of: Make) -> None:
        """Not every server stops where it is told to."""
        completions.write = lambda _: " 4411 \nWhat"
        assert reader_of().generate(["Who?"])[0].text == "4411"
        assert reader_of(stream=False, cache=None).generate(["Who?"])[0].text == "4411"

    def test_an_end_of_a_line_that_is_none_is_text(self, completions: CompletionServer, reader_of: Make) -> None:
        completions.write = lambda _: " 44\x8511"
        event = '{"choices": [{"delta": {"content": "44\u0085\u202811"}, "finish_reason": "stop"}]}'
        reader = reader_of(usage="none")
        completions.acts.append(streams(event))
        assert reader.generate(["Who?"])[0].text == "44\x85\u202811"

    def test_the_user_adds_fields_and_takes_others_away(self, completions: CompletionServer, reader_of: Make) -> None:
        body = {"max_tokens": None, "max_completion_tokens": 9, "stream_options": None}
        reader_of(body=body).generate(["Who?"])
        sent = completions.asked[1].body
        assert sent["max_completion_tokens"] == 9
        assert not {"max_tokens", "stream_options"} & sent.keys()

    def test_the_key_is_sent_as_a_bearers(
        self, completions: CompletionServer, reader_of: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOMEBODYS_KEY", KEY)
        reader_of(key_variable="SOMEBODYS_KEY")
        assert completions.asked[0].authorization == f"Bearer {KEY}"

    def test_several_are_asked_at_once_up_to_the_limit_and_answered_in_their_order(
        self, completions: CompletionServer, reader_of: Make
    ) -> None:
        together, lock, under_way = threading.Barrier(3, timeout=60), threading.Lock(), [0, 0]
        reader = reader_of(api="completions", concurrency=3)

        def meet(prompt: str) -> str:
            with lock:
                under_way[0] += 1
                under_way[1] = max(under_way)
            together.wait()  # nobody is answered before three have asked
            with lock:
                under_way[0] -= 1
            return written(prompt)

        completions.write = meet
        asked = [f"gate {number}" for number in range(6)]
        assert [one.text for one in reader.generate(asked)] == [written(prompt).strip() for prompt in asked]
        assert under_way == [0, 3]

    def test_a_count_that_is_not_ours_is_written_beside_ours_where_that_is_asked_for(
        self, completions: CompletionServer, reader_of: Make
    ) -> None:
        completions.usage = lambda usage: (
            {**usage, "prompt_tokens": 99, "prompt_cache_hit_tokens": 7} | {"prompt_tokens_details": None}
        )
        meter = Meter(reader_of(usage="reported"))
        with meter.region("generate") as region:
            [completion] = meter.reader(reader_of(usage="reported")).generate(["gate 23?"])
        costs = meter.costs(region)
        assert costs["server_prompt_tokens"] == 99
        assert costs["prompt_tokens"] == completion.prompt_tokens != 99
        assert completion.cached_tokens == 7  # as DeepSeek says it

    def test_where_a_server_counts_nothing_the_tokenizer_does(
        self, completions: CompletionServer, reader_of: Make
    ) -> None:
        completions.usage = lambda _: None
        reader = reader_of(usage="none")
        [completion] = reader.generate(["gate 23?"])
        assert completion.completion_tokens == reader.count_tokens(completion.text)
        assert completion.cached_tokens is None
        assert "stream_options" not in completions.asked[0].body

    def test_it_has_no_device_and_nobody_knows_its_weights(self, reader_of: Make) -> None:
        reader = reader_of()
        assert (reader.mark(), reader.seconds_between(None, None), reader.peak_device_bytes()) == (None, None, None)
        identity = reader.identity()
        assert [name for name, digest in identity.items() if digest is None] == [
            "endpoint/small/weights: a server does not show them"
        ]
        assert any(name.endswith("/tokenizer.json") for name in identity)
        assert "endpoint/small/answer to a fixed text" in identity


class TestChoices:
    def test_they_are_scored_by_the_log_probabilities_of_the_text_that_the_server_read(
        self, completions: CompletionServer, reader_of: Make, tmp_path: Path
    ) -> None:
        model = checkpoints.made(checkpoints.save(tmp_path / "model", "gpt2"))

        def log_probs(text: str) -> list[float | None]:
            tokens = model.encode(text)
            with torch.inference_mode():
                every_TV = model.model(torch.tensor([tokens])).logits[0].log_softmax(-1)
            return [None, *(every_TV[at, token].item() for at, token in enumerate(tokens[1:]))]

        completions.log_probs = log_probs
        reader = reader_of(api="completions", tokenizer=str(tmp_path / "model"), usage="reported")
        choices = [" 4411", " noon", " 4411 at noon", "ess"]
        expected = model.score("The access code of gate 17 is", choices)
        assert reader.score("The access code of gate 17 is", choices) == pytest.approx(expected, abs=1e-3)
        completions.asked.clear()
        assert reader.score("The access code of gate 17 is", choices[:2]) == pytest.approx(expected[:2], abs=1e-3)
        assert completions.asked == []

    @pytest.mark.parametrize("refuses", [True, False], ids=["refuses", "reads over"])
    def test_a_chat_has_none_and_a_server_that_gives_none_is_asked_once(
        self, refuses: bool, completions: CompletionServer, reader_of: Make
    ) -> None:
        with pytest.raises(NoAnswer, match=r"log-probabilities, which a chat does not give"):
            reader_of().score("gate", [" 17"])
        reader = reader_of(api="completions")
        completions.asked.clear()
        completions.acts.extend([says(400, "Only no echo is supported")] * refuses)
        for _ in range(2):
            with pytest.raises(NoAnswer, match=rf"which {completions.url}/completions \(echo, logprobs\) does not"):
                reader.score("gate", [" 17"])
        assert len(completions.asked) == 1

    @pytest.mark.parametrize("other", [[None, -1.0], [None, -1.0, "x", -1.0], [None, None, -1.0, -1.0], []])
    def test_log_probabilities_of_another_text_are_none(
        self, other: list[float | None], completions: CompletionServer, reader_of: Make
    ) -> None:
        completions.log_probs = lambda _: other
        reader = reader_of(api="completions")
        text = "gate 17?"
        assert reader.count_tokens(text) == 4
        with pytest.raises(NoAnswer, match="does not give"):
            reader.score(text.removesuffix("?"), ["?"])


class TestWhatIsKept:
    def test_a_second_run_asks_nothing_needs_no_server_and_has_no_time(
        self, reader_of: Make, tokenizer_folder: Path
    ) -> None:
        with local_server.running(CompletionServer(tokenizer_folder)) as gone:
            first = reader_of(url=gone.url)
            completions = first.generate(PROMPTS)
        again = reader_of(url=gone.url)
        meter = Meter(again)
        with meter.region("read") as region:
            kept = meter.reader(again).generate(PROMPTS)
        assert [(one.text, one.prompt_tokens, one.completion_tokens) for one in kept] == [
            (one.text, one.prompt_tokens, one.completion_tokens) for one in completions
        ]
        assert {(one.first_token_seconds, one.cached_tokens) for one in kept} == {(None, None)}
        costs = meter.costs(region)
        assert (costs["read_seconds"], costs["read_cpu_seconds"]) == (None, None)
        assert (costs["read_kept_answers"], costs["read_retries"]) == (3, 0)
        assert "read_server_prompt_tokens" not in costs
        assert again.identity() == first.identity()
        with pytest.raises(Unavailable, match=r"^no server answers at .*: set reader.url to one that runs$"):
            again.generate(["new"])

    def test_only_what_is_new_is_asked_for_after_one_look_at_the_server(
        self, completions: CompletionServer, reader_of: Make
    ) -> None:
        reader_of().generate(PROMPTS[:2])
        completions.asked.clear()
        reader_of(stream=False).generate(PROMPTS)
        assert prompts(completions) == [FIXED_PROMPT, PROMPTS[2]]

    def test_another_question_or_none_to_keep_is_asked_for(
        self, completions: CompletionServer, reader_of: Make
    ) -> None:
        reader_of().generate(["Who?"])
        for other in ({"model": "large"}, {"max_new_tokens": 9}, {"body": {"seed": 1}}, {"cache": None}):
            completions.asked.clear()
            reader_of(**other).generate(["Who?"])
            assert "Who?" in prompts(completions), other

    def test_answers_of_other_weights_are_not_put_beside_those_that_are_kept(
        self, completions: CompletionServer, reader_of: Make
    ) -> None:
        reader_of().generate(["Who?"])
        completions.write = lambda _: " other"
        reader = reader_of()
        assert reader.generate(["Who?"])[0].text != "other"
        with pytest.raises(BadInput, match=r"answers otherwise than what is kept of it \(' other' to a fixed text"):
            reader.generate(["new"])


class TestABusyServer:
    def test_it_is_asked_again_when_it_says_or_after_longer_pauses_which_no_second_holds(
        self, completions: CompletionServer, reader_of: Make, pauses: list[float]
    ) -> None:
        reader = reader_of()
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=300), usegmt=True)
        completions.acts.extend(
            [
                says(429, "slow down", Retry_After="7.5"),
                says(503, "starting"),
                hangs_up,
                says(429, "", Retry_After=date),
            ]
        )
        meter = Meter(reader)
        with meter.region("generate") as region:
            meter.reader(reader).generate(["Who?"])
        costs = meter.costs(region)
        assert pauses == [7.5, 2, 4, 60]
        assert (costs["retries"], costs["kept_answers"]) == (4, 0)
        assert costs["generate_seconds"] is not None
        assert costs["generate_seconds"] < 1  # time stands still but for the pauses, which are 73.5 s

    def test_a_stream_that_is_cut_off_is_asked_for_again(
        self, completions: CompletionServer, reader_of: Make, pauses: list[float]
    ) -> None:
        reader = reader_of(usage="none")
        part = '{"choices": [{"delta": {"content": "44"}}]}'
        completions.acts.extend(
            [streams(part, cut=True), streams(part), streams(part, '{"error": {"message": "out of memory"}}')]
        )
        assert reader.generate(["Who?"])[0].text == written(framed([{"role": "user", "content": "Who?"}])).strip()
        assert len(pauses) == 3

    def test_of_requests_side_by_side_nobody_knows_the_time_once_one_was_made_again(
        self, completions: CompletionServer, reader_of: Make, pauses: list[float]
    ) -> None:
        reader = reader_of(concurrency=2)
        meter = Meter(reader)
        seconds = []
        for acts in ([], [says(503, "starting")]):
            completions.acts.extend(acts)
            with meter.region("read") as region:
                meter.reader(reader).generate([f"gate {len(acts)}?", f"Lunch {len(acts)}?"])
            seconds.append(meter.costs(region)["read_seconds"])
        assert seconds[0] is not None
        assert seconds[0] > 0
        assert seconds[1] is None
        assert pauses == [1]

    def test_one_that_starts_again_is_waited_for(
        self, reader_of: Make, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = CompletionServer(tokenizer_folder)
        with local_server.running(server):
            reader = reader_of(url=server.url)
        port = int(server.url.split(":")[2].split("/")[0])
        again = local_server.running(completion_server.CompletionServer(tokenizer_folder), port)
        paused: list[float] = []

        def sleep(seconds: float) -> None:
            paused.append(seconds)
            if len(paused) == 2:
                again.__enter__()

        monkeypatch.setattr(endpoint, "time", SimpleNamespace(sleep=sleep, perf_counter=lambda: 0.0))
        try:
            [completion] = reader.generate(["Who?"])
        finally:
            again.__exit__(None, None, None)
        assert completion.text
        assert paused == [1, 2]

"""Recursive reading by a model behind a real server: what it writes is done, and what it is asked is on the ledger."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from adapters.rlm import Budget, Rlm
from memory_bench.errors import Unavailable
from memory_bench.meter import Meter
from memory_bench.readers.endpoint import EndpointReader
from tests.completion_server import CompletionServer, written
from tests.followers import ASKED_FOR, followed
from tests.test_rlm import FOUND_BELOW, QUERY, bm25, ids, told

Make = Callable[..., EndpointReader]
ROOMY = Budget(calls=4, tokens=10**6, depth=0, refused=0)


def as_asked(prompt: str) -> str:
    """Write what a chat asks for, if it is an operation: the message stands in its frame."""
    message = prompt.partition("user\n")[2].rpartition("<|im_end|>")[0]
    return followed(message) if message.endswith(ASKED_FOR) else written(prompt)


def test_a_model_behind_a_server_looks_through_what_was_written(
    completions: CompletionServer, reader_of: Make, tokenizer_folder: Path
) -> None:
    completions.write = as_asked
    reader = reader_of(window_tokens=100_000, max_new_tokens=200)
    meter, memory = Meter(reader), Rlm(over=bm25(), budget=ROOMY, top_k=64)
    memory.attach(meter.reader(reader))
    told(memory)
    with meter.region("read") as region:
        passages = memory.read(QUERY)
    assert ids(passages) == FOUND_BELOW
    asked = [one.body["messages"] for one in completions.asked[-2:]]  # a search, and what it found is brought
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    tokens = [tokenizer.apply_chat_template(one, add_generation_prompt=True, return_dict=False) for one in asked]
    costs = meter.costs(region)
    assert costs["read_calls"] == 2
    assert costs["read_prompt_tokens"] == sum(map(len, tokens))
    assert QUERY.text in asked[0][0]["content"]


def test_a_model_that_answers_in_words_is_refused(completions: CompletionServer, reader_of: Make) -> None:
    completions.write = lambda prompt: f"I would count {len(prompt)} letters."
    with pytest.raises(Unavailable, match=r"it wrote 'I would count \d+ letters\.'"):
        Rlm(over=bm25(), budget=ROOMY, top_k=64).attach(reader_of(window_tokens=100_000))
